/** Attacks on the border of the quickjs tier: each tries to reach the host, corrupt it, outlive its failure or outgrow its limits. */
import { describe, expect, test } from "vitest";
import { mailboxBytes } from "../../runtime/api/bridge.ts";
import { maxLogChars, maxMessageChars, maxNameChars, maxStackChars } from "../../runtime/sandbox/guest-calls.ts";
import type { CallPath } from "../../runtime/sandbox/quickjs/bind-calls.ts";
import { createQuickJsTier } from "../../runtime/sandbox/quickjs/tier.ts";
import { SandboxBench, benchLimits } from "../conformance/sandbox-bench.ts";

/** Runs `body` as a hostile driver's dispatch, with `bridge`, `length` and `say(text)` in scope. */
async function attack(path: CallPath, body: string, limits = benchLimits): Promise<SandboxBench> {
  const bench = await new SandboxBench().load(createQuickJsTier({ callPath: path }), hostile(body), limits);
  bench.sandbox.turn(new Uint8Array(16));
  return bench;
}

const hostile = (body: string): string => `((bridge) => {
  const say = (value) => bridge.log(30, String(value));
  return (length) => { ${body} };
})`;

const logs = (bench: SandboxBench): string[] => bench.logs.map(([, text]) => text);

describe.each<[CallPath]>([["fast"], ["public"]])("quickjs, %s calls", (path) => {
  test("constructors lead to the guest's own world, which has no host in it", async () => {
    const bench = await attack(path, `
      const roots = [bridge.read, bridge.log, bridge.inbox, bridge.outbox, (() => {}), (async () => {}), (function* () {}), Object];
      for (const root of roots) {
        const make = root.constructor.constructor ?? root.constructor;
        for (const name of ["process", "require", "globalThis.process", "WebAssembly", "fetch", "setTimeout", "performance", "console", "Worker", "import.meta"]) {
          let found;
          try { found = make("return " + name)(); } catch { found = undefined; }
          if (found !== undefined && !found.next && !found.then) say("reached " + name);
        }
      }
      say(["SharedArrayBuffer", "Atomics", "std", "os", "scriptArgs"].filter((name) => name in globalThis).join() || "none");
      import("node:fs").then(() => say("imported"), () => say("no import"));`);
    expect(logs(bench)).toEqual(["none", "no import"]);
    expect(bench.failures).toEqual([]);
  });

  test("polluted prototypes do not change what the bridge does", async () => {
    const bench = await attack(path, `
      for (const target of [Object.prototype, Function.prototype, Array.prototype, Number.prototype, String.prototype, Error.prototype, ArrayBuffer.prototype]) {
        for (const name of ["name", "message", "code", "stack", "value", "error", "0", "1", "length2", "then", "get", "set", "toJSON"]) {
          try { Object.defineProperty(target, name, { configurable: true, get() { return 666; }, set() { say("setter ran"); } }); } catch {}
        }
      }
      Number.prototype.valueOf = () => 666;
      Function.prototype.call = Function.prototype.apply = () => 666;
      say(bridge.read(0, 2, 8));
      bridge.write(0, 1, 8, 7);
      try { bridge.read(0, 99, 8); } catch (error) { say(Object.hasOwn(error, "message")); }`);
    expect(bench.accesses).toEqual([["read", 0, 2, 8], ["write", 0, 1, 8, 7]]);
    expect(logs(bench)).toEqual(["0"]);
    expect(bench.failures).toMatchObject([{ kind: "exception", code: "CapabilityViolation", name: "CapabilityViolation" }]);
    expect(bench.failures[0]!.message).toContain("outside registers");
  });

  test("the bridge cannot be changed", async () => {
    const bench = await attack(path, `
      "use strict";
      for (const change of [() => { bridge.read = 1; }, () => { delete bridge.flush; }, () => { bridge.extra = 1; }, () => Object.setPrototypeOf(bridge, {})]) {
        try { change(); say("changed"); } catch { say("kept"); }
      }`);
    expect(logs(bench)).toEqual(["kept", "kept", "kept", "kept"]);
  });

  test.each([
    "undefined", "null", "true", "'0'", "[]", "[0]", "{}", "NaN", "Symbol()", "0n", "() => 0", "{ valueOf() { say('ran'); return 0; } }",
    "{ [Symbol.toPrimitive]() { say('ran'); return 0; } }", "new Proxy({}, { get() { say('ran'); } })", "new Number(0)", "bridge.inbox",
  ])("an argument %s is no number, and nothing of it runs", async (value) => {
    const bench = await attack(path, `
      const bad = (${value.startsWith("{") ? `(${value})` : value});
      for (const call of [
        () => bridge.read(bad, 0, 8), () => bridge.read(0, bad, 8), () => bridge.read(0, 0, bad), () => bridge.write(0, 0, 8, bad),
        () => bridge.irq(bad, 0), () => bridge.irq(0, bad), () => bridge.timer(bad, 1), () => bridge.timer(1, bad), () => bridge.log(bad, "x"),
      ]) { try { call(); say("accepted"); } catch (error) { if (!(error instanceof TypeError) && error.name !== "TypeError") say(error.name); } }`);
    expect(logs(bench)).toEqual([]);
    expect([...bench.accesses, ...bench.irqs, ...bench.timers]).toEqual([]);
    expect(bench.failures).toEqual([]);
  });

  test("missing arguments are refused", async () => {
    const bench = await attack(path, `
      for (const name of ["read", "write", "irq", "timer", "log"]) { try { bridge[name](); say("accepted"); } catch (error) { say(error.name); } }`);
    expect(logs(bench)).toEqual(Array.from({ length: 5 }, () => "TypeError"));
  });

  test("numbers arrive exactly as they are", async () => {
    const bench = await attack(path, `
      for (const id of [0, -0, -1, 1.5, 2 ** 31, 2 ** 32, -(2 ** 31), 2 ** 53, 1e300, -1e300, 5e-324, Infinity, -Infinity]) bridge.timer(id, 0);`);
    expect(bench.timers.map(([id]) => id)).toEqual([0, -0, -1, 1.5, 2 ** 31, 2 ** 32, -(2 ** 31), 2 ** 53, 1e300, -1e300, 5e-324, Infinity, -Infinity]);
  });

  test.each(["NaN", "-1", "0.5", "2**40", String(mailboxBytes + 1), "Infinity", "undefined", "'16'", "{ valueOf: () => 16 }"])("flush(%s) is a protocol violation", async (length) => {
    const bench = await attack(path, `bridge.flush(${length.startsWith("{") ? `(${length})` : length});`);
    expect(bench.failures).toMatchObject([{ kind: "protocol", code: "ProtocolViolation" }]);
    expect(bench.outputs).toEqual([]);
    expect(bench.malformed).toEqual([]);
  });

  test("a whole outbox of noise reaches the framing check as a copy", async () => {
    const bench = await attack(path, `new Uint8Array(bridge.outbox).fill(0xff); bridge.flush(${mailboxBytes}); bridge.flush(0);`);
    expect(bench.malformed).toHaveLength(1);
  });

  test("what was flushed does not change afterwards", async () => {
    const kept: Uint8Array[] = [];
    const bench = await new SandboxBench().load(createQuickJsTier({ callPath: path }), hostile(`
      const out = new Uint8Array(bridge.outbox);
      out[0] = 1; bridge.flush(8); out[0] = 2; bridge.flush(8);`));
    bench.calls.output = (bytes) => { kept.push(bytes); };
    bench.sandbox.turn(new Uint8Array(16));
    expect(kept.map((bytes) => bytes[0])).toEqual([1, 2]);
    expect(kept[0]!.buffer).not.toBe(kept[1]!.buffer);
  });

  test("mailboxes cannot be detached, transferred, resized or freed", async () => {
    const bench = await new SandboxBench().load(createQuickJsTier({ callPath: path }), `((bridge) => {
      const say = (value) => bridge.log(30, String(value));
      return (length) => {
        for (const name of ["transfer", "transferToFixedLength", "transferToImmutable", "resize"]) if (name in bridge.inbox) say("has " + name);
        if (typeof structuredClone !== "undefined" || bridge.inbox.resizable) say("resizable");
        const noise = [];
        for (let i = 0; i < 200; i++) noise.push(new Uint8Array(4096).fill(i));
        say(bridge.inbox.byteLength + bridge.outbox.byteLength + new Uint8Array(bridge.inbox)[0]);
      };
    })`);
    for (let round = 0; round < 5; round++) bench.sandbox.turn(new Uint8Array(16).fill(round));
    expect(logs(bench)).toEqual([0, 1, 2, 3, 4].map((round) => String(2 * mailboxBytes + round)));
  });

  test("mailboxes survive the growth of the guest's memory", async () => {
    const bench = await new SandboxBench().load(createQuickJsTier({ callPath: path }), hostile(`
      globalThis.kept ??= []; for (let i = 0; i < 24; i++) kept.push(new Uint8Array(1 << 20));
      say(new Uint8Array(bridge.inbox)[3]); say(bridge.read(0, 5, 8));`), { ...benchLimits, memoryBytes: 64 << 20 });
    const before = bench.sandbox.memoryBytes();
    bench.registers[5] = 55;
    bench.sandbox.turn(new Uint8Array(16).fill(9));
    bench.sandbox.turn(new Uint8Array(16).fill(10));
    expect(bench.sandbox.memoryBytes()).toBeGreaterThan(before);
    expect(logs(bench)).toEqual(["9", "55", "10", "55"]);
  });

  test("memory has a hard maximum that no kind of object passes", async () => {
    const bodies = [
      "const kept = []; for (;;) kept.push(new ArrayBuffer(1 << 20));", "let text = 'x'; for (;;) text += text;",
      "const kept = new Map(); for (let i = 0; ; i++) kept.set(i, {});", "new Array(2 ** 32 - 1).fill(0);", "[].length = 1; 'x'.repeat(2 ** 29);",
      "const nest = (x) => [x]; let x = []; for (;;) x = nest(x);",
    ];
    for (const body of bodies) {
      const bench = await attack(path, body, { ...benchLimits, turnMs: 2000 });
      const outcome = { body, kinds: bench.failures.map(({ kind }) => kind), withinLimit: bench.sandbox.memoryBytes() <= 16 << 20 };
      expect(outcome).toEqual({ body, kinds: [expect.stringMatching(/^(memory|turn-limit|exception)$/)], withinLimit: true });
    }
  });

  test("a guest that catches running out of memory is still there, and still within its limit", async () => {
    const bench = await attack(path, "const fill = () => { const kept = []; try { for (;;) kept.push(new Uint8Array(1 << 16)); } catch (error) { return error.message; } }; say(fill()); say(fill());");
    expect(logs(bench)).toEqual(["out of memory", "out of memory"]);
    expect(bench.failures).toEqual([]);
  });

  test("a guest that fails with all its memory taken is reported, not the host's problem", async () => {
    const bench = await attack(path, `
      globalThis.kept = []; let size = 1 << 20;
      while (size >= 8) { try { for (;;) kept.push(new ArrayBuffer(size)); } catch { size >>= 1; } }
      bridge.read(0, 99, 8);`, { ...benchLimits, turnMs: 5000 });
    expect(bench.failures).toHaveLength(1);
  });

  test("log floods of huge texts are cut; texts that are no strings are refused", async () => {
    const bench = await attack(path, `
      bridge.log(30, "y".repeat(1 << 20));
      for (const text of [{ toString() { bridge.write(0, 0, 8, 1); return "x"; } }, 5, null, undefined, Symbol()]) { try { bridge.log(30, text); say("took"); } catch {} }
      try { bridge.log(31, "level"); say("took"); } catch {}`);
    expect(logs(bench)).toHaveLength(1);
    expect(logs(bench)[0]).toHaveLength(maxLogChars);
    expect(bench.accesses).toEqual([]);
  });

  test("reports about failures are cut too", async () => {
    const bench = await attack(path, `const big = "z".repeat(1 << 20); bridge.fail(big, big, big, big);`);
    const [failure] = bench.failures;
    expect(failure).toMatchObject({ kind: "exception", phase: "operation" });
    expect([failure!.name.length, failure!.message.length, failure!.stack.length]).toEqual([maxNameChars, maxMessageChars, maxStackChars]);
  });

  test.each([
    "{ get name() { throw 1; }, get message() { throw 2; }, get stack() { throw 3; } }", "{ get name() { for (;;); } }",
    "new Proxy({}, { get() { throw new Error('trap'); } })", "Object.create(null)", "null", "undefined", "Symbol('s')", "10n", "() => 1",
    "{ name: {}, message: [], stack: 5 }", "(() => { const e = new Error('x'); Object.defineProperty(e, 'stack', { get() { bridge.write(0, 0, 8, 1); return 'x'; } }); return e; })()",
  ])("a thrown %s is one failure of the guest", async (value) => {
    const bench = await attack(path, `throw (${value});`);
    expect(bench.failures).toHaveLength(1);
    expect(typeof bench.failures[0]!.message).toBe("string");
  });

  test.each([
    ["dispatch", "globalThis.depth = (globalThis.depth ?? 0) + 1; if (depth < 5) self(16);"],
    ["a denial inside a denial", "try { bridge.read(0, 99, 8); } catch { try { bridge.read(0, 98, 8); } catch {} }"],
  ])("re-entrancy: %s", async (_title, body) => {
    const bench = await new SandboxBench().load(createQuickJsTier({ callPath: path }), `((bridge) => { const self = (length) => { ${body} }; return self; })`);
    bench.sandbox.turn(new Uint8Array(16));
    expect(bench.failures.length).toBeLessThanOrEqual(1);
  });

  test("a host that runs the guest from inside a bridge call is stopped", async () => {
    const bench = await new SandboxBench().load(createQuickJsTier({ callPath: path }), hostile("bridge.nowMicros();"));
    bench.calls.nowMicros = () => { bench.sandbox.turn(new Uint8Array(16)); return 0; };
    expect(() => bench.sandbox.turn(new Uint8Array(16))).toThrow("turn inside a turn");
  });

  test.each([
    ["JSON", "let deep = '['.repeat(200000); JSON.parse(deep);"], ["toString", "let deep = []; for (let i = 0; i < 100000; i++) deep = [deep]; String(deep);"],
    ["a regular expression", "new RegExp('('.repeat(50000) + ')'.repeat(50000));"], ["a getter", "const o = { get x() { return this.x; } }; o.x;"],
    ["a proxy", "let p = {}; for (let i = 0; i < 100000; i++) p = new Proxy(p, {}); p.x;"], ["eval", "const again = () => eval('again()'); again();"],
    ["a sort", "const f = () => [2, 1].sort(f); f();"], ["JSON.stringify", "let deep = {}; for (let i = 0; i < 100000; i++) deep = { deep }; JSON.stringify(deep);"],
  ])("deep recursion in %s stays in the guest", async (_title, body) => {
    const bench = await attack(path, body, { ...benchLimits, memoryBytes: 32 << 20, turnMs: 3000 });
    expect(bench.failures).toHaveLength(1);
    const next = await attack(path, "say('next guest is well')");
    expect(logs(next)).toEqual(["next guest is well"]);
  });

  test("the largest guest stack, on a thread whose own may be smaller, is still only the guest's failure", async () => {
    const bench = await attack(path, "const deep = (n) => [n].map(() => deep(n + 1)); deep(0);", { ...benchLimits, stackBytes: 4 << 20, memoryBytes: 64 << 20, turnMs: 5000 });
    expect(bench.failures).toMatchObject([{ kind: "stack" }]);
    bench.sandbox.turn(new Uint8Array(16));
    expect(bench.failures).toHaveLength(1);
  });

  test("after a failure nothing of the guest runs or arrives: no jobs, generators, finalizers or later turns", async () => {
    const bench = await attack(path, `
      const shout = () => { say("alive"); bridge.write(0, 0, 8, 1); bridge.flush(16); bridge.timer(1, 1); bridge.irq(0, 0); };
      Promise.resolve().then(shout).finally(shout);
      (async () => { for (;;) { await 0; shout(); } })();
      new FinalizationRegistry(shout).register({}, 0);
      const loop = (function* () { try { yield 1; } finally { shout(); } })(); loop.next();
      bridge.fail("operation", "Error", "first", "");
      try { shout(); } catch {}
      try { bridge.fail("operation", "Error", "second", ""); } catch {}
      throw new Error("third");`);
    for (let round = 0; round < 3; round++) bench.sandbox.turn(new Uint8Array(16));
    expect(bench.failures).toMatchObject([{ message: "first" }]);
    expect([bench.logs, bench.accesses, bench.outputs, bench.timers, bench.irqs, bench.malformed]).toEqual([[], [], [], [], [], []]);
  });

  test("a guest that loops on after it reported its failure is stopped", async () => {
    const bench = await attack(path, `bridge.fail("irq", "Error", "then a loop", ""); for (;;) { try { for (;;) bridge.nowMicros(); } catch {} finally { continue; } }`, { ...benchLimits, turnMs: 60_000 });
    expect(bench.failures).toMatchObject([{ phase: "irq", message: "then a loop" }]);
  });

  test("the turn limit cannot be caught", async () => {
    const bench = await attack(path, "for (;;) { try { for (;;); } catch { say('caught'); } finally { say('finally'); } }", { ...benchLimits, turnMs: 30 });
    expect(bench.failures).toMatchObject([{ kind: "turn-limit" }]);
    expect(logs(bench)).toEqual([]);
  });

  test("a guest can call itself interrupted or out of memory, and fails all the same", async () => {
    const bench = await attack(path, "const error = new Error('interrupted'); error.name = 'InternalError'; throw error;");
    expect(bench.failures).toMatchObject([{ kind: "exception" }]);
  });
});
