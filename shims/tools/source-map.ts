/** Source maps of WebAssembly modules: one generated line whose columns are byte offsets in the module (ECMA-426, and binaryen's and V8's use of it). */
// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
import type { LineSequence } from "./dwarf-lines.ts";

/** From this offset on the code is of that line; without a source it is of none. */
export interface Mapping {
  readonly offset: number;
  readonly source?: number;
  /** From 1. */
  readonly line?: number;
  /** From 0. */
  readonly column?: number;
}

/** A source map as a file holds it. */
export interface SourceMapFile {
  readonly version: 3;
  readonly sources: readonly string[];
  readonly names: readonly string[];
  readonly mappings: string;
}

const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const valueOf = new Map(digits.split("").map((digit, value) => [digit, value]));

/**
 * The map of a linked module. `codeAt` is where the content of its code section begins: addresses count from there. What
 * the linker dropped has addresses outside of the code, and is dropped.
 */
export function mapOfLines(sequences: readonly LineSequence[], codeAt: number, codeBytes: number): SourceMapFile {
  const sources = new Map<string, number>();
  const mappings: Mapping[] = [];
  for (const { rows, end } of sequences.toSorted((a, b) => a.end - b.end)) {
    if (rows.length === 0 || end > codeBytes || rows[0]!.address === 0 || rows.some(({ address }) => address > end)) continue;
    for (const { address, file, line, column } of rows) {
      const offset = codeAt + address;
      const mapping = line === 0 || file === "" ? { offset } : { offset, source: indexOf(sources, tidy(file)), line, column: Math.max(0, column - 1) };
      // Of several rows at one address the last counts.
      if (mappings.at(-1)?.offset === offset) mappings.pop();
      mappings.push(mapping);
    }
    mappings.push({ offset: codeAt + end });
  }
  mappings.sort((a, b) => a.offset - b.offset);
  return { version: 3, sources: [...sources.keys()], names: [], mappings: encodeMappings(mappings) };
}

/** The text of a list of mappings, sorted by offset. */
export function encodeMappings(mappings: readonly Mapping[]): string {
  let last = { offset: 0, source: 0, line: 0, column: 0 };
  const segments: string[] = [];
  for (const { offset, source, line, column } of mappings) {
    let text = variable(offset - last.offset);
    if (source === undefined) last = { ...last, offset };
    else {
      text += variable(source - last.source) + variable(line! - 1 - last.line) + variable((column ?? 0) - last.column);
      last = { offset, source, line: line! - 1, column: column ?? 0 };
    }
    segments.push(text);
  }
  return segments.join(",");
}

/** The mappings of a file's text, in order. @throws RangeError for what is no list of mappings on one line */
export function decodeMappings(text: string): Mapping[] {
  if (text.includes(";")) throw new RangeError("a module's source map has one line");
  const last = { offset: 0, source: 0, line: 0, column: 0 };
  return text.split(",").filter((segment) => segment !== "").map((segment) => {
    const numbers = decodeSegment(segment);
    last.offset += numbers[0] ?? 0;
    if (numbers.length < 4) return { offset: last.offset };
    last.source += numbers[1]!;
    last.line += numbers[2]!;
    last.column += numbers[3]!;
    return { offset: last.offset, source: last.source, line: last.line + 1, column: last.column };
  });
}

/** The same map for a module whose code moved by so many bytes. */
export function shiftMappings(text: string, bytes: number): string {
  return encodeMappings(decodeMappings(text).map((mapping) => ({ ...mapping, offset: mapping.offset + bytes })));
}

function indexOf(sources: Map<string, number>, file: string): number {
  const known = sources.get(file);
  if (known !== undefined) return known;
  sources.set(file, sources.size);
  return sources.size - 1;
}

/** "./include/../lib/a.c" -> "lib/a.c". */
function tidy(file: string): string {
  const parts: string[] = [];
  for (const part of file.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== ".") parts.push(part);
  }
  return parts.join("/");
}

/** A number as base 64 VLQ: the sign in the lowest bit, then five bits a digit. */
function variable(value: number): string {
  let rest = value < 0 ? -value * 2 + 1 : value * 2;
  let text = "";
  do {
    const low = rest % 32;
    rest = Math.floor(rest / 32);
    text += digits[rest > 0 ? low + 32 : low]!;
  } while (rest > 0);
  return text;
}

function decodeSegment(segment: string): number[] {
  const numbers: number[] = [];
  let value = 0;
  let scale = 1;
  for (const digit of segment) {
    const bits = valueOf.get(digit);
    if (bits === undefined) throw new RangeError(`"${digit}" is no digit of a source map`);
    value += (bits % 32) * scale;
    scale *= 32;
    if (bits >= 32) continue;
    numbers.push(value % 2 === 1 ? -Math.floor(value / 2) : value / 2);
    value = 0;
    scale = 1;
  }
  if (scale !== 1) throw new RangeError("a source map's segment ends within a number");
  return numbers;
}
