/** Whatever a card writes into its rings, the e1000 driver completes each buffer and frame once, or fails; it invents and loses none. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { e1000Card, frameBuffers } from "../../test/fixtures/e1000-card.ts";
import { descriptorBytes } from "./registers.ts";

const word = fc.nat({ max: 0xffff_ffff });
/** Mostly lengths that can be. */
const length = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: 14, max: 1_518 }) }, { weight: 1, arbitrary: fc.nat({ max: 0x7fff }) }, { weight: 1, arbitrary: word },
);
/** Mostly descriptors that are done, and whole. */
const status = fc.oneof({ weight: 3, arbitrary: fc.constantFrom(1, 3) }, { weight: 1, arbitrary: word });
const entries = 8;

const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("send" as const), count: fc.integer({ min: 1, max: 6 }) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("arrive" as const), sizeBytes: fc.integer({ min: 14, max: 1_518 }) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("post" as const), count: fc.integer({ min: 1, max: 6 }) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("write" as const), entry: fc.nat({ max: 2 * entries - 1 }), length, status }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("change" as const), at: fc.nat({ max: 7 }), mask: fc.nat({ max: 255 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("carrier" as const), up: fc.boolean() }) },
  { weight: 1, arbitrary: fc.constant({ kind: "behave" as const }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("wait" as const), ms: fc.constantFrom(1, 600, 2_000) }) },
);

/** Time after which a transmitter that hangs was found and started anew. */
const enoughMs = 5_000;

test("any card", async () => {
  await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 30, size: "max" }), async (steps) => {
    const { run, memory, tampering, wire, registers } = e1000Card({ driver: { transmitRing: entries, receiveRing: entries } });
    const running = await run();
    await running.call("configure", { up: true, promiscuous: true, allMulticast: false, mtu: 1500, mac: 0, multicast: new Uint8Array(0) });
    const base = memory.regions[0]!.iova;
    const buffers = { transmit: frameBuffers(memory, entries), receive: frameBuffers(memory, entries) };
    const out = { transmit: new Set<number>(), receive: new Set<number>() };
    const collect = (): void => {
      for (const queue of ["transmit", "receive"] as const) {
        for (const [tag, value] of running.takeCompletions(queue)) {
          expect([queue, tag, out[queue].delete(tag!)]).toEqual([queue, tag, true]);
          expect(value).toBeLessThanOrEqual(queue === "receive" ? 1_518 : 2);
        }
      }
    };
    const give = async (queue: "transmit" | "receive", count: number): Promise<void> => {
      const free = Array.from({ length: entries - 1 }, (_, tag) => tag).filter((tag) => !out[queue].has(tag)).slice(0, count);
      for (const tag of free) out[queue].add(tag);
      if (free.length === 0) return;
      const { empty, filled } = buffers[queue];
      await running.submit(queue, ...free.map((tag) => (queue === "receive" ? empty(tag) : filled(tag, new Uint8Array(60)))));
    };
    const perform = async (one: (typeof steps)[number]): Promise<void> => {
      switch (one.kind) {
        case "send": await give("transmit", one.count); break;
        case "post": await give("receive", one.count); break;
        case "arrive": wire.send(new Uint8Array(one.sizeBytes)); break;
        case "carrier": wire.setCarrier(one.up); break;
        case "behave": delete tampering.ring; break;
        case "change": tampering.ring = (bytes) => (one.at < bytes.length ? bytes.with(one.at, bytes[one.at]! ^ one.mask) : bytes); break;
        case "write":
          memory.write(base + one.entry * descriptorBytes + 8, new Uint8Array(Uint32Array.of(one.length, one.status).buffer));
          registers.write(0x00c8, 32, 0x81);
          break;
        case "wait": await running.advance(one.ms); break;
      }
      await running.advance(1);
    };
    try {
      for (const one of steps) {
        await perform(one);
        collect();
      }
      delete tampering.ring;
      await running.advance(enoughMs);
    } catch (error) {
      expect(String(error)).toMatch(/the device lies|did not help/);
      collect();
      return;
    }
    collect();
    expect([...out.transmit]).toEqual([]);
  }), { numRuns: 150 });
});
