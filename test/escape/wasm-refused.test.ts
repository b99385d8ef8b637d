/** Modules that ask for what drivers cannot have: refused before anything of them is compiled or runs, each by name. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { AirlockError } from "../../runtime/api/errors.ts";
import { mostModuleBytes, prepareModule } from "../../runtime/sandbox/wasm/prepare-module.ts";
import { type ModuleText, assemble, freeAt, inboxAt, moduleOf, moduleText, outboxAt } from "../fixtures/module-text.ts";

/** What is said of a module; undefined when it is taken. */
async function refusal(bytes: Uint8Array, isCounted = false, checksNull = isCounted): Promise<string | undefined> {
  try {
    await prepareModule("evil/driver.wasm", bytes, { isCounted, checksNull });
    return undefined;
  } catch (error) {
    if (!(error instanceof AirlockError) || error.code !== "BundleInvalid") throw error;
    return error.message;
  }
}

const globals = (abi: string, inbox: string, outbox: string, data = '(data (i32.const 131072) "\\01\\00\\00\\00")'): string => `
  (global $abi ${abi}) (export "airlock_abi" (global $abi))
  (global $inbox ${inbox}) (export "airlock_inbox" (global $inbox))
  (global $outbox ${outbox}) (export "airlock_outbox" (global $outbox)) ${data}`;
const at = (address: number): string => `i32 (i32.const ${address})`;

test("the least module is taken, counted and not", async () => {
  expect(await refusal(moduleOf({}))).toBeUndefined();
  expect(await refusal(moduleOf({}), true)).toBeUndefined();
});

describe("imports", () => {
  test.each<[string, string, string]>([
    ["a function of the host", '(import "env" "fetch" (func (param i32)))', '"env.fetch"'],
    ["a function by a name of the border's, from elsewhere", '(import "evil" "read" (func (param i32 i32 i32) (result i32)))', '"evil.read"'],
    ["a function the border does not have", '(import "airlock" "exec" (func (param i32)))', '"airlock.exec"'],
    ["a name of every object's", '(import "airlock" "toString" (func (result i32)))', '"airlock.toString"'],
    ["a name that leads to a prototype", '(import "airlock" "__proto__" (func))', '"airlock.__proto__"'],
    ["a function of the border with another type", '(import "airlock" "irq" (func (param i32 i64)))', "airlock.irq as (i32, i64) -> (), which is (i32, i32) -> ()"],
    ["a function of the border that answers", '(import "airlock" "write" (func (param i32 i32 i32 i32) (result i32)))', "airlock.write as"],
    ["a table", '(import "airlock" "table" (table 1 funcref))', "table airlock.table"],
    ["a global", '(import "airlock" "secret" (global i32))', "global airlock.secret"],
    ["a global that can change", '(import "airlock" "secret" (global (mut i32)))', "global airlock.secret"],
    ["a name of terminal codes", '(import "env" "\\1b[2J" (func))', String.raw`env.\u001b[2J`],
  ])("%s", async (_what, text, said) => {
    expect(await refusal(assemble(moduleText({}).replace("(module", `(module ${text}`)))).toContain(said);
  });

  test("all of them are named in one message, which has an end", async () => {
    const many = Array.from({ length: 50 }, (_, index) => `(import "env" "f${index}" (func))`).join("");
    const said = await refusal(assemble(moduleText({}).replace("(module", `(module ${many}`)));
    expect(said).toContain('"env.f0"');
    expect(said).toContain("and 30 more");
    expect(await refusal(assemble(moduleText({}).replace("(module", `(module (import "env" "${"x".repeat(5000)}" (func))`)))).toHaveLength(
      'evil/driver.wasm: refused as a driver: it imports "", which is not in the ABI; build it with "airlock build"'.length + 100,
    );
  });
});

