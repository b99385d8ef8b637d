/** A hostile driver of the worker tier with the raw channel in its hands: nothing it writes reaches more than its grants. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { IrqOp } from "../../runtime/api/bridge.ts";
import { AirlockError } from "../../runtime/api/errors.ts";
import type { AccessWidth } from "../../runtime/api/grants.ts";
import { ChannelWord, CommandOp, ReadStatus, createChannel, createDoorbell, entryIndex, gateAll, ringEntries } from "../../runtime/bus/channel.ts";
import { ChannelPort } from "../../runtime/bus/channel-port.ts";
import { ChannelServer } from "../../runtime/bus/channel-server.ts";
import type { HardwareBackend } from "../../runtime/bus/hardware-backend.ts";
import { IrqLine } from "../../runtime/bus/irq-line.ts";
import type { BusGrant, BusReport } from "../../runtime/bus/platform.ts";
import type { RegisterSpace } from "../../runtime/bus/register-space.ts";
import { VirtualClock } from "../../runtime/api/clock.ts";

type Access = readonly ["read" | "write", string, number, AccessWidth];

const granted: BusGrant = {
  driver: "evil", generation: 1n, device: "mine", limits: { stormPerSecond: 1_000, ackMs: 100 },
  windows: [{ name: "regs", sizeBytes: 8, rights: "readwrite", widths: [8] }, { name: "status", sizeBytes: 4, rights: "read", widths: [8, 32] }],
  irqs: [{ name: "line" }], dma: [],
};

/** The hardware's side of a channel with a device of two windows that are granted in part, and a device that is not. */
class Rig {
  readonly handle = { channel: createChannel(), doorbell: createDoorbell(), grant: granted };
  readonly words = new Int32Array(this.handle.channel);
  readonly accesses: Access[] = [];
  readonly reports: BusReport[] = [];
  readonly foreign = new IrqLine(9, new VirtualClock());
  readonly server: ChannelServer;

  constructor() {
    const own = new IrqLine(4, new VirtualClock());
    const space = (window: string): RegisterSpace => ({
      read: (offset, width) => { this.accesses.push(["read", window, offset, width]); return 0x5a; },
      write: (offset, width) => { this.accesses.push(["write", window, offset, width]); },
    });
    const backend: HardwareBackend = {
      space: (device, window) => space(`${device}.${window}`), line: (number) => (number === 4 ? own : this.foreign),
      irqNumber: (device) => (device === "mine" ? 4 : 9), flush: () => undefined, advance: () => undefined, idleMicros: () => Infinity,
      statistics: () => ({}), close: () => undefined, openDomain: () => undefined, setBusMaster: () => undefined, resetDevice: () => undefined,
      powerCut: () => undefined, plug: () => undefined,
    };
    this.server = new ChannelServer(this.handle, backend, (report) => this.reports.push(report));
  }

  /** Puts a command without any of the port's checks. */
  put(op: number, target: number, detail: number, offset: number, value = 0): void {
    const head = Atomics.load(this.words, ChannelWord.head);
    this.words.set([op | (target << 8) | (detail << 16), offset, value], entryIndex(head));
    Atomics.store(this.words, ChannelWord.head, (head + 1) | 0);
  }

  serveAll(): void {
    while (this.server.hasWork) this.server.serve();
  }
}

describe("commands past the port's checks", () => {
  test.each([
    ["a window that is not granted", CommandOp.write, 2, 8, 0], ["the last window there could be", CommandOp.read, 255, 8, 0],
    ["an offset behind the window", CommandOp.write, 0, 8, 8], ["an offset before it", CommandOp.write, 0, 8, -1], ["an offset that overflows", CommandOp.read, 0, 8, 0x7fff_ffff],
    ["a width it does not decode", CommandOp.write, 0, 16, 0], ["a width of zero", CommandOp.write, 0, 0, 0], ["a width that is none", CommandOp.read, 0, 255, 0],
    ["a write without the right", CommandOp.write, 1, 8, 0], ["a crooked address", CommandOp.read, 1, 32, 1], ["a value too wide", CommandOp.write, 0, 8, 0],
    ["a line that is not granted", CommandOp.irq, 1, IrqOp.ack, 0], ["an operation lines do not have", CommandOp.irq, 0, 77, 0],
    ["a command that does not exist", 9, 0, 8, 0], ["command zero", 0, 0, 0, 0],
  ])("%s is reported and does nothing", (_what, op, target, detail, offset) => {
    const rig = new Rig();
    rig.put(op, target, detail, offset, 0xfff);
    rig.serveAll();
    expect(rig.accesses).toEqual([]);
    expect(rig.reports).toMatchObject([{ kind: "violation" }]);
  });

  test("whatever is in the ring, the device sees only what is granted, and nothing is thrown", () => {
    const word = fc.oneof(fc.integer(), fc.nat(9), fc.constantFrom(-1, 8, 32, 255));
    const command = fc.tuple(fc.nat(5), fc.oneof(fc.nat(3), fc.nat(255)), fc.oneof(fc.constantFrom(8, 16, 32), fc.nat(255)), word, word);
    fc.assert(fc.property(fc.array(command, { maxLength: 300 }), (commands) => {
      const rig = new Rig();
      for (const [op, target, detail, offset, value] of commands) rig.put(op, target, detail, offset, value);
      rig.serveAll();
      for (const [direction, window, offset, width] of rig.accesses) {
        if (window === "mine.regs") expect([width, offset >= 0 && offset < 8]).toEqual([8, true]);
        else expect([window, direction, (width === 8 || width === 32) && offset >= 0 && offset % (width / 8) === 0 && offset + width / 8 <= 4]).toEqual(["mine.status", "read", true]);
      }
    }));
  });
});

