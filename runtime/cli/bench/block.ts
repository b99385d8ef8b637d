/** `airlock bench block`: fio on NBD, our sandboxed disk beside nbdkit's memory and qemu-nbd on a file in RAM, in one run. */
import { existsSync, truncateSync, writeFileSync } from "node:fs";
import path from "node:path";
import Table from "cli-table3";
import { realClock } from "../../api/clock.ts";
import { startExports } from "../exports-runner.ts";
import { wholeNumber } from "../soak/session.ts";
import { makeTemporaryDirectory } from "../temporary-directory.ts";
import type { BenchCall, BenchDefinition } from "./bench.ts";
import { type FioFigures, type FioJob, runFio } from "./fio.ts";
import { median } from "./median.ts";
import { findProgram, requireProgram, startServer } from "./programs.ts";
import { withMachine } from "./temporary-machine.ts";

const sizeBytes = 256 * 2 ** 20;
const startMs = 5_000;

const jobs: readonly FioJob[] = [
  { name: "4k random read, depth 1", rw: "randread", blockBytes: 4096, depth: 1 },
  { name: "4k random read, depth 16", rw: "randread", blockBytes: 4096, depth: 16 },
  { name: "4k random write, depth 1", rw: "randwrite", blockBytes: 4096, depth: 1 },
  { name: "4k random write, depth 16", rw: "randwrite", blockBytes: 4096, depth: 16 },
  { name: "1 MiB sequential read, depth 4", rw: "read", blockBytes: 2 ** 20, depth: 4 },
  { name: "1 MiB sequential write, depth 4", rw: "write", blockBytes: 2 ** 20, depth: 4 },
];

/** A server to measure. */
interface Target {
  readonly name: string;
  readonly uri: string;
}

export interface BlockRow {
  readonly job: string;
  /** By server: medians over the rounds. */
  readonly figures: Readonly<Record<string, FioFigures>>;
  /** Our operations per second by those of each other server. */
  readonly ratios: Readonly<Record<string, number>>;
}

export interface BlockBench {
  readonly seconds: number;
  readonly rounds: number;
  readonly rows: readonly BlockRow[];
}

const ours = "airlock";

const bench: BenchDefinition<BlockBench> = {
  name: "block", summary: "fio on NBD: our sandboxed disk beside nbdkit memory and qemu-nbd on a file in RAM", run, text,
  options: [
    { flags: "--seconds <number>", description: "how long each job runs", default: "2" },
    { flags: "--rounds <number>", description: "how often, alternating; medians are reported", default: "3" },
    { flags: "--sandbox <tier>", description: "the tier of our driver", default: "quickjs" },
  ],
};

export default bench;

async function run({ options, progress }: BenchCall): Promise<BlockBench> {
  const seconds = Math.max(1, wholeNumber(options.seconds, "--seconds"));
  const rounds = Math.max(1, wholeNumber(options.rounds, "--rounds"));
  const fio = requireProgram("fio", "fio");
  const temporary = makeTemporaryDirectory();
  try {
    return await withOthers(temporary.path, progress, (others) => withMachine((root) => machineText(root, String(options.sandbox)), async ({ machine, state }) => {
      const exports = await startExports(machine, state.path, realClock);
      try {
        const targets = [{ name: ours, uri: exports.list[0]!.address }, ...others];
        const found = new Map<string, FioFigures[]>();
        for (let round = 1; round <= rounds; round++) {
          for (const job of jobs) {
            progress(`round ${round} of ${rounds}: ${job.name}`);
            for (const { name, uri } of targets) found.set(`${job.name}/${name}`, [...(found.get(`${job.name}/${name}`) ?? []), await runFio(fio, uri, job, seconds, sizeBytes)]);
          }
        }
        return { seconds, rounds, rows: jobs.map((job) => row(job, targets, found)) };
      } finally {
        await exports.close();
      }
    }));
  } finally {
    temporary.remove();
  }
}

