/** Maps a guest's stack, as QuickJS or V8 writes it, to the driver author's own files and lines. */
import { SourceMap, type SourceMapPayload } from "node:module";
import type { DriverBundle } from "./driver-host.ts";
import { runtimeSourcePrefix } from "./bundle.ts";

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

/** The frames of the author's own code, innermost first. Frames of Airlock's guest code and of the engine are left out. */
export function mapStack(stack: string, bundle: DriverBundle): SourcePosition[] {
  const map = sourceMap(bundle);
  const positions: SourcePosition[] = [];
  for (const line of stack.split("\n")) {
    if (positions.length === maxFrames) break;
    const frame = parseFrame(line.slice(0, maxLineChars), bundle.name);
    if (frame === undefined) continue;
    const entry = map.findEntry(frame.line - 1, frame.column - 1);
    // A map may name no source for a place, whatever the types say, and a driver chooses the places in its stack.
    if (!("originalSource" in entry) || typeof entry.originalSource !== "string" || entry.originalSource.startsWith(runtimeSourcePrefix)) continue;
    positions.push({
      file: entry.originalSource, line: entry.originalLine + 1, column: entry.originalColumn + 1, functionName: frame.functionName,
    });
  }
  return positions;
}

/** The same as text, one frame per line: "at crash (src/driver.ts:12:5)". Empty when no frame is the author's. */
export function sourceStack(stack: string, bundle: DriverBundle): string {
  return mapStack(stack, bundle).map(({ file, line, column, functionName }) => {
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

function sourceMap(bundle: DriverBundle): SourceMap {
  let map = maps.get(bundle);
  if (map === undefined) {
    map = new SourceMap(JSON.parse(bundle.map) as SourceMapPayload);
    maps.set(bundle, map);
  }
  return map;
}
