/** Tests of rewriting: the same program with the same results, its traps at the same places of the original file, nothing else exported. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { freeAt, moduleOf } from "../../../test/fixtures/module-text.ts";
import { type WasmGlobal, wasm } from "../web-assembly.ts";
import { readModule } from "./read-module.ts";
import type { ModuleForm } from "./rewrite-body.ts";
import { originalOffset, rewriteModule, stepsExport } from "./rewrite-module.ts";

/** A program that writes and reads through all that rewriting touches: loops, calls, block copies, an own table, an own global. */
const program = moduleOf({
  more: `
    (type $unary (func (param i32) (result i32)))
    (table 2 funcref) (elem (i32.const 0) $double $triple)
    (global $sum (mut i32) (i32.const 0))
    (func $double (param i32) (result i32) (i32.mul (local.get 0) (i32.const 2)))
    (func $triple (param i32) (result i32) (i32.mul (local.get 0) (i32.const 3)))`,
  turn: `
    (local $i i32)
    (memory.fill (i32.const ${freeAt}) (local.get $length) (i32.and (local.get $length) (i32.const 255)))
    (loop $again
      (global.set $sum (i32.add (global.get $sum) (call_indirect (type $unary) (local.get $i) (i32.and (local.get $i) (i32.const 1)))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $i) (i32.and (local.get $length) (i32.const 1023)))))
    (memory.copy (i32.const ${freeAt + 300}) (i32.const ${freeAt}) (i32.const 256))
    (call $write (i32.load (i32.const ${freeAt})) (i32.load (i32.const ${freeAt + 300})) (i32.load8_u (i32.const ${freeAt + 254})) (global.get $sum))`,
  fault: "(drop (i32.load (local.get $kind))) (memory.fill (local.get $at) (i32.const 0) (i32.const 8)) (loop $l (unreachable))",
});

interface Running {
  turn(length: number): number[][];
  /** Where in the module it trapped. */
  trapAt(kind: number, at: number): number;
  readonly exports: readonly string[];
  readonly steps: WasmGlobal | undefined;
}

function run(bytes: Uint8Array): Running {
  const written: number[][] = [];
  const none = (): number => 0;
  const write = (...numbers: number[]): void => { written.push(numbers); };
  const memory = new wasm.Memory({ initial: 8, maximum: 16_384 });
  const functions = readModule(bytes).functions.length + readModule(bytes).functionImports.length - (bytes === program ? 0 : 2);
  const { exports } = new wasm.Instance(new wasm.Module(bytes), {
    airlock: { memory, read: none, post_read: none, take_read: none, write, irq: none, sync: none, log: none, now: none, timer: none, flush: none, fail: none, setup: none },
  });
  const steps = exports[stepsExport] as WasmGlobal | undefined;
  if (steps !== undefined) steps.value = 1_000_000;
  return {
    exports: Object.keys(exports), steps,
    turn: (length) => {
      written.length = 0;
      (exports["airlock_turn"] as (length: number) => void)(length);
      return written;
    },
    trapAt: (kind, at) => {
      try {
        (exports["airlock_fault"] as (kind: number, at: number) => void)(kind, at);
      } catch (error) {
        for (const line of (error as Error).stack!.split("\n")) {
          const found = /wasm-function\[(\d+)\]:0x([0-9a-f]+)/.exec(line);
          // The last two are of the rewriting.
          if (found !== null && Number(found[1]) < functions) return Number.parseInt(found[2]!, 16);
        }
      }
      throw new Error("it did not trap");
    },
  };
}

const read = readModule(program);
const plain = rewriteModule(read, { isCounted: false, checksNull: false });
const counted = rewriteModule(read, { isCounted: true, checksNull: false });
const checked = rewriteModule(read, { isCounted: false, checksNull: true });
const both = rewriteModule(read, { isCounted: true, checksNull: true });

