/** The RTL8139C model where the suite of tests for devices does not look: errors, its timer, and what hostile drivers and far ends do. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { networkRig, ramBytes } from "./network-test-rig.ts";
import { Cr, Isr, Rcr, Reg, Tcr, Tsd } from "./rtl8139-registers.ts";
import rtl8139 from "./rtl8139.ts";

type Card = ReturnType<typeof open>;
const data = 0x1_0000;
const ring = 0x2_0000;

function open(answer?: Parameters<typeof networkRig>[2]) {
  const card = networkRig(rtl8139, {}, answer);
  const bar1 = card.model.spaces["bar1"]!;
  return Object.assign(card, {
    get: (offset: number, width: 8 | 16 | 32 = 16): number => bar1.read(offset, width),
    set: (offset: number, value: number, width: 8 | 16 | 32 = 16): void => bar1.write(offset, width, value),
  });
}

function start(card: Card): void {
  card.set(Reg.CR, Cr.transmit | Cr.receive, 8);
  card.set(Reg.RBSTART, ring, 32);
  card.set(Reg.RCR, Rcr.physicalMatch | Rcr.broadcast, 32);
}

function frame(sizeBytes: number): Uint8Array {
  const bytes = Uint8Array.from({ length: sizeBytes }, (_, at) => (at * 3) & 0xff);
  bytes.set([0x52, 0x54, 0x00, 0x12, 0x34, 0x56]);
  return bytes;
}

test("a frame that cannot be fetched stops the transmitter until it is cleared, then is tried again (5.10, CLRABT)", () => {
  const card = open();
  start(card);
  card.ram.set(frame(80), data);
  card.set(Reg.TSAD0, ramBytes, 32);
  card.set(Reg.TSD0, 80, 32);
  expect(card.get(Reg.TSD0, 32) & (Tsd.aborted | Tsd.own | Tsd.ok)).toBe(Tsd.aborted | Tsd.own);
  expect(card.get(Reg.ISR)).toBe(Isr.transmitError);
  card.set(Reg.TSAD0 + 4, data, 32);
  card.set(Reg.TSD0 + 4, 80, 32);
  expect(card.received).toEqual([]);
  card.set(Reg.TSAD0, data, 32);
  card.set(Reg.TCR, Tcr.clearAbort, 32);
  expect(card.received).toEqual([frame(80), frame(80)]);
  expect(card.get(Reg.TSAD)).toBe(0x300f);
});

test("frames without room are counted as missed, and the count is cleared by a write (5.12)", () => {
  const card = open();
  start(card);
  let sent = 0;
  while (card.wire.send(frame(1_514))) sent++;
  expect(sent).toBe(5);
  expect([card.get(Reg.MPC, 32), card.get(Reg.ISR) & Isr.overflow, card.wire.hasRoom()]).toEqual([1, Isr.overflow, false]);
  card.set(Reg.MPC, 0, 32);
  expect(card.get(Reg.MPC, 32)).toBe(0);
  card.set(Reg.CAPR, (card.get(Reg.CBR) - 16) & 0xffff);
  expect([card.get(Reg.CR, 8) & Cr.empty, card.wire.hasRoom(), card.wire.send(frame(60))]).toEqual([Cr.empty, true, true]);
});

test("the timer counts cycles of 33 MHz and sets its interrupt where TimerInt says (5.16)", () => {
  const card = open();
  card.set(Reg.IMR, Isr.timer);
  card.set(Reg.TCTR, 0, 32);
  card.set(Reg.TIMER, 33_000, 32);
  card.clock.advance(999);
  expect([card.get(Reg.TCTR, 32), card.level]).toEqual([999 * 33, false]);
  card.clock.advance(1);
  expect([card.level, card.get(Reg.ISR)]).toEqual([true, Isr.timer]);
  card.set(Reg.TIMER, 0, 32);
  expect(card.clock.pending).toBe(0);
});

/** Offsets a driver would use, and any other. */
const offsets = fc.oneof({ weight: 8, arbitrary: fc.constantFrom(...(Object.values(Reg) as number[])) }, { weight: 1, arbitrary: fc.nat(0xff) });
const values = fc.oneof(fc.integer({ min: 0, max: 0xffff_ffff }), fc.nat(0x7ff), fc.constantFrom(0, 0xffff_ffff, ring, data, 0x0c, 0x1f, 0x6_0000));
const widths = fc.constantFrom(8 as const, 16 as const, 32 as const);
const steps = fc.oneof(
  { weight: 10, arbitrary: fc.record({ do: fc.constant("write" as const), offset: offsets, value: values, width: widths }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("read" as const), offset: offsets, width: widths }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("frame" as const), sizeBytes: fc.integer({ min: 6, max: 9_000 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("carrier" as const), up: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("advance" as const), micros: fc.nat(20_000) }) },
);
/** One access moves at most the four frames that wait, their echoes, and the ring's headers. */
const stepBytes = 64 << 10;

test("nothing a driver or a far end does makes it throw, run on, or leave its bounds", () => {
  fc.assert(fc.property(fc.array(steps, { maxLength: 120 }), fc.boolean(), (sequence, opened) => {
    const card = open((bytes, wire) => { wire.send(bytes); });
    if (opened) start(card);
    for (const step of sequence) {
      const before = card.moved.bytes;
      // The bus lets only accesses through that are aligned.
      const at = "offset" in step ? step.offset - (step.offset % (step.width / 8)) : 0;
      if (step.do === "write") card.set(at, step.width === 32 ? step.value : step.value % 2 ** step.width, step.width);
      else if (step.do === "read") {
        const value = card.get(at, step.width);
        expect(Number.isInteger(value) && value >= 0 && value < 2 ** step.width).toBe(true);
      } else if (step.do === "frame") card.wire.send(frame(step.sizeBytes));
      else if (step.do === "carrier") card.wire.setCarrier(step.up);
      else card.clock.advance(step.micros);
      if (step.do !== "advance") expect(card.moved.bytes - before).toBeLessThan(stepBytes);
      expect(card.clock.pending).toBeLessThanOrEqual(1);
    }
    card.model.reset();
    expect([card.clock.pending, card.level]).toEqual([0, false]);
    // And it still works.
    card.wire.setCarrier(true);
    card.received.length = 0;
    start(card);
    card.ram.set(frame(80), data);
    card.set(Reg.TSAD0, data, 32);
    card.set(Reg.TSD0, 80, 32);
    expect(card.received).toEqual([frame(80)]);
  }), { numRuns: 300 });
});
