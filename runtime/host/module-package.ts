/** Loads a driver package whose code is a WebAssembly module: its checksum verified, checked, compiled once for all threads. */
import { createHash } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import path from "node:path";
import { AirlockError, errorText } from "../api/errors.ts";
import { mostModuleBytes, prepareModule } from "../sandbox/wasm/prepare-module.ts";
import type { DriverBundle } from "./driver-host.ts";
import { ModuleMap } from "./module-map.ts";
import { canProtectMemory } from "./protect-memory.ts";
import { warmMap } from "./source-position.ts";

/** What the build puts beside a module: which C file and line each offset comes from. */
const mapEnding = ".map";
/** Largest map: ten times what the largest Linux drivers have. */
const mostMapBytes = 32 * 2 ** 20;
/** Modules that are kept compiled; many drivers of one machine share a package. */
const mostKept = 16;

export interface ModulePackage {
  /** The package's folder. */
  readonly directory: string;
  /** The module's file, which lies in the package. */
  readonly file: string;
  /** What its manifest says that the file's SHA-256 is. */
  readonly sha256: string;
  /** Whether it is to count its steps; see sandbox/wasm/rewrite-body.ts. */
  readonly isCounted: boolean;
}

const kept = new Map<string, Promise<DriverBundle>>();

/** @throws AirlockError BundleInvalid when the file is not the one the manifest names, or no driver */
export async function loadModule({ directory, file, sha256, isCounted }: ModulePackage): Promise<DriverBundle> {
  const name = `${path.basename(directory)}/${path.basename(file)}`;
  const bytes = readLimited(name, file, mostModuleBytes);
  const found = createHash("sha256").update(bytes).digest("hex");
  if (found !== sha256) {
    throw new AirlockError("BundleInvalid", `${name}: its SHA-256 is ${found}, but driver.json says ${sha256}: it was changed after it was built; build it anew with "airlock build"`, { module: name });
  }
  const key = `${isCounted ? "counted" : "plain"} ${name} ${sha256}`;
  const made = kept.get(key) ?? prepare(name, bytes, file, isCounted);
  kept.delete(key);
  kept.set(key, made);
  if (kept.size > mostKept) kept.delete(kept.keys().next().value!);
  made.catch(() => { if (kept.get(key) === made) kept.delete(key); });
  return made;
}

async function prepare(name: string, bytes: Uint8Array, file: string, isCounted: boolean): Promise<DriverBundle> {
  const bundle = { code: await prepareModule(name, bytes, { isCounted, checksNull: !canProtectMemory() }), name, map: readMap(name, `${file}${mapEnding}`) };
  warmMap(bundle);
  return bundle;
}

/** Without a map, stacks show functions and offsets. */
function readMap(name: string, file: string): string {
  if (statSync(file, { throwIfNoEntry: false }) === undefined) return "";
  const text = readLimited(name, file, mostMapBytes).toString("utf8");
  if (ModuleMap.parse(text) === undefined) throw new AirlockError("BundleInvalid", `${name}: ${path.basename(file)} is no source map; build the package anew with "airlock build", or remove it`, { module: name });
  return text;
}

function readLimited(name: string, file: string, mostBytes: number): Buffer {
  try {
    const { size } = statSync(file);
    if (size > mostBytes) throw new AirlockError("BundleInvalid", `${name}: ${path.basename(file)} has ${size} bytes, the limit is ${mostBytes}`, { module: name });
    return readFileSync(file);
  } catch (cause) {
    if (cause instanceof AirlockError) throw cause;
    throw new AirlockError("BundleInvalid", `${name}: ${path.basename(file)} cannot be read: ${errorText(cause)}`, { module: name }, { cause });
  }
}
