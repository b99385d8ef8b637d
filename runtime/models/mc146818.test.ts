/** Finer points of the MC146818 model; what every such chip must do is in test/conformance/devices/mc146818.suite.ts. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { VirtualClock } from "../api/clock.ts";
import type { DeviceDescription, Model } from "../bus/device.ts";
import { Address, RegA, RegB, RegC } from "./mc146818-registers.ts";
import mc146818 from "./mc146818.ts";
import { levelPin, modelEnvironment } from "../../test/fixtures/model-environment.ts";

const secondMicros = 1e6;
const dayMicros = 86_400 * secondMicros;

interface Rig {
  readonly clock: VirtualClock;
  readonly model: Model;
  level: boolean;
  changes: number;
  get(address: number): number;
  set(address: number, value: number): void;
}

function rig(epochMs = Date.UTC(2026, 0, 1), options: DeviceDescription["options"] = {}): Rig {
  const clock = new VirtualClock();
  const description = { name: "rtc", compatible: ["mc146818"], windows: {}, irqs: {}, options };
  const made = { level: false, changes: 0 };
  const model = mc146818.create(description, modelEnvironment({
    clock, epochMs, irq: (name) => levelPin((asserted) => { expect(name).toBe("tick"); made.level = asserted; made.changes++; }),
  }));
  const cmos = model.spaces["cmos"]!;
  return Object.assign(made, {
    clock, model,
    get: (address: number) => { cmos.write(0, 8, address); return cmos.read(1, 8); },
    set: (address: number, value: number) => { cmos.write(0, 8, address); cmos.write(1, 8, value); },
  });
}

const timeAddresses = [Address.year, Address.month, Address.dayOfMonth, Address.dayOfWeek, Address.hours, Address.minutes, Address.seconds];

/** Year (two digits), month, day, weekday, hours, minutes, seconds of a chip in binary 24-hour mode. */
function binaryTime(chip: Rig): number[] {
  return timeAddresses.map((address) => chip.get(address));
}

function civil(ms: number): number[] {
  const date = new Date(ms);
  return [
    date.getUTCFullYear() % 100, date.getUTCMonth() + 1, date.getUTCDate(), date.getUTCDay() + 1,
    date.getUTCHours(), date.getUTCMinutes(), date.getUTCSeconds(),
  ];
}

describe("laziness", () => {
  test("an hour with no interrupt enabled sets no timer at all", () => {
    const chip = rig();
    let fired = 0;
    chip.clock.setTimer(3600 * secondMicros, () => undefined);
    while (chip.clock.step()) fired++;
    expect(fired).toBe(1);
    expect(chip.get(Address.hours)).toBe(0xff);
    chip.clock.advance(5_000);
    expect(chip.get(Address.hours)).toBe(0x01);
  });

  test("an unserved interrupt sets no timer either", () => {
    const chip = rig();
    chip.set(Address.registerA, RegA.divider32Khz | 3);
    chip.set(Address.registerB, RegB.hours24 | RegB.periodicEnable);
    expect(chip.clock.pending).toBe(1);
    chip.clock.advance(10_000);
    expect(chip.level).toBe(true);
    expect(chip.clock.pending).toBe(0);
    chip.get(Address.registerC);
    expect(chip.clock.pending).toBe(1);
  });

  test("a year, then ten years, nobody looks", () => {
    const chip = rig(Date.UTC(2026, 7, 10, 8, 15, 30, 250));
    chip.clock.advance(365 * dayMicros);
    expect(chip.get(Address.year)).toBe(0x27);
    chip.set(Address.registerB, RegB.hours24 | RegB.binary | RegB.set);
    for (const [at, value] of [[0, 30], [2, 15], [4, 8], [7, 10], [8, 8], [9, 27]] as const) chip.set(at, value);
    chip.set(Address.registerB, RegB.hours24 | RegB.binary);
    chip.clock.advance(3653 * dayMicros);
    expect(binaryTime(chip).slice(0, 3)).toEqual([37, 8, 10]);
    expect(binaryTime(chip).slice(4)).toEqual([8, 15, 30]);
  });

  test("daylight savings time is kept over years nobody looks", () => {
    const chip = rig(Date.UTC(2026, 0, 1));
    chip.set(Address.registerB, RegB.hours24 | RegB.binary | RegB.set);
    for (const [at, value] of [[0, 0], [2, 0], [4, 12], [6, 5], [7, 1], [8, 1], [9, 26]] as const) chip.set(at, value);
    chip.set(Address.registerB, RegB.hours24 | RegB.binary | RegB.daylightSavings);
    chip.clock.advance(10_000 + (365 * 2 + 180) * dayMicros);
    expect(binaryTime(chip).slice(0, 5)).toEqual([28, 6, 29, 5, 13]);
    chip.clock.advance(150 * dayMicros);
    expect(binaryTime(chip).slice(0, 5)).toEqual([28, 11, 26, 1, 12]);
  });
});

