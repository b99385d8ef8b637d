/** `airlock bench density`: many sandboxed drivers on one machine: how long they take to start, and what each weighs. */
import { AirlockError } from "../../api/errors.ts";
import type { RtcClient } from "../../classes/rtc/client.ts";
import type { BroughtUp } from "../bring-up.ts";
import { wholeNumber } from "../soak/session.ts";
import { percentile } from "../soak/soak.ts";
import type { BenchCall, BenchDefinition } from "./bench.ts";
import { withMachine } from "./temporary-machine.ts";

/** Longest start; a driver takes some 20-50 ms of one core. */
const startLimitMs = 300_000;
const pollMs = 20;
const mebibyte = 2 ** 20;

export interface DensityBench {
  readonly drivers: number;
  readonly startMs: number;
  readonly startMsPerDriver: number;
  readonly rssMiB: number;
  readonly rssMiBPerDriver: number;
  /** One readTime of every driver's client, one after the other, in microseconds. */
  readonly callMicros: { readonly p50: number | undefined; readonly p99: number | undefined };
  /** Drivers that failed on the way up. */
  readonly failures: number;
}

const bench: BenchDefinition<DensityBench> = {
  name: "density", summary: "hundreds of drivers on one machine: how long they take to start, and what each weighs", run, text,
  options: [{ flags: "--drivers <number>", description: "how many drivers", default: "500" }],
};

export default bench;

/** Brings up clock chips with a quickjs driver each, no spares, and asks each for the time. */
function run({ options, progress }: BenchCall): Promise<DensityBench> {
  const drivers = Math.max(1, wholeNumber(options.drivers, "--drivers"));
  const before = process.memoryUsage().rss;
  const start = performance.now();
  return withMachine((root) => machineText(drivers, `${root}/drivers/rtc-mc146818`), async ({ machine }) => {
    await allRunning(machine, drivers, progress);
    const startMs = performance.now() - start;
    const rss = process.memoryUsage().rss - before;
    const calls: number[] = [];
    for (const name of machine.drivers.keys()) calls.push(await timeOneCall(machine.client(name) as RtcClient));
    const failures = machine.supervisor.statuses.flatMap((status) => Object.values(status.failures)).reduce((sum, count) => sum + count, 0);
    return {
      drivers, failures, startMs: round(startMs), startMsPerDriver: round(startMs / drivers), rssMiB: round(rss / mebibyte), rssMiBPerDriver: round(rss / mebibyte / drivers),
      callMicros: { p50: percentile(calls, 0.5), p99: percentile(calls, 0.99) },
    };
  });
}

function text(result: DensityBench): string {
  return [
    `${result.drivers} drivers up after ${result.startMs} ms (${result.startMsPerDriver} ms each), ${result.failures} failures on the way`,
    `${result.rssMiB} MiB of memory (${result.rssMiBPerDriver} MiB each)`,
    `one call of each: p50 ${result.callMicros.p50} us, p99 ${result.callMicros.p99} us`,
  ].join("\n");
}

async function allRunning(machine: BroughtUp["machine"], drivers: number, progress: (text: string) => void): Promise<void> {
  const end = performance.now() + startLimitMs;
  for (let told = 0; ; ) {
    const running = machine.supervisor.statuses.filter(({ state }) => state === "running").length;
    if (running === drivers) return;
    if (performance.now() > end) throw new AirlockError("HardwareTimeout", `only ${running} of ${drivers} drivers were up after ${startLimitMs} ms`);
    if (running >= told + drivers / 10) progress(`${(told = running)} of ${drivers} drivers are up`);
    await new Promise((resolve) => { setTimeout(resolve, pollMs); });
  }
}

async function timeOneCall(client: RtcClient): Promise<number> {
  const start = performance.now();
  await client.readTime();
  client.close();
  return (performance.now() - start) * 1000;
}

function machineText(drivers: number, driverPackage: string): string {
  const numbers = Array.from({ length: drivers }, (_, index) => index);
  const devices = numbers.map((n) => `  rtc${n}: { compatible: [mc146818], ports: { cmos: { base: ${0x1000 + 2 * n}, size: 2 } }, irqs: { tick: ${n} } }`);
  const entries = numbers.map((n) => `  clock${n}: { package: ${JSON.stringify(driverPackage)}, device: rtc${n}, grants: [cmos, tick], spares: 0 }`);
  return ["machine: density", "platform: { type: sim }", "devices:", ...devices, "drivers:", ...entries, ""].join("\n");
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
