import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { IrqOp } from "../api/bridge.ts";
import { AirlockError } from "../api/errors.ts";
import { ChannelWord, CommandOp, ReadStatus, createChannel, createDoorbell, entryIndex, gateAll, ringEntries } from "./channel.ts";
import { type ChannelHandle, ChannelPort } from "./channel-port.ts";
import { ChannelServer } from "./channel-server.ts";
import { FakeBackend, fakeGrant } from "./test-backend.ts";
import type { BusReport } from "./platform.ts";

/** Both ends in one thread: what is read must be put by hand, because the port's own read would wait for another thread. */
function pair(start = 0): { handle: ChannelHandle; words: Int32Array; port: ChannelPort; server: ChannelServer; backend: FakeBackend; reports: BusReport[] } {
  const handle: ChannelHandle = { channel: createChannel(), doorbell: createDoorbell(), grant: fakeGrant };
  const words = new Int32Array(handle.channel);
  const backend = new FakeBackend();
  const reports: BusReport[] = [];
  const server = new ChannelServer(handle, backend, (report) => reports.push(report));
  const port = new ChannelPort(handle);
  // Move both ends there by honest work, so that no private state has to be known.
  for (let at = 0; at < start; at++) {
    port.irq(0, IrqOp.mask);
    if (at % 512 === 511) drain(server);
  }
  drain(server);
  return { handle, words, port, server, backend, reports };
}

function drain(server: ChannelServer): number {
  let taken = 0;
  for (let served = server.serve(); served > 0; served = server.serve()) taken += served;
  return taken;
}

/** A command as only somebody who writes to the channel directly can put it. */
function forge(words: Int32Array, op: number, target: number, detail: number, offset: number, value: number): void {
  const head = Atomics.load(words, ChannelWord.head);
  const at = entryIndex(head);
  words[at] = op | (target << 8) | (detail << 16);
  words[at + 1] = offset;
  words[at + 2] = value;
  Atomics.store(words, ChannelWord.head, (head + 1) | 0);
}

describe("commands", () => {
  test("are performed whole, in order, over any number of wraps", () => {
    fc.assert(fc.property(fc.nat(3 * ringEntries), fc.array(fc.tuple(fc.nat(7), fc.nat(255)), { maxLength: 200 }), (start, writes) => {
      const { port, server, backend } = pair(start);
      for (const [offset, value] of writes) port.write(0, offset, 8, value);
      expect(drain(server)).toBe(writes.length);
      expect(backend.journal).toEqual(writes.map(([offset, value]) => ["write", offset, 8, value]));
    }), { numRuns: 30 });
  });

  test("fill the ring to its last entry, and then wait for the hardware, with an end", () => {
    const { port, server, backend } = pair(700);
    for (let count = 0; count < ringEntries; count++) port.write(0, 0, 8, count & 0xff);
    expect(() => port.write(0, 0, 8, 1)).toThrow(expect.objectContaining({ code: "HardwareTimeout" }));
    expect(drain(server)).toBe(ringEntries);
    expect(backend.journal).toHaveLength(ringEntries);
    port.write(0, 0, 8, 1);
    expect(drain(server)).toBe(1);
  });

  test("keep 32-bit values and wide offsets as they are", () => {
    const { port, server, backend } = pair();
    port.write(0, 4, 32, 0xffff_ffff);
    port.write(0, 0, 16, 0xbeef);
    drain(server);
    expect(backend.journal).toEqual([["write", 4, 32, 0xffff_ffff], ["write", 0, 16, 0xbeef]]);
  });

  test("one visit takes a bounded number of them", () => {
    const { port, server } = pair();
    for (let count = 0; count < ringEntries; count++) port.write(0, 0, 8, 0);
    expect(server.serve()).toBeLessThan(ringEntries);
    expect(server.hasWork).toBe(true);
  });
});

