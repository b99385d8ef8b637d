/** What real NBD clients must be able to do with a disk, whatever is behind its URI: in memory, on a model, on QEMU's NVMe, failing or not. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { programMissing } from "./client.ts";
import { run, succeed } from "./nbd-run.ts";

/** A disk as clients are given it. What it holds is overwritten. */
export interface NbdDisk {
  readonly uri: string;
  /** For files of the clients; up to twice the size of what is copied. */
  readonly scratch: string;
}

export interface NbdExportInfo {
  readonly "export-name": string;
  readonly "export-size": number;
  readonly description?: string;
  readonly is_read_only: boolean;
  readonly can_multi_conn: boolean;
  readonly can_trim: boolean;
  readonly can_zero: boolean;
  readonly can_flush: boolean;
  readonly can_fua: boolean;
  readonly can_df: boolean;
  readonly contexts?: readonly string[];
  readonly block_size_minimum?: number;
  readonly block_size_preferred?: number;
  readonly block_size_maximum?: number;
}

/** One check: throws an error with the client's output when something is wrong. */
export type NbdCheck = (disk: NbdDisk) => Promise<void>;

/** Debian packages of the programs. */
const packages: Readonly<Record<string, string>> = {
  nbdinfo: "libnbd-bin", nbdcopy: "libnbd-bin", "qemu-img": "qemu-utils", "qemu-io": "qemu-utils", fio: "fio", openssl: "openssl",
};

/** Why a program cannot be used, or undefined. */
export function nbdProgramMissing(...programs: readonly string[]): string | undefined {
  return programs.map((program) => programMissing(program, packages[program] ?? program)).find((reason) => reason !== undefined);
}

/** What `nbdinfo --json` tells of the export the URI names. */
export async function nbdInfo(uri: string, ...more: readonly string[]): Promise<{ readonly tls: boolean; readonly export: NbdExportInfo }> {
  const told = JSON.parse(await succeed("nbdinfo", "--json", ...more, uri)) as { TLS: boolean; exports: NbdExportInfo[] };
  return { tls: told.TLS, export: told.exports[0]! };
}

/** nbdcopy and a file, both ways: what was written comes back, over the four connections nbdcopy opens. */
export async function checkNbdcopy({ uri, scratch }: NbdDisk, sizeBytes?: number): Promise<void> {
  const size = sizeBytes ?? (await nbdInfo(uri)).export["export-size"];
  const [there, back] = [path.join(scratch, "copy.in"), path.join(scratch, "copy.out")];
  await writeFile(there, noise(size, 1));
  await succeed("nbdcopy", "--flush", there, uri);
  await succeed("nbdcopy", uri, back);
  same(await digest(there, size), await digest(back, size), "nbdcopy brought back other bytes than it had written");
}

/** qemu-img: converts a file with holes to the disk, compares, converts the disk back to qcow2, compares. */
export async function checkQemuImg({ uri, scratch }: NbdDisk, sizeBytes?: number): Promise<void> {
  const size = sizeBytes ?? (await nbdInfo(uri)).export["export-size"];
  const [raw, qcow] = [path.join(scratch, "convert.raw"), path.join(scratch, "convert.qcow2")];
  const image = Buffer.alloc(size);
  // Data and holes in turn: holes go to the disk as write zeroes, or as trims.
  for (let at = 0; at < size; at += 4 << 20) image.set(noise(Math.min(1 << 20, size - at), at + 2), at);
  await writeFile(raw, image);
  await succeed("qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", "-W", raw, uri);
  await succeed("qemu-img", "compare", "-f", "raw", "-F", "raw", raw, uri);
  await succeed("qemu-img", "convert", "-f", "raw", "-O", "qcow2", uri, qcow);
  await succeed("qemu-img", "compare", "-f", "raw", "-F", "qcow2", raw, qcow);
}

