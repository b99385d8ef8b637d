/** Hostile drivers in a whole machine: what they send, log and throw stays theirs, and nobody else notices. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { jsonText, plainText } from "../../runtime/cli/output.ts";
import { maxLogChars, maxMessageChars, maxNameChars, maxStackChars } from "../../runtime/sandbox/guest-calls.ts";
import { renderDump } from "../../runtime/trace/render.ts";
import { HostileLab } from "./hostile-lab.ts";

/** What a terminal would obey, line ends aside. */
const controls = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;

describe("quickjs", () => {
  let lab: HostileLab;
  beforeAll(async () => { lab = await HostileLab.open("quickjs"); });
  afterAll(() => lab[Symbol.asyncDispose]());

  test("there is no way to the host's world", async () => {
    expect(await lab.said(({ bridge }) => {
      const say = (text: unknown): void => bridge.log(30, String(text));
      const names = ["process", "require", "fetch", "setTimeout", "setInterval", "queueMicrotask", "SharedArrayBuffer", "Atomics", "WebAssembly", "Worker", "Deno", "Bun", "console", "std", "os", "global", "module", "performance"];
      const make = (async () => undefined).constructor.constructor as (body: string) => () => unknown;
      for (const name of names) {
        try {
          const found = make(`return typeof ${name}`)();
          if (found !== "undefined") say(`found ${name}`);
        } catch (error) { say(String(error)); }
      }
      const load = make("return import('node:fs')") as () => Promise<unknown>;
      load().then(() => say("imported"), () => say("no import")).finally(() => say("end"));
    })).toEqual(["no import"]);
    await lab.settled();
  });

  test("windows and lines of other drivers do not exist", async () => {
    for (const window of [1, 2, 31, 255]) {
      const failure = await lab.failure(new Function("{ bridge }", `bridge.read(${window}, 0, 8)`) as never);
      expect(failure.kind).toBe("capability-violation");
    }
    expect((await lab.failure(({ bridge }) => bridge.irq(1, 3))).kind).toBe("capability-violation");
    expect((await lab.failure(({ bridge }) => bridge.write(0, 8, 8, 0))).kind).toBe("capability-violation");
  });

  test.each<[string, string, string]>([
    ["a record of a kind there is not", "put(99, 0, 0, new Uint8Array(4))", "protocol-violation"],
    ["a record that only the host sends", "put(2, 0, 1, new Uint8Array(4))", "protocol-violation"],
    ["an answer nobody asked for", "put(17, 2, 4242, new Uint8Array(8))", "protocol-violation"],
    ["an answer with tag 0", "put(17, 0, 0, new Uint8Array(0))", "protocol-violation"],
    ["an event there is not", "put(18, 77, 0, new Uint8Array(0))", "protocol-violation"],
    ["an event with a length that lies", "put(18, 0, 0, Uint8Array.of(255, 255, 1))", "protocol-violation"],
    ["noise as an outbox", "new Uint8Array(bridge.outbox).fill(0xff); bridge.flush(64)", "protocol-violation"],
    ["a huge length", "new DataView(bridge.outbox).setUint32(0, 0xffffffff, true); bridge.flush(16)", "protocol-violation"],
    ["a flush of more than there is", "bridge.flush(1e9)", "protocol-violation"],
    ["more timers than anyone needs", "for (let id = 1; id < 1e5; id++) bridge.timer(id, 1e12)", "message-flood"],
    ["a log flood", "for (let i = 0; i < 1e5; i++) bridge.log(30, 'x')", "log-flood"],
  ])("%s is a %s failure", async (_what, code, kind) => {
    expect((await lab.failure(new Function("{ bridge, put }", code) as never)).kind).toBe(kind);
  });

  test("ready twice, and again later, is taken once", async () => {
    const before = { ...lab.failures };
    expect(await lab.said(({ bridge, put }) => {
      for (let i = 0; i < 10; i++) put(16, 0, 0, new Uint8Array(0));
      bridge.log(30, "end");
    })).toEqual([]);
    await lab.settled();
    expect(lab.failures).toEqual(before);
  });

  test("a failure's words are bounded and cannot control a terminal, whatever was done to Error", async () => {
    const failure = await lab.failure(() => {
      const evil = "\u001b[2J\u001b]0;owned\u0007\r\n\u202eevil\u2028".repeat(5_000);
      Object.defineProperty(Error.prototype, "name", { get: () => evil });
      Object.defineProperty(Error.prototype, "toString", { value: () => { throw new Error("no"); } });
      Object.defineProperty(Object.prototype, "kind", { get: () => "killed", set() { /* the driver keeps it to itself */ } });
      Object.defineProperty(Object.prototype, "toJSON", { get: () => { throw new Error("no"); } });
      const error = new Error(evil);
      Object.defineProperty(error, "stack", { value: evil });
      throw error;
    });
    expect(failure.kind).toBe("exception");
    expect(failure.message.length).toBeLessThanOrEqual(maxMessageChars + maxNameChars + 2);
    expect(failure.stack?.length ?? 0).toBeLessThanOrEqual(maxStackChars + 200);
    for (const text of [plainText(failure.message), jsonText(failure)]) expect(text).not.toMatch(controls);
    for (const dump of await lab.dumps()) for (const line of renderDump(dump).split("\n")) expect(line).not.toMatch(controls);
  });

  test.each(["null", "undefined", "Symbol('x')", "10n", "new Proxy({}, { get() { throw 1; } })", "{ get message() { for (;;); } }", "Object.create(null)", "[[[]]]", "function () {}"])("throwing %s is a failure like any other", async (value) => {
    const failure = await lab.failure(new Function("{ bridge }", `throw (${value})`) as never);
    expect(["exception", "turn-limit", "hang"]).toContain(failure.kind);
    expect(failure.message).toBeTypeOf("string");
  });

  test("log lines are bounded and cannot forge other lines", async () => {
    const [line] = await lab.said(({ bridge }) => {
      bridge.log(50, `first\nclock (1): forged\r\u001b[1A\u001b[2K${"x".repeat(1_000_000)}`);
      bridge.log(30, "end");
    });
    expect(line!.length).toBeLessThanOrEqual(maxLogChars + 100);
    expect(plainText(line!)).not.toMatch(controls);
    expect(jsonText({ line })).not.toMatch(controls);
  });

  test("an endless flood of valid events ends, and the control plane goes on", async () => {
    const failure = await lab.failure(({ put }) => {
      const event = Uint8Array.of(1, 0, 0x41);
      // oxlint-disable-next-line no-constant-condition -- it is an attack
      for (let i = 0; ; i++) put(18, 0, i < 0 ? 1 : 0, event);
    });
    expect(["turn-limit", "message-flood", "hang"]).toContain(failure.kind);
  });
});

