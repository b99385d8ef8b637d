/** The one conformance suite of sandbox tiers: what every implementation of SandboxTier does for a driver, and to it. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { IrqOp } from "../../runtime/api/bridge.ts";
import { RecordKind } from "../../runtime/api/records.ts";
import { maxLogChars } from "../../runtime/sandbox/guest-calls.ts";
import { GuestLoadError, type SandboxTier } from "../../runtime/sandbox/sandbox.ts";
import { prepareModule } from "../../runtime/sandbox/wasm/prepare-module.ts";
import { moduleOf } from "../fixtures/module-text.ts";
import { mapStack } from "../../runtime/host/source-position.ts";
import { SandboxBench, benchLimits, probeBundle } from "./sandbox-bench.ts";

export interface SandboxSuiteOptions {
  /** Commands of the probe that never end, and as what the tier itself ends them. */
  readonly runaways: Readonly<Record<string, "turn-limit" | "memory">>;
  /** What the tier runs: scripts have exceptions and promises; a module's first failure is its last. */
  readonly guest: "script" | "module";
}

/** What differs between the probe's two versions: what failures of its own are called, and where they come from. */
const probes = {
  script: { thrown: "ProbeError", explodeFile: "src/explode.ts", explodeLine: 3, driverFile: "src/driver.ts" },
  module: { thrown: "Bug", explodeFile: "explode.c", explodeLine: 7, driverFile: "probe.c" },
} as const;

