/** What a hostile driver or far end can do to the 82540EM model: nothing but have a card that does not work. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { negotiationMicros } from "./e1000-phy.ts";
import { Rctl, Reg, Tctl } from "./e1000-registers.ts";
import { frame, openRings, queue, rig, rxRing, txRing } from "./e1000-test-rig.ts";

/** Offsets a driver would use, and any other. */
const offsets = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom(...(Object.values(Reg) as number[])) },
  { weight: 1, arbitrary: fc.nat(0x7fff).map((word) => word * 4) },
);
const values = fc.oneof(
  fc.integer({ min: 0, max: 0xffff_ffff }), fc.nat(0x1ff),
  fc.constantFrom(0, 0xffff_ffff, 0x8000_0000, txRing, rxRing, 0x80, 0x100, 0xf_ff80, Rctl.enable, Tctl.enable, 0x1340),
);
type Step =
  | { readonly do: "write"; readonly offset: number; readonly value: number }
  | { readonly do: "read"; readonly offset: number }
  | { readonly do: "frame"; readonly sizeBytes: number }
  | { readonly do: "memory"; readonly at: number; readonly bytes: readonly number[] }
  | { readonly do: "carrier"; readonly up: boolean }
  | { readonly do: "advance"; readonly micros: number };
const steps: fc.Arbitrary<Step> = fc.oneof(
  { weight: 10, arbitrary: fc.record({ do: fc.constant("write" as const), offset: offsets, value: values }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("read" as const), offset: offsets }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("frame" as const), sizeBytes: fc.nat(20_000) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("memory" as const), at: fc.nat(0x2fff), bytes: fc.array(fc.nat(255), { maxLength: 64 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("carrier" as const), up: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("advance" as const), micros: fc.nat(20_000) }) },
);

/** What one step may move over the bus: a slice of transmission with its echo, or the packet buffer emptied; with all descriptors. */
const stepBytes = 8 << 20;
/** Timers: negotiation, throttling, two delays, a slice's rest. */
const mostTimers = 5;

test("nothing a driver or a far end does makes it throw, run on, or leave its bounds", () => {
  fc.assert(fc.property(fc.array(steps, { maxLength: 120 }), fc.boolean(), (sequence, opened) => {
    const card = rig({}, (bytes, wire) => { wire.send(bytes); });
    if (opened) openRings(card);
    for (const step of sequence) {
      const before = card.moved.bytes;
      card.received.length = 0;
      if (step.do === "write") card.set(step.offset, step.value);
      else if (step.do === "read") {
        const value = card.get(step.offset);
        expect(Number.isInteger(value) && value >= 0 && value <= 0xffff_ffff).toBe(true);
      } else if (step.do === "frame") card.wire.send(frame(Math.max(6, step.sizeBytes)));
      else if (step.do === "memory") card.ram.set(step.bytes, step.at);
      else if (step.do === "carrier") card.wire.setCarrier(step.up);
      else card.clock.advance(step.micros);
      if (step.do !== "advance") expect(card.moved.bytes - before).toBeLessThan(stepBytes);
      expect(card.clock.pending).toBeLessThanOrEqual(mostTimers);
    }
    card.model.reset();
    expect(card.clock.pending).toBe(0);
    expect(card.level).toBe(false);
    // And it still works.
    card.wire.setCarrier(false);
    card.wire.setCarrier(true);
    card.clock.advance(negotiationMicros);
    openRings(card);
    card.received.length = 0;
    queue(card, 0, frame(80));
    card.set(Reg.TDT, 1);
    expect(card.received).toEqual([frame(80)]);
  }), { numRuns: 300 });
});
