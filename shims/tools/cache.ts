/** The build's cache: a folder under XDG_CACHE_HOME that any number of builds share, where everything appears whole or not at all. */
// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
import { createHash, randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { AirlockError, errorText } from "../../runtime/api/errors.ts";

/** Objects nobody used for so long are removed: a core is some hundred of them, and each change of the environment leaves one behind. */
const objectKeptDays = 14;
const dayMs = 86_400_000;

/** Where builds keep what they can use again. */
export function defaultCacheFolder(env: NodeJS.ProcessEnv = process.env): string {
  const base = env["XDG_CACHE_HOME"];
  // The specification: a relative path is to be ignored.
  return path.join(base !== undefined && path.isAbsolute(base) ? base : path.join(os.homedir(), ".cache"), "airlock", "dde");
}

/** One cache folder. Every entry has a name that says what it was made from, so it never changes. */
export class Cache {
  readonly folder: string;

  /** @throws AirlockError StateUnusable when the folder cannot be made or written */
  constructor(folder: string) {
    this.folder = folder;
    try {
      for (const name of ["objects", "kernel"]) mkdirSync(path.join(folder, name), { recursive: true });
      const probe = this.temporary("probe");
      writeFileSync(probe, "");
      rmSync(probe);
    } catch (cause) {
      throw new AirlockError("StateUnusable", `the cache folder ${folder} cannot be written: ${errorText(cause)}; set XDG_CACHE_HOME to one that can`, { folder }, { cause });
    }
  }

  /** A path in the cache that no other build uses. */
  temporary(what: string): string {
    return path.join(this.folder, `.${what}.${process.pid}.${randomBytes(6).toString("hex")}`);
  }

  /** The path of an entry, marked as used; undefined when it is not there. */
  find(kind: "objects" | "kernel", name: string): string | undefined {
    const entry = path.join(this.folder, kind, name);
    if (!existsSync(entry)) return undefined;
    const now = new Date();
    try {
      utimesSync(entry, now, now);
    } catch (error) {
      // A cache that may only be read is as good.
      if (!isOneOf(error, "EACCES", "EPERM", "EROFS")) throw error;
    }
    return entry;
  }

  /** What an entry of JSON holds; undefined when it is not there, or no JSON: a full disk may have cut it off. */
  findJson(kind: "objects" | "kernel", name: string): unknown {
    const entry = this.find(kind, name);
    if (entry === undefined) return undefined;
    try {
      return JSON.parse(readFileSync(entry, "utf8")) as unknown;
    } catch (error) {
      if (error instanceof SyntaxError || isOneOf(error, "ENOENT")) return undefined;
      throw error;
    }
  }

  /**
   * Puts a finished file or folder in its place. When another build was faster its entry stays: both are the same.
   * @returns the entry's path
   */
  keep(kind: "objects" | "kernel", name: string, finished: string): string {
    const entry = path.join(this.folder, kind, name);
    try {
      renameSync(finished, entry);
    } catch (error) {
      if (!existsSync(entry) || !isOneOf(error, "ENOTEMPTY", "EEXIST")) throw error;
      rmSync(finished, { recursive: true, force: true });
    }
    return entry;
  }

  /** Removes objects that nobody used for long, and what ended builds left behind. */
  prune(nowMs: number): void {
    const oldest = nowMs - objectKeptDays * dayMs;
    const stale = (folder: string, name: string): void => {
      const file = path.join(folder, name);
      const stat = statSync(file, { throwIfNoEntry: false });
      if (stat !== undefined && stat.mtimeMs < oldest) rmSync(file, { recursive: true, force: true });
    };
    for (const name of readdirSync(path.join(this.folder, "objects"))) stale(path.join(this.folder, "objects"), name);
    for (const name of readdirSync(this.folder)) if (name.startsWith(".")) stale(this.folder, name);
  }
}

/** The SHA-256 of some texts or bytes, in hexadecimal; where one ends matters. */
export function digestOf(...parts: readonly (string | Uint8Array)[]): string {
  const hash = createHash("sha256");
  for (const part of parts) {
    hash.update(`${Buffer.byteLength(part)}:`);
    hash.update(part);
  }
  return hash.digest("hex");
}

/** The SHA-256 of a file's bytes, in hexadecimal: what sha256sum prints. */
export function digestOfFile(file: string): string {
  return createHash("sha256").update(readFileSync(file)).digest("hex");
}

function isOneOf(error: unknown, ...codes: readonly string[]): boolean {
  return codes.includes((error as NodeJS.ErrnoException).code ?? "");
}