describe("memories, tables and sections", () => {
  test.each<[string, ModuleText, string, Parameters<typeof moduleOf>[1]]>([
    ["a memory of its own", { memory: '(memory 8 100)' }, "imports 0 memories", []],
    ["a memory from elsewhere", { memory: '(import "env" "memory" (memory 8 100))' }, "imports 1 memories", []],
    ["a memory without a maximum", { memory: '(import "airlock" "memory" (memory 8))' }, "no maximum", []],
    ["a shared memory", { memory: '(import "airlock" "memory" (memory 8 100 shared))' }, "shared", ["Atomics"]],
    ["a memory of 64-bit addresses", { memory: '(import "airlock" "memory" (memory i64 8 100))', globals: globals(at(131072), at(inboxAt), at(outboxAt), "") }, "64-bit addresses", ["Memory64"]],
    ["two memories", { more: '(memory $second 1 1)' }, "memory of its own", ["MultiMemory"]],
    ["a table for a hundred thousand functions", { more: "(table 100000 funcref)" }, "100000 entries", []],
    ["two tables", { more: "(table 1 funcref) (table 1 funcref)" }, "2 tables", ["ReferenceTypes"]],
    ["a table of host objects", { more: "(table 1 externref)" }, "other things than functions", ["ReferenceTypes"]],
    ["exceptions", { more: "(tag $t)" }, "section of kind 13", ["ExceptionHandling"]],
    ["data in the page of null pointers", { more: '(data (i32.const 4096) "x")' }, "data in the first 65536 bytes", []],
    ["data in the page's last byte", { more: '(data (i32.const 65535) "x")' }, "data in the first 65536 bytes", []],
    ["data without a place", { more: '(data $passive "x")' }, "data is not at a fixed address", []],
    ["data at a computed place", { more: '(data (offset (i32.add (i32.const 131072) (i32.const 64))) "x")' }, "no single constant", ["ExtendedConst"]],
  ])("%s", async (_what, parts, said, features) => {
    expect(await refusal(moduleOf(parts, features))).toContain(said);
  });
});

describe("exports", () => {
  const bodies = '(func (export "airlock_load")) (func (export "airlock_turn") (param i32)) (func (export "airlock_fault") (param i32 i32))';
  test.each<[string, ModuleText, string]>([
    ["no turn", { functions: bodies.replace('(export "airlock_turn")', "") }, "does not export the function airlock_turn"],
    ["a turn of another type", { functions: bodies.replace('"airlock_turn") (param i32)', '"airlock_turn") (param i64)') }, "exports airlock_turn as (i64) -> ()"],
    ["a load that answers", { functions: bodies.replace('"airlock_load")', '"airlock_load") (result i32) (i32.const 0)') }, "exports airlock_load as () -> (i32)"],
    ["a host function as its turn", { functions: `${bodies.replace('(export "airlock_turn")', "")} (export "airlock_turn" (func $flush))` }, "does not export the function airlock_turn"],
    ["a mailbox that can move", { globals: globals(at(131072), `(mut i32) (i32.const ${inboxAt})`, at(outboxAt)) }, "airlock_inbox as a constant"],
    ["a mailbox that is no number", { globals: globals(at(131072), `i64 (i64.const ${inboxAt})`, at(outboxAt)) }, "airlock_inbox as a constant"],
    ["a mailbox in the page of null pointers", { globals: globals(at(131072), at(0), at(outboxAt)) }, "airlock_inbox is at 0x0"],
    ["a mailbox that ends there", { globals: globals(at(131072), at(65_528), at(outboxAt)) }, "airlock_inbox is at 0xfff8"],
    ["a mailbox beyond the memory", { globals: globals(at(131072), at(inboxAt), at(8 * 65536 - 65528)) }, "airlock_outbox is at 0x70008"],
    ["a mailbox at the end of all addresses", { globals: globals(at(131072), at(inboxAt), at(-8)) }, "airlock_outbox is at 0xfffffff8"],
    ["a mailbox that is not aligned", { globals: globals(at(131072), at(inboxAt + 1), at(outboxAt)) }, "airlock_inbox is at 0x20009"],
    ["one mailbox for both", { globals: globals(at(131072), at(inboxAt), at(inboxAt)) }, "overlap"],
    ["mailboxes that overlap", { globals: globals(at(131072), at(inboxAt), at(inboxAt + 65_528)) }, "overlap"],
    ["another version", { globals: globals(at(131072), at(inboxAt), at(outboxAt), '(data (i32.const 131072) "\\02\\00\\00\\00")') }, "built for version 2 of the ABI, this build has 1"],
    ["no version", { globals: globals(at(131072), at(inboxAt), at(outboxAt), "") }, "built for version 0"],
    ["a version beyond the data", { globals: globals(at(131074), at(inboxAt), at(outboxAt)) }, "built for version 0"],
  ])("%s", async (_what, parts, said) => {
    expect(await refusal(moduleOf(parts))).toContain(said);
  });
});

