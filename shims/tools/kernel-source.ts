/** The kernel's source: a folder as it is, or an archive of which a build takes out what it needs, once for all builds. */
// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { AirlockError } from "../../runtime/api/errors.ts";
import { type Cache, digestOf } from "./cache.ts";
import type { Progress } from "./progress.ts";
import { runProgram } from "./run-program.ts";

/** Where Debian's package puts the archive. */
export const debianArchive = "/usr/src/linux-source-6.1.tar.xz";
const debianPackage = "linux-source-6.1";
/** Stands for every header at or below a folder, at the end of its path. */
export const allHeaders = "**.h";
/** The line of kernels the environment is written for. */
const supportedVersion = "6.1";

/** Decompressing the whole archive takes seconds; on a slow disk more. */
const extractTimeoutMs = 600_000;

export interface KernelSource {
  /** The tree: paths below it are what Kbuild calls them. */
  readonly root: string;
  /** What it is, for people and for sources.json. */
  readonly title: string;
  /** "6.1.135". */
  readonly version: string;
  /** Makes sure that these files and folders are there, or a folder's headers ("drivers/base/" and `allHeaders`); paths relative to the tree. */
  need(paths: readonly string[], progress: Progress): Promise<void>;
}

/**
 * Opens the kernel source: `given`, a folder or an archive, or else Debian's archive. `core`: paths that every build needs.
 * @throws AirlockError NotFound when it is not there or is no kernel source; Unsupported for another version
 */
export async function openKernelSource(given: string | undefined, core: readonly string[], cache: Cache, progress: Progress): Promise<KernelSource> {
  const place = path.resolve(given ?? debianArchive);
  const stat = statSync(place, { throwIfNoEntry: false });
  if (stat === undefined) {
    const advice = given === undefined
      ? `install it (apt-get install ${debianPackage}), or name a kernel source with --kernel-src` : `name a kernel's source folder or its .tar.xz; Debian's package is ${debianPackage}`;
    throw new AirlockError("NotFound", `there is no kernel source at ${place}; ${advice}`, { path: place, package: debianPackage });
  }
  if (stat.isDirectory()) {
    const version = versionIn(place);
    return { root: place, title: place, version, need: async () => undefined };
  }
  const archive = new Archive(place, stat, cache);
  await archive.need(core, progress);
  return { root: archive.root, title: path.basename(place), version: versionIn(archive.root, place), need: (paths, told) => archive.need(paths, told) };
}

/** Whether a folder is the root of a kernel's source. */
export function isKernelRoot(folder: string): boolean {
  return ["Kbuild", "Makefile", "include/linux/module.h"].every((file) => existsSync(path.join(folder, file)));
}

function versionIn(root: string, named = root): string {
  const makefile = path.join(root, "Makefile");
  const text = isKernelRoot(root) && existsSync(makefile) ? readFileSync(makefile, "utf8") : "";
  const part = (name: string): string | undefined => new RegExp(`^${name}\\s*=\\s*(\\d+)\\s*$`, "m").exec(text)?.[1];
  const [version, patchLevel, subLevel] = ["VERSION", "PATCHLEVEL", "SUBLEVEL"].map(part);
  if (version === undefined || patchLevel === undefined) {
    throw new AirlockError("NotFound", `${named} is no kernel source: it has no Makefile, Kbuild and include/linux; name the folder or archive of Linux ${supportedVersion}`, { path: named });
  }
  if (`${version}.${patchLevel}` !== supportedVersion) {
    throw new AirlockError("Unsupported", `${named} is Linux ${version}.${patchLevel}; the driver environment is for ${supportedVersion}`, { path: named, version: `${version}.${patchLevel}` });
  }
  return [version, patchLevel, subLevel ?? "0"].join(".");
}

/**
 * An archive and the folder in the cache that grows by what is taken out of it. Files are moved to their places one by one and
 * whole, and what is complete is noted after that: builds at the same time may do the same work, and never see half of it.
 */
