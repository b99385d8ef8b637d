/** Compiles C files to objects, each once: an object is used again as long as the compiler, its flags and every file it was made from are the same. */
// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
import { existsSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { type Cache, digestOf } from "./cache.ts";
import type { Folders } from "./list-file.ts";
import { programsAtOnce, mapParallel } from "./parallel.ts";
import type { Progress } from "./progress.ts";
import type { Toolchain } from "./toolchain.ts";

/** One file and the flags it is compiled with, besides those of every file. */
export interface CompileJob {
  readonly file: string;
  readonly flags: readonly string[];
}

/** A file that was made into an object, or not. */
export interface Compiled extends CompileJob {
  readonly ok: boolean;
  /** The object; undefined when the file does not compile. */
  readonly object: string | undefined;
  /** What the compiler said, paths shortened. */
  readonly diagnostics: string;
  /** Every file it was made from. */
  readonly inputs: readonly string[];
  /** Whether it was there already. */
  readonly cached: boolean;
}

/** A file as it was when an object was made from it. */
type Seen = readonly [file: string, sizeBytes: number, mtimeMs: number];

/** What is remembered of a compile, also of one that failed: a check of all drivers meets the same failures every time. */
interface Entry {
  /** "" when the file does not compile. */
  readonly object: string;
  readonly diagnostics: string;
  readonly seen: readonly Seen[];
}

export class Compiler {
  readonly toolchain: Toolchain;
  readonly folders: Folders;
  readonly cache: Cache;
  readonly #flags: readonly string[];
  /** Files do not change while one build runs. */
  readonly #stats = new Map<string, { size: number; mtimeMs: number } | undefined>();

  /** `flags`: those of every file. */
  constructor(toolchain: Toolchain, cache: Cache, folders: Folders, flags: readonly string[]) {
    this.toolchain = toolchain;
    this.cache = cache;
    this.folders = folders;
    this.#flags = [
      ...flags,
      // Line tables are all that a crash needs, in the form that this project reads.
      "-gline-tables-only", "-gdwarf-4", "-fdebug-compilation-dir=.",
      `-ffile-prefix-map=${folders.kernel}/=`, `-ffile-prefix-map=${folders.shims}/=shims/`,
    ];
  }

  /** Compiles several files at once; those that do not compile are results too. */
  async compileAll(jobs: readonly CompileJob[], progress: Progress): Promise<Compiled[]> {
    let done = 0;
    return mapParallel(jobs, programsAtOnce(), async (job) => {
      const compiled = await this.compile(job);
      progress.count(++done, jobs.length);
      return compiled;
    });
  }

  async compile(job: CompileJob): Promise<Compiled> {
    const flags = [...this.#flags, ...job.flags];
    const key = digestOf(this.toolchain.name, job.file, ...flags);
    const known = this.#find(key);
    if (known !== undefined) return compiledFrom(job, known, true);
    const object = this.cache.temporary("object");
    const rules = this.cache.temporary("rules");
    try {
      const { ok, diagnostics } = await this.toolchain.compile([...flags, "-c", job.file, "-o", object, "-MD", "-MF", rules]);
      const said = shortened(this.shorten(diagnostics), flags);
      // A file that includes what is not there says nothing about what it includes, and fails at once the next time too.
      if (!existsSync(rules)) return { ...job, ok: false, object: undefined, diagnostics: said, inputs: [job.file], cached: false };
      const seen = inputsOf(readFileSync(rules, "utf8")).map((file) => this.#see(file)).filter((one) => one !== undefined);
      const kept = ok ? this.cache.keep("objects", `${digestOf(key, JSON.stringify(seen))}.o`, object) : "";
      const entry = { object: kept, diagnostics: said, seen };
      this.#remember(key, entry);
      return compiledFrom(job, entry, false);
    } finally {
      for (const file of [object, rules]) rmSync(file, { force: true });
    }
  }

  /** A file's path as people know it: within the kernel's tree, or below shims/. */
  shorten(text: string): string {
    return text.replaceAll(`${this.folders.kernel}/`, "").replaceAll(`${this.folders.shims}/`, "shims/");
  }

  #find(key: string): Entry | undefined {
    const entry = this.cache.findJson("objects", `${key}.json`) as Entry | undefined;
    if (entry === undefined) return undefined;
    if (entry.object !== "" && this.cache.find("objects", path.basename(entry.object)) === undefined) return undefined;
    const same = entry.seen.every(([input, size, mtimeMs]) => {
      const stat = this.#stat(input);
      return stat !== undefined && stat.size === size && stat.mtimeMs === mtimeMs;
    });
    if (!same || entry.object === "") return same ? entry : undefined;
    return { ...entry, object: path.join(this.cache.folder, "objects", path.basename(entry.object)) };
  }

  /** The last that was made of it is what is looked for; another build's is as good. */
  #remember(key: string, entry: Entry): void {
    const file = this.cache.temporary("entry");
    writeFileSync(file, JSON.stringify(entry));
    renameSync(file, path.join(this.cache.folder, "objects", `${key}.json`));
  }

  #see(file: string): Seen | undefined {
    const stat = this.#stat(file);
    return stat === undefined ? undefined : [file, stat.size, stat.mtimeMs];
  }

  #stat(file: string): { size: number; mtimeMs: number } | undefined {
    if (!this.#stats.has(file)) {
      const stat = statSync(file, { throwIfNoEntry: false });
      this.#stats.set(file, stat && { size: stat.size, mtimeMs: stat.mtimeMs });
    }
    return this.#stats.get(file);
  }
}

/** Text without the folders that the compiler was told to leave out. */
function shortened(text: string, flags: readonly string[]): string {
  return flags.reduce((shorter, flag) => {
    const [, from, to] = /^-ffile-prefix-map=(.*)=(.*)$/.exec(flag) ?? [];
    return from === undefined || to === undefined ? shorter : shorter.replaceAll(from, to);
  }, text);
}

function compiledFrom(job: CompileJob, { object, diagnostics, seen }: Entry, cached: boolean): Compiled {
  return { ...job, ok: object !== "", object: object === "" ? undefined : object, diagnostics, inputs: seen.map(([file]) => file), cached };
}

/** The files a make rule depends on: "object: a.c b.h \" and so on; blanks in names are written with a backslash. */
export function inputsOf(rule: string): string[] {
  const text = rule.replaceAll(/\\\r?\n/g, " ");
  const list = text.slice(text.indexOf(": ") + 2);
  return [...list.matchAll(/(?:\\.|[^\s\\])+/g)].map(([name]) => name.replaceAll(/\\(.)/g, "$1").replaceAll("$$", "$"));
}
