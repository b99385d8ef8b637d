/** `airlock bench net`: frames per second through the network driver, by frame size, batch and tier, with and without its shadow. */
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import Table from "cli-table3";
import { AirlockError } from "../../api/errors.ts";
import { threadEntry } from "../../bus/thread-entry.ts";
import { bundleDriver } from "../../host/bundle.ts";
import { loadManifest } from "../../machine/manifest.ts";
import type { TierName } from "../../sandbox/sandbox.ts";
import { wholeNumber } from "../soak/session.ts";
import type { BenchCall, BenchDefinition } from "./bench.ts";
import { median } from "./median.ts";
import type { BareWork } from "./net-bare-thread.ts";
import { NetFeeder } from "./net-feeder.ts";
import { frameRate, openInterface, strayFrame, transmitRate, windowFrames } from "./net-rate.ts";
import { projectFolder, withMachine } from "./temporary-machine.ts";

const frameSizes = [64, 1500] as const;
const batches = [1, 8, 32, 256] as const;
const tiers = ["quickjs", "worker"] as const;
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

const cases = frameSizes.flatMap((frameBytes) => batches.map((batch) => ({ frameBytes, batch: Math.min(batch, windowFrames) })));

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
  return withMachine((root) => machineText(root, tier), async (up) => {
    const { port } = await openInterface(up);
    const rates: number[] = [];
    for (const { frameBytes, batch } of cases) rates.push(await transmitRate(port, ms, strayFrame(frameBytes), batch));
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
      const frames = Array.from({ length: batch }, () => strayFrame(frameBytes));
      let given = feeder!.completed;
      rates.push(await frameRate(ms, {
        batch, given: () => given, done: () => feeder!.completed,
        send: () => {
          const isTaken = feeder!.send(frames);
          if (isTaken) given += batch;
          return isTaken;
        },
      }));
    }
    if (feeder!.refused > 0) throw new AirlockError("Unsupported", `the driver did not send ${feeder!.refused} frames`);
    return rates;
  }, { shadow: (environment) => (feeder = new NetFeeder(environment)) });
}

async function measureBare(ms: number): Promise<number[]> {
  const folder = `${projectFolder()}/drivers/e1000`;
  const { manifest } = loadManifest(folder);
  const work: BareWork = {
    code: (await bundleDriver(folder, manifest.main)).code, ms, cases, window: windowFrames, windowBytes: manifest.needs.windows.bar0!.sizeBytes!, queuesBytes: manifest.needs.dma.queues!.size,
    options: Object.fromEntries(Object.entries(manifest.options).map(([name, { default: value }]) => [name, value!])),
  };
  const worker = new Worker(threadEntry("cli/bench/net-bare-thread"), { workerData: work });
  const [rates] = (await once(worker, "message")) as [number[]];
  await worker.terminate();
  return rates;
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
