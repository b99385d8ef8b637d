/** The directory of crash dumps: written atomically, named so that they sort by time, the oldest of a driver removed. */
import { mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";
import path from "node:path";
import { AirlockError, errorText } from "../api/errors.ts";
import { type CrashDump, decodeDump, encodeDump } from "./dump.ts";

/** Dumps kept per driver: enough to compare failures, little enough that a driver failing all day fills no disk. */
export const defaultKeep = 20;
/** Longest dump file that is read; the longest that is written is smaller. */
const maxFileBytes = 128 * 1024 * 1024;

const fileName = /^(\d{8}T\d{9}Z)-(.+)-g(\d+)\.json$/;

export type WriteResult = { readonly ok: true; readonly path: string } | { readonly ok: false; readonly error: AirlockError };

/** One dump file, as far as its name tells. */
export interface DumpFile {
  readonly path: string;
  readonly driver: string;
  readonly generation: bigint;
}

/**
 * Writes a dump to `directory`, which is made if need be, readable by its user only, and removes the oldest of this
 * driver's dumps above `keep`. Never throws or rejects: a failing dump must not hold up a recovery. The error is StateUnusable.
 */
export async function writeDump(directory: string, dump: CrashDump, keep = defaultKeep): Promise<WriteResult> {
  const time = new Date(clampEpochMs(dump.epochMs)).toISOString().replace(/[-:.]/g, "");
  const name = `${time}-${dump.driver.replace(/[^\w.-]/g, "_")}-g${String(dump.generation).padStart(6, "0")}.json`;
  const target = path.join(directory, name);
  // The leading dot keeps half-written files out of listings, ours and the user's.
  const temporary = path.join(directory, `.${name}.${process.pid}.tmp`);
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    await writeParts(temporary, encodeDump(dump));
    await rename(temporary, target);
    const mine = (await listDumps(directory)).filter((file) => file.driver === dump.driver);
    for (const old of mine.slice(0, Math.max(0, mine.length - keep))) await rm(old.path, { force: true });
    return { ok: true, path: target };
  } catch (cause) {
    const left = await rm(temporary, { force: true }).then(() => "", (error: unknown) => `, and ${temporary} stays: ${errorText(error)}`);
    const what = `cannot write the crash dump of ${dump.driver} to ${directory}: ${errorText(cause)}${left}`;
    const fields = { directory, driver: dump.driver };
    return { ok: false, error: new AirlockError("StateUnusable", `${what}; free space there or choose another --state`, fields, { cause }) };
  }
}

/** The dumps in a directory, oldest first; none when there is no such directory. */
export async function listDumps(directory: string): Promise<DumpFile[]> {
  const found = await readdir(directory).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    throw new AirlockError("StateUnusable", `cannot list crash dumps in ${directory}: ${error.message}`, { directory }, { cause: error });
  });
  return found.sort(byName).flatMap((name) => {
    const parts = fileName.exec(name);
    return parts === null ? [] : [{ path: path.join(directory, name), driver: parts[2]!, generation: BigInt(parts[3]!) }];
  });
}

/** Reads one dump. @throws AirlockError NotFound when it cannot be read, InvalidArgument when it is not a dump */
export async function readDump(file: string): Promise<CrashDump> {
  const source = await readLimited(file).catch((error: unknown) => {
    const what = `cannot read ${file}: ${errorText(error)}; \`airlock trace\` lists the dumps there are`;
    throw new AirlockError("NotFound", what, { path: file }, { cause: error });
  });
  const decoded = decodeDump(source);
  if (!decoded.ok) throw new AirlockError("InvalidArgument", `${file}: ${decoded.reason}`, { path: file });
  return decoded.dump;
}

async function writeParts(file: string, parts: Iterable<string>): Promise<void> {
  const handle = await open(file, "w", 0o600);
  try {
    for (const part of parts) await handle.writeFile(part);
  } finally {
    await handle.close();
  }
}

async function readLimited(file: string): Promise<string> {
  const { size } = await stat(file);
  if (size > maxFileBytes) throw new RangeError(`it has ${size} bytes, more than any dump (${maxFileBytes})`);
  const handle = await open(file);
  try {
    return await handle.readFile("utf8");
  } finally {
    await handle.close();
  }
}

/** Names start with the time in a fixed width, so that code unit order is time order. */
function byName(x: string, y: string): number {
  return x < y ? -1 : x > y ? 1 : 0;
}

/** Keeps the time in years of four digits, so that names have one shape; a clock that is wrong must not lose a dump. */
function clampEpochMs(epochMs: number): number {
  return Number.isFinite(epochMs) ? Math.min(Math.max(epochMs, 0), Date.UTC(9999, 11, 31)) : 0;
}