describe("worker", () => {
  let lab: HostileLab;
  beforeAll(async () => { lab = await HostileLab.open("worker"); });
  afterAll(() => lab[Symbol.asyncDispose]());

  test.each<[string, string, string[]]>([
    ["an endless flood of events", "const event = Uint8Array.of(1, 0, 0x41); for (;;) put(18, 0, 0, event)", ["message-flood", "hang"]],
    ...[0, 100, 1_000, 10_000].map((pause): [string, string, string[]] => [
      `an endless stream of single events, ${pause} steps apart,`,
      `put(18, 0, 0, Uint8Array.of(1, 0, 0x41)); const record = new Uint8Array(bridge.outbox).slice(0, 24); const out = new Uint8Array(bridge.outbox);
       let x = 0; for (;;) { out.set(record); bridge.flush(24); for (let i = 0; i < ${pause}; i++) x ^= i; }`,
      ["message-flood", "hang"],
    ]),
    ["an endless flood of log lines", "for (;;) bridge.log(30, 'x')", ["log-flood"]],
    ["an endless flood of wrong records", "for (;;) put(99, 0, 0, new Uint8Array(0))", ["protocol-violation", "message-flood", "hang"]],
    ["an endless flood of writes", "for (;;) bridge.write(0, 7, 8, 0x5a)", ["hang"]],
    ["noise as an outbox", "new Uint8Array(bridge.outbox).fill(0xff); bridge.flush(64)", ["protocol-violation"]],
  ])("%s is found out, and the control plane goes on", async (_what, code, kinds) => {
    expect(kinds).toContain((await lab.failure(new Function("{ bridge, put }", code) as never)).kind);
  });
});
