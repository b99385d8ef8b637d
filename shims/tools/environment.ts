/** The driver environment as the build sees it: the C files beside this folder, the kernel files they go with, flags and tables. */
// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
import { existsSync, readFileSync, readdirSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { AirlockError } from "../../runtime/api/errors.ts";
import type { Compiler, CompileJob, Compiled } from "./compiler.ts";
import { allHeaders } from "./kernel-source.ts";
import { readAutoconf } from "./kernel-tree.ts";
import { fillIn, type Folders, readList } from "./list-file.ts";
import type { Progress } from "./progress.ts";
import { parsePolicies, type StubPolicy } from "./stubs.ts";

/** Files of the environment that the build reads; paths relative to the folder shims. */
const files = {
  flags: "arch/flags.txt", core: "emul/core.txt", more: "emul/more.txt", link: "emul/link.txt", stubs: "emul/stubs.txt", config: "arch/include/generated/autoconf.h",
} as const;

/** Kernel folders beside the core's own whose files every compile may include. */
const headerFolders = ["include", "Kbuild", "Makefile", "COPYING"];

/** The environment, before anything is compiled. */
export class Environment {
  /** The folder shims. */
  readonly shims: string;
  /** Flags of every link. */
  readonly linkFlags: readonly string[];
  readonly policies: ReadonlyMap<string, StubPolicy>;
  /** Configuration symbols that are built in. */
  readonly config: ReadonlyMap<string, string>;
  readonly #flags: readonly string[];
  /** Kernel files of the core. */
  readonly #core: readonly KernelFile[];
  /** Those that only some kinds of drivers build upon. */
  readonly #more: readonly KernelFile[];

  /** @throws AirlockError NotFound when the folder does not hold the environment; InvalidArgument for a wrong table */
  constructor(shims = findShims()) {
    this.shims = shims;
    const at = (name: keyof typeof files): string => path.join(shims, files[name]);
    if (!existsSync(at("flags")) || !existsSync(at("config"))) {
      throw new AirlockError("NotFound", `the driver environment is not complete: ${at("flags")} or ${at("config")} is missing; build in a checkout`, { path: shims });
    }
    this.#flags = readList(at("flags"));
    this.linkFlags = readList(at("link"));
    this.policies = parsePolicies(readList(at("stubs")), "shims/emul/stubs.txt");
    this.config = readAutoconf(readFileSync(at("config"), "utf8"));
    this.#core = readList(at("core")).map(kernelFile);
    this.#more = readList(at("more")).map(kernelFile);
  }

  /** Paths of the kernel's tree that the core is made from and every compile may include; for extraction. */
  get kernelPaths(): string[] {
    const paths = [...this.#core, ...this.#more].flatMap(({ places }) => places).flatMap((file) => {
      const parts = file.split("/");
      // Outside of drivers/ a folder is small and includes its neighbours; within, what is named, and its subsystem's headers.
      return parts[0] === "drivers" ? [file, `${parts.slice(0, 2).join("/")}/${allHeaders}`] : [parts[0]!];
    });
    return [...new Set([...headerFolders, ...paths])];
  }

  /** Whether the environment brings drivers of this class to its clients: by convention in the file of its name. */
  speaksFor(className: string): boolean {
    return existsSync(path.join(this.shims, "emul", `${className}.c`));
  }

  /** Flags of every compile. */
  compileFlags(kernel: string): string[] {
    const folders: Folders = { kernel, shims: this.shims };
    return this.#flags.map((line) => fillIn(line, folders));
  }

  /** Compiles the environment and the core. @throws AirlockError Unsupported when a file of them does not compile */
  async compileCore(compiler: Compiler, progress: Progress): Promise<Compiled[]> {
    return compileAll(this.coreJobs(compiler.folders.kernel), "the environment and its core", compiler, progress);
  }

  /** Compiles what only some kinds of drivers build upon. @throws AirlockError Unsupported when a file of it does not compile */
  async compileMore(compiler: Compiler, progress: Progress): Promise<Compiled[]> {
    return compileAll(this.moreJobs(compiler.folders.kernel), "what some kinds of drivers build upon", compiler, progress);
  }

  /** One job for each file of the environment and the core. */
  coreJobs(kernel: string): CompileJob[] {
    const own = filesBelow(path.join(this.shims, "emul"), ".c").map((file) => jobOf(file, []));
    return [...own, ...this.#core.map((one) => kernelJob(kernel, one))];
  }

  /** One job for each file that only some kinds of drivers build upon. */
  moreJobs(kernel: string): CompileJob[] {
    return this.#more.map((one) => kernelJob(kernel, one));
  }
}

/** A line of a list of kernel files: places of which a tree has one, and flags for this file only. */
interface KernelFile {
  readonly places: readonly string[];
  readonly flags: readonly string[];
}

function kernelFile(line: string): KernelFile {
  const [file = "", ...flags] = line.split(/\s+/);
  return { places: file.split("|"), flags };
}

function kernelJob(kernel: string, { places, flags }: KernelFile): CompileJob {
  const there = places.map((one) => path.join(kernel, one));
  return jobOf(there.find((one) => existsSync(one)) ?? there[0]!, flags);
}

function jobOf(file: string, flags: readonly string[]): CompileJob {
  const name = path.basename(file, ".c").replaceAll("-", "_");
  return {
    file,
    flags: [`-I${path.dirname(file)}`, `-DKBUILD_MODNAME="${name}"`, `-DKBUILD_MODFILE="${name}"`, `-DKBUILD_BASENAME="${name}"`, `-D__KBUILD_MODNAME=kmod_${name}`, ...flags],
  };
}

async function compileAll(jobs: readonly CompileJob[], title: string, compiler: Compiler, progress: Progress): Promise<Compiled[]> {
  progress.step(`${title}: ${jobs.length} files`);
  const compiled = await compiler.compileAll(jobs, progress);
  const failed = compiled.filter(({ ok }) => !ok);
  const [first] = failed;
  if (first === undefined) return compiled;
  const reason = first.diagnostics.split("\n").find((line) => /\berror\b/.test(line)) ?? first.diagnostics.split("\n")[0] ?? "";
  throw new AirlockError("Unsupported", `the driver environment does not compile with ${compiler.toolchain.name}: ${failed.length} of ${jobs.length} files fail, the first is ${compiler.shorten(first.file)}: ${reason.trim()}`, {
    file: compiler.shorten(first.file), tool: compiler.toolchain.name,
  });
}

/** The folder shims of the checkout: this file is in it, or in what was built of it. */
export function findShims(): string {
  const own = path.dirname(fileURLToPath(import.meta.url));
  const candidates = [path.join(own, ".."), path.join(own, "../../../shims")].map((folder) => path.resolve(folder));
  const found = candidates.find((folder) => existsSync(path.join(folder, "abi", "airlock.h")));
  if (found === undefined) throw new AirlockError("NotFound", `there is no folder shims at ${candidates.join(" or ")}; drivers are built in a checkout`, { path: candidates[0]! });
  return found;
}

function filesBelow(folder: string, extension: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(extension))
    .map((entry) => path.join(entry.parentPath ?? entry.path, entry.name)).sort();
}
