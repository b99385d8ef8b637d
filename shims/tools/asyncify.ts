/** Makes a linked module able to sleep: binaryen's asyncify, with function names and a source map kept. */
// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { AirlockError } from "../../runtime/api/errors.ts";
import { type Cache, digestOf } from "./cache.ts";
import { readLines } from "./dwarf-lines.ts";
import { runProgram } from "./run-program.ts";
import { mapOfLines, shiftMappings, type SourceMapFile } from "./source-map.ts";
import { customSection, Reader, SectionId, sectionsOf } from "./wasm-reader.ts";

/** A module as it is run, and where its code comes from. */
export interface FinishedModule {
  readonly module: Uint8Array;
  /** A source map, as JSON. */
  readonly map: string;
}

/**
 * What a Node 20 accepts and the environment is compiled for. `--all-features` would let binaryen use what Node refuses.
 * mutable-globals and sign-ext are on by default.
 */
const features = ["--mvp-features", "--enable-mutable-globals", "--enable-sign-ext", "--enable-nontrapping-float-to-int", "--enable-bulk-memory", "--enable-bulk-memory-opt"];
/**
 * No function of the border suspends: the C scheduler unwinds and rewinds by itself, through asyncify's own imports, which the
 * pass finds and resolves. A list of none would mean all of them, so it names one that there is not.
 * -O1 cleans up what asyncify leaves: a network driver's packets took a fifth more time with -O3, and with optimizations before
 * asyncify functions that are only called through pointers were lost.
 */
const passes = ["--asyncify", "--pass-arg=asyncify-imports@airlock.none", "-O1"];
/** The largest module takes seconds. */
const passTimeoutMs = 600_000;

/** The module's file in a package, and that of the map beside it. */
export const moduleName = "driver.wasm";
export const mapName = `${moduleName}.map`;

/**
 * What comes out is remembered: the pass is most of a build's time.
 * @throws AirlockError Unsupported when binaryen is not there or refuses the module
 */
export async function finishModule(linked: Uint8Array, cache: Cache): Promise<FinishedModule> {
  const { file: wasmOpt, version } = binaryen();
  const name = `${digestOf(linked, version, ...features, ...passes)}.finished`;
  const known = cache.find("objects", name);
  if (known !== undefined) return readFinished(known);
  const folder = cache.temporary("asyncify");
  mkdirSync(folder);
  try {
    const at = (part: string): string => path.join(folder, part);
    const { module, map } = takeLines(linked);
    writeFileSync(at("in.wasm"), module);
    writeFileSync(at("in.map"), JSON.stringify(map));
    const args = [
      wasmOpt, at("in.wasm"), "-o", at("out.wasm"), ...features, "-g",
      "--input-source-map", at("in.map"), "--output-source-map", at("out.map"), "--output-source-map-url", mapName, ...passes,
    ];
    const { code, out, err } = await runProgram(process.execPath, args, { timeoutMs: passTimeoutMs });
    if (code !== 0) {
      throw new AirlockError("Unsupported", `binaryen cannot make the module able to sleep: ${(err || out).trim().split("\n")[0] ?? ""}`, { tool: "wasm-opt" });
    }
    const moved = JSON.parse(readFileSync(at("out.map"), "utf8")) as SourceMapFile;
    const finished = withoutExports(readFileSync(at("out.wasm")), moved, (one) => one.startsWith("asyncify_"));
    for (const part of ["in.wasm", "in.map", "out.wasm", "out.map"]) rmSync(at(part));
    writeFileSync(at(moduleName), finished.module);
    writeFileSync(at(mapName), finished.map);
    return readFinished(cache.keep("objects", name, folder));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function readFinished(folder: string): FinishedModule {
  return { module: readFileSync(path.join(folder, moduleName)), map: readFileSync(path.join(folder, mapName), "utf8") };
}

function binaryen(): { file: string; version: string } {
  const require = createRequire(import.meta.url);
  try {
    const manifest = require.resolve("binaryen/package.json");
    return { file: path.join(path.dirname(manifest), "bin", "wasm-opt"), version: (require(manifest) as { version: string }).version };
  } catch (cause) {
    throw new AirlockError("Unsupported", 'the npm package binaryen is not installed; run "npm ci"', { tool: "binaryen" }, { cause });
  }
}

/** Takes the line tables out of a linked module and makes a source map of them. */
export function takeLines(linked: Uint8Array): { module: Uint8Array; map: SourceMapFile } {
  const sections = sectionsOf(linked);
  const code = sections.find(({ id }) => id === SectionId.code);
  const lines = customSection(linked, sections, ".debug_line");
  const kept = sections.filter(({ id, name }) => id !== SectionId.custom || !name.startsWith(".debug_"));
  const module = Buffer.concat([linked.subarray(0, 8), ...kept.map(({ start, end }) => linked.subarray(start, end))]);
  const map = mapOfLines(lines === undefined ? [] : readLines(lines), code?.at ?? 0, code === undefined ? 0 : code.end - code.at);
  return { module, map };
}

/** Removes exports; what comes after them moves, and the map with it. */
function withoutExports(module: Uint8Array, map: SourceMapFile, unwanted: (name: string) => boolean): FinishedModule {
  const section = sectionsOf(module).find(({ id }) => id === SectionId.export);
  if (section === undefined) return { module, map: JSON.stringify(map) };
  const reader = new Reader(module, section.at, section.end);
  const entries = Array.from({ length: reader.unsigned() }, () => {
    const from = reader.at;
    const name = reader.text();
    reader.u8();
    reader.unsigned();
    return { name, bytes: module.subarray(from, reader.at) };
  });
  const kept = entries.filter(({ name }) => !unwanted(name));
  const content = Buffer.concat([unsignedBytes(kept.length), ...kept.map(({ bytes }) => bytes)]);
  const replaced = Buffer.concat([
    module.subarray(0, section.start), Uint8Array.of(SectionId.export), unsignedBytes(content.length), content, module.subarray(section.end),
  ]);
  const shift = replaced.length - module.length;
  return { module: replaced, map: JSON.stringify({ ...map, mappings: shiftMappings(map.mappings, shift) }) };
}

/** LEB128, unsigned. */
function unsignedBytes(value: number): Uint8Array {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Uint8Array.from([...bytes, rest]);
    bytes.push((rest % 128) + 128);
  }
}
