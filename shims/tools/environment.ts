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
  flags: "arch/flags.txt", core: "emul/core.txt", link: "emul/link.txt", stubs: "emul/stubs.txt", config: "arch/include/generated/autoconf.h",
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
  /** Kernel files of the core, each with flags of its own; of several places of a file a tree has one. */
  readonly #core: readonly { readonly places: readonly string[]; readonly flags: readonly string[] }[];

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
    this.#core = readList(at("core")).map((line) => {
      const [file = "", ...flags] = line.split(/\s+/);
      return { places: file.split("|"), flags };
    });
  }

  /** Paths of the kernel's tree that the core is made from and every compile may include; for extraction. */
  get kernelPaths(): string[] {
    const paths = this.#core.flatMap(({ places }) => places).flatMap((file) => {
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
    const jobs = this.coreJobs(compiler.folders.kernel);
    progress.step(`the environment and its core: ${jobs.length} files`);
    const compiled = await compiler.compileAll(jobs, progress);
    const failed = compiled.filter(({ ok }) => !ok);
    if (failed.length > 0) {
      const first = failed[0]!;
      const reason = first.diagnostics.split("\n").find((line) => /\berror\b/.test(line)) ?? first.diagnostics.split("\n")[0] ?? "";
      throw new AirlockError("Unsupported", `the driver environment does not compile with ${compiler.toolchain.name}: ${failed.length} of ${jobs.length} files fail, the first is ${compiler.shorten(first.file)}: ${reason.trim()}`, {
        file: compiler.shorten(first.file), tool: compiler.toolchain.name,
      });
    }
    return compiled;
  }

  /** One job for each file of the environment and the core. */
  coreJobs(kernel: string): CompileJob[] {
    const own = filesBelow(path.join(this.shims, "emul"), ".c").map((file) => ({ file, flags: [] as readonly string[] }));
    const core = this.#core.map(({ places, flags }) => {
      const there = places.map((one) => path.join(kernel, one));
      return { file: there.find((one) => existsSync(one)) ?? there[0]!, flags };
    });
    return [...own, ...core].map(({ file, flags }) => {
      const name = path.basename(file, ".c").replaceAll("-", "_");
      return {
        file,
        flags: [`-I${path.dirname(file)}`, `-DKBUILD_MODNAME="${name}"`, `-DKBUILD_MODFILE="${name}"`, `-DKBUILD_BASENAME="${name}"`, `-D__KBUILD_MODNAME=kmod_${name}`, ...flags],
      };
    });
  }
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
