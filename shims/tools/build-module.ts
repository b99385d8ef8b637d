/** Builds one driver up to a linked module: compiles it, tells the driver from what it is built upon, and links it with the environment. */
// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
import { readFileSync } from "node:fs";
import path from "node:path";
import { AirlockError } from "../../runtime/api/errors.ts";
import type { Compiled } from "./compiler.ts";
import { driverClass, type FoundClass } from "./driver-class.ts";
import { findModule } from "./find-module.ts";
import type { KernelModule } from "./kernel-tree.ts";
import type { Linked } from "./linker.ts";
import { moduleFacts, type ModuleFacts } from "./module-facts.ts";
import { readObject, type WasmObject } from "./wasm-object.ts";
import type { Workbench } from "./workbench.ts";

/** A module whose files were compiled. */
export interface CompiledModule {
  readonly module: KernelModule;
  readonly compiled: readonly Compiled[];
  readonly objects: readonly WasmObject[];
  readonly facts: ModuleFacts;
}

/** A driver that was linked, or what keeps it from being that. */
export interface BuiltModule extends CompiledModule {
  /** Modules it is built upon, linked with it. */
  readonly upon: readonly CompiledModule[];
  /** Modules it may be built upon that do not compile, each with its first error. */
  readonly failedUpon: readonly string[];
  readonly found: FoundClass | undefined;
  readonly linked: Linked;
}

/**
 * Finds, compiles and links what the user named.
 * @throws AirlockError InvalidArgument for what is no driver or more than one; NotFound; Unsupported when it does not compile
 */
export async function buildModule(what: string, bench: Workbench): Promise<BuiltModule> {
  const wanted = await findModule(what, bench.place);
  const candidates = await compileModules(wanted.candidates, bench);
  for (const { module, compiled } of candidates) refuseFailed(module, compiled);
  const driver = chooseDriver(what, candidates);
  const core = await coreObjects(bench);
  const others = [...candidates.filter((one) => one !== driver).map(({ module }) => module), ...wanted.companions];
  const built = await linkModule(driver, others, core, bench);
  if (built.linked.missingFunctions.length + built.linked.missingData.length === 0) return built;
  return linkModule(driver, others, joinCores(core, await moreObjects(bench)), bench);
}

/** The core's objects, compiled or from the cache, and the symbols they define. */
export interface Core {
  readonly files: readonly string[];
  readonly defines: ReadonlySet<string>;
}

export async function coreObjects({ environment, compiler, progress }: Workbench): Promise<Core> {
  return coreOf(await environment.compileCore(compiler, progress));
}

/** The objects that only some kinds of drivers build upon. */
export async function moreObjects({ environment, compiler, progress }: Workbench): Promise<Core> {
  return coreOf(await environment.compileMore(compiler, progress));
}

function coreOf(compiled: readonly Compiled[]): Core {
  const files = compiled.map(({ object }) => object!);
  return { files, defines: new Set(files.flatMap((file) => definedIn(readObject(readFileSync(file))))) };
}

export function joinCores(core: Core, more: Core): Core {
  return { files: [...core.files, ...more.files], defines: new Set([...core.defines, ...more.defines]) };
}

/** Links a compiled driver with those of `others` that it is built upon. */
export async function linkModule(driver: CompiledModule, others: readonly KernelModule[], core: Core, bench: Workbench): Promise<BuiltModule> {
  const { upon, failedUpon } = await modulesUnder(driver, others, core, bench);
  bench.progress.step(`linking ${driver.module.name}`);
  // What a driver is built upon comes first: its functions of loading are called before the driver's.
  const objects = [...upon, driver].flatMap(({ compiled }) => compiled.map(({ object }) => object!));
  const linked = await bench.linker.link({ objects, library: core.files });
  return { ...driver, upon, failedUpon, found: driverClass(new Set([...driver.facts.calls, ...upon.flatMap(({ facts }) => [...facts.calls])])), linked };
}

export async function compileModules(modules: readonly KernelModule[], { compiler, progress }: Workbench): Promise<CompiledModule[]> {
  const jobs = modules.flatMap(({ jobs: mine }) => mine);
  progress.step(`compiling ${modules.map(({ name }) => name).join(", ")}: ${jobs.length} files`);
  const all = await compiler.compileAll(jobs, progress);
  let at = 0;
  return modules.map((module) => {
    const compiled = all.slice(at, at += module.jobs.length);
    const objects = compiled.filter(({ ok }) => ok).map(({ object }) => readObject(readFileSync(object!)));
    return { module, compiled, objects, facts: moduleFacts(objects) };
  });
}

