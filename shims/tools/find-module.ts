/** Finds what a user means: a driver's file, its folder, or a configuration symbol, and says what is wrong with it in one line. */
// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
import { existsSync, readdirSync, statSync } from "node:fs";
import path from "node:path";
import { AirlockError } from "../../runtime/api/errors.ts";
import { nearest } from "../../runtime/machine/suggest.ts";
import { isKernelRoot, type KernelSource } from "./kernel-source.ts";
import { type KernelModule, KernelTree } from "./kernel-tree.ts";
import type { Progress } from "./progress.ts";

/** What is to be built. */
export interface Wanted {
  /** Modules the user may mean; the one that is a driver is it. */
  readonly candidates: readonly KernelModule[];
  /** Modules it may be built upon. */
  readonly companions: readonly KernelModule[];
}

/** Where things are looked for. */
export interface Place {
  readonly source: KernelSource;
  readonly tree: KernelTree;
  readonly progress: Progress;
}

/** The root of the kernel's tree that a file or folder is in; undefined when it is in none. */
export function kernelRootOf(file: string): string | undefined {
  for (let folder = path.resolve(file); ; folder = path.dirname(folder)) {
    if (isKernelRoot(folder)) return folder;
    if (path.dirname(folder) === folder) return undefined;
  }
}

/**
 * What `what` means: "CONFIG_X", the path of a .c file or of a folder with one driver; paths that do not exist here are looked
 * for in the kernel's tree.
 * @throws AirlockError NotFound, or InvalidArgument when it is no driver's source or more than one driver
 */
export async function findModule(what: string, place: Place): Promise<Wanted> {
  const symbol = /^(?:CONFIG_)([A-Z0-9_a-z]+)$/.exec(what)?.[1];
  if (symbol !== undefined) return findSymbol(symbol, place);
  const inTree = path.join(place.source.root, what);
  const isTreePath = !path.isAbsolute(what) && !existsSync(what) && /^[a-z][a-z_]*\//.test(what);
  if (isTreePath) await needFor(what, place);
  const file = existsSync(what) ? path.resolve(what) : isTreePath && existsSync(inTree) ? inTree : undefined;
  if (file === undefined) {
    const tried = isTreePath ? ` nor in ${place.source.title}` : "";
    // A module's or symbol's name alone is what people try.
    const meant = /^[\w-]+$/.test(what) ? nearest(what.toUpperCase().replaceAll("-", "_"), place.tree.moduleSymbols()) : undefined;
    throw new AirlockError("NotFound", `there is no file or folder ${what} here${tried}; ${meant === undefined ? "" : `did you mean CONFIG_${meant}? `}name a driver's .c file, its folder, or its CONFIG_ symbol`, { path: what });
  }
  return statSync(file).isDirectory() ? findInFolder(file, what, place) : findFile(file, what, place);
}

/** Every part of the tree that a module with this symbol may need. */
async function findSymbol(symbol: string, place: Place): Promise<Wanted> {
  const { tree } = place;
  // Kbuild's files are there from the start; what they name is not.
  const candidates = tree.modulesFor(symbol);
  if (candidates.length === 0) {
    const known = tree.knows(symbol) ? "it is a setting, and no module is built for it" : symbolAdvice(symbol, tree);
    throw new AirlockError("NotFound", `no driver of ${place.source.title} is built for CONFIG_${symbol}; ${known}`, { symbol });
  }
  for (const { folder } of candidates) await needFor(path.relative(tree.root, folder), place);
  const companions = await companionsOf(candidates, place);
  return { candidates, companions };
}

function symbolAdvice(symbol: string, tree: KernelTree): string {
  const near = nearest(symbol, tree.moduleSymbols());
  return near === undefined ? `the tree has ${tree.moduleSymbols().length} symbols that modules are built for, and none is like it` : `did you mean CONFIG_${near}?`;
}

async function findFile(file: string, what: string, place: Place): Promise<Wanted> {
  if (!file.endsWith(".c")) throw new AirlockError("InvalidArgument", `${what} is no C file; name a driver's .c file, its folder, or its CONFIG_ symbol`, { path: what });
  const inside = !path.relative(place.tree.root, file).startsWith("..");
  const tree = inside ? place.tree : new KernelTree(place.tree.root, new Map());
  const candidates = tree.modulesWith(file);
  if (candidates.length === 0) return { candidates: [aloneModule(file)], companions: [] };
  const [first, second] = candidates;
  if (second !== undefined && candidates.every(({ name }) => name !== path.basename(file, ".c"))) {
    throw new AirlockError("InvalidArgument", `${what} is part of ${candidates.length} modules: ${candidates.map(titleOf).join(", ")}; name one of them`, { path: what });
  }
  const chosen = candidates.find(({ name }) => name === path.basename(file, ".c")) ?? first!;
  return { candidates: [chosen], companions: inside ? await companionsOf([chosen], place) : [] };
}

async function findInFolder(folder: string, what: string, place: Place): Promise<Wanted> {
  const inside = !path.relative(place.tree.root, folder).startsWith("..");
  const found = place.tree.modulesIn(folder);
  if (found.length > 0) {
    const symbols = new Set(found.map(({ symbol }) => symbol));
    if (found.length > 1 && symbols.size > 1) {
      throw new AirlockError("InvalidArgument", `${what} has ${found.length} modules: ${found.map(titleOf).join(", ")}; name one of them`, { path: what });
    }
    return { candidates: found, companions: inside ? await companionsOf(found, place) : [] };
  }
  const sources = readdirSync(folder).filter((name) => name.endsWith(".c")).sort();
  const [only] = sources;
  if (only === undefined) throw new AirlockError("InvalidArgument", `${what} has no C file; name a driver's .c file or its folder`, { path: what });
  if (sources.length > 1) {
    throw new AirlockError("InvalidArgument", `${what} has ${sources.length} C files (${sources.join(", ")}) and no Makefile that says which are one module; name one file, or write obj-m there`, { path: what });
  }
  return { candidates: [aloneModule(path.join(folder, only))], companions: [] };
}

function titleOf({ name, symbol }: KernelModule): string {
  return symbol === undefined ? name : `CONFIG_${symbol} (${name})`;
}

async function companionsOf(modules: readonly KernelModule[], place: Place): Promise<KernelModule[]> {
  const companions = modules.flatMap((module) => place.tree.companions(module))
    .filter(({ name, folder }) => !modules.some((one) => one.name === name && one.folder === folder));
  await place.source.need(companions.map(({ folder }) => partOf(path.relative(place.tree.root, folder))), place.progress);
  return companions;
}

async function needFor(relative: string, { source, progress }: Place): Promise<void> {
  await source.need([partOf(relative)], progress);
}

/** What is extracted for a path: drivers/net/... includes headers of its neighbours. */
export function partOf(relative: string): string {
  return relative.split("/").slice(0, 2).filter((part) => !part.includes(".")).join("/");
}

/** A file outside of any tree that no Makefile speaks of: a module of its name. */
function aloneModule(file: string): KernelModule {
  const name = path.basename(file, ".c");
  const word = name.replaceAll("-", "_");
  const flags = ["-DMODULE", `-DKBUILD_MODNAME="${word}"`, `-DKBUILD_MODFILE="${word}"`, `-D__KBUILD_MODNAME=kmod_${word}`, `-DKBUILD_BASENAME="${word}"`, `-I${path.dirname(file)}`,
    `-ffile-prefix-map=${path.dirname(file)}/=`];
  return { name, folder: path.dirname(file), symbol: undefined, jobs: [{ file, flags }] };
}
