/** `airlock bench kills`: what it costs a disk's clients that its driver is killed every second, beside the same without kills. */
import Table from "cli-table3";
import type { Volume } from "../../classes/block/volume.ts";
import type { TierName } from "../../sandbox/sandbox.ts";
import { Session } from "../soak/session.ts";
import { uniform } from "../random.ts";
import { wholeNumber } from "../soak/session.ts";
import type { BenchCall, BenchDefinition } from "./bench.ts";
import { median } from "./median.ts";

/** Requests under way at once, and their size: small ones, so that it is the driver that bounds the throughput and not the memory. */
const depth = 32;
const requestBytes = 4_096;
/** Kills before the first window that counts: a machine that has been up for a while is what the question is about. */
const warmUpKills = 6;
/** The part of the disk that is read and written. */
const rangeBytes = 64 * 2 ** 20;

export interface KillCost {
  /** Throughput over all windows of that kind, MiB per second. */
  readonly undisturbed: number;
  readonly killed: number;
  /** Part of the throughput that is lost, in percent: the median over pairs of neighbouring windows. */
  readonly lostPercent: number;
  readonly kills: number;
}

export interface KillsBench {
  /** Pairs of windows per direction: one with a kill at its beginning, one without. */
  readonly pairs: number;
  readonly windowMs: number;
  readonly read: KillCost;
  readonly write: KillCost;
  readonly clientErrors: number;
}

type Direction = "read" | "write";

const bench: BenchDefinition<KillsBench> = {
  name: "kills", summary: "a disk's throughput in a second in which its driver is killed, beside the next second without", run, text,
  options: [
    { flags: "--kill-every <ms>", description: "length of a window; every other one begins with a kill", default: "1000" },
    { flags: "--kill-pairs <number>", description: "pairs of windows, for reads and for writes", default: "12" },
    { flags: "--machine <file>", description: "the machine; its only driver is of class block", default: "runtime/machine/examples/disk.yaml" },
    { flags: "--tier <tier>", description: "the tier of the driver, instead of the machine file's" },
  ],
};

export default bench;

async function run({ options, progress }: BenchCall): Promise<KillsBench> {
  const windowMs = Math.max(1, wholeNumber(options.killEvery, "--kill-every"));
  const pairs = Math.max(1, wholeNumber(options.killPairs, "--kill-pairs"));
  const session = await Session.open({ file: String(options.machine), sandbox: options.tier as TierName | undefined, seed: 1 });
  try {
    const { machine } = session.up;
    const name = [...machine.drivers.keys()][0]!;
    const load = new DiskLoad(machine.client(name) as Volume);
    await load.prepare();
    const kill = (): void => void machine.driver(name).supervisor.kill();
    const measure = async (direction: Direction): Promise<KillCost> => {
      const windows: Windows = { undisturbed: [], killed: [] };
      const stop = load.start(direction);
      await warmUp(load, kill, windowMs);
      for (let pair = 1; pair <= pairs; pair++) {
        progress(`${direction}: pair ${pair} of ${pairs}`);
        kill();
        windows.killed.push(await window(load, windowMs));
        windows.undisturbed.push(await window(load, windowMs));
      }
      await stop();
      return cost(windows);
    };
    const read = await measure("read");
    return { pairs, windowMs, read, write: await measure("write"), clientErrors: load.errors };
  } finally {
    await session.close();
  }
}

/** Runs until it runs as it does, kills included: V8 recompiles what a host thread met for the first time after one. */
async function warmUp(load: DiskLoad, kill: () => void, windowMs: number): Promise<void> {
  for (let count = 0; count < warmUpKills; count++) {
    await window(load, windowMs / 2);
    kill();
  }
  await window(load, windowMs);
}

/** MiB per second of each window. */
interface Windows {
  readonly undisturbed: number[];
  readonly killed: number[];
}

async function window(load: DiskLoad, windowMs: number): Promise<number> {
  const start = performance.now();
  const { bytes } = load;
  await new Promise((resolve) => { setTimeout(resolve, windowMs); });
  return (load.bytes - bytes) / 2 ** 20 / ((performance.now() - start) / 1000);
}

/** Requests of one size at random places, a fixed number of them under way all the time. */
class DiskLoad {
  readonly #volume: Volume;
  readonly #data = new Uint8Array(requestBytes).map((_, index) => index);
  readonly #random = uniform(1);
  bytes = 0;
  errors = 0;

  constructor(volume: Volume) {
    this.#volume = volume;
  }

  /** Writes the range once, so that reads find blocks that exist. */
  async prepare(): Promise<void> {
    const chunk = new Uint8Array(2 ** 20);
    for (let at = 0; at < rangeBytes; at += chunk.length) await this.#volume.write(at, chunk);
    await this.#volume.flush();
  }

  /** Returns what stops it. */
  start(direction: Direction): () => Promise<void> {
    let going = true;
    const worker = async (): Promise<void> => {
      const into = new Uint8Array(requestBytes);
      while (going) {
        const at = Math.floor(this.#random() * (rangeBytes / requestBytes)) * requestBytes;
        try {
          if (direction === "read") await this.#volume.read(at, requestBytes, into);
          else await this.#volume.write(at, this.#data);
          this.bytes += requestBytes;
        } catch {
          this.errors++; // counted, and reported with the result
        }
      }
    };
    const all = Promise.all(Array.from({ length: depth }, worker));
    return async () => {
      going = false;
      await all;
    };
  }
}

function cost({ undisturbed, killed }: Windows): KillCost {
  const mean = (values: readonly number[]): number => Math.round((values.reduce((sum, value) => sum + value, 0) / values.length) * 10) / 10;
  return { undisturbed: mean(undisturbed), killed: mean(killed), lostPercent: median(killed.map((value, pair) => (1 - value / undisturbed[pair]!) * 100)), kills: killed.length };
}

function text({ pairs, windowMs, read, write, clientErrors }: KillsBench): string {
  const table = new Table({ head: ["", "undisturbed, MiB/s", "killed, MiB/s", "lost"], style: { head: [], border: [] }, colAligns: ["left", "right", "right", "right"] });
  for (const [name, one] of [["read", read], ["write", write]] as const) table.push([name, one.undisturbed, one.killed, `${one.lostPercent} %`]);
  return `${table.toString()}\n${pairs} pairs of windows of ${windowMs} ms, the first of each with a kill at its beginning; ${clientErrors} client errors`;
}
