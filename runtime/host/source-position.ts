/** Maps a guest's stack, as QuickJS, V8 or the wasm tier writes it, to the driver author's own files and lines. */
import { SourceMap, type SourceMapPayload } from "node:module";
import type { DriverBundle } from "./driver-host.ts";
import { runtimeSourcePrefix } from "./bundle.ts";
import { ModuleMap } from "./module-map.ts";

/** One frame in the author's terms; lines and columns count from 1. */
export interface SourcePosition {
  /** Path relative to the driver package. */
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** Name of the function as the engine knows it; "" at the top level. */
  readonly functionName: string;
}

/** Frames that are looked at and shown: an overflow's stack has thousands that say the same. */
const maxFrames = 50;
/** Characters of one line that are looked at. */
const maxLineChars = 500;

const maps = new WeakMap<DriverBundle, SourceMap>();
/** Where the sources of the Linux driver environment are, in the maps that the build makes. */
const environmentPrefix = "shims/";
const moduleMaps = new WeakMap<DriverBundle, ModuleMap>();

/**
 * The frames of the author's own code, innermost first. Frames of Airlock's guest code and of the engine are left out; a place in a module
 * that its map does not know is shown as one in the module's file, its line 1 and its offset as the column.
 */
export function mapStack(stack: string, bundle: DriverBundle): SourcePosition[] {
  const find = typeof bundle.code === "string" ? scriptPlaces(bundle) : modulePlaces(bundle);
  const positions: SourcePosition[] = [];
  for (const line of stack.split("\n")) {
    if (positions.length === maxFrames) break;
    const frame = parseFrame(line.slice(0, maxLineChars), bundle.name);
    const position = frame && find(frame);
    if (position !== undefined) positions.push(position);
  }
  return positions;
}

/** The same as text, one frame per line: "at crash (src/driver.ts:12:5)". Empty when no frame is the author's. */
export function sourceStack(stack: string, bundle: DriverBundle): string {
  return stackText(mapStack(stack, bundle));
}

/**
 * A failure with its stack in terms of the author's files. Of a module, whose author never reads the stack of an exception otherwise, the
 * message says the place too: the innermost that is not of the environment below the driver, if there is one.
 */
export function inSources<F extends { readonly message: string; readonly stack?: string }>(failure: F, bundle: DriverBundle): F {
  if (failure.stack === undefined) return failure;
  const positions = mapStack(failure.stack, bundle);
  const stack = stackText(positions);
  const place = typeof bundle.code === "string" ? undefined : positions.find(({ file }) => !file.startsWith(environmentPrefix)) ?? positions[0];
  const isTold = positions.some(({ file, line }) => failure.message.includes(`${file}:${line}`));
  if (place === undefined || isTold) return { ...failure, stack };
  const where = `${place.file}:${place.line}${place.file === bundle.name ? `:${place.column}` : ""}`;
  return { ...failure, stack, message: `${failure.message}; in ${place.functionName === "" ? "" : `${place.functionName}, `}${where}` };
}

function stackText(positions: readonly SourcePosition[]): string {
  return positions.map(({ file, line, column, functionName }) => {
    const place = `${file}:${line}:${column}`;
    return functionName === "" ? `at ${place}` : `at ${functionName} (${place})`;
  }).join("\n");
}

interface Frame {
  readonly functionName: string;
  readonly line: number;
  readonly column: number;
}

/** A frame inside the bundle, or undefined. Both engines write "at name (file:line:column)" or "at file:line:column". */
function parseFrame(line: string, bundleName: string): Frame | undefined {
  const start = line.indexOf(`${bundleName}:`);
  if (start < 0) return undefined;
  const numbers = /^(\d{1,9}):(\d{1,9})\)?$/.exec(line.slice(start + bundleName.length + 1).trim());
  if (numbers === null) return undefined;
  const name = /^\s*at (?:async )?(.*?) ?\(?$/.exec(line.slice(0, start))?.[1] ?? "";
  return { functionName: name.startsWith("<") ? "" : name, line: Number(numbers[1]), column: Number(numbers[2]) };
}

type FindPosition = (frame: Frame) => SourcePosition | undefined;

function scriptPlaces(bundle: DriverBundle): FindPosition {
  let map = maps.get(bundle);
  if (map === undefined) maps.set(bundle, (map = new SourceMap(JSON.parse(bundle.map) as SourceMapPayload)));
  const found = map;
  return ({ functionName, line, column }) => {
    const entry = found.findEntry(line - 1, column - 1);
    // A map may name no source for a place, whatever the types say, and a driver chooses the places in its stack.
    if (!("originalSource" in entry) || typeof entry.originalSource !== "string" || entry.originalSource.startsWith(runtimeSourcePrefix)) return undefined;
    return { file: entry.originalSource, line: entry.originalLine + 1, column: entry.originalColumn + 1, functionName };
  };
}

/** Every frame is the driver's; one whose place is not known is shown with its offset. */
function modulePlaces(bundle: DriverBundle): FindPosition {
  let map = moduleMaps.get(bundle);
  if (map === undefined && bundle.map !== "") {
    map = ModuleMap.parse(bundle.map);
    if (map !== undefined) moduleMaps.set(bundle, map);
  }
  const found = map;
  return (frame) => ({ ...(found?.find(frame.column - 1) ?? { file: bundle.name, line: frame.line, column: frame.column }), functionName: frame.functionName });
}

/** Reads a module's map now, so that a failure need not wait for that. */
export function warmMap(bundle: DriverBundle): void {
  modulePlaces(bundle);
}
