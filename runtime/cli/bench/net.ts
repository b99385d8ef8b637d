/** `airlock bench net`: frames per second through the network driver, by frame size, batch and tier, with and without its shadow. */
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import Table from "cli-table3";
import { AirlockError } from "../../api/errors.ts";
import { threadEntry } from "../../bus/thread-entry.ts";
import type { NetInterface, OpenInterface } from "../../classes/net/interface.ts";
import { bundleDriver } from "../../host/bundle.ts";
import { loadManifest } from "../../machine/manifest.ts";
import type { TierName } from "../../sandbox/sandbox.ts";
import { wholeNumber } from "../soak/session.ts";
import type { BenchCall, BenchDefinition } from "./bench.ts";
import { median } from "./median.ts";
import type { BareWork } from "./net-bare-thread.ts";
import { NetFeeder } from "./net-feeder.ts";
import { projectFolder, withMachine } from "./temporary-machine.ts";

const frameSizes = [64, 1500] as const;
const batches = [1, 8, 32, 256] as const;
const tiers = ["quickjs", "worker"] as const;
/** Frames under way at most: as many as the card's ring holds. */
const window = 255;

/** Ways to the same driver. */
type Way = TierName | `${TierName}, no shadow` | "bare";

export interface NetRow {
  readonly frameBytes: number;
  readonly batch: number;
  /** Thousands of frames per second; medians over the rounds. */
  readonly kiloFrames: Readonly<Record<string, number>>;
  /** What the shadow takes of the throughput, in percent, by tier: medians over pairs of the same round. */
  readonly shadowPercent: Readonly<Record<string, number>>;
}

export interface NetBench {
  readonly rounds: number;
  readonly ms: number;
  readonly rows: readonly NetRow[];
}

const cases = frameSizes.flatMap((frameBytes) => batches.map((batch) => ({ frameBytes, batch: Math.min(batch, window) })));

const bench: BenchDefinition<NetBench> = {
  name: "net", summary: "frames per second through the network driver, by size, batch and tier, beside the same code without sandbox and shadow", run, text,
  options: [
    { flags: "--net-ms <number>", description: "how long each case runs", default: "300" },
    { flags: "--net-rounds <number>", description: "rounds, alternating; medians are reported", default: "5" },
  ],
};

export default bench;

async function run({ options, progress }: BenchCall): Promise<NetBench> {
  const ms = Math.max(10, wholeNumber(options.netMs, "--net-ms"));
  const rounds = Math.max(1, wholeNumber(options.netRounds, "--net-rounds"));
  const found = new Map<Way, number[][]>();
  const keep = (way: Way, rates: number[]): void => void found.set(way, [...(found.get(way) ?? []), rates]);
  for (let round = 1; round <= rounds; round++) {
    progress(`round ${round} of ${rounds}: without sandbox and shadow`);
    keep("bare", await measureBare(ms));
    for (const tier of tiers) {
      progress(`round ${round} of ${rounds}: ${tier}`);
      keep(tier, await measureWhole(tier, ms));
      keep(`${tier}, no shadow`, await measureFed(tier, ms));
    }
  }
  return { rounds, ms, rows: cases.map((one, index) => row(one, index, found)) };
}

function row({ frameBytes, batch }: { frameBytes: number; batch: number }, index: number, found: ReadonlyMap<Way, number[][]>): NetRow {
  const kiloFrames = Object.fromEntries([...found].map(([way, rounds]) => [way, median(rounds.map((rates) => rates[index]! / 1000))]));
  const shadowPercent = Object.fromEntries(tiers.map((tier) => [
    tier, median(found.get(tier)!.map((rates, round) => (1 - rates[index]! / found.get(`${tier}, no shadow`)![round]![index]!) * 100)),
  ]));
  return { frameBytes, batch, kiloFrames, shadowPercent };
}

/** Client, shadow, sandbox, device. */
function measureWhole(tier: TierName, ms: number): Promise<number[]> {
  return withMachine((root) => machineText(root, tier), async ({ machine }) => {
    const open = machine.client("nic") as OpenInterface;
    const port: NetInterface = open({ received: () => undefined, room: () => undefined, link: () => undefined, ended: () => undefined });
    await port.configure({ up: true });
    while (!port.link.up) await turn();
    const rates: number[] = [];
    for (const { frameBytes, batch } of cases) {
      const frames = Array.from({ length: batch }, () => frame(frameBytes));
      let given = port.counters.sent;
      rates.push(await measure(ms, () => port.counters.sent, () => {
        const taken = port.send(frames);
        given += taken;
        return taken > 0;
      }, () => given, batch));
    }
    port.close();
    return rates;
  });
}

