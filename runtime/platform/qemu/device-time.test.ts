import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DeviceTime, clockAheadMicros } from "./device-time.ts";

describe("device time", () => {
  test("follows the real one to the nanosecond, however it is asked", () => {
    fc.assert(fc.property(fc.array(fc.double({ min: 0, max: 5_000, noNaN: true }), { maxLength: 50 }), (waits) => {
      const time = new DeviceTime(100, Infinity, Infinity);
      let now = 100;
      let nanos = 0;
      for (const wait of waits) nanos += time.take((now += wait), Infinity);
      expect(Math.abs(nanos - (now - 100) * 1_000)).toBeLessThanOrEqual(2);
    }));
  });

  test("is stepped by whole nanoseconds and at most so much at once, and forgets what it is too late for", () => {
    const time = new DeviceTime(0, 1_000_000, Infinity);
    expect(time.take(10_000_000, 3_000)).toBe(3_000_000);
    expect(time.behind(10_000_000)).toBe(997_000);
    expect(time.take(10_000_000, Infinity)).toBe(997_000_000);
    expect(time.take(10_000_000.0004, Infinity)).toBe(0);
  });

  test("is ahead after a skip, and gives that back bit by bit", () => {
    const time = new DeviceTime(0, Infinity, clockAheadMicros);
    expect(time.skip(1_000_000)).toBe(true);
    expect(time.take(800_000, Infinity)).toBe(700_000_000);
    expect(time.take(8_000_000, Infinity)).toBe(6_300_000_000);
    expect(time.take(9_000_000, Infinity)).toBe(1_000_000_000);
  });

  test("is not skipped without end where there is a clock", () => {
    const time = new DeviceTime(0, Infinity, clockAheadMicros);
    const taken = Array.from({ length: 10 }, () => time.skip(1_000_000)).filter(Boolean);
    expect(taken.length).toBe(4);
    time.take(60_000_000, Infinity);
    expect(time.skip(1_000_000)).toBe(true);
  });

  test("goes on at its pace after any number of skips where there is none", () => {
    const time = new DeviceTime(0, Infinity, Infinity);
    for (let count = 0; count < 100; count++) expect(time.skip(1_000_000)).toBe(true);
    expect(time.take(800_000, Infinity)).toBe(800_000_000);
  });
});