/** Whether a module says which devices it drives. */
export function hasDeviceTable({ facts }: CompiledModule): boolean {
  return facts.tables.length > 0 || facts.aliases.some((alias) => /^(?:platform|pci|pnp|of|acpi)[:N*]/.test(alias));
}

/** The one of the candidates that is a driver. */
function chooseDriver(what: string, candidates: readonly CompiledModule[]): CompiledModule {
  const names = candidates.map(({ module }) => module.name).join(", ");
  for (const { module, facts } of candidates) {
    if (facts.initFunctions < 2) continue;
    throw new AirlockError("InvalidArgument", `${module.name} is ${facts.initFunctions} modules in one: it has ${facts.initFunctions} functions for module_init, a module has one; build each file by itself`, { module: module.name });
  }
  const loaded = candidates.filter(({ facts }) => facts.initFunctions === 1);
  if (loaded.length === 0) throw new AirlockError("InvalidArgument", `${what} is not a driver: ${names} has no module_init (nor module_pci_driver or the like); name the driver that uses it`, { path: what });
  const drivers = loaded.filter(hasDeviceTable);
  const [driver, second] = drivers;
  if (driver === undefined) {
    throw new AirlockError("InvalidArgument", `${what} is not a driver: ${names} has no device table (MODULE_DEVICE_TABLE) that says which devices it drives`, { path: what });
  }
  if (second !== undefined) {
    throw new AirlockError("InvalidArgument", `${what} is ${drivers.length} drivers: ${drivers.map(({ module }) => module.name).join(", ")}; name one of them by its .c file`, { path: what });
  }
  return driver;
}

/** Those of `others` whose functions or data the driver uses, and those that these use; what is used comes before its user. */
async function modulesUnder(
  driver: CompiledModule, others: readonly KernelModule[], core: Core, bench: Workbench,
): Promise<Pick<BuiltModule, "upon" | "failedUpon">> {
  const wants = (one: CompiledModule): string[] => {
    const own = new Set(one.objects.flatMap(definedIn));
    return one.objects.flatMap(({ symbols }) => symbols.filter(({ defined, kind }) => !defined && kind !== "other").map(({ name }) => name))
      .filter((name) => !own.has(name) && !core.defines.has(name));
  };
  if (others.length === 0 || wants(driver).length === 0) return { upon: [], failedUpon: [] };
  const all = await compileModules(others, bench);
  const compiled = all.filter((one) => one.compiled.every(({ ok }) => ok));
  const failedUpon = all.flatMap(({ module, compiled: files }) => files.filter(({ ok }) => !ok).slice(0, 1).map(({ diagnostics }) => `${module.name}: ${firstError(diagnostics)}`));
  const found: CompiledModule[] = [];
  const visit = (one: CompiledModule): void => {
    const wanted = new Set(wants(one));
    for (const other of compiled) {
      if (other === one || found.includes(other) || !other.objects.some((object) => definedIn(object).some((name) => wanted.has(name)))) continue;
      found.unshift(other);
      visit(other);
    }
  };
  visit(driver);
  return { upon: found, failedUpon };
}

/** Names that others can refer to. */
function definedIn({ symbols }: WasmObject): string[] {
  return symbols.filter(({ defined, kind, local }) => defined && !local && kind !== "other").map(({ name }) => name);
}

/** @throws AirlockError Unsupported with the first error of the first file that does not compile */
function refuseFailed(module: KernelModule, compiled: readonly Compiled[]): void {
  const failed = compiled.filter(({ ok }) => !ok);
  const [first] = failed;
  if (first === undefined) return;
  const more = compiled.length > 1 ? `${failed.length} of its ${compiled.length} files do not compile, the first is ${path.basename(first.file)}` : `${path.basename(first.file)} does not compile`;
  throw new AirlockError("Unsupported", `${module.name}: ${more}: ${firstError(first.diagnostics)}`, { module: module.name, file: path.basename(first.file) });
}

/** The line of a compiler's output that says what is wrong. */
export function firstError(diagnostics: string): string {
  const lines = diagnostics.split("\n").map((line) => line.trim()).filter((line) => line !== "");
  return lines.find((line) => /\berror:/.test(line)) ?? lines[0] ?? "the compiler said nothing";
}