class Archive {
  readonly root: string;
  readonly #file: string;
  readonly #notes: string;
  readonly #cache: Cache;

  constructor(file: string, stat: { size: number; mtimeMs: number }, cache: Cache) {
    // Reading all of it to name it would take as long as unpacking it.
    const name = digestOf(file, String(stat.size), String(stat.mtimeMs)).slice(0, 16);
    this.root = path.join(cache.folder, "kernel", name);
    this.#notes = path.join(cache.folder, "kernel", `${name}.have`);
    this.#file = file;
    this.#cache = cache;
  }

  async need(paths: readonly string[], progress: Progress): Promise<void> {
    const wanted = [...new Set(paths)].filter((one) => !this.#has(one));
    const skeleton = !this.#has("Kbuild files");
    if (wanted.length === 0 && !skeleton) return;
    progress.step(`extracting ${wanted.length > 4 ? `${wanted.length} parts` : wanted.join(", ") || "Kbuild files"} from ${path.basename(this.#file)}`);
    const temporary = this.#cache.temporary("kernel");
    mkdirSync(temporary);
    try {
      await this.#extract(temporary, wanted, skeleton);
      copyShipped(temporary);
      mkdirSync(this.#notes, { recursive: true });
      moveInto(temporary, this.root);
      for (const one of skeleton ? [...wanted, "Kbuild files"] : wanted) writeFileSync(path.join(this.#notes, noteName(one)), "");
    } finally {
      rmSync(temporary, { recursive: true, force: true });
    }
  }

  #has(one: string): boolean {
    // A folder within one that is there is there too.
    const parts = one.split("/");
    return parts.some((_, index) => existsSync(path.join(this.#notes, noteName(parts.slice(0, index + 1).join("/")))));
  }

  async #extract(to: string, paths: readonly string[], skeleton: boolean): Promise<void> {
    const args = ["-xJf", this.#file, "-C", to, "--strip-components=1", "--no-same-owner", "--anchored", "--wildcards"];
    const headers = paths.filter((one) => one.endsWith(allHeaders));
    const named = paths.filter((one) => !one.endsWith(allHeaders));
    if (named.length > 0) args.push("--no-wildcards-match-slash", ...named.map((one) => `*/${one}`));
    args.push("--wildcards-match-slash", ...headers.map((one) => `*/${one.slice(0, -allHeaders.length)}*.h`));
    if (skeleton) args.push("*/Makefile", "*/Kbuild", "*/Kconfig*");
    const { code, err } = await runProgram("tar", args, { timeoutMs: extractTimeoutMs });
    // Asked for what is not there tar takes out the rest and ends with 2; whoever needs it will say so.
    const lacks = err.split("\n").filter((line) => line.trim() !== "" && !/Not found in archive|previous errors/.test(line));
    if (code === 0 || (code === 2 && lacks.length === 0)) return;
    throw new AirlockError("NotFound", `${this.#file} cannot be unpacked: ${lacks[0] ?? `tar ended with ${code}`}; is it a .tar.xz, and are tar and xz-utils installed?`, { path: this.#file });
  }
}

function noteName(one: string): string {
  return encodeURIComponent(one);
}

/** What a kernel's build does with generated files that come with the source: "table.inc_shipped" is copied to "table.inc". */
function copyShipped(folder: string): void {
  const suffix = "_shipped";
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    const file = path.join(entry.parentPath ?? entry.path, entry.name);
    if (entry.isFile() && file.endsWith(suffix) && !existsSync(file.slice(0, -suffix.length))) copyFileSync(file, file.slice(0, -suffix.length));
  }
}

/** Moves every file below `from` to its place below `to`, unless one is there. */
function moveInto(from: string, to: string): void {
  mkdirSync(to, { recursive: true });
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const [source, target] = [path.join(from, entry.name), path.join(to, entry.name)];
    if (entry.isDirectory()) moveInto(source, target);
    else if (!existsSync(target)) renameSync(source, target);
  }
}
