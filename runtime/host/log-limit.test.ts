import * as fc from "fast-check";
import { expect, test } from "vitest";
import { VirtualClock } from "../api/clock.ts";
import { LogLimit } from "./log-limit.ts";

test("a second's worth may come at once, then as many as time has passed for", () => {
  const clock = new VirtualClock();
  const limit = new LogLimit(clock, 10);
  for (let line = 0; line < 10; line++) expect(limit.take()).toBe(true);
  expect(limit.take()).toBe(false);
  clock.advance(100_000);
  expect([limit.take(), limit.take()]).toEqual([true, false]);
  clock.advance(60_000_000);
  expect(Array.from({ length: 12 }, () => limit.take()).filter(Boolean)).toHaveLength(10);
});

test("no pattern of lines gets more than the rate and one burst through; the steady rate always passes", () => {
  fc.assert(fc.property(fc.integer({ min: 1, max: 200 }), fc.array(fc.tuple(fc.nat(300_000), fc.nat(50)), { maxLength: 50 }), (perSecond, bursts) => {
    const clock = new VirtualClock();
    const limit = new LogLimit(clock, perSecond);
    let passed = 0;
    for (const [pauseMicros, lines] of bursts) {
      clock.advance(pauseMicros);
      for (let line = 0; line < lines; line++) if (limit.take()) passed++;
    }
    expect(passed).toBeLessThanOrEqual(perSecond + (clock.nowMicros() / 1e6) * perSecond + 1e-6);
    const steady = new LogLimit(clock, perSecond);
    for (let line = 0; line < 300; line++) {
      clock.advance(1e6 / perSecond);
      expect(steady.take()).toBe(true);
    }
  }), { numRuns: 50 });
});