/** qemu-io: overlapping asynchronous patterns, zeroes, discard, FUA, and requests that are no whole blocks. */
export async function checkQemuIo({ uri }: NbdDisk): Promise<void> {
  const commands = [
    "aio_write -P 0x11 0 64k", "aio_write -P 0x22 64k 64k", "aio_write -P 0x33 128k 1M", "aio_flush",
    "read -P 0x11 0 64k", "read -P 0x22 64k 64k", "read -P 0x33 128k 1M",
    "write -z 32k 32k", "read -P 0x11 0 32k", "read -P 0 32k 32k", "write -z -u 64k 4k", "read -P 0 64k 4k",
    "write -f -P 0x44 100 1000", "read -P 0x44 100 1000", "read -P 0x11 0 100", "read -P 0x11 1100 1000",
    "write -P 0x55 4000 10000", "read -P 0x55 4000 10000", "discard 256k 128k", "read -P 0x33 128k 128k", "read -P 0x33 384k 64k", "flush",
  ];
  const { status, stdout, stderr } = await run("qemu-io", ["-f", "raw", ...commands.flatMap((command) => ["-c", command]), uri]);
  const text = `${stdout}${stderr}`;
  if (status !== 0 || /failed|error/i.test(text)) throw new Error(`qemu-io ended with ${status}:\n${text.slice(-3_000)}`);
}

export interface FioOptions {
  readonly sizeBytes?: number;
  readonly jobs?: number;
  readonly depth?: number;
  readonly blockSizes?: string;
  /** Goes over the disk this many times. */
  readonly loops?: number;
  /** Reads and flushes between the writes. */
  readonly mix?: boolean;
}

/** fio: random writes at depth, each block verified by its checksum. */
export async function checkFio({ uri, scratch }: NbdDisk, options: FioOptions = {}): Promise<void> {
  const { sizeBytes = 16 << 20, jobs = 1, depth = 16, blockSizes = "4k-64k", loops = 1, mix = false } = options;
  const each = Math.floor(sizeBytes / jobs / 65_536) * 65_536;
  const { status, stdout, stderr } = await run("fio", [
    "--name=check", "--ioengine=nbd", `--uri=${uri}`, ...(mix ? ["--rw=randrw", "--rwmixread=30", "--fsync=32"] : ["--rw=randwrite"]),
    `--bsrange=${blockSizes}`, `--iodepth=${depth}`, `--loops=${loops}`,
    `--size=${each}`, `--offset_increment=${each}`, `--numjobs=${jobs}`, "--group_reporting", "--randseed=7",
    "--verify=crc32c", "--verify_fatal=1", "--do_verify=1", "--verify_backlog=256", "--verify_state_save=0", `--aux-path=${scratch}`, "--output-format=json",
  ]);
  if (status !== 0) throw new Error(`fio ended with ${status}:\n${stdout.slice(-1_000)}\n${stderr.slice(-2_000)}`);
  const report = JSON.parse(stdout.slice(stdout.indexOf("{"))) as { jobs: FioJob[] };
  for (const { error, total_err: errors = 0, write, read } of report.jobs) {
    // Of a mix the writes are a part, and fio reads back what it wrote beside what it reads anyway.
    const most = mix ? each / 2 : each;
    if (error === 0 && errors === 0 && write.io_bytes >= most && read.io_bytes >= most) continue;
    throw new Error(`fio: error ${error}, ${errors} errors, ${write.io_bytes} bytes written, ${read.io_bytes} read back`);
  }
}

/** What fio says of a job, as far as it matters here. */
interface FioJob {
  readonly error: number;
  readonly total_err?: number;
  readonly write: { readonly io_bytes: number };
  readonly read: { readonly io_bytes: number };
}

/** `nbdinfo --map`: everything counts as data, from the first byte to the last. */
export async function checkMap({ uri }: NbdDisk): Promise<void> {
  const size = (await nbdInfo(uri)).export["export-size"];
  const map = JSON.parse(await succeed("nbdinfo", "--map", "--json", uri)) as { offset: number; length: number; type: number }[];
  let at = 0;
  for (const { offset, length, type } of map) {
    if (offset !== at || type !== 0) throw new Error(`nbdinfo --map: ${JSON.stringify(map)}`);
    at += length;
  }
  if (at !== size) throw new Error(`nbdinfo --map ends at ${at}, the disk at ${size}`);
}

/** Bytes that don't compress and are the same for the same seed. */
export function noise(sizeBytes: number, seed: number): Buffer {
  const words = new Uint32Array(Math.ceil(sizeBytes / 4));
  let state = (seed * 2_654_435_761 + 1) >>> 0 || 1;
  for (let index = 0; index < words.length; index++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[index] = state;
  }
  return Buffer.from(words.buffer, 0, sizeBytes);
}

async function digest(file: string, sizeBytes: number): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(file, { end: sizeBytes - 1 })) hash.update(chunk as Buffer);
  return hash.digest("hex");
}

function same(one: string, other: string, text: string): void {
  if (one !== other) throw new Error(text);
}