describe("instructions", () => {
  const cases: readonly [what: string, body: string, features: Parameters<typeof moduleOf>[1]][] = [
    ["atomics", "(drop (i32.atomic.load (i32.const 131072)))", ["Atomics"]],
    ["vectors", "(drop (v128.load (i32.const 131072)))", ["SIMD128"]],
    ["tail calls", "(return_call $turn (i32.const 0))", ["TailCall"]],
    ["references", "(drop (ref.is_null (ref.null func)))", ["ReferenceTypes"]],
    ["growth of a table", "(drop (table.grow $t (ref.null func) (i32.const 1000)))", ["ReferenceTypes"]],
    ["data dropped", "(data.drop $d)", []],
    ["blocks filled from data", "(memory.init $d (i32.const 131072) (i32.const 0) (i32.const 1))", []],
    ["caught exceptions", "(try_table (catch_all 0) (call $flush (i32.const 0)))", ["ExceptionHandling"]],
    ["objects of a collector", "(drop (i31.get_s (ref.i31 (i32.const 1))))", ["ReferenceTypes", "GC"]],
    ["ten thousand local variables", Array.from({ length: 10_000 }, () => "(local i64)").join(""), []],
  ];
  test.each(cases)("%s", async (_what, turn, features) => {
    const more = turn.includes("$t") ? "(table $t 1 funcref)" : turn.includes("$d") ? `(data $d (i32.const ${freeAt}) "x")` : "";
    expect(await refusal(moduleOf({ turn, more }, features))).toMatch(/cannot have|local variables|type other than/);
  });
});

describe("bytes", () => {
  test.each<[string, Uint8Array, RegExp]>([
    ["nothing", new Uint8Array(0), /at byte 0x0 it does not begin as one/],
    ["a script", new TextEncoder().encode("export default 1;"), /does not begin as one/],
    ["another version of the format", Uint8Array.of(0, 0x61, 0x73, 0x6d, 2, 0, 0, 0), /does not begin as one/],
    ["a header alone", Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0), /does not export the function airlock_load/],
    ["an endless number", Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), /32 bits/],
    ["a list of four thousand million types", Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 5, 0xff, 0xff, 0xff, 0xff, 0x0f), /are announced in/],
    ["more than the limit", new Uint8Array(mostModuleBytes + 1), /the limit is/],
  ])("%s", async (_what, bytes, said) => {
    expect(await refusal(bytes)).toMatch(said);
  });

  test("a module that ends anywhere is refused", async () => {
    const whole = moduleOf({ more: '(table 2 funcref) (elem (i32.const 0) $turn)' });
    for (let length = 0; length < whole.length - 1; length++) expect(await refusal(whole.slice(0, length)), `${length} bytes`).toBeDefined();
  });

  // Whatever is taken is valid: a refusal is always the project's own error, never V8's or a RangeError.
  test("a module with any bytes changed is refused or taken, and nothing else", async () => {
    const whole = moduleOf({ turn: "(memory.fill (i32.const 262160) (i32.const 1) (local.get $length)) (loop $l (br_if $l (i32.load offset=4 (local.get $length))))" });
    await fc.assert(fc.asyncProperty(
      fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }), fc.boolean(), fc.boolean(), async (changes, isCounted, checksNull) => {
        const changed = whole.slice();
        for (const [place, byte] of changes) changed[place] = byte;
        const outcome = await refusal(changed, isCounted, checksNull);
        expect(outcome === undefined || outcome.includes("build it")).toBe(true);
      },
    ), { numRuns: 3000 });
  });
});

test("indices that only the rewritten module has are refused", async () => {
  // Two globals of the environment's own are what the next one would be counted in.
  const valid = moduleOf({ more: "(global $mine (mut i32) (i32.const 5))", turn: "(global.set $mine (i32.const 77))" });
  const place = valid.findIndex((byte, index) => byte === 0x24 && valid[index + 1] === 3 && valid[index - 1] === 0x00 && valid[index - 2] === 0xcd);
  expect(place).toBeGreaterThan(0);
  const steps = valid.slice();
  steps[place + 1] = 4;
  expect(await refusal(steps, true)).toContain("does not compile");
});
