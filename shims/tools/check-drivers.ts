/** Checks every PCI driver of some subsystems at once: how many compile, link, and lack what. Nothing runs, and nothing is written but the cache. */
// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { errorText } from "../../runtime/api/errors.ts";
import { compileModules, type CompiledModule, type Core, coreObjects, firstError, joinCores, linkModule, moreObjects } from "./build-module.ts";
import { digestOf } from "./cache.ts";
import { partOf } from "./find-module.ts";
import { allHeaders } from "./kernel-source.ts";
import type { KernelModule } from "./kernel-tree.ts";
import { mapParallel, programsAtOnce } from "./parallel.ts";
import { noProgress } from "./progress.ts";
import type { Workbench } from "./workbench.ts";

/** Subsystems that are checked, and the folders of the kernel's tree that their drivers are in. */
export const checkedFolders = [
  { kind: "network", folder: "drivers/net" },
  { kind: "watchdog", folder: "drivers/watchdog" },
  { kind: "rtc", folder: "drivers/rtc" },
  { kind: "hw_random", folder: "drivers/char/hw_random" },
] as const;

/** How a driver says that it drives PCI devices. */
const pciDriver = /\bMODULE_DEVICE_TABLE\s*\(\s*pci\s*,|\bmodule_pci_driver\s*\(|\b__?pci_register_driver\s*\(/;

/**
 * How far a driver comes; each step includes those before it. One that cannot be linked is no failure where Kconfig says that it is for
 * machines of another kind.
 */
export type DriverState = "for other machines" | "does not compile" | "compiles" | "links" | "complete";

export interface DriverCheck {
  readonly module: string;
  readonly config: string | undefined;
  /** Relative to the kernel's tree. */
  readonly folder: string;
  readonly kind: string;
  readonly files: number;
  readonly state: DriverState;
  /** What it depends on that only other machines have, as Kconfig says it; undefined for one that Kconfig would build here. */
  readonly otherMachine: string | undefined;
  readonly missingFunctions: readonly string[];
  readonly missingData: readonly string[];
  readonly mismatches: readonly string[];
  readonly duplicates: readonly string[];
  /** The first error of the compiler, or what else the linker said; "" when there is none. */
  readonly error: string;
}

/** Checks all drivers; in the order of the tree. */
export async function checkAll(bench: Workbench): Promise<DriverCheck[]> {
  const { source, progress } = bench;
  await source.need(checkedFolders.map(({ folder }) => folder), progress);
  const found = checkedFolders.flatMap(({ kind, folder }) => pciModules(bench, path.join(source.root, folder)).map((module) => ({ kind, module })));
  await source.need(found.flatMap(({ module }) => neededParts(bench, module)), progress);
  const core = joinCores(await coreObjects(bench), await moreObjects(bench));
  const coreKey = digestOf(...core.files, ...bench.environment.linkFlags, JSON.stringify([...bench.environment.policies]), bench.toolchain.name);
  progress.step(`checking ${found.length} drivers of ${source.title}`);
  let done = 0;
  const quiet = { ...bench, progress: noProgress };
  // Twice as many as run at once: while one links, another's files are compiled.
  return mapParallel(found, programsAtOnce() * 2, async ({ kind, module }) => {
    const check = await checkOne(module, kind, { core, coreKey, bench: quiet }).catch((error: unknown): DriverCheck => failedCheck(module, kind, bench, errorText(error)));
    progress.count(++done, found.length);
    return check;
  });
}

interface Checking {
  readonly core: Core;
  readonly coreKey: string;
  readonly bench: Workbench;
}

/** What of the tree a module and those it may be built upon are made from, as far as it is not in the module's own subsystem. */
function neededParts({ source, tree }: Workbench, module: KernelModule): string[] {
  const modules = [module, ...tree.companions(module)];
  const inTree = (file: string): string[] => {
    const relative = path.relative(source.root, file);
    return relative.startsWith("..") || relative === "" ? [] : [partOf(relative)];
  };
  const included = modules.flatMap(({ jobs }) => jobs.flatMap(({ flags }) => flags.flatMap((flag) => (flag.startsWith("-I/") ? inTree(flag.slice(2)) : []))));
  const folders = modules.flatMap(({ folder }) => inTree(folder));
  return [...new Set([...folders, ...included.filter((part) => !folders.includes(part)).map((part) => `${part}/${allHeaders}`)])];
}

/** One that could not be checked: what a driver's files hold must not end the check of all others. */
function failedCheck(module: KernelModule, kind: string, bench: Workbench, error: string): DriverCheck {
  return withState({ ...aboutModule(module, kind, bench), ...lacksNothing, state: "does not compile", error });
}

function withState(check: DriverCheck): DriverCheck {
  const isLinked = check.state === "links" || check.state === "complete";
  return isLinked || check.otherMachine === undefined ? check : { ...check, state: "for other machines" };
}

const lacksNothing = { missingFunctions: [], missingData: [], mismatches: [], duplicates: [] };

type About = Pick<DriverCheck, "module" | "config" | "folder" | "kind" | "files" | "otherMachine">;

function aboutModule({ name, symbol, folder, jobs }: KernelModule, kind: string, { source, tree }: Workbench): About {
  return {
    module: name, config: symbol === undefined ? undefined : `CONFIG_${symbol}`, folder: path.relative(source.root, folder), kind, files: jobs.length,
    otherMachine: symbol === undefined ? undefined : tree.otherMachineOnly(symbol),
  };
}

async function checkOne(module: KernelModule, kind: string, checking: Checking): Promise<DriverCheck> {
  const { bench } = checking;
  const [compiled] = await compileModules([module], bench);
  const about = aboutModule(module, kind, bench);
  const failed = compiled!.compiled.find(({ ok }) => !ok);
  if (failed !== undefined) return withState({ ...about, ...lacksNothing, state: "does not compile", error: firstError(failed.diagnostics) });
  return withState({ ...about, ...(await linkCheck(compiled!, checking)) });
}

type LinkCheck = Pick<DriverCheck, "state" | "missingFunctions" | "missingData" | "mismatches" | "duplicates" | "error">;

/** What a link of these objects with this core found is remembered: most drivers are the same the next time. */
async function linkCheck(compiled: CompiledModule, { core, coreKey, bench }: Checking): Promise<LinkCheck> {
  const others = bench.tree.companions(compiled.module);
  const objects = compiled.compiled.map(({ object }) => path.basename(object!));
  const name = `${digestOf(coreKey, ...objects, ...others.map(({ folder, name: other }) => `${folder}/${other}`))}.check`;
  const known = bench.cache.findJson("objects", name) as LinkCheck | undefined;
  if (known !== undefined) return known;
  const { linked } = await linkModule(compiled, others, core, bench);
  const { missingFunctions, missingData, mismatches, duplicates, complaint, module } = linked;
  const state = module === undefined ? "compiles" : missingFunctions.length > 0 ? "links" : "complete";
  const result: LinkCheck = { state, missingFunctions, missingData, mismatches, duplicates, error: complaint };
  const finished = bench.cache.temporary("check");
  writeFileSync(finished, JSON.stringify(result));
  bench.cache.keep("objects", name, finished);
  return result;
}

/** The modules below a folder one of whose files is a PCI driver's. */
function pciModules({ tree }: Workbench, folder: string): KernelModule[] {
  const all = tree.foldersBelow(folder).flatMap((one) => tree.modulesIn(one));
  const first = all.filter(({ name, folder: own }, index) => all.findIndex((other) => other.name === name && other.folder === own) === index);
  return first.filter(({ jobs }) => jobs.some(({ file }) => existsSync(file) && pciDriver.test(readFileSync(file, "utf8"))));
}
