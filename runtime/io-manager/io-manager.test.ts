/** Tests of the I/O manager, its ledger and its explanations on a platform that records what it is told. */
import { describe, expect, test } from "vitest";
import { labText, MachineFiles } from "../../test/fixtures/machine-files.ts";
import { VirtualClock } from "../api/clock.ts";
import { AirlockError } from "../api/errors.ts";
import { type BusConnection, type BusGrant, controlStepMs, type Platform } from "../bus/platform.ts";
import { IoManager } from "./io-manager.ts";
import { Ledger } from "./ledger.ts";
import { judge, matchDrivers } from "./match.ts";
import { explain, explanationText } from "./why.ts";

/** Records the calls it gets; connects at once unless `hold` collects the connections. */
class RecordingPlatform implements Platform<string> {
  readonly type = "recording";
  readonly devices = [];
  readonly ram = undefined;
  readonly calls: string[] = [];
  readonly held: (() => void)[] = [];
  hold = false;
  failWith: Error | undefined;

  connect(grant: BusGrant): Promise<BusConnection<string>> {
    if (this.failWith !== undefined) throw this.failWith;
    const call = (name: string): Promise<void> => {
      this.calls.push(`${name} ${grant.driver}#${grant.generation}`);
      return this.failWith === undefined ? Promise.resolve() : Promise.reject(this.failWith);
    };
    const connection: BusConnection<string> = {
      grant,
      handle: `${grant.driver}#${grant.generation}`,
      gate: (names) => void call(`gate ${names?.join(",") ?? "all"}`).catch(() => this.calls.push("gate failed")),
      mask: () => call("mask"),
      quiesce: (steps) => call(`quiesce ${steps.length}`),
      stopDma: () => call("stopDma"),
      unmap: () => call("unmap"),
      forceAck: () => call("forceAck"),
      close: () => call("close"),
    };
    if (!this.hold) return Promise.resolve(connection);
    return new Promise((resolve) => this.held.push(() => resolve(connection)));
  }

  statistics(): Promise<Record<string, number>> {
    return Promise.resolve({});
  }
  hearReports(): void {}
  powerCut(): Promise<void> {
    return Promise.resolve();
  }
  plug(): Promise<void> {
    return Promise.resolve();
  }
  watch(): () => void {
    return () => undefined;
  }
  close(): Promise<void> {
    return Promise.resolve();
  }
}

function world(files: MachineFiles, capacity?: number) {
  const machine = files.load();
  const platform = new RecordingPlatform();
  const clock = new VirtualClock();
  const manager = new IoManager(platform, matchDrivers(machine, machine.devices), clock, new Ledger(clock, capacity));
  return { machine, platform, clock, manager, log: () => manager.ledger.entries().map((one) => `${one.action} ${one.driver}#${one.generation} ${one.capability}`) };
}

const ignore = () => undefined;

describe("connections", () => {
  test("a teardown's steps reach the platform in order and the ledger says when", async () => {
    using files = new MachineFiles();
    const { manager, platform, clock, log } = world(files);
    const lease = await manager.connect("clock", 1n, ignore);
    expect([lease.handle, lease.generation, manager.lease("clock")]).toEqual(["clock#1", 1n, lease]);
    clock.advance(1_500);
    lease.gate("hang");
    await lease.mask();
    await lease.quiesce();
    await lease.forceAck();
    await lease.close();
    await lease.close();
    expect(platform.calls).toEqual(["gate all", "mask", "quiesce 2", "forceAck", "close"].map((step) => `${step} clock#1`));
    expect(log()).toEqual(["grant", "gate", "revoke"].flatMap((action) => ["cmos", "tick"].map((name) => `${action} clock#1 ${name}`)));
    expect(manager.ledger.entries()[2]).toMatchObject({ sequence: 3, atMicros: 1_500, reason: "hang" });
    expect(manager.lease("clock")).toBeUndefined();
    expect(manager.ledger.current()).toEqual([]);
  });

  test("a driver has one connection, and generations only grow", async () => {
    using files = new MachineFiles();
    const { manager, platform } = world(files);
    platform.hold = true;
    const first = manager.connect("clock", 1n, ignore);
    await expect(manager.connect("clock", 2n, ignore)).rejects.toMatchObject({ code: "InvalidArgument", message: expect.stringContaining("generation 1 is still connected") });
    await Promise.resolve();
    platform.held.shift()!();
    const lease = await first;
    platform.hold = false;
    await expect(manager.connect("clock", 2n, ignore)).rejects.toMatchObject({ code: "InvalidArgument" });
    await lease.close();
    await expect(manager.connect("clock", 1n, ignore)).rejects.toMatchObject({ message: expect.stringContaining("never reused") });
    expect((await manager.connect("clock", 2n, ignore)).generation).toBe(2n);
    await expect(manager.connect("clok", 1n, ignore)).rejects.toMatchObject({ code: "NotFound" });
    await expect(manager.connect("console", 1n, ignore, "alternative")).rejects.toMatchObject({ code: "NotFound" });
  });

  test("one capability can be revoked", async () => {
    using files = new MachineFiles();
    const { manager, platform, log } = world(files);
    const lease = await manager.connect("clock", 1n, ignore);
    manager.revoke("clock", "cmos", "operator");
    expect(platform.calls).toEqual(["gate cmos clock#1"]);
    expect(() => manager.revoke("clock", "cmos", "again")).toThrow(expect.objectContaining({ code: "NotFound" }));
    expect(() => manager.revoke("console", "regs", "not connected")).toThrow(expect.objectContaining({ code: "NotFound" }));
    expect(manager.ledger.current("clock").map((one) => one.capability)).toEqual(["tick"]);
    lease.gate("stop");
    await lease.close();
    expect(log().slice(2)).toEqual(["revoke clock#1 cmos", "gate clock#1 tick", "revoke clock#1 tick"]);
  });

  test("a platform that fails leaves the driver's place free", async () => {
    using files = new MachineFiles();
    const { manager, platform } = world(files);
    platform.failWith = new AirlockError("HardwareLost", "gone");
    await expect(manager.connect("clock", 1n, ignore)).rejects.toMatchObject({ code: "HardwareLost" });
    platform.failWith = undefined;
    const lease = await manager.connect("clock", 2n, ignore);
    platform.failWith = new AirlockError("HardwareLost", "gone");
    await expect(lease.close()).rejects.toMatchObject({ code: "HardwareLost" });
    expect(manager.ledger.current()).toEqual([]);
    platform.failWith = undefined;
    const next = await manager.connect("clock", 3n, ignore);
    lease.abandon("late");
    expect(manager.lease("clock")).toBe(next);
    expect(manager.ledger.current()).toHaveLength(2);
    next.abandon("does not answer");
    expect([manager.lease("clock"), manager.ledger.current()]).toEqual([undefined, []]);
  });

  test("a connection that comes too late is closed, and only then the next may come", async () => {
    using files = new MachineFiles();
    const { manager, platform, clock } = world(files);
    platform.hold = true;
    const first = manager.connect("clock", 1n, ignore);
    const outcome = first.catch((error: unknown) => error);
    await Promise.resolve();
    clock.advance(controlStepMs * 1_000);
    expect(await outcome).toMatchObject({ code: "HardwareTimeout" });
    platform.hold = false;
    await expect(manager.connect("clock", 2n, ignore)).rejects.toMatchObject({ code: "InvalidArgument" });
    platform.held.shift()!();
    await new Promise((resolve) => setImmediate(resolve));
    expect(platform.calls).toEqual(["gate all clock#1", "close clock#1"]);
    expect((await manager.connect("clock", 2n, ignore)).generation).toBe(2n);
    expect(clock.pending).toBe(0);
  });
});

