import { describe, expect, test } from "vitest";
import { IrqOp, LogLevel } from "../api/bridge.ts";
import { VirtualClock } from "../api/clock.ts";
import { AirlockError } from "../api/errors.ts";
import type { Failure } from "../api/failure.ts";
import { RecordKind, readRecords } from "../api/records.ts";
import type { BusPort } from "../bus/bus-port.ts";
import type { GuestFailure, Sandbox, SandboxCalls } from "../sandbox/sandbox.ts";
import { DriverInstance, failureKind } from "./driver-instance.ts";

const limits = { memoryBytes: 1 << 20, turnMs: 10, stackBytes: 1 << 16, hangMs: 20, initMs: 100, logPerSecond: 5 };

/** A sandbox whose guest is the test: `calls` is what it may call, `turns` what it was given. */
class Rig {
  readonly clock = new VirtualClock();
  readonly turns: { readonly kind: number; readonly id: number; readonly tag: number }[] = [];
  readonly logs: string[] = [];
  readonly failures: Failure[] = [];
  readonly outputs: Uint8Array[] = [];
  readonly running: boolean[] = [];
  readonly injected: string[] = [];
  readonly irqs: [line: number, op: number][] = [];
  waiting: number[] = [];
  denied: AirlockError | undefined;
  disposed = 0;
  calls!: SandboxCalls;
  /** What the guest does in its next turn. */
  act: (calls: SandboxCalls) => void = () => undefined;
  readonly instance: DriverInstance;

  constructor() {
    const sandbox: Sandbox = {
      tier: "worker",
      turn: (records) => {
        const framed = readRecords(records);
        if (!framed.ok) throw new Error(framed.reason);
        this.turns.push(...framed.records.map(({ kind, id, tag }) => ({ kind, id, tag })));
        const { act } = this;
        this.act = () => undefined;
        act(this.calls);
      },
      inject: (where, code) => { this.injected.push(`${where} ${code}`); },
      memoryBytes: () => 0,
      dispose: () => { this.disposed++; },
    };
    const port: BusPort = {
      read: () => this.#access(7), postRead: () => void this.#access(0), takeRead: () => this.#access(7), write: () => void this.#access(0),
      irq: (line, op) => { this.irqs.push([line, op]); },
      takeIrqs: () => this.waiting.splice(0),
    };
    this.instance = new DriverInstance(
      { start: (calls) => { this.calls = calls; return sandbox; }, dispose: () => undefined },
      {
        setup: { driver: "probe", windows: [], irqs: [], dma: [], memoryBytes: 1, options: {} }, port, memory: { regions: [], copy: () => undefined, close: () => undefined }, clock: this.clock, limits, trace: { record: () => undefined },
        link: {
          output: (records) => this.outputs.push(records), log: (level, text) => this.logs.push(`${level} ${text}`),
          failed: (failure) => this.failures.push(failure), turn: (running) => this.running.push(running),
        },
      },
    );
  }

  #access(value: number): number {
    if (this.denied !== undefined) throw this.denied;
    return value;
  }
}

const guest: GuestFailure = { kind: "exception", phase: "operation", name: "TypeError", message: "no", stack: "at x" };

