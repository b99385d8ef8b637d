/** `airlock bench kills`: what it costs a disk's clients that its driver is killed every second, beside the same without kills. */
import Table from "cli-table3";
import type { Volume } from "../../classes/block/volume.ts";
import type { TierName } from "../../sandbox/sandbox.ts";
import { Session } from "../soak/session.ts";
import { uniform } from "../random.ts";
import { wholeNumber } from "../soak/session.ts";
import type { BenchCall, BenchDefinition } from "./bench.ts";
import { median } from "./median.ts";

/** Requests under way at once, and their size: a program that copies files. */
const depth = 16;
const requestBytes = 65_536;
/** The part of the disk that is read and written. */
const rangeBytes = 64 * 2 ** 20;

export interface KillCost {
  /** Median throughput of the rounds, MiB per second. */
  readonly undisturbed: number;
  readonly killed: number;
  /** Part of the throughput that is lost, in percent: the median over pairs of neighbouring rounds. */
  readonly lostPercent: number;
  readonly kills: number;
}

export interface KillsBench {
  readonly seconds: number;
  readonly rounds: number;
  readonly everyMs: number;
  readonly read: KillCost;
  readonly write: KillCost;
  readonly clientErrors: number;
}

type Direction = "read" | "write";

const bench: BenchDefinition<KillsBench> = {
  name: "kills", summary: "a disk's throughput while its driver is killed every second, beside the same without kills", run, text,
  options: [
    { flags: "--kill-every <ms>", description: "time between two kills", default: "1000" },
    { flags: "--kill-seconds <number>", description: "length of one round", default: "4" },
    { flags: "--kill-rounds <number>", description: "rounds of each kind, alternating", default: "3" },
    { flags: "--machine <file>", description: "the machine; its only driver is of class block", default: "runtime/machine/examples/disk.yaml" },
    { flags: "--tier <tier>", description: "the tier of the driver, instead of the machine file's" },
  ],
};

export default bench;

async function run({ options, progress }: BenchCall): Promise<KillsBench> {
  const everyMs = Math.max(1, wholeNumber(options.killEvery, "--kill-every"));
  const seconds = Math.max(1, wholeNumber(options.killSeconds, "--kill-seconds"));
  const rounds = Math.max(1, wholeNumber(options.killRounds, "--kill-rounds"));
  const session = await Session.open({ file: String(options.machine), sandbox: options.tier as TierName | undefined, seed: 1 });
  try {
    const { machine } = session.up;
    const name = [...machine.drivers.keys()][0]!;
    const load = new DiskLoad(machine.client(name) as Volume);
    await load.prepare();
    const kill = (): void => void machine.driver(name).supervisor.kill();
    const found: Record<Direction, { undisturbed: number; killed: number; kills: number }[]> = { read: [], write: [] };
    for (let round = 1; round <= rounds; round++) {
      for (const direction of ["read", "write"] as const) {
        progress(`round ${round} of ${rounds}: ${direction}`);
        // Whoever comes first finds the machine in another state than whoever comes second: they take turns.
        const first = await load.run(direction, seconds, round % 2 === 0 ? kill : undefined, everyMs);
        const second = await load.run(direction, seconds, round % 2 === 0 ? undefined : kill, everyMs);
        const [undisturbed, killed] = round % 2 === 0 ? [second, first] : [first, second];
        found[direction].push({ undisturbed: undisturbed.mibPerSecond, killed: killed.mibPerSecond, kills: killed.kills });
      }
    }
    return { seconds, rounds, everyMs, read: cost(found.read), write: cost(found.write), clientErrors: load.errors };
  } finally {
    await session.close();
  }
}

/** Requests of one size at random places, a fixed number of them under way all the time. */
class DiskLoad {
  readonly #volume: Volume;
  readonly #data = new Uint8Array(requestBytes).map((_, index) => index);
  readonly #random = uniform(1);
  errors = 0;

  constructor(volume: Volume) {
    this.#volume = volume;
  }

  /** Writes the range once, so that reads find blocks that exist. */
  async prepare(): Promise<void> {
    for (let at = 0; at < rangeBytes; at += requestBytes) await this.#volume.write(at, this.#data);
    await this.#volume.flush();
  }

  async run(direction: Direction, seconds: number, kill: (() => void) | undefined, everyMs: number): Promise<{ mibPerSecond: number; kills: number }> {
    const start = performance.now();
    const end = start + seconds * 1000;
    let bytes = 0;
    let kills = 0;
    const timer = kill === undefined ? undefined : setInterval(() => { kills++; kill(); }, everyMs);
    const worker = async (): Promise<void> => {
      while (performance.now() < end) {
        const at = Math.floor(this.#random() * (rangeBytes / requestBytes)) * requestBytes;
        try {
          if (direction === "read") await this.#volume.read(at, requestBytes);
          else await this.#volume.write(at, this.#data);
          bytes += requestBytes;
        } catch {
          this.errors++; // counted, and reported with the result
        }
      }
    };
    await Promise.all(Array.from({ length: depth }, worker));
    clearInterval(timer);
    return { mibPerSecond: bytes / 2 ** 20 / ((performance.now() - start) / 1000), kills };
  }
}

function cost(rounds: readonly { undisturbed: number; killed: number; kills: number }[]): KillCost {
  return {
    undisturbed: median(rounds.map((one) => one.undisturbed)), killed: median(rounds.map((one) => one.killed)),
    lostPercent: median(rounds.map(({ undisturbed, killed }) => (1 - killed / undisturbed) * 100)), kills: rounds.reduce((sum, one) => sum + one.kills, 0),
  };
}

function text({ seconds, rounds, everyMs, read, write, clientErrors }: KillsBench): string {
  const table = new Table({ head: ["", "undisturbed, MiB/s", "killed, MiB/s", "lost"], style: { head: [], border: [] }, colAligns: ["left", "right", "right", "right"] });
  for (const [name, one] of [["read", read], ["write", write]] as const) table.push([name, one.undisturbed, one.killed, `${one.lostPercent} %`]);
  return `${table.toString()}\nmedians of ${rounds} alternating rounds of ${seconds} s; ${read.kills + write.kills} kills, one each ${everyMs} ms; ${clientErrors} client errors`;
}