/** The same without a shadow. */
function measureFed(tier: TierName, ms: number): Promise<number[]> {
  let feeder: NetFeeder | undefined;
  return withMachine((root) => machineText(root, tier), async () => {
    await feeder!.up;
    const rates: number[] = [];
    for (const { frameBytes, batch } of cases) {
      const frames = Array.from({ length: batch }, () => frame(frameBytes));
      let given = feeder!.completed;
      rates.push(await measure(ms, () => feeder!.completed, () => {
        const isTaken = feeder!.send(frames);
        if (isTaken) given += batch;
        return isTaken;
      }, () => given, batch));
    }
    if (feeder!.refused > 0) throw new AirlockError("Unsupported", `the driver did not send ${feeder!.refused} frames`);
    return rates;
  }, { shadow: (environment) => (feeder = new NetFeeder(environment)) });
}

/** No frame takes as long as this, on the slowest computer; frames that do are lost. */
const patienceMs = 10_000;

/** Keeps the ring as full as batches of that size allow; frames per second. */
async function measure(ms: number, done: () => number, send: () => boolean, given: () => number, batch: number): Promise<number> {
  const start = performance.now();
  const before = done();
  const elapsedMs = (): number => performance.now() - start;
  const patience = (): void => {
    if (elapsedMs() > ms + patienceMs) throw new AirlockError("HardwareTimeout", `the driver did not send ${given() - done()} frames within ${patienceMs} ms; \`airlock run\` with this machine shows what it says`);
  };
  for (; elapsedMs() < ms || done() === before; patience()) { // a loaded computer may get nothing done in some ms
    while (given() - done() + batch <= window) if (!send()) break;
    await turn();
  }
  const rate = ((done() - before) / elapsedMs()) * 1000;
  for (; given() > done(); patience()) await turn();
  return rate;
}

async function measureBare(ms: number): Promise<number[]> {
  const folder = `${projectFolder()}/drivers/e1000`;
  const { manifest } = loadManifest(folder);
  const work: BareWork = {
    code: (await bundleDriver(folder, manifest.main)).code, ms, cases, window, windowBytes: manifest.needs.windows.bar0!.sizeBytes, queuesBytes: manifest.needs.dma.queues!.size,
    options: Object.fromEntries(Object.entries(manifest.options).map(([name, { default: value }]) => [name, value!])),
  };
  const worker = new Worker(threadEntry("cli/bench/net-bare-thread"), { workerData: work });
  const [rates] = (await once(worker, "message")) as [number[]];
  await worker.terminate();
  return rates;
}

/** A frame to nobody: the far end drops it. */
function frame(sizeBytes: number): Uint8Array {
  const bytes = new Uint8Array(sizeBytes);
  bytes.set([0x02, 0, 0, 0, 0, 9, 0x02, 0, 0, 0, 0, 8, 0x88, 0xb6]);
  return bytes;
}

function turn(): Promise<void> {
  return new Promise((resolve) => { setImmediate(resolve); });
}

function text({ rounds, ms, rows }: NetBench): string {
  const ways = Object.keys(rows[0]!.kiloFrames);
  const table = new Table({ head: ["frame", "batch", ...ways, ...tiers.map((tier) => `shadow, ${tier}`)], style: { head: [], border: [] }, colAligns: ["right", "right", ...ways.map(() => "right" as const), "right", "right"] });
  for (const { frameBytes, batch, kiloFrames, shadowPercent } of rows) {
    table.push([`${frameBytes}`, `${batch}`, ...ways.map((way) => `${kiloFrames[way]}`), ...tiers.map((tier) => `${shadowPercent[tier]} %`)]);
  }
  return `${table.toString()}\nthousands of frames per second, and what the shadow takes of them; medians of ${rounds} alternating rounds of ${ms} ms`;
}

function machineText(root: string, sandbox: string): string {
  return `
machine: bench-net
platform: { type: sim }
devices:
  eth0: { compatible: [e1000], pci: { address: "00:05.0" }, options: { peer: host } }
drivers:
  nic:
    package: ${JSON.stringify(`${root}/drivers/e1000`)}
    device: eth0
    sandbox: ${sandbox}
    grants: [bar0, intx, queues, buffers]
    spares: 0
    limits: { irqPerSecond: 1000000 }
`;
}
