import * as fc from "fast-check";
import { expect, test } from "vitest";
import { TraceKind } from "./entry.ts";
import { HashSink } from "./hash.ts";

type Recorded = readonly [number, TraceKind, number, number, number, number];
const digestOf = (entries: readonly Recorded[]): string => {
  let now = 0;
  const sink = new HashSink(() => now);
  for (const [micros, kind, a, b, c, d] of entries) {
    now = micros;
    sink.record(kind, a, b, c, d);
  }
  expect(sink.recorded).toBe(entries.length);
  return sink.digest();
};
const recorded = fc.array(fc.tuple(
  fc.nat(), fc.constantFrom(...Object.values(TraceKind)), fc.nat(), fc.nat(), fc.nat(), fc.nat(),
), { minLength: 1, maxLength: 20 });

test("equal traces have equal digests, and a change of any one word changes the digest", () => {
  fc.assert(fc.property(recorded, fc.nat(), fc.nat(5), (entries, which, field) => {
    const digest = digestOf(entries);
    expect(digestOf(entries)).toBe(digest);
    const changed = entries.map((entry) => [...entry] as [number, TraceKind, number, number, number, number]);
    changed[which % changed.length]![field]! += 1;
    expect(digestOf(changed)).not.toBe(digest);
    expect(digestOf(entries.slice(1))).not.toBe(digest);
  }));
});

test("a digest in between changes nothing, also across full blocks", () => {
  const once = new HashSink(() => 1);
  const often = new HashSink(() => 1);
  for (let i = 0; i < 5000; i++) {
    once.record(TraceKind.read, i, 0, 0, 0);
    often.record(TraceKind.read, i, 0, 0, 0);
    if (i % 333 === 0) often.digest();
  }
  expect(often.digest()).toBe(once.digest());
});

test("values that are no numbers do not throw", () => {
  const sink = new HashSink(() => NaN);
  for (const value of [NaN, -0, Symbol("x"), 1n, undefined]) sink.record(TraceKind.denied, value as number, 0, 0, 0);
  expect(sink.digest()).toMatch(/^[0-9a-f]{64}$/);
});