describe.each([["plain", plain], ["counted", counted], ["checked", checked], ["both", both]] as const)("%s", (_name, rewritten) => {
  test("does what the original does", () => {
    fc.assert(fc.property(fc.array(fc.nat(5000), { minLength: 1, maxLength: 5 }), (lengths) => {
      const [before, after] = [run(program), run(rewritten.bytes)];
      for (const length of lengths) expect(after.turn(length)).toEqual(before.turn(length));
    }), { numRuns: 50 });
  });

  test.each([[-1, freeAt], [freeAt, -1], [freeAt, freeAt]])("traps at the original's place: %i, %i", (kind, at) => {
    expect(originalOffset(rewritten.shifts, run(rewritten.bytes).trapAt(kind, at))).toBe(run(program).trapAt(kind, at));
  });

  test("exports what the border has, and the counter where it counts", () => {
    const names = ["airlock_load", "airlock_turn", "airlock_fault"];
    expect(run(rewritten.bytes).exports).toEqual(rewritten === counted || rewritten === both ? [...names, stepsExport] : names);
  });
});

test("steps are calls, turns of loops, and blocks by their size", () => {
  const spent = (turn: string): number => {
    const { steps, turn: go } = run(rewriteModule(readModule(moduleOf({ turn, more: "(func $nothing)" })), { isCounted: true, checksNull: true }).bytes);
    go(0);
    return 1_000_000 - steps!.value;
  };
  expect(spent("")).toBe(1);
  expect(spent("(call $nothing) (call $nothing)")).toBe(3);
  expect(spent("(local $i i32) (loop $l (local.set $i (i32.add (local.get $i) (i32.const 1))) (br_if $l (i32.lt_u (local.get $i) (i32.const 10))))")).toBe(11);
  expect(spent(`(memory.fill (i32.const ${freeAt}) (i32.const 1) (i32.const 65536))`)).toBe(257);
  expect(spent(`(memory.copy (i32.const ${freeAt}) (i32.const ${freeAt}) (i32.const 255))`)).toBe(1);
  expect(spent("(drop (call $now))")).toBe(1);
});

test("checked accesses of every type and offset do what the others do, and trap below the limit alone", () => {
  const loads = ["i32.load", "i64.load", "f32.load", "f64.load", "i32.load8_s", "i32.load8_u", "i32.load16_s", "i64.load8_u", "i64.load16_s", "i64.load32_s", "i64.load32_u"];
  const stores = ["i32.store", "i64.store", "f32.store", "f64.store", "i32.store8", "i32.store16", "i64.store8", "i64.store16", "i64.store32"];
  for (const offset of [0, 4, 65_535, 65_536, 1_000_000]) {
    for (const access of [...loads, ...stores]) {
      const value = access.includes("store") ? `(${access.slice(0, 3)}.const 7)` : "";
      const operation = `(${access} offset=${offset} (local.get $kind) ${value})`;
      const fault = value === "" ? `(drop ${operation})` : operation;
      const module = readModule(moduleOf({ fault: `(local i64 f32) (local f64) ${fault}`, memory: '(import "airlock" "memory" (memory 8 100))' }));
      const ends = (form: ModuleForm, address: number): string => {
        const instance = run(rewriteModule(module, form).bytes);
        try {
          instance.trapAt(address, 0);
          return "";
        } catch (error) {
          return (error as Error).message;
        }
      };
      const withChecks = { isCounted: false, checksNull: true };
      // Below the limit it traps; at it, and beyond the memory, it does what it did.
      if (offset < 65_536) expect([access, offset, ends(withChecks, 65_535 - offset)]).toEqual([access, offset, ""]);
      for (const address of [Math.max(0, 65_536 - offset), 8 * 65_536]) expect(ends(withChecks, address)).toBe(ends({ isCounted: false, checksNull: false }, address));
    }
  }
});

test("no offset is moved where nothing was changed, and places are found between changes", () => {
  expect(originalOffset(Int32Array.of(), 5)).toBe(5);
  const shifts = Int32Array.of(10, 3, 20, 7, 30, -2);
  expect([9, 10, 19, 20, 29, 30].map((offset) => originalOffset(shifts, offset))).toEqual([9, 7, 16, 13, 22, 32]);
});

test("a start function is run by nobody but the host", () => {
  const started = moduleOf({ more: `(func $first (i32.store (i32.const ${freeAt}) (i32.const 7))) (start $first)`, turn: `(call $write (i32.const 0) (i32.const 0) (i32.const 0) (i32.load (i32.const ${freeAt})))` });
  expect(run(started).turn(0)).toEqual([[0, 0, 0, 7]]);
  expect(run(rewriteModule(readModule(started), { isCounted: false, checksNull: false }).bytes).turn(0)).toEqual([[0, 0, 0, 0]]);
});