describe("a driver instance", () => {
  test("gives init, interrupts, timers and faults to its sandbox, each in a turn that is told of", () => {
    const rig = new Rig();
    rig.act = (calls) => { calls.timer(3, 1_000); calls.irq(0, IrqOp.attach); expect(calls.read(0, 0, 8)).toBe(7); expect(JSON.parse(calls.setup())).toMatchObject({ driver: "probe" }); };
    rig.instance.start();
    rig.waiting = [0, 2];
    rig.instance.pollIrqs();
    rig.clock.advance(1_000);
    rig.instance.inject("operation", "code");
    expect(rig.turns).toEqual([
      { kind: RecordKind.init, id: 0, tag: 0 }, { kind: RecordKind.irq, id: 0, tag: 0 }, { kind: RecordKind.irq, id: 2, tag: 0 }, { kind: RecordKind.timer, id: 0, tag: 3 },
    ]);
    expect(rig.injected).toEqual(["operation code"]);
    expect(rig.irqs).toEqual([[0, IrqOp.attach]]);
    expect(rig.running).toEqual([true, false, true, false, true, false, true, false, true, false]);
  });

  test("a turn that throws is over all the same", () => {
    const rig = new Rig();
    rig.act = () => { throw new Error("the host's own"); };
    expect(() => rig.instance.start()).toThrow("the host's own");
    expect(rig.running).toEqual([true, false]);
  });

  test("fails once: afterwards nothing runs, nothing comes out, no timer is left", () => {
    const rig = new Rig();
    rig.act = (calls) => { calls.timer(1, 5_000); calls.failed(guest); calls.failed({ ...guest, message: "again" }); calls.output(new Uint8Array(8)); calls.log(LogLevel.info, "late"); calls.timer(2, 5_000); };
    rig.instance.start();
    rig.waiting = [0];
    rig.instance.pollIrqs();
    rig.instance.deliver(new Uint8Array(0));
    rig.instance.inject("now", "code");
    rig.clock.advance(1_000_000);
    expect(rig.failures).toEqual([{ kind: "exception", phase: "operation", stack: "at x", message: "TypeError: no" }]);
    expect(rig.turns).toHaveLength(1);
    expect([rig.outputs, rig.logs, rig.injected]).toEqual([[], [], []]);
    expect(rig.clock.pending).toBe(0);
  });

  test("a log faster than its limit is a failure, one within it is not", () => {
    const rig = new Rig();
    rig.act = (calls) => { for (let line = 0; line < 5; line++) calls.log(LogLevel.warn, `line ${line}`); };
    rig.instance.start();
    expect(rig.failures).toEqual([]);
    expect(rig.logs).toHaveLength(5);
    rig.calls.log(LogLevel.warn, "one more");
    expect(rig.failures).toMatchObject([{ kind: "log-flood" }]);
    expect(rig.logs).toHaveLength(5);
  });

  test("a log level that is none is taken as info", () => {
    const rig = new Rig();
    rig.calls.log(99 as LogLevel, "odd");
    expect(rig.logs).toEqual(["30 odd"]);
  });

  test("more timers than there may be are a failure; a timer set again or cancelled counts once", () => {
    const rig = new Rig();
    for (let round = 0; round < 3; round++) for (let id = 0; id < 1_024; id++) rig.calls.timer(id, 1e9);
    rig.calls.timer(5, -1);
    rig.calls.timer(5, Number.NaN);
    rig.calls.timer(5, 1e9);
    expect(rig.failures).toEqual([]);
    expect(rig.clock.pending).toBe(1_024);
    rig.calls.timer(9_999, 1e9);
    expect(rig.failures).toMatchObject([{ kind: "message-flood" }]);
    expect(rig.clock.pending).toBe(0);
  });

  test("a denial of the port reaches the guest as it is", () => {
    const rig = new Rig();
    rig.denied = new AirlockError("CapabilityRevoked", "taken");
    expect(() => rig.calls.read(0, 0, 8)).toThrow(rig.denied);
    expect(() => rig.calls.write(0, 0, 8, 1)).toThrow(rig.denied);
  });

  test("disposed, it runs no more guest code and lets go of its timers", () => {
    const rig = new Rig();
    rig.calls.timer(1, 1_000);
    rig.instance.dispose();
    rig.instance.start();
    rig.clock.advance(10_000);
    expect(rig).toMatchObject({ disposed: 1, turns: [], failures: [] });
    expect(rig.clock.pending).toBe(0);
  });
});

test.each([
  [{ kind: "exception" }, "exception"], [{ kind: "exception", code: "CapabilityViolation" }, "capability-violation"], [{ kind: "exception", code: "CapabilityRevoked" }, "capability-revoked"],
  [{ kind: "exception", code: "ProtocolViolation" }, "protocol-violation"], [{ kind: "exception", code: "HardwareLost" }, "exception"], [{ kind: "protocol" }, "protocol-violation"],
  [{ kind: "memory" }, "memory"], [{ kind: "stack" }, "stack"], [{ kind: "turn-limit" }, "turn-limit"],
] as const)("what the sandbox saw as %j is a failure of kind %s", (seen, kind) => {
  expect(failureKind(seen)).toBe(kind);
});