describe("the gate", () => {
  test("drops what was posted and not performed, of the closed capability only", () => {
    const { words, port, server, backend } = pair();
    port.write(0, 0, 8, 1);
    port.write(1, 0, 8, 2);
    Atomics.or(words, ChannelWord.gate, 0b01);
    drain(server);
    expect(backend.journal).toEqual([["write", 0, 8, 2]]);
    expect(() => port.write(0, 0, 8, 3)).toThrow(expect.objectContaining({ code: "CapabilityRevoked" }));
    expect(() => port.read(0, 0, 8)).toThrow(expect.objectContaining({ code: "CapabilityRevoked" }));
    port.irq(0, IrqOp.unmask);
    Atomics.store(words, ChannelWord.gate, gateAll);
    expect(() => port.irq(0, IrqOp.unmask)).toThrow(expect.objectContaining({ code: "CapabilityRevoked" }));
    drain(server);
    backend.irq.setLevel("test", true);
    expect(port.takeIrqs()).toEqual([]);
  });

  test("is checked by the hardware: a forged read is answered as revoked and reaches nothing", () => {
    const { words, server, backend } = pair();
    Atomics.store(words, ChannelWord.gate, gateAll);
    forge(words, CommandOp.read, 0, 8, 0, 0);
    drain(server);
    expect(Atomics.load(words, ChannelWord.status)).toBe(ReadStatus.revoked);
    expect(backend.journal).toEqual([]);
  });
});

describe("a driver that writes to the channel itself", () => {
  test("gets nothing past the second check, whatever it puts; each try is reported", () => {
    fc.assert(fc.property(fc.nat(255), fc.nat(255), fc.nat(255), fc.integer(), fc.integer(), (op, target, detail, offset, value) => {
      const { words, server, backend, reports } = pair();
      forge(words, op, target, detail, offset, value);
      drain(server);
      for (const [, at, width] of backend.journal) {
        const window = fakeGrant.windows[target]!;
        expect(window.widths).toContain(width);
        expect(at >= 0 && at + width / 8 <= window.sizeBytes).toBe(true);
      }
      const performed = backend.journal.length === 1 || (op === CommandOp.irq && target === 0 && detail <= IrqOp.ack);
      expect(reports).toHaveLength(performed ? 0 : 1);
      for (const report of reports) expect(report.kind).toBe("violation");
    }));
  });

  test("with a head that cannot be is cut off and reported, and the hardware goes on", () => {
    fc.assert(fc.property(fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }), (head) => {
      fc.pre(head < 0 || head > ringEntries);
      const { words, server, backend, reports } = pair();
      Atomics.store(words, ChannelWord.head, head);
      drain(server);
      expect(server.hasWork).toBe(false);
      expect(reports).toEqual([{ kind: "violation", capability: "channel", reason: "ring" }]);
      expect(Atomics.load(words, ChannelWord.gate)).toBe(gateAll);
      expect(backend.journal).toEqual([]);
    }));
  });

  test("cannot free more of the ring than there is by writing the tail, nor stop the hardware by writing anything", () => {
    fc.assert(fc.property(fc.array(fc.tuple(fc.nat(Object.keys(ChannelWord).length - 1), fc.integer()), { maxLength: 20 }), (pokes) => {
      const { words, server, port, backend } = pair();
      for (const [word, value] of pokes) words[Object.values(ChannelWord)[word]!] = value;
      drain(server);
      expect(server.hasWork).toBe(false);
      expect(port.takeIrqs().every((line) => line < 32)).toBe(true);
      // Whatever was in the entries was zero: no command at all.
      expect(backend.journal).toEqual([]);
    }));
  });
});

describe("lost hardware", () => {
  test("fails reads at once and closes everything", () => {
    const { words, port, server } = pair();
    server.lose();
    expect(Atomics.load(words, ChannelWord.status)).toBe(ReadStatus.lost);
    expect(() => port.write(0, 0, 8, 1)).toThrow(expect.objectContaining({ code: "CapabilityRevoked" }));
  });

  test("an error of the hardware is not taken for the driver's", () => {
    const { port, server, backend, reports } = pair();
    backend.broken = new AirlockError("HardwareLost", "gone");
    port.write(0, 0, 8, 1);
    expect(() => server.serve()).toThrow("gone");
    expect(reports).toEqual([]);
  });
});

describe("interrupts", () => {
  test("are delivered once each, in order of their lines, and taken once", () => {
    const { port, server, backend, words } = pair();
    port.irq(0, IrqOp.attach);
    drain(server);
    const doorbell = Atomics.load(words, ChannelWord.doorbell);
    backend.irq.setLevel("test", true);
    expect(Atomics.load(words, ChannelWord.doorbell)).not.toBe(doorbell);
    expect(port.takeIrqs()).toEqual([0]);
    expect(port.takeIrqs()).toEqual([]);
    port.irq(0, IrqOp.ack);
    drain(server);
    expect(port.takeIrqs()).toEqual([0]);
  });
});
