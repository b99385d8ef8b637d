/** Finds modules in a kernel's tree, or in a folder outside of one, by what Kbuild's files say. */
// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
import { existsSync, readFileSync, readdirSync } from "node:fs";
import path from "node:path";
import { type ConfigSymbol, parseKconfig } from "./kconfig.ts";
import { impossiblePart } from "./kconfig-expression.ts";
import type { CompileJob } from "./compiler.ts";
import { type Config, type Kbuild, parseKbuild } from "./makefile.ts";

/** A module as Kbuild would build it. */
export interface KernelModule {
  /** "some-card". */
  readonly name: string;
  /** Absolute. */
  readonly folder: string;
  /** The configuration symbol it is built for, without CONFIG_; undefined for obj-m. */
  readonly symbol: string | undefined;
  /** Its files and what Kbuild says about how they are compiled. */
  readonly jobs: readonly CompileJob[];
}

/** Folders that are not descended into: other programs with Makefiles of their own, and other machines. */
const notModules = new Set(["arch", "Documentation", "scripts", "tools", "usr", "samples", "certs"]);
/** A tree has no deeper folders; a loop of links would. */
const folderDepth = 12;

/** A symbol as all of the tree's files describe it. */
interface TreeSymbol extends Omit<ConfigSymbol, "conditions"> {
  /** The folder of the first of them. */
  readonly folder: string;
  /** What it depends on, for each of its descriptions: one whose conditions hold is enough. */
  readonly descriptions: readonly (readonly string[])[];
}

export class KernelTree {
  readonly root: string;
  /** Symbols that the environment has, built in. */
  readonly #environment: ReadonlyMap<string, string>;
  readonly #kbuilds = new Map<string, Kbuild | undefined>();
  #symbols: ReadonlyMap<string, TreeSymbol> | undefined;
  #otherMachines: ReadonlySet<string> | undefined;
  #selected: ReadonlySet<string> | undefined;
  /** What is known of symbols already: see otherMachineOnly. */
  readonly #limits = new Map<string, string | undefined>();
  #places: ReadonlyMap<string, readonly string[]> | undefined;

  constructor(root: string, environment: ReadonlyMap<string, string>) {
    this.root = root;
    this.#environment = environment;
  }

  /** The modules that are built for a configuration symbol, all over the tree. */
  modulesFor(symbol: string): KernelModule[] {
    return this.#modulesFor(symbol, []);
  }

  /** The modules of one folder's Makefile. */
  modulesIn(folder: string): KernelModule[] {
    return this.#modulesIn(folder, []);
  }

  /** The modules that a file is part of; a Makefile above its folder may be the one that says so. */
  modulesWith(file: string): KernelModule[] {
    for (let folder = path.dirname(file), depth = 0; depth < 4; folder = path.dirname(folder), depth++) {
      const found = this.modulesIn(folder).filter(({ jobs }) => jobs.some((job) => job.file === file));
      if (found.length > 0 || folder === this.root || path.dirname(folder) === folder) return found;
    }
    return [];
  }

