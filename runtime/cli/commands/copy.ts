/** `airlock copy`: copies a file to a machine's disk and back through NBD while the driver is made to fail, and compares. */
import { open } from "node:fs/promises";
import { type Command, Option } from "commander";
import Table from "cli-table3";
import { AirlockError } from "../../api/errors.ts";
import { findFaults } from "../../faults/find-faults.ts";
import type { TierName } from "../../sandbox/sandbox.ts";
import type { CommandCall, CommandDefinition } from "../command.ts";
import { NbdClient } from "../copy/nbd-client.ts";
import { exitCodes } from "../exit-codes.ts";
import { startExports } from "../exports-runner.ts";
import { applicableFaults } from "../soak/applicable.ts";
import { Session, wholeNumber } from "../soak/session.ts";
import { type Trial, injectOnce, percentile } from "../soak/soak.ts";

/** Requests of the copy, and how many are under way at once. */
const chunkBytes = 256 * 1024;
const depth = 8;
/** The pause between two failures. */
const pauseMs = 20;
/** So much of a large file is copied. */
const mostBytes = 64 * 2 ** 20;

const command: CommandDefinition = {
  name: "copy",
  summary: "copy a file to a machine's disk through NBD and back while its driver fails in every way, and compare",
  examples: ["airlock copy runtime/machine/examples/disk.yaml", "airlock copy runtime/machine/examples/disk-qemu.yaml package-lock.json --json"],
  declare: (copy: Command) => {
    copy
      .argument("<machine.yaml>", "a machine file with an nbd export; its restart limits are lifted")
      .argument("[file]", `what to copy; at most its first ${mostBytes / 2 ** 20} MiB`, process.execPath)
      .option("--seed <number>", "of nothing but the machine's own choices", "1")
      .addOption(new Option("--sandbox <tier>", "the tier to run in, instead of the machine file's").choices(["quickjs", "worker"]));
  },
  run,
};

export default command;

interface CopyResult {
  readonly ok: boolean;
  readonly bytes: number;
  /** Bytes that came back otherwise than they went. */
  readonly different: number;
  readonly failures: number;
  readonly recovered: number;
  readonly recoveryMs: { readonly p50: number | undefined; readonly p99: number | undefined };
  /** Failures by what detected them. */
  readonly byKind: Readonly<Record<string, number>>;
  readonly uri: string;
}

async function run({ args, options, output }: CommandCall): Promise<0 | 1> {
  const file = args[1] ?? process.execPath;
  const session = await Session.open({ file: args[0]!, sandbox: options.sandbox as TierName | undefined, seed: wholeNumber(options.seed, "--seed") });
  try {
    const { machine, state } = session.up;
    const exports = await startExports(machine, state.path, machine.clock, ["nbd"]);
    try {
      const exported = exports.list[0];
      if (exported === undefined) throw new AirlockError("InvalidArgument", `${args[0]!} has no export of type nbd; add exports: { nbd: { type: nbd, driver: ... } }`);
      output.remark(`copying ${file} to ${exported.address} and back while driver "${exported.driver}" fails again and again`);
      const trouble = new Trouble(session, exported.driver);
      const copied = { bytes: 0, different: 0 };
      try {
        // Again and again, until every failure has met a copy under way.
        do {
          const { bytes, different } = await copyAndCompare(exported.address, file);
          copied.bytes += bytes;
          copied.different += different;
          output.remark(`${copied.bytes} bytes there and back; ${trouble.count} failures so far`);
        } while (!trouble.isComplete);
      } finally {
        trouble.stop();
      }
      const result = summary(copied.bytes, copied.different, await trouble.ended, exported.address);
      output.result(result, () => text(result));
      return result.ok ? exitCodes.ok.code : exitCodes.negative.code;
    } finally {
      await exports.close();
    }
  } finally {
    await session.close();
  }
}

/** Makes a driver fail in every way, in turn, until told to stop. */
class Trouble {
  /** What came of it; settles after `stop`. */
  readonly ended: Promise<readonly Trial[]>;
  readonly #trials: Trial[] = [];
  #going = true;
  #complete = false;

  constructor(session: Session, driver: string) {
    this.ended = this.#run(session, driver);
    this.ended.catch(() => undefined); // whoever awaits it is told
  }