export function sandboxSuite(title: string, tier: SandboxTier, { runaways, guest }: SandboxSuiteOptions): void {
  const probe = probes[guest];
  describe(`sandbox: ${title}`, () => {
    let bench: SandboxBench;
    beforeEach(() => { bench = new SandboxBench(); });
    afterEach(() => { bench.sandbox?.dispose(); });

    describe("life", () => {
      test("runs init and says ready", async () => {
        await bench.up(tier);
        expect(bench.outputs.map(({ kind }) => kind)).toEqual([RecordKind.ready]);
        expect(bench.irqs).toEqual([[0, IrqOp.attach]]);
        expect(bench.failures).toEqual([]);
        expect(bench.sandbox.tier).toBe(tier.name);
        expect(bench.sandbox.memoryBytes()).toBeGreaterThan(0);
      });

      test("after dispose nothing runs and nothing is reported", async () => {
        await bench.up(tier);
        bench.sandbox.dispose();
        await bench.command("echo late");
        bench.sandbox.inject("now", "() => { throw new Error('late') }");
        expect(bench.said).toEqual([]);
        expect(bench.failures).toEqual([]);
      });

      test("instances of one bundle share nothing", async () => {
        const other = await new SandboxBench().up(tier);
        await bench.up(tier);
        await bench.command("throw up");
        await other.command("echo alive");
        expect(bench.failures).toHaveLength(1);
        expect(other.failures).toEqual([]);
        expect(other.said).toEqual(["alive"]);
        other.sandbox.dispose();
      });

      test("a spare that is never started can be disposed", async () => {
        const { code, name } = await probeBundle(tier.name);
        const spare = await tier.load(code, name, benchLimits);
        spare.dispose();
        bench.start(spare);
        await bench.deliver(RecordKind.init, 0, 0);
        expect(bench.outputs).toEqual([]);
      });
    });

    test("code of another tier is a GuestLoadError", async () => {
      const other = guest === "script" ? await prepareModule("other.wasm", moduleOf({}), { isCounted: false, checksNull: true }) : "(() => () => {})";
      const error = await tier.load(other, "other", benchLimits).then(() => "loaded", (thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(GuestLoadError);
      expect((error as GuestLoadError).failure).toMatchObject({ phase: "load", name: "BundleInvalid", code: "BundleInvalid" });
    });

    if (guest === "script") describe("load", () => {
      const load = (code: string): Promise<unknown> => tier.load(code, "inline.js", benchLimits).then(() => "loaded", (error: unknown) => error);

      test.each([
        ["a syntax error", "(bridge => {", { name: "SyntaxError" }],
        ["a throw at the top level", "throw new TypeError('too early')", { name: "TypeError", message: "too early", kind: "exception" }],
        ["a throw in the entry", "(() => { throw new RangeError('entry') })", { name: "RangeError", message: "entry" }],
        ["a value that is no entry", "42", { name: "BundleInvalid" }],
        ["an entry without a dispatch function", "(() => 42)", { name: "BundleInvalid" }],
        ["a bridge call before the start", "((bridge) => { bridge.read(0, 0, 8); return () => {} })", { name: "Error" }],
      ])("%s is a GuestLoadError", async (_title, code, failure) => {
        const error = await load(code);
        expect(error).toBeInstanceOf(GuestLoadError);
        expect((error as GuestLoadError).failure).toMatchObject({ phase: "load", ...failure });
      });
    });

    describe("records", () => {
      beforeEach(() => bench.up(tier));

      test("a request is answered with its tag", async () => {
        await bench.command("echo hello", 41);
        await bench.command("later two turns of the job queue", 0xffff_ffff);
        expect(bench.said).toEqual(["hello", "two turns of the job queue"]);
        expect(bench.replies).toEqual([41, 0xffff_ffff]);
      });

      test("registers reach the host with plain numbers, in order", async () => {
        bench.registers.set([0xef, 0xbe, 0xad, 0xde], 4);
        await bench.command("registers 200");
        expect(bench.said).toEqual(["200 3735928559"]);
        expect(bench.accesses).toEqual([["write", 0, 3, 8, 200], ["read", 0, 3, 8], ["read", 0, 4, 32]]);
      });

      test("interrupts reach the handler, acks the host", async () => {
        await bench.deliver(RecordKind.irq, 0, 0);
        expect(bench.said).toEqual(["irq"]);
        expect(bench.irqs.at(-1)).toEqual([0, IrqOp.ack]);
      });

      test("timers are set, expire and are cancelled", async () => {
        await bench.command("timer tick");
        const [id, delayMicros] = bench.timers[0]!;
        expect(delayMicros).toBe(5000);
        await bench.deliver(RecordKind.timer, 0, id);
        expect(bench.said).toEqual(["tick"]);
        await bench.command("cancel");
        expect(bench.timers.at(-1)).toEqual([bench.timers[1]![0], -1]);
      });

      test("the clock is the host's", async () => {
        bench.micros = 2 ** 40 + 0.5;
        await bench.command("clock");
        expect(bench.said).toEqual([String(2 ** 40 + 0.5)]);
      });

      test("log lines carry their level and are cut to their limit", async () => {
        await bench.command("log text");
        expect(bench.logs).toEqual([[20, "text"], [30, "text"], [40, "text"], [50, "text"]]);
        await bench.command("logLong");
        expect(bench.logs.at(-1)![1]).toHaveLength(maxLogChars);
      });

      test("a malformed batch is the guest's failure", async () => {
        bench.sandbox.turn(new Uint8Array(3));
        expect(bench.failures).toMatchObject([{ kind: "protocol", code: "ProtocolViolation" }]);
      });

      test("a batch larger than the inbox is a bug of the host", () => {
        expect(() => bench.sandbox.turn(new Uint8Array(70_000))).toThrow(RangeError);
      });
    });

    describe("failures", () => {
      const inInit: [how: string, name: string, message: string][] = [["throw", probe.thrown, "in init"]];
      if (guest === "script") inInit.push(["reject", "TypeError", "rejected init"]);
      test.each(inInit)("in init: %s", async (how, name, message) => {
        bench = await new SandboxBench({ init: how }).up(tier);
        expect(bench.failures).toMatchObject([{ kind: "exception", phase: "init", name, message }]);
        expect(bench.outputs).toEqual([]);
      });

      test("in an interrupt handler", async () => {
        bench = await new SandboxBench({ irq: "throw" }).up(tier);
        await bench.deliver(RecordKind.irq, 0, 0);
        expect(bench.failures).toMatchObject([{ kind: "exception", phase: "irq", message: "in an interrupt" }]);
      });

      test("in a timer", async () => {
        await bench.up(tier);
        await bench.command("timerThrows");
        await bench.deliver(RecordKind.timer, 0, bench.timers[0]![0]);
        expect(bench.failures).toMatchObject([{ kind: "exception", phase: "timer" }]);
      });

      const inOperation: [command: string, name: string, message: string][] = [["throw kaput", probe.thrown, "kaput"]];
      if (guest === "script") {
        inOperation.push(
          ["reject after a while", probe.thrown, "after a while"], ["throwText no error object", "Error", "no error object"],
          ["wrongArgument", "TypeError", "write: value is not a number"],
        );
      }
      test.each(inOperation)("in an operation: %s", async (command, name, message) => {
        await bench.up(tier);
        await bench.command(command);
        expect(bench.failures).toMatchObject([{ kind: "exception", phase: "operation", name, message }]);
        expect(bench.replies).toEqual([]);
      });

      test("is reported once, and nothing comes after it", async () => {
        await bench.up(tier);
        await bench.command("throw once");
        await bench.command("throw twice");
        await bench.command("echo hello");
        await bench.deliver(RecordKind.irq, 0, 0);
        expect(bench.failures).toHaveLength(1);
        expect(bench.said).toEqual([]);
      });

      test("stack overflow", async () => {
        await bench.up(tier);
        await bench.command("recurse");
        expect(bench.failures).toMatchObject([{ kind: "stack", phase: "operation" }]);
      });

      test("stacks lead to the author's files and lines", async () => {
        await bench.up(tier);
        await bench.command("throw here");
        const frames = mapStack(bench.failures[0]!.stack, await probeBundle(tier.name));
        expect(frames[0]).toMatchObject({ file: probe.explodeFile, line: probe.explodeLine, functionName: "explode" });
        expect(new Set(frames.map(({ file }) => file))).toEqual(new Set([probe.explodeFile, probe.driverFile]));
      });
    });

    describe("denials", () => {
      beforeEach(() => bench.up(tier));

      test("are thrown in the guest, and fail it with their code", async () => {
        await bench.command("deny");
        expect(bench.failures).toMatchObject([{ kind: "exception", phase: "operation", code: "CapabilityViolation", name: "CapabilityViolation" }]);
        expect(bench.failures[0]!.message).toContain("outside registers");
        expect(bench.accesses).toEqual([]);
        expect(mapStack(bench.failures[0]!.stack, await probeBundle(tier.name))[0]).toMatchObject({ file: probe.driverFile });
      });

      if (guest === "script") test("count also when the guest swallows them; what it sends afterwards is dropped", async () => {
        await bench.command("swallow");
        expect(bench.failures).toMatchObject([{ code: "CapabilityViolation" }]);
        expect(bench.said).toEqual([]);
        expect(bench.replies).toEqual([]);
      });

      if (guest === "script") test("in a promise job", async () => {
        await bench.command("denyLater");
        expect(bench.failures).toMatchObject([{ code: "CapabilityViolation" }]);
      });

      test("a bug of the host is thrown to the host", async () => {
        bench.calls.read = () => { throw new Error("host bug"); };
        expect(() => bench.sandbox.inject("now", "({ bridge }) => { try { bridge.read(0, 0, 8); } catch {} }")).toThrow("host bug");
      });
    });

    describe("fault injection", () => {
      beforeEach(async () => {
        await bench.load(tier);
      });

      test("replaces init, once", async () => {
        bench.sandbox.inject("init", "() => { throw new Error('injected') }");
        expect(bench.failures).toEqual([]);
        await bench.deliver(RecordKind.init, 0, 0);
        expect(bench.failures).toMatchObject([{ phase: "init", message: "injected" }]);
      });

      test("replaces an operation, once, and may send anything", async () => {
        await bench.deliver(RecordKind.init, 0, 0);
        bench.sandbox.inject("operation", `({ put, record }) => { put(${RecordKind.reply}, record.id, record.tag + 1, new Uint8Array(3)) }`);
        await bench.command("echo replaced", 5);
        expect(bench.replies).toEqual([6]);
        await bench.command("echo normal", 8);
        expect(bench.said).toEqual(["normal"]);
      });

      test("a promise that is rejected in an operation's place is the driver's failure", async () => {
        await bench.deliver(RecordKind.init, 0, 0);
        bench.sandbox.inject("operation", "async () => { await null; throw new RangeError('injected later') }");
        await bench.command("echo replaced");
        expect(bench.failures).toMatchObject([{ kind: "exception", phase: "operation", name: "RangeError", message: "injected later" }]);
        expect(bench.replies).toEqual([]);
      });

      test("replaces an interrupt handler", async () => {
        await bench.deliver(RecordKind.init, 0, 0);
        bench.sandbox.inject("irq", "() => {}");
        await bench.deliver(RecordKind.irq, 0, 0);
        expect(bench.irqs).toEqual([[0, IrqOp.attach]]);
      });

      test("runs at once", async () => {
        await bench.deliver(RecordKind.init, 0, 0);
        bench.sandbox.inject("now", "({ bridge }) => bridge.log(30, 'now')");
        expect(bench.logs).toEqual([[30, "now"]]);
      });

      test("is only for the host: a guest that asks for a fault fails", async () => {
        await bench.deliver(RecordKind.init, 0, 0);
        bench.sandbox.inject("now", "({ bridge }) => bridge.fault()");
        expect(bench.failures).toMatchObject([{ kind: "protocol", code: "ProtocolViolation" }]);
      });
    });

    // Where the tier does not contain them, the thread's own limits and the watchdog do; running them here would end the test's process.
    for (const [verb, kind] of Object.entries(runaways)) {
      test(`runaway: ${verb} ends as ${kind}`, async () => {
        await bench.up(tier);
        await bench.command(verb);
        expect(bench.failures).toMatchObject([{ kind }]);
        expect(bench.replies).toEqual([]);
      });
    }
  });
}