  /** Every folder at or below one that has a Makefile. */
  foldersBelow(folder: string, depth = 0): string[] {
    if (depth > folderDepth || !existsSync(folder)) return [];
    const below = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory()).map((entry) => path.join(folder, entry.name)).sort();
    return [...(makefileIn(folder) === undefined ? [] : [folder]), ...below.flatMap((one) => this.foldersBelow(one, depth + 1))];
  }

  /** Modules of its symbol besides a module itself, and of what that builds upon: code it may use. */
  companions(module: KernelModule): KernelModule[] {
    if (module.symbol === undefined) return [];
    const settings = this.#settingsOf(module.symbol, module.folder);
    const under = this.#builtUpon(module.symbol, module.folder).flatMap((symbol) => this.#modulesFor(symbol, settings));
    const beside = this.#modulesIn(module.folder, settings).filter(({ symbol }) => symbol === module.symbol);
    const all = [...beside, ...under].filter(({ name, folder }) => name !== module.name || folder !== module.folder);
    const each = all.filter((one, index) => all.findIndex(({ name, folder }) => name === one.name && folder === one.folder) === index);
    // All of one link has one configuration.
    const set = module.jobs[0]?.flags.filter((flag) => /^-DCONFIG_\w+=1$/.test(flag)) ?? [];
    return each.map((one) => ({ ...one, jobs: one.jobs.map(({ file, flags }) => ({ file, flags: [...new Set([...set, ...flags])] })) }));
  }

  /** Whether the tree knows the symbol at all. */
  knows(symbol: string): boolean {
    return this.#findSymbols().has(symbol) || this.#findPlaces().has(symbol);
  }

  /**
   * What a symbol depends on that only machines other than the environment's have, as Kconfig says it ("64BIT", "X86 || ARM64");
   * undefined for one that may be built here. That something may be off does not count, only what can never be on.
   */
  otherMachineOnly(symbol: string): string | undefined {
    if (this.#limits.has(symbol)) return this.#limits.get(symbol);
    // Symbols may depend on each other in a circle.
    this.#limits.set(symbol, undefined);
    const parts = (this.#findSymbols().get(symbol)?.descriptions ?? []).map((conditions) => conditions.map((one) => impossiblePart(one, (name) => this.#known(name))).find((part) => part !== undefined));
    const [first] = parts;
    const limit = first === undefined || parts.includes(undefined) ? undefined : this.#limits.get(first) ?? first;
    this.#limits.set(symbol, limit);
    return limit;
  }

  /** Whether a symbol is on, or can never be; undefined where it may be. One that others select may be on whatever it depends on. */
  #known(symbol: string): boolean | undefined {
    if (this.#environment.has(symbol)) return true;
    if (!this.#findSymbols().has(symbol)) return this.#symbolsOfMachines().has(symbol) ? false : undefined;
    this.#selected ??= new Set([...this.#findSymbols().values()].flatMap(({ selects }) => selects));
    return !this.#selected.has(symbol) && this.otherMachineOnly(symbol) !== undefined ? false : undefined;
  }

  /** Every symbol that some module is built for. */
  moduleSymbols(): string[] {
    return [...this.#findPlaces().keys()];
  }

  /**
   * What a symbol selects and what that selects, and what both depend on of their own subsystem, as far as the environment has it
   * not built in and it can be a module. Modules of other subsystems that it only depends on are left out: they would change
   * structures that are everybody's.
   */
  #builtUpon(symbol: string, folder: string, found = new Set<string>()): string[] {
    const { selects = [], needs = [] } = this.#findSymbols().get(symbol) ?? {};
    const subsystem = this.#subsystem(folder);
    const near = needs.filter((one) => (this.#findPlaces().get(one) ?? []).some((place) => this.#subsystem(place) === subsystem));
    for (const one of [...selects, ...near]) {
      if (found.has(one) || one === symbol || this.#environment.has(one) || this.#findSymbols().get(one)?.tristate !== true) continue;
      found.add(one);
      this.#builtUpon(one, folder, found);
    }
    return [...found];
  }

  /**
   * Settings of its own subsystem that a symbol, or what it builds upon, selects and that nobody is asked about: they say which parts
   * of what it builds upon it needs.
   */
  #settingsOf(symbol: string, folder: string): string[] {
    const symbols = this.#findSymbols();
    const selected = [symbol, ...this.#builtUpon(symbol, folder)].flatMap((one) => symbols.get(one)?.alwaysSelects ?? []);
    return [...new Set(selected)].filter((one) => {
      const { tristate = true, prompt = "", folder: place = this.root } = symbols.get(one) ?? {};
      return !tristate && prompt === "" && !this.#environment.has(one) && this.#subsystem(place) === this.#subsystem(folder);
    });
  }

  #modulesFor(symbol: string, settings: readonly string[]): KernelModule[] {
    return (this.#findPlaces().get(symbol) ?? []).flatMap((folder) => this.#modulesIn(folder, settings).filter((one) => one.symbol === symbol));
  }

  /** `settings`: of the driver that the modules are for. */
  #modulesIn(folder: string, settings: readonly string[]): KernelModule[] {
    const kbuild = this.#kbuild(folder, "");
    if (kbuild === undefined) return [];
    return kbuild.entries.filter(({ target }) => target.endsWith(".o")).map(({ target, symbol }) => this.#module(folder, target, symbol, settings));
  }

  /** "drivers/net" of drivers/net/ethernet/intel. */
  #subsystem(folder: string): string {
    return path.relative(this.root, folder).split("/").slice(0, 2).join("/");
  }

  #module(folder: string, target: string, symbol: string | undefined, given: readonly string[]): KernelModule {
    const name = path.basename(target, ".o");
    const kbuild = this.#kbuild(folder, symbol ?? "")!;
    const settings = [...new Set([...given, ...(symbol === undefined ? [] : this.#settingsOf(symbol, folder))])];
    const config = this.#config(symbol ?? "", settings);
    const parts = kbuild.partsOf(target, config) ?? [target];
    const selected = symbol === undefined ? [] : [symbol, ...this.#builtUpon(symbol, folder)];
    const moduleFile = this.#relative(path.join(folder, path.dirname(target), name));
    const shared = [
      "-DMODULE", ...selected.map((one) => `-DCONFIG_${one}_MODULE=1`), ...settings.map((one) => `-DCONFIG_${one}=1`),
      `-DKBUILD_MODNAME="${cName(name)}"`, `-DKBUILD_MODFILE="${moduleFile}"`, `-D__KBUILD_MODNAME=kmod_${cName(name)}`,
      ...this.#inherited(folder, config), ...kbuild.flags(config),
      // Where a tree is says nothing about it; the compiler knows the kernel's already.
      ...(folder.startsWith(`${this.root}/`) ? [] : [`-ffile-prefix-map=${folder}/=`]),
    ];
    const jobs = parts.map((part): CompileJob => ({
      file: path.join(folder, part.replace(/\.o$/, ".c")),
      flags: [...shared, `-DKBUILD_BASENAME="${cName(path.basename(part, ".o"))}"`, ...kbuild.flagsOf(part)],
    }));
    return { name, folder, symbol, jobs };
  }

  /** Flags that this folder's Makefile and those above it give to all below. */
  #inherited(folder: string, config: Config): string[] {
    const flags: string[] = [];
    for (let one = folder; one.startsWith(this.root); one = path.dirname(one)) {
      if (one !== this.root) flags.unshift(...(this.#kbuild(one, "")?.flagsBelow(config) ?? []));
      if (path.dirname(one) === one) break;
    }
    return flags;
  }

  #config(own: string, settings: readonly string[] = []): Config {
    return (symbol) => (symbol === own && own !== "" ? "m" : (this.#environment.get(symbol) ?? (settings.includes(symbol) ? "y" : "")));
  }

  /** A folder's Makefile, read with `own` as a module. */
  #kbuild(folder: string, own: string): Kbuild | undefined {
    const key = `${folder}\0${own}`;
    if (!this.#kbuilds.has(key)) {
      const file = makefileIn(folder);
      this.#kbuilds.set(key, file === undefined ? undefined : parseKbuild(readFileSync(file, "utf8"), this.#config(own), { folder, tree: this.root }));
    }
    return this.#kbuilds.get(key);
  }

  #relative(file: string): string {
    const relative = path.relative(this.root, file);
    return relative.startsWith("..") ? path.basename(file) : relative;
  }

  /** Symbol -> folders whose Makefile has objects for it. */
  #findPlaces(): ReadonlyMap<string, readonly string[]> {
    if (this.#places !== undefined) return this.#places;
    const places = new Map<string, string[]>();
    for (const folder of this.#allFolders()) {
      const text = readFileSync(makefileIn(folder)!, "utf8");
      for (const symbol of new Set([...text.matchAll(/^obj-\$[({]CONFIG_(\w+)[)}]/gm)].map(([, one]) => one!))) {
        places.set(symbol, [...(places.get(symbol) ?? []), folder]);
      }
    }
    this.#places = places;
    return places;
  }

  #findSymbols(): ReadonlyMap<string, TreeSymbol> {
    if (this.#symbols !== undefined) return this.#symbols;
    const symbols = new Map<string, TreeSymbol>();
    for (const { conditions, folder, ...symbol } of this.#allFolders(true).flatMap(kconfigIn)) {
      const known = symbols.get(symbol.name);
      symbols.set(symbol.name, known === undefined ? { ...symbol, folder, descriptions: [conditions] } : {
        ...known, tristate: known.tristate || symbol.tristate, selects: [...known.selects, ...symbol.selects], prompt: known.prompt || symbol.prompt,
        alwaysSelects: [...known.alwaysSelects, ...symbol.alwaysSelects], descriptions: [...known.descriptions, conditions],
      });
    }
    this.#symbols = symbols;
    return symbols;
  }

  /** Symbols that architectures describe: each other's machines, and what those have. */
  #symbolsOfMachines(): ReadonlySet<string> {
    this.#otherMachines ??= new Set(foldersIn(path.join(this.root, "arch")).flatMap((folder) => walkFolders(folder)).flatMap(kconfigIn).map(({ name }) => name));
    return this.#otherMachines;
  }

  #allFolders(withKconfig = false): string[] {
    const tops = foldersIn(this.root).filter((folder) => !notModules.has(path.basename(folder)) && !path.basename(folder).startsWith("."));
    const all = tops.flatMap((folder) => walkFolders(folder));
    return withKconfig ? all : all.filter((folder) => makefileIn(folder) !== undefined);
  }
}

function foldersIn(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory()).map(({ name }) => path.join(folder, name));
}

/** A folder and all below it. */
function walkFolders(folder: string, depth = 0): string[] {
  return depth > folderDepth ? [] : [folder, ...foldersIn(folder).flatMap((one) => walkFolders(one, depth + 1))];
}

/** The symbols of a folder's Kconfig files. */
function kconfigIn(folder: string): (ConfigSymbol & { readonly folder: string })[] {
  const files = readdirSync(folder).filter((name) => name.startsWith("Kconfig"));
  return files.flatMap((file) => parseKconfig(readFileSync(path.join(folder, file), "utf8"))).map((symbol) => ({ ...symbol, folder }));
}

function makefileIn(folder: string): string | undefined {
  return ["Kbuild", "Makefile"].map((name) => path.join(folder, name)).find((file) => existsSync(file));
}

function cName(name: string): string {
  return name.replaceAll("-", "_");
}

/** The symbols that a header of "#define CONFIG_X value" lines sets. */
export function readAutoconf(text: string): Map<string, string> {
  const symbols = new Map<string, string>();
  for (const [, name, value] of text.matchAll(/^#define CONFIG_(\w+)\s+(.*)$/gm)) symbols.set(name!, value === "1" ? "y" : value!.trim());
  return symbols;
}