  get count(): number {
    return this.#trials.length;
  }

  /** Whether every fault was injected at least once, or injecting broke. */
  get isComplete(): boolean {
    return this.#complete;
  }

  stop(): void {
    this.#going = false;
  }

  async #run({ up: { machine } }: Session, driver: string): Promise<readonly Trial[]> {
    try {
      const faults = applicableFaults((await findFaults()).values(), machine.driver(driver));
      while (this.#going) {
        this.#trials.push(await injectOnce(machine, machine.driver(driver), faults[this.#trials.length % faults.length]!));
        this.#complete = this.#trials.length >= faults.length;
        await new Promise<void>((resolve) => { machine.clock.setTimer(pauseMs * 1000, resolve); });
      }
      return this.#trials;
    } finally {
      this.#complete = true;
    }
  }
}

/** Writes the file, flushes, and reads it back. */
async function copyAndCompare(uri: string, file: string): Promise<{ bytes: number; different: number }> {
  const { pathname, searchParams } = new URL(uri);
  const socket = searchParams.get("socket");
  if (socket === null) throw new AirlockError("Unsupported", `${uri}: copy needs an export on a Unix socket; leave out "port" and "tls"`);
  const client = await NbdClient.connect(socket, decodeURIComponent(pathname.slice(1)));
  const source = await open(file);
  try {
    const bytes = Math.min((await source.stat()).size, mostBytes, client.sizeBytes);
    const chunk = async (offset: number): Promise<Buffer> => {
      const wanted = Buffer.alloc(Math.min(chunkBytes, bytes - offset));
      await source.read(wanted, 0, wanted.length, offset);
      // A disk has whole blocks.
      return Buffer.concat([wanted, Buffer.alloc((4096 - (wanted.length % 4096)) % 4096)]);
    };
    let different = 0;
    await eachChunk(bytes, async (offset) => client.write(offset, await chunk(offset)));
    await client.flush();
    await eachChunk(bytes, async (offset) => {
      const expected = await chunk(offset);
      const found = await client.read(offset, expected.length);
      if (!found.equals(expected)) different += expected.reduce((count, byte, index) => count + Number(byte !== found[index]), 0);
    });
    return { bytes, different };
  } finally {
    client.close();
    await source.close();
  }
}

async function eachChunk(bytes: number, work: (offset: number) => Promise<void>): Promise<void> {
  let next = 0;
  await Promise.all(Array.from({ length: depth }, async () => {
    while (next < bytes) {
      const offset = next;
      next += chunkBytes;
      await work(offset);
    }
  }));
}

function summary(bytes: number, different: number, trials: readonly Trial[], uri: string): CopyResult {
  const times = trials.flatMap(({ recoveryMs }) => (recoveryMs === undefined ? [] : [recoveryMs]));
  const byKind: Record<string, number> = {};
  for (const { detectedAs = "not detected" } of trials) byKind[detectedAs] = (byKind[detectedAs] ?? 0) + 1;
  return {
    ok: different === 0 && times.length === trials.length && trials.every(({ rightly }) => rightly), bytes, different, failures: trials.length, recovered: times.length,
    recoveryMs: { p50: percentile(times, 0.5), p99: percentile(times, 0.99) }, byKind, uri,
  };
}

function text({ ok, bytes, different, failures, recovered, recoveryMs, byKind }: CopyResult): string {
  const table = new Table({ head: ["detected as", "times"], style: { head: [], border: [] }, colAligns: ["left", "right"], chars: { mid: "", "left-mid": "", "mid-mid": "", "right-mid": "" } });
  for (const [kind, count] of Object.entries(byKind)) table.push([kind, count]);
  const compared = different === 0 ? `${bytes} bytes were written and read back: they are the same` : `${different} OF ${bytes} BYTES CAME BACK OTHERWISE`;
  return [
    table.toString(),
    `${failures} failures meanwhile, ${recovered} recovered; recovery p50 ${recoveryMs.p50?.toFixed(1)} ms, p99 ${recoveryMs.p99?.toFixed(1)} ms`,
    ok ? compared : `${compared}; FAILED`,
  ].join("\n");
}
