/** Runs the sandbox suite on every tier, and on both ways the quickjs tier's calls can take; and what only one tier promises. */
import { Worker } from "node:worker_threads";
import { describe, expect, test } from "vitest";
import { threadEntry } from "../../runtime/bus/thread-entry.ts";
import { protectMemory } from "../../runtime/host/protect-memory.ts";
import { type QuickJsSandbox, createQuickJsTier } from "../../runtime/sandbox/quickjs/tier.ts";
import type { SandboxTier } from "../../runtime/sandbox/sandbox.ts";
import { createWasmTier } from "../../runtime/sandbox/wasm/tier.ts";
import { workerTier } from "../../runtime/sandbox/worker/tier.ts";
import { compilerAvailable } from "../fixtures/kernel-available.ts";
import { moduleProbe } from "../fixtures/module-probe.ts";
import { SandboxBench, benchLimits, probeBundle } from "./sandbox-bench.ts";
import { sandboxSuite } from "./sandbox.suite.ts";

const scriptRunaways = { spin: "turn-limit", spinJobs: "turn-limit", fill: "memory" } as const;
/** What the tier is without the addon: the same module, made to check its addresses itself. */
const checkingTier: SandboxTier = {
  name: "wasm",
  load: async (code, name, limits) => createWasmTier().load(typeof code === "string" ? code : (await moduleProbe({ isCounted: true, checksNull: true })).code, name, limits),
};
const moduleRunaways = { spin: "turn-limit", "fault 9": "memory" } as const;

sandboxSuite("quickjs, fast calls", createQuickJsTier({ callPath: "fast" }), { guest: "script", runaways: scriptRunaways });
sandboxSuite("quickjs, public calls", createQuickJsTier({ callPath: "public" }), { guest: "script", runaways: scriptRunaways });
describe.skipIf(!(await compilerAvailable()))("in C", () => {
  sandboxSuite("wasm, its first page protected", createWasmTier({ protect: protectMemory }), { guest: "module", runaways: moduleRunaways });
  sandboxSuite("wasm, its addresses checked", checkingTier, { guest: "module", runaways: moduleRunaways });
});
sandboxSuite("worker", workerTier, { guest: "script", runaways: {} });

describe("quickjs", () => {
  test("takes the fast path by itself, and says so", async () => {
    const bench = await new SandboxBench().load(createQuickJsTier());
    expect((bench.sandbox as QuickJsSandbox).callPath).toBe("fast");
    const slow = await new SandboxBench().load(createQuickJsTier({ callPath: "public" }));
    expect((slow.sandbox as QuickJsSandbox).callPath).toBe("public");
  });

  test("the date is the machine's, in UTC, and random numbers repeat", async () => {
    const said: string[][] = [];
    for (let run = 0; run < 2; run++) {
      const bench = await new SandboxBench().up(createQuickJsTier());
      bench.micros = 86_400_000_000;
      await bench.command("date");
      await bench.command("random");
      said.push(bench.said);
    }
    expect(said[0]![0]).toBe("86400000 0 0");
    expect(said[1]).toEqual(said[0]);
    const [first, second] = said[0]![1]!.split(" ");
    expect(first).not.toBe(second);
  });

  test("a limit by interrupt checks ends a turn at the same step each time", async () => {
    const steps: number[] = [];
    for (let run = 0; run < 2; run++) {
      const tier = createQuickJsTier({ turnInterrupts: 20 });
      const bench = await new SandboxBench().up(tier);
      let calls = 0;
      bench.calls.nowMicros = () => ++calls;
      bench.sandbox.inject("now", "({ bridge }) => { for (;;) bridge.nowMicros(); }");
      expect(bench.failures).toMatchObject([{ kind: "turn-limit" }]);
      steps.push(calls);
    }
    expect(steps[0]).toBeGreaterThan(1000);
    expect(steps[1]).toBe(steps[0]);
  });
});

describe("worker", () => {
  test("what nobody caught in the driver's thread is the driver's failure", async () => {
    const { code, name } = await probeBundle("worker");
    const script = `
      const { parentPort, workerData } = require("node:worker_threads");
      (async () => {
        const { workerTier } = await import(workerData.tier);
        const { watchStrayErrors } = await import(workerData.stray);
        const loaded = await workerTier.load(workerData.code, workerData.name, workerData.limits);
        const calls = { setup: () => "{}", output() {}, failed: (failure) => parentPort.postMessage(failure) };
        const sandbox = loaded.start(calls, []);
        const stop = watchStrayErrors(sandbox);
        sandbox.inject("now", workerData.fault);
        parentPort.once("message", stop);
      })();`;
    for (const fault of ["() => { Promise.reject(new RangeError('stray')) }", "() => { setTimeout(() => { throw new RangeError('stray') }) }"]) {
      const worker = new Worker(script, {
        eval: true,
        workerData: { code, name, fault, limits: benchLimits, tier: threadEntry("sandbox/worker/tier"), stray: threadEntry("sandbox/worker/stray-errors") },
      });
      const failure = await new Promise((resolve, reject) => {
        worker.once("message", resolve);
        worker.once("error", reject);
      });
      expect(failure).toMatchObject({ kind: "exception", phase: "job", name: "RangeError", message: "stray" });
      await worker.terminate();
    }
  });
});
