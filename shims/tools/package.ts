/** Writes a driver package: manifest, module, map and the checksums of its sources; whole, or not at all. */
// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
import { createHash } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { AirlockError, errorText } from "../../runtime/api/errors.ts";
import { loadManifest } from "../../runtime/machine/manifest.ts";
import { type FinishedModule, finishModule, mapName, moduleName } from "./asyncify.ts";
import type { BuiltModule } from "./build-module.ts";
import { digestOfFile } from "./cache.ts";
import { type GivenFacts, manifestOf, packageName } from "./manifest.ts";
import { sourceName, type Workbench } from "./workbench.ts";

/** The file of a package that only built packages have. */
export const sourcesFile = "sources.json";

/** As wide as this project's own files. */
const lineMost = 140;

export interface WrittenPackage {
  readonly directory: string;
  readonly name: string;
  readonly className: string;
  readonly compatible: readonly string[];
  /** Of the module as it is in the package. */
  readonly sha256: string;
  readonly moduleBytes: number;
}

/**
 * Writes the package of a module that links into `directory`, over an earlier build of it.
 * @throws AirlockError AddressInUse when something else is there; StateUnusable when it cannot be written; Unsupported as `manifestOf`
 */
export async function writePackage(built: BuiltModule, directory: string, given: GivenFacts, bench: Workbench): Promise<WrittenPackage> {
  refuseOthers(directory);
  const { name, ...manifest } = await manifestOf(built, given, bench.environment);
  bench.progress.step(`making ${built.module.name} able to sleep`);
  const finished = await finishModule(built.linked.module!, bench.cache);
  const sha256 = createHash("sha256").update(finished.module).digest("hex");
  replaceFolder(directory, new Map<string, string | Uint8Array>([
    ["driver.json", `${jsonLines({ name, sha256, ...manifest })}\n`],
    [moduleName, finished.module],
    [mapName, finished.map],
    [sourcesFile, `${jsonLines(sourcesOf(built, finished, bench))}\n`],
    // What is built is not committed, wherever it is.
    [".gitignore", "*\n"],
  ]));
  const { manifest: read } = loadManifest(directory);
  return { directory, name: read.name, className: read.class, compatible: read.compatible, sha256, moduleBytes: finished.module.length };
}

/** The folder of a package when the user names none: beside the other packages. */
export function defaultDirectory(module: string): string {
  return path.join("drivers", packageName(module));
}

/** Only what a build made is replaced by one. */
function refuseOthers(directory: string): void {
  if (!existsSync(directory)) return;
  const names = readdirSync(directory);
  if (names.length === 0 || names.includes(sourcesFile)) return;
  throw new AirlockError("AddressInUse", `${directory} exists and is no built package; name another folder with --out`, { directory });
}

function replaceFolder(directory: string, files: ReadonlyMap<string, string | Uint8Array>): void {
  let temporary: string | undefined;
  try {
    mkdirSync(path.dirname(directory), { recursive: true });
    temporary = mkdtempSync(path.join(path.dirname(directory), `.${path.basename(directory)}.`));
    chmodSync(temporary, 0o755);
    for (const [name, content] of files) writeFileSync(path.join(temporary, name), content);
    // Whoever reads the old one meanwhile has its files open or finds none.
    rmSync(directory, { recursive: true, force: true });
    renameSync(temporary, directory);
  } catch (cause) {
    if (temporary !== undefined) rmSync(temporary, { recursive: true, force: true });
    throw new AirlockError("StateUnusable", `cannot write ${directory}: ${errorText(cause)}; free space there, or name another folder with --out`, { directory }, { cause });
  }
}

/** What the module was made from, for whoever wants to verify or repeat it. */
function sourcesOf({ module, compiled, upon, facts, linked }: BuiltModule, { map }: FinishedModule, bench: Workbench): Record<string, unknown> {
  const own = [...new Set(compiled.flatMap(({ inputs }) => inputs).filter((file) => isBelow(file, module.folder)))];
  const base = [...new Set(upon.flatMap((one) => one.compiled.map(({ file }) => file)))];
  const named = (files: readonly string[]): Record<string, string> =>
    Object.fromEntries(files.map((file): [string, string] => [sourceName(bench, file, module.folder), digestOfFile(file)]).sort(([a], [b]) => (a < b ? -1 : 1)));
  const driver = named(own);
  const rest = (JSON.parse(map) as { sources: string[] }).sources.map((name) => fileOf(name, bench)).filter((file) => file !== undefined);
  return {
    module: { name: module.name, config: module.symbol === undefined ? undefined : `CONFIG_${module.symbol}`, license: facts.license, description: facts.description, authors: facts.authors, version: facts.version || undefined },
    kernel: { version: bench.source.version, source: path.basename(bench.source.title) },
    compiler: bench.toolchain.name,
    missing: linked.missingFunctions,
    stubbed: linked.stubbedFunctions,
    driver,
    upon: named(base),
    environment: named(rest.filter((file) => !own.includes(file) && !base.includes(file))),
  };
}

/** JSON for people: what fits on a line is on one. */
export function jsonLines(value: unknown, indent = ""): string {
  const line = jsonLine(value);
  if (typeof value !== "object" || value === null || indent.length + line.length <= lineMost) return line;
  const inner = `${indent}  `;
  const entries = Array.isArray(value)
    ? value.map((one: unknown) => inner + jsonLines(one, inner))
    : Object.entries(value).filter(([, one]) => one !== undefined).map(([key, one]) => `${inner}${JSON.stringify(key)}: ${jsonLines(one, inner)}`);
  const [open, close] = Array.isArray(value) ? ["[", "]"] : ["{", "}"];
  return `${open}\n${entries.join(",\n")}\n${indent}${close}`;
}

function jsonLine(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(jsonLine).join(", ")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const entries = Object.entries(value).filter(([, one]) => one !== undefined).map(([key, one]) => `${JSON.stringify(key)}: ${jsonLine(one)}`);
  return entries.length === 0 ? "{}" : `{ ${entries.join(", ")} }`;
}

function isBelow(file: string, folder: string): boolean {
  return file.startsWith(`${folder}${path.sep}`);
}

/** A file as the map names it; undefined for what the compiler made up and for the stubs. */
function fileOf(name: string, { source, environment }: Workbench): string | undefined {
  const file = name.startsWith("shims/") ? path.join(environment.shims, name.slice("shims/".length)) : path.join(source.root, name);
  return existsSync(file) ? file : undefined;
}
