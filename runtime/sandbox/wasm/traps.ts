/** What ends a module: V8's traps in the terms of C, and stacks in terms of the driver package's own file. */
import { type PreparedModule } from "./prepare-module.ts";
import { originalOffset } from "./rewrite-module.ts";

/** Frames that V8 notes for an error of a module; a driver that fails below its subsystem is some twenty calls deep. */
export const stackFrames = 50;

/** Thrown through a module's frames to end it, after its failure was recorded. Nothing in the module can catch it. */
export class ModuleEnded extends Error {
  override readonly name = "ModuleEnded";
}

export const stackOverflowText = "the driver overflowed the stack of its thread";

/** What V8 throws when a thread's stack is full, wherever that is noticed. */
export function isStackOverflow(error: unknown): boolean {
  return error instanceof RangeError && error.message === "Maximum call stack size exceeded";
}

/** What a trap was, by V8's words for it. */
const traps: readonly (readonly [pattern: RegExp, name: string, message: string])[] = [
  [/memory access out of bounds/, "BadPointer", "a load or store where there is no memory: through a null pointer, or one that leads beyond the end"],
  [/null function|function signature|table index/, "BadCall", "a call through a pointer to no function, or to one of another type"],
  [/divide by zero|remainder by zero|overflow|divide result/, "BadArithmetic", "a division by zero, or one whose result does not fit"],
  [/float unrepresentable/, "BadArithmetic", "a conversion of a number that does not fit"],
  [/unreachable/, "Unreachable", "it reached code that cannot be reached: the end of a function without a return, or what the compiler took for impossible"],
];

/** A trap's name and text. */
export function trapOf(message: string): { readonly name: string; readonly message: string } {
  const found = traps.find(([pattern]) => pattern.test(message));
  return found === undefined ? { name: "Trap", message } : { name: found[1], message: found[2] };
}

/** V8's frames of compiled modules: "at name (wasm://wasm/1234:wasm-function[5]:0x10)". */
const framePattern = /^\s*at (?:(.*) \()?wasm:\/\/\S*:wasm-function\[(\d+)\]:0x([0-9a-f]+)\)?$/;

/** The module's own frames, innermost first, as "    at name (bundle:1:column)": the column is the offset in the package's file, from 1. */
export function moduleStack(stack: string | undefined, { shifts, functions }: PreparedModule, bundle: string): string {
  const frames: string[] = [];
  for (const line of (stack ?? "").split("\n")) {
    const found = framePattern.exec(line);
    if (found === null || Number(found[2]) >= functions) continue;
    const name = found[1] === undefined || found[1] === "" ? `wasm-function[${found[2]}]` : found[1];
    frames.push(`    at ${name} (${bundle}:1:${originalOffset(shifts, Number.parseInt(found[3]!, 16)) + 1})`);
  }
  return frames.join("\n");
}