describe("the ring's indices", () => {
  test.each([ringEntries + 1, 1 << 30, -1, -(2 ** 31), 2 ** 31 - 1])("a head %i ahead closes the channel and is reported, and costs no more than one visit", (jump) => {
    const rig = new Rig();
    rig.put(CommandOp.write, 0, 8, 0, 1);
    rig.serveAll();
    Atomics.store(rig.words, ChannelWord.head, (Atomics.load(rig.words, ChannelWord.head) + jump) | 0);
    expect(rig.server.serve()).toBe(0);
    expect(rig.server.hasWork).toBe(false);
    expect(Atomics.load(rig.words, ChannelWord.gate)).toBe(gateAll);
    expect(rig.reports).toEqual([{ kind: "violation", capability: "channel", reason: "ring" }]);
    expect(rig.accesses).toHaveLength(1);
  });

  test("the tail a driver writes is not the tail the hardware uses", () => {
    const rig = new Rig();
    for (let i = 0; i < 10; i++) rig.put(CommandOp.write, 0, 8, i % 8, 1);
    rig.serveAll();
    Atomics.store(rig.words, ChannelWord.tail, 0);
    rig.serveAll();
    expect(rig.accesses).toHaveLength(10);
    rig.put(CommandOp.write, 0, 8, 3, 1);
    rig.serveAll();
    expect(rig.accesses).toHaveLength(11);
  });

  test("a ring that is always full is served in bounded visits", () => {
    const rig = new Rig();
    for (let i = 0; i < ringEntries; i++) rig.put(CommandOp.write, 0, 8, 0, 1);
    let visits = 0;
    for (let served = 0; served < ringEntries; visits++) {
      const taken = rig.server.serve();
      expect(taken).toBeLessThanOrEqual(ringEntries / 4);
      served += taken;
    }
    expect(visits).toBeGreaterThanOrEqual(4);
  });
});

describe("after the gate", () => {
  test.each([CommandOp.read, CommandOp.write, CommandOp.irq])("command %i that was posted before, and one after, does nothing", (op) => {
    const rig = new Rig();
    rig.put(op, 0, op === CommandOp.irq ? IrqOp.ack : 8, 0);
    Atomics.store(rig.words, ChannelWord.gate, gateAll);
    rig.put(op, 0, op === CommandOp.irq ? IrqOp.ack : 8, 0);
    rig.serveAll();
    expect(rig.accesses).toEqual([]);
    if (op === CommandOp.read) expect(Atomics.load(rig.words, ChannelWord.status)).toBe(ReadStatus.revoked);
  });

  test("a driver that opens its gate again gets nothing", () => {
    const rig = new Rig();
    Atomics.store(rig.words, ChannelWord.gate, gateAll);
    rig.server.serve();
    Atomics.store(rig.words, ChannelWord.gate, 0);
    rig.put(CommandOp.write, 0, 8, 0, 1);
    rig.serveAll();
    expect(rig.accesses).toEqual([]);
  });

  test("a flood of wrong commands is a few reports", () => {
    const rig = new Rig();
    for (let i = 0; i < 100 * ringEntries; i++) {
      rig.put(9, 0, 8, 0);
      if (i % ringEntries === ringEntries - 1) rig.serveAll();
    }
    rig.serveAll();
    expect(rig.reports.length).toBeLessThan(100);
  });

  test("a completion that the driver forges is believed by that driver's own port only", () => {
    const rig = new Rig();
    const port = new ChannelPort(rig.handle);
    Atomics.store(rig.words, ChannelWord.value, 0x77);
    Atomics.store(rig.words, ChannelWord.completed, 1);
    expect(port.read(0, 0, 8)).toBe(0x77);
    rig.serveAll();
    expect(rig.accesses).toEqual([["read", "mine.regs", 0, 8]]);
  });

  test("the port denies before anything is posted, and names holder and capability", () => {
    const rig = new Rig();
    const port = new ChannelPort(rig.handle);
    for (const attempt of [() => port.read(7, 0, 8), () => port.write(0, 8, 8, 0), () => port.write(0, 0, 8, 256), () => port.irq(3, IrqOp.ack), () => port.read(0, 0.5, 8), () => port.read(NaN, 0, 8)]) {
      expect(attempt).toThrow(expect.objectContaining({ code: "CapabilityViolation", message: expect.stringContaining("evil") as string }) as AirlockError);
    }
    Atomics.store(rig.words, ChannelWord.gate, 1);
    expect(() => port.read(0, 0, 8)).toThrow(expect.objectContaining({ code: "CapabilityRevoked" }) as AirlockError);
    expect(rig.server.hasWork).toBe(false);
  });
});