describe("ledger", () => {
  test("it is bounded, counts what it dropped and cannot be changed", () => {
    const ledger = new Ledger(new VirtualClock(), 3);
    for (let generation = 1n; generation <= 5n; generation++) ledger.append("clock", generation, `c${generation}`, "grant", "x".repeat(1_000));
    expect(ledger.entries().map((one) => one.sequence)).toEqual([3, 4, 5]);
    expect(ledger.dropped).toBe(2);
    expect(ledger.current()).toHaveLength(5);
    const [entry] = ledger.entries();
    expect(entry!.reason).toHaveLength(256);
    expect(() => Object.assign(entry!, { reason: "" })).toThrow(TypeError);
    ledger.entries().length = 0;
    expect(ledger.entries()).toHaveLength(3);
  });
});

describe("why", () => {
  test("it explains devices, grants and what holds now", async () => {
    using files = new MachineFiles();
    const { manager, machine } = world(files);
    await manager.connect("clock", 1n, ignore);
    const explanation = explain("clock", judge(machine, machine.devices), manager.ledger);
    expect(explanation).toMatchObject({
      driver: "clock",
      instances: ["clock"],
      devices: [
        { device: "rtc", matched: true, reason: "the machine file names it, and the package drives mc146818" },
        { device: "com1", matched: false, reason: 'the machine file names device "rtc"' },
      ],
      resources: [
        { name: "cmos", granted: true, reason: "ports 0x70 (2 bytes), readwrite, 8-bit, needed and granted" },
        { name: "tick", granted: true, reason: "line 8, needed and granted" },
      ],
      holds: [{ capability: "cmos", generation: "1" }, { capability: "tick" }],
      problems: [],
    });
    expect(JSON.parse(JSON.stringify(explanation))).toEqual(explanation);
    expect(explanationText(explanation)).toContain('granted window "cmos" of rtc: ports 0x70');
    expect(explanationText(explanation)).toContain('#1 at 0.000000 s: grant "cmos" (clock, generation 1): connected to device "rtc"');
  });

  test("it explains refusals, and suggests a driver's name", () => {
    using files = new MachineFiles();
    const machine = files.load(labText.replace("[cmos, tick]", "[cmos, tock]"));
    const judgement = judge(machine, machine.devices);
    const text = explanationText(explain("clock", judgement));
    expect(text).toContain("not assigned");
    expect(text).toContain('denied  irq "tick" of rtc: its package needs irq "tick", which is not granted');
    expect(text).toContain('denied  window "tock" of rtc: "tock" is granted, but package "rtc-mc146818" does not need it');
    expect(text).toMatch(/machine\.yaml:10:13: driver "clock": its package needs irq "tick"/);
    expect(() => explain("clokc", judgement)).toThrow(expect.objectContaining({ code: "NotFound", message: expect.stringContaining('did you mean "clock"?') }));
  });
});
