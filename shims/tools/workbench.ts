/** Everything a build works with, opened once: cache, compiler, kernel source, environment and linker. */
// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
import path from "node:path";
import { existsSync } from "node:fs";
import { bundledToolchain } from "./bundled-toolchain.ts";
import { Cache, defaultCacheFolder } from "./cache.ts";
import { Compiler } from "./compiler.ts";
import { Environment } from "./environment.ts";
import { kernelRootOf, type Place } from "./find-module.ts";
import { type KernelSource, openKernelSource } from "./kernel-source.ts";
import { KernelTree } from "./kernel-tree.ts";
import { Linker } from "./linker.ts";
import type { Progress } from "./progress.ts";
import { findToolchain, type Toolchain } from "./toolchain.ts";

export interface Workbench {
  readonly cache: Cache;
  readonly environment: Environment;
  readonly toolchain: Toolchain;
  readonly source: KernelSource;
  readonly tree: KernelTree;
  readonly compiler: Compiler;
  readonly linker: Linker;
  readonly place: Place;
  readonly progress: Progress;
}

export interface WorkbenchOptions {
  /** A folder or archive; Debian's when left out, or the tree that `what` is in. */
  readonly kernelSource?: string | undefined;
  /** What is going to be built, as the user named it. */
  readonly what?: string | undefined;
  /** The folder shims; the one this file belongs to when left out. */
  readonly shims?: string | undefined;
  readonly cacheFolder?: string | undefined;
  /** The folders programs are looked for in, as in PATH. */
  readonly searchPath?: string | undefined;
  readonly progress: Progress;
  readonly nowMs: () => number;
}

/** @throws AirlockError as its parts do: NotFound without a kernel source, Unsupported without a compiler, StateUnusable without a cache */
export async function openWorkbench(options: WorkbenchOptions): Promise<Workbench> {
  const { progress } = options;
  const environment = new Environment(options.shims);
  const cache = new Cache(options.cacheFolder ?? defaultCacheFolder());
  const toolchain = await findToolchain({ path: options.searchPath ?? process.env["PATH"] ?? "", bundled: bundledToolchain });
  const within = options.what !== undefined && existsSync(options.what) ? kernelRootOf(options.what) : undefined;
  const source = await openKernelSource(options.kernelSource ?? within, environment.kernelPaths, cache, progress);
  cache.prune(options.nowMs());
  const folders = { kernel: source.root, shims: environment.shims };
  const flags = environment.compileFlags(source.root);
  const tree = new KernelTree(source.root, environment.config);
  return {
    cache, environment, toolchain, source, tree, progress,
    compiler: new Compiler(toolchain, cache, folders, flags),
    linker: new Linker(toolchain, cache, environment.linkFlags, flags, environment.policies),
    place: { source, tree, progress },
  };
}

/** A file as packages and messages name it: below the kernel's tree, below shims/, or within its module's folder. */
export function sourceName({ source, environment }: Pick<Workbench, "source" | "environment">, file: string, folder: string): string {
  for (const [root, prefix] of [[source.root, ""], [environment.shims, "shims/"], [folder, ""]] as const) {
    const relative = path.relative(root, file);
    if (!relative.startsWith("..") && !path.isAbsolute(relative)) return prefix + relative;
  }
  return path.basename(file);
}