describe("time", () => {
  test("agrees with Date after any start and any advance", () => {
    const first = Date.UTC(2000, 0, 1);
    const last = Date.UTC(2098, 0, 1);
    const waitsMs = fc.array(fc.integer({ min: 0, max: 5_000_000 }), { maxLength: 8 });
    fc.assert(fc.property(fc.integer({ min: first, max: last }), waitsMs, (start, waits) => {
      const chip = rig(start);
      chip.set(Address.registerB, RegB.hours24);
      let elapsedMs = 0;
      for (const wait of waits) {
        chip.clock.advance(wait * 1000);
        elapsedMs += wait;
      }
      const settleMs = (chip.get(Address.registerA) & RegA.updateInProgress) === 0 ? 0 : 3;
      chip.clock.advance(settleMs * 1000);
      elapsedMs += settleMs;
      const bcd = (address: number): number => { const byte = chip.get(address); return (byte >> 4) * 10 + (byte & 15); };
      expect(timeAddresses.map(bcd)).toEqual(civil(start + elapsedMs));
    }));
  });

  test("agrees with Date after any setting, in binary and over months", () => {
    const starts = fc.integer({ min: Date.UTC(2000, 0, 1) / 1000, max: Date.UTC(2090, 0, 1) / 1000 });
    fc.assert(fc.property(starts, fc.integer({ min: 0, max: 100 * 86_400 }), (start, seconds) => {
      const chip = rig();
      chip.set(Address.registerB, RegB.set | RegB.hours24 | RegB.binary);
      chip.set(Address.registerA, 0x70);
      for (const [at, value] of civil(start * 1000).entries()) chip.set(timeAddresses[at]!, value);
      chip.set(Address.registerB, RegB.hours24 | RegB.binary);
      chip.set(Address.registerA, RegA.divider32Khz);
      chip.clock.advance(seconds * secondMicros);
      expect(binaryTime(chip)).toEqual(civil((start + seconds) * 1000));
    }), { numRuns: 60 });
  });

  test("update cycles are short with the faster time bases", () => {
    const chip = rig();
    chip.set(Address.registerA, RegA.divider4Mhz);
    chip.clock.advance(secondMicros + 200);
    expect(chip.get(Address.registerA) & RegA.updateInProgress).toBe(RegA.updateInProgress);
    expect(chip.get(Address.seconds)).toBe(0xff);
    chip.clock.advance(100);
    expect(chip.get(Address.seconds)).toBe(0x01);
  });

  test("SET aborts an update cycle that has begun", () => {
    const chip = rig();
    chip.clock.advance(secondMicros + 1_000);
    chip.set(Address.registerB, RegB.set | RegB.hours24);
    expect(chip.get(Address.seconds)).toBe(0);
    chip.set(Address.registerB, RegB.hours24);
    chip.clock.advance(5_000);
    expect(chip.get(Address.seconds)).toBe(0);
    chip.clock.advance(secondMicros);
    expect(chip.get(Address.seconds)).toBe(1);
  });
});

describe("options and reset", () => {
  test("ramBytes 64 has half the addresses", () => {
    const chip = rig(0, { ramBytes: 64 });
    chip.set(0x3f, 0x11);
    expect(chip.get(0x7f)).toBe(0x11);
  });

  test("a failed battery is reported once", () => {
    const chip = rig(0, { batteryFailed: true });
    expect(chip.get(Address.registerD)).toBe(0x00);
    expect(chip.get(Address.registerD)).toBe(0x80);
  });

  test("reset drops the pin, the enables and the timer, and keeps time and RAM", () => {
    const chip = rig();
    chip.set(0x40, 0x77);
    chip.set(Address.registerB, RegB.hours24 | RegB.updateEnable | RegB.alarmEnable | RegB.periodicEnable | RegB.squareWaveEnable);
    chip.clock.advance(secondMicros + 5_000);
    expect(chip.level).toBe(true);
    chip.model.reset();
    expect(chip.level).toBe(false);
    expect(chip.clock.pending).toBe(0);
    expect(chip.get(Address.registerB)).toBe(RegB.hours24);
    expect(chip.get(Address.registerC)).toBe(0);
    expect(chip.get(0x40)).toBe(0x77);
    expect(chip.get(Address.seconds)).toBe(0x01);
  });

  test("counts interrupts and updates", () => {
    const chip = rig();
    chip.set(Address.registerB, RegB.hours24 | RegB.updateEnable);
    for (let at = 0; at < 3; at++) {
      chip.clock.advance(secondMicros + 5_000);
      expect(chip.get(Address.registerC)).toBe(RegC.irq | RegC.updateEnded | RegC.periodic);
    }
    expect(chip.model.statistics()).toEqual({ interrupts: 3, updates: 3 });
  });
});

test("no sequence of accesses throws, reads outside a byte, or leaves more than one timer", () => {
  const access = fc.record({
    write: fc.boolean(), offset: fc.integer({ min: 0, max: 1 }), value: fc.integer({ min: 0, max: 255 }),
    waitMicros: fc.integer({ min: 0, max: 3_000_000 }),
  });
  fc.assert(fc.property(fc.array(access, { maxLength: 200 }), (accesses) => {
    const chip = rig();
    const cmos = chip.model.spaces["cmos"]!;
    let level = false;
    for (const { write, offset, value, waitMicros } of accesses) {
      const read = write ? 0 : cmos.read(offset, 8);
      if (write) cmos.write(offset, 8, value);
      expect(Number.isInteger(read) && read >= 0 && read <= 255).toBe(true);
      expect(chip.clock.pending).toBeLessThanOrEqual(1);
      chip.clock.advance(waitMicros);
      level = chip.level;
    }
    const flags = chip.get(Address.registerC);
    expect((flags & RegC.irq) !== 0).toBe(level);
    expect(chip.level).toBe(false);
    chip.model.reset();
    expect(chip.clock.pending).toBe(0);
  }));
});