/** Starts the servers of others that are installed. */
async function withOthers<T>(folder: string, progress: (text: string) => void, measure: (targets: readonly Target[]) => Promise<T>): Promise<T> {
  const nbdkit = findProgram("nbdkit");
  const qemuNbd = findProgram("qemu-nbd");
  if (nbdkit === undefined) progress("without nbdkit, which is not installed (Debian: apt-get install nbdkit)");
  if (qemuNbd === undefined) progress("without qemu-nbd, which is not installed (Debian: apt-get install qemu-utils)");
  const socket = (name: string): string => path.join(folder, `${name}.sock`);
  const memory = makeTemporaryDirectory(existsSync("/dev/shm") ? "/dev/shm" : folder);
  const file = path.join(memory.path, "disk");
  const running: { close(): Promise<void> }[] = [];
  const targets: Target[] = [];
  try {
    if (nbdkit !== undefined) {
      running.push(await startServer(nbdkit, ["--foreground", "--unix", socket("nbdkit"), "memory", String(sizeBytes)], () => existsSync(socket("nbdkit")), startMs));
      targets.push({ name: "nbdkit memory", uri: `nbd+unix:///?socket=${socket("nbdkit")}` });
    }
    if (qemuNbd !== undefined) {
      writeFileSync(file, "");
      truncateSync(file, sizeBytes);
      const args = ["--persistent", "--shared=4", "--format=raw", "--export-name=bench", `--socket=${socket("qemu-nbd")}`, file];
      running.push(await startServer(qemuNbd, args, () => existsSync(socket("qemu-nbd")), startMs));
      targets.push({ name: "qemu-nbd in RAM", uri: `nbd+unix:///bench?socket=${socket("qemu-nbd")}` });
    }
    return await measure(targets);
  } finally {
    for (const server of running) await server.close();
    memory.remove();
  }
}

function row({ name: job }: FioJob, targets: readonly Target[], found: ReadonlyMap<string, readonly FioFigures[]>): BlockRow {
  const figures = Object.fromEntries(targets.map(({ name }) => [name, medians(found.get(`${job}/${name}`)!)]));
  const ratios = Object.fromEntries(targets.filter(({ name }) => name !== ours).map(({ name }) => [name, Math.round((figures[ours]!.iops / figures[name]!.iops) * 100) / 100]));
  return { job, figures, ratios };
}

function medians(figures: readonly FioFigures[]): FioFigures {
  const of = (key: keyof FioFigures): number => median(figures.map((one) => one[key]));
  return { iops: of("iops"), mibPerSecond: of("mibPerSecond"), p50Micros: of("p50Micros"), p99Micros: of("p99Micros") };
}

function text({ seconds, rounds, rows }: BlockBench): string {
  const names = Object.keys(rows[0]?.figures ?? {});
  const others = names.filter((name) => name !== ours);
  const table = new Table({
    head: ["", ...names.map((name) => `${name}, IOPS (p50 us)`), ...others.map((name) => `ours by ${name}`)], style: { head: [], border: [] },
    colAligns: ["left", ...names.map(() => "right" as const), ...others.map(() => "right" as const)],
  });
  for (const { job, figures, ratios } of rows) {
    table.push([job, ...names.map((name) => `${figures[name]!.iops} (${figures[name]!.p50Micros})`), ...others.map((name) => String(ratios[name]))]);
  }
  return `${table.toString()}\nmedians of ${rounds} alternating rounds of ${seconds} s each`;
}

function machineText(root: string, sandbox: string): string {
  return `
machine: bench-block
platform: { type: sim }
devices:
  nvme0: { compatible: [nvme], pci: { address: "00:04.0" }, options: { sizeBytes: ${sizeBytes} } }
drivers:
  disk:
    package: ${JSON.stringify(`${root}/drivers/nvme`)}
    device: nvme0
    sandbox: ${sandbox}
    grants: [bar0, msix0, queues, buffers]
    limits: { irqPerSecond: 1000000 }
exports:
  nbd: { type: nbd, driver: disk }
`;
}
