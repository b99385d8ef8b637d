/** Tests of what only the wasm tier does: faults in C, letting go in order, symbols, early lines, where regions lie. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { SandboxBench, benchLimits } from "../../../test/conformance/sandbox-bench.ts";
import { compilerAvailable } from "../../../test/fixtures/kernel-available.ts";
import { moduleProbe } from "../../../test/fixtures/module-probe.ts";
import { moduleOf } from "../../../test/fixtures/module-text.ts";
import { RecordKind } from "../../api/records.ts";
import { mapStack } from "../../host/source-position.ts";
import { protectMemory } from "../../host/protect-memory.ts";
import type { FaultPoint } from "../../api/bridge.ts";
import { prepareModule } from "./prepare-module.ts";
import { createWasmTier } from "./tier.ts";

const tier = createWasmTier({ protect: protectMemory });
const plain = { isCounted: false, checksNull: false };
let bench: SandboxBench;
beforeEach(() => { bench = new SandboxBench(); });
afterEach(() => { bench.sandbox?.dispose(); });

const hasCompiler = await compilerAvailable();

describe.skipIf(!hasCompiler)("faults in C", () => {
  const cases: readonly [number: number, name: string, where: FaultPoint, failure: object][] = [
    [1, "null read", "operation", { name: "BadPointer" }], [2, "null write", "operation", { name: "BadPointer" }], [3, "wild write", "operation", { name: "BadPointer" }],
    [4, "BUG", "operation", { name: "Bug", message: "injected" }], [5, "loop", "operation", { kind: "turn-limit" }],
    [6, "sleep in an interrupt", "irq", { name: "SleepInAtomic", message: "msleep", phase: "irq" }], [7, "double free", "operation", { name: "HeapCorrupted" }],
    [8, "null call", "operation", { name: "BadCall" }], [9, "no memory", "operation", { kind: "memory", message: "kmalloc" }], [10, "stack", "operation", { kind: "stack" }],
  ];

  test.each(cases)("%i, %s: in the driver's own code, with its own stack", async (number, _name, where, failure) => {
    await bench.up(tier);
    bench.sandbox.inject(where, `({ perform }) => perform(${number})`);
    expect(bench.failures).toEqual([]);
    if (where === "irq") await bench.deliver(RecordKind.irq, 0, 0);
    else await bench.command("echo not reached");
    expect(bench.failures).toMatchObject([failure]);
    expect(mapStack(bench.failures[0]!.stack, await moduleProbe(plain)).map(({ functionName }) => functionName)).toContain(number === 10 ? "recurse" : "do_fault");
    expect([bench.said, bench.replies]).toEqual([[], []]);
  });

  test("now is now", async () => {
    await bench.up(tier);
    bench.sandbox.inject("now", "({ perform }) => perform(4)");
    expect(bench.failures).toMatchObject([{ name: "Bug" }]);
  });

  test("what is armed for an interrupt leaves operations alone, and acts once", async () => {
    await bench.up(tier);
    bench.sandbox.inject("irq", "({ perform }) => perform(4)");
    await bench.command("echo well");
    expect([bench.said, bench.failures]).toEqual([["well"], []]);
    await bench.deliver(RecordKind.irq, 0, 0);
    expect(bench.failures).toHaveLength(1);
  });
});

test.skipIf(!hasCompiler)("a fault's promises are done when its turn is, whether the thread ever looks at its own queue or not", async () => {
  await bench.up(tier);
  bench.sandbox.inject("now", "async () => { await null; throw new RangeError('late') }");
  expect(bench.failures).toMatchObject([{ name: "RangeError", message: "late" }]);
});

test.skipIf(!hasCompiler)("a driver lets go of its device in order when it is told to", async () => {
  await bench.up(tier);
  await bench.deliver(RecordKind.remove, 0, 0);
  expect(bench.outputs.map(({ kind }) => kind)).toEqual([RecordKind.ready, RecordKind.removed]);
  expect(bench.logs).toEqual([[30, "bye"]]);
  await bench.deliver(RecordKind.init, 0, 0);
  expect(bench.outputs.at(-1)!.kind).toBe(RecordKind.ready);
});

describe("symbols", () => {
  test.skipIf(!hasCompiler)("counted or not, a crash has the C function, file and line; without a map the offset in the package's file", async () => {
    for (const form of [plain, { ...plain, isCounted: true }, { isCounted: true, checksNull: true }]) {
      const bundle = await moduleProbe(form);
      bench = await new SandboxBench().load(tier, bundle);
      await bench.deliver(RecordKind.init, 0, 0);
      await bench.command("fault 1");
      const [frame] = mapStack(bench.failures[0]!.stack, bundle);
      expect(frame).toMatchObject({ functionName: "null_read", file: "probe.c" });
      expect(frame!.line).toBeGreaterThan(100);
      const [offset] = mapStack(bench.failures[0]!.stack, { ...bundle, map: "" });
      expect(offset).toMatchObject({ functionName: "null_read", file: bundle.name, line: 1 });
    }
  });

  test("a module without names still says where", async () => {
    const code = await prepareModule("d/driver.wasm", moduleOf({ turn: "(unreachable)" }), plain);
    bench.start(await tier.load(code, "d/driver.wasm", benchLimits));
    await bench.command("x");
    expect(bench.failures[0]!.stack).toMatch(/^ {4}at \S+ \(d\/driver\.wasm:1:\d+\)$/);
  });
});

test("lines of the load come when there is somebody to read them", async () => {
  const more = '(data (i32.const 300000) "loaded")';
  const code = await prepareModule("d/driver.wasm", moduleOf({ load: "(call $log (i32.const 40) (i32.const 300000) (i32.const 6))", more }), plain);
  const loaded = await tier.load(code, "d/driver.wasm", benchLimits);
  expect(bench.logs).toEqual([]);
  bench.start(loaded);
  expect(bench.logs).toEqual([[40, "loaded"]]);
});

test.skipIf(!hasCompiler)("a module is not run where its null pointers would not be caught", async () => {
  for (const unprotected of [createWasmTier(), createWasmTier({ protect: () => false })]) {
    await expect(new SandboxBench().up(unprotected)).rejects.toThrow("null pointers would not be caught");
    const checking = await moduleProbe({ isCounted: false, checksNull: true });
    const other = await new SandboxBench().load(unprotected, checking);
    await other.deliver(RecordKind.init, 0, 0);
    await other.command("fault 1");
    expect(other.failures).toMatchObject([{ name: "BadPointer" }]);
  }
});

test.skipIf(!hasCompiler)("regions that need more than the limits say are a bug of the host", async () => {
  bench = new SandboxBench({}, [{ name: "heap", iova: 0, sizeBytes: 65_536 }]);
  bench.regions = [{ sizeBytes: 65_536, layOver: () => false, map: () => undefined }];
  await expect(bench.load(tier)).rejects.toThrow(RangeError);
});
