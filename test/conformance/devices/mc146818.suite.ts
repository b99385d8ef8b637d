/** What every MC146818 must do, on any platform. Source: Motorola MC146818A data sheet (ADI-1026, 1984), by section name. */
import { describe, expect, test } from "vitest";
import { type BenchFactory, type DeviceBench, differs, withBench } from "./bench.ts";
import { Rtc, b, c, holdDivider, runDivider } from "./mc146818-rig.ts";

/** A Saturday: 2026-02-28 23:59:58 UTC. */
const epochMs = Date.UTC(2026, 1, 28, 23, 59, 58);

/** After an update cycle has surely ended: 1984 us of cycle and some slack. */
const afterCycle = 3_000;

const secondMicros = 1_000_000;

export function mc146818Suite(factory: BenchFactory): void {
  const on = (body: (rtc: Rtc, bench: DeviceBench) => Promise<void>) => () =>
    withBench(factory, { epochMs }, (bench) => body(new Rtc(bench), bench));

  describe(`MC146818 on ${factory.platform}`, () => {
    describe("power-on and registers", () => {
      registerTests(factory, on);
    });
    describe("calendar", () => {
      calendarTests(factory, on);
    });
    describe("update cycle", () => {
      updateTests(factory, on);
    });
    describe("interrupts", () => {
      interruptTests(on);
    });
    describe("periodic interrupt", () => {
      periodicTests(factory, on);
    });
  });
}

type On = (body: (rtc: Rtc, bench: DeviceBench) => Promise<void>) => () => Promise<void>;

function registerTests(factory: BenchFactory, on: On): void {
  test("starts with the machine's time in BCD and 24-hour mode", on(async (rtc) => {
    expect(await rtc.time()).toEqual([0x58, 0x59, 0x23, 7, 0x28, 0x02, 0x26]);
    expect(await rtc.get(0x32)).toBe(0x20);
    expect(await rtc.get(0x0b)).toBe(b.hours24);
    expect(await rtc.get(0x0a) & 0x7f).toBe(0x26);
  }));

  test("register D says that RAM and time are valid, and is read only", on(async (rtc) => {
    expect(await rtc.get(0x0d)).toBe(0x80);
    await rtc.set(0x0d, 0x00);
    expect(await rtc.get(0x0d)).toBe(0x80);
  }));

  test("register C is read only", on(async (rtc) => {
    await rtc.get(0x0c);
    await rtc.set(0x0c, 0xff);
    expect(await rtc.get(0x0c) & c.irq).toBe(0);
  }));

  test("UIP in register A cannot be written", on(async (rtc) => {
    await rtc.set(0x0a, holdDivider | 0x80 | 5);
    expect(await rtc.get(0x0a)).toBe(holdDivider | 5);
  }));

  test("register B keeps mode and enable bits while SET is low", on(async (rtc) => {
    await rtc.set(0x0a, holdDivider);
    for (const value of [0x00, 0x7f, b.squareWave | b.hours24, b.binary]) {
      await rtc.set(0x0b, value);
      expect(await rtc.get(0x0b)).toBe(value);
    }
  }));

  test("SET clears the update-ended enable and no other (Register B, SET)", on(async (rtc) => {
    await rtc.set(0x0b, 0x7f);
    await rtc.set(0x0b, 0xff);
    expect(await rtc.get(0x0b)).toBe(0xff & ~b.updateEnable);
    await rtc.set(0x0b, b.hours24);
    expect(await rtc.get(0x0b)).toBe(b.hours24);
  }));

  test(`RAM holds every byte and nothing else changes it${differs(factory, "rtc-century-counts")}`, on(async (rtc, bench) => {
    const special = factory.differences.has("rtc-century-counts") ? [0x32, 0x37] : [];
    const addresses = Array.from({ length: 0x80 - 0x0e }, (_, at) => at + 0x0e).filter((at) => !special.includes(at));
    for (const at of addresses) await rtc.set(at, (at * 7 + 3) & 0xff);
    await bench.advanceMicros(3 * secondMicros + afterCycle);
    for (const at of addresses) expect(await rtc.get(at)).toBe((at * 7 + 3) & 0xff);
  }));

  test("bit 7 of the address port is not part of the address", on(async (rtc, bench) => {
    await rtc.set(0x40, 0x5a);
    await bench.write8("cmos", 0, 0xc0);
    expect(await bench.read8("cmos", 1)).toBe(0x5a);
  }));

  test("the address port cannot be read back", on(async (_rtc, bench) => {
    await bench.write8("cmos", 0, 0x12);
    expect(await bench.read8("cmos", 0)).toBe(0xff);
  }));

  test("the address stays for several accesses to the data port", on(async (_rtc, bench) => {
    await bench.write8("cmos", 0, 0x50);
    await bench.write8("cmos", 1, 1);
    await bench.write8("cmos", 1, 2);
    expect(await bench.read8("cmos", 1)).toBe(2);
    expect(await bench.read8("cmos", 1)).toBe(2);
  }));
}

/** Mode in register B, the time before, the time one second later: seconds, minutes, hours, weekday, day, month, year. */
const steps: readonly [string, number, readonly number[], readonly number[]][] = [
  ["a second", b.hours24, [0x58, 0x59, 0x23, 7, 0x28, 0x02, 0x26], [0x59, 0x59, 0x23, 7, 0x28, 0x02, 0x26]],
  ["BCD carries in the tens", b.hours24, [0x09, 0x00, 0x00, 7, 1, 1, 0], [0x10, 0x00, 0x00, 7, 1, 1, 0]],
  ["a minute", b.hours24, [0x59, 0x09, 0x00, 7, 1, 1, 0], [0x00, 0x10, 0x00, 7, 1, 1, 0]],
  ["an hour", b.hours24, [0x59, 0x59, 0x19, 7, 1, 1, 0], [0x00, 0x00, 0x20, 7, 1, 1, 0]],
  ["a week", b.hours24, [0x59, 0x59, 0x23, 7, 0x07, 0x03, 0x26], [0, 0, 0, 1, 0x08, 0x03, 0x26]],
  ["a month of 31 days", b.hours24, [0x59, 0x59, 0x23, 7, 0x31, 0x01, 0x26], [0, 0, 0, 1, 1, 2, 0x26]],
  ["a month of 30 days", b.hours24, [0x59, 0x59, 0x23, 5, 0x30, 0x04, 0x26], [0, 0, 0, 6, 1, 5, 0x26]],
  ["February", b.hours24, [0x59, 0x59, 0x23, 7, 0x28, 0x02, 0x26], [0, 0, 0, 1, 1, 3, 0x26]],
  ["February of a leap year", b.hours24, [0x59, 0x59, 0x23, 4, 0x28, 0x02, 0x24], [0, 0, 0, 5, 0x29, 2, 0x24]],
  ["29 February", b.hours24, [0x59, 0x59, 0x23, 5, 0x29, 0x02, 0x24], [0, 0, 0, 6, 1, 3, 0x24]],
  ["year 00 is a leap year", b.hours24, [0x59, 0x59, 0x23, 2, 0x28, 0x02, 0x00], [0, 0, 0, 3, 0x29, 2, 0]],
  ["a year", b.hours24, [0x59, 0x59, 0x23, 5, 0x31, 0x12, 0x26], [0, 0, 0, 6, 1, 1, 0x27]],
  ["a century", b.hours24, [0x59, 0x59, 0x23, 5, 0x31, 0x12, 0x99], [0, 0, 0, 6, 1, 1, 0]],
  ["binary", b.hours24 | b.binary, [59, 59, 23, 5, 31, 12, 26], [0, 0, 0, 6, 1, 1, 27]],
  ["binary does not carry at nine", b.hours24 | b.binary, [9, 59, 19, 4, 9, 9, 9], [10, 59, 19, 4, 9, 9, 9]],
  ["12 hours: to noon", 0, [0x59, 0x59, 0x11, 5, 1, 1, 0x26], [0, 0, 0x92, 5, 1, 1, 0x26]],
  ["12 hours: after noon", 0, [0x59, 0x59, 0x92, 5, 1, 1, 0x26], [0, 0, 0x81, 5, 1, 1, 0x26]],
  ["12 hours: to midnight", 0, [0x59, 0x59, 0x91, 5, 1, 1, 0x26], [0, 0, 0x12, 6, 2, 1, 0x26]],
  ["12 hours: after midnight", 0, [0x59, 0x59, 0x12, 5, 1, 1, 0x26], [0, 0, 0x01, 5, 1, 1, 0x26]],
  ["12 hours: nine to ten", 0, [0x59, 0x59, 0x89, 5, 1, 1, 0x26], [0, 0, 0x90, 5, 1, 1, 0x26]],
  ["12 hours, binary: to noon", b.binary, [59, 59, 11, 5, 1, 1, 26], [0, 0, 0x8c, 5, 1, 1, 26]],
  ["12 hours, binary: to midnight", b.binary, [59, 59, 0x8b, 5, 1, 1, 26], [0, 0, 12, 6, 2, 1, 26]],
];

function calendarTests(factory: BenchFactory, on: On): void {
  test.each(steps)("counts %s", (_name, mode, before, after) =>
    on(async (rtc, bench) => {
      await rtc.startAt(before, mode);
      expect(await rtc.time()).toEqual(before);
      await bench.advanceMicros(secondMicros / 2 + afterCycle);
      expect(await rtc.time()).toEqual(after);
    })());

  test("keeps time over an hour nobody looks", on(async (rtc, bench) => {
    await rtc.startAt([0x30, 0x15, 0x23, 2, 0x10, 0x08, 0x26], b.hours24);
    await bench.advanceMicros(3_600 * secondMicros);
    expect(await rtc.time()).toEqual([0x30, 0x15, 0x00, 3, 0x11, 0x08, 0x26]);
  }));

  test(`the weekday is a counter of its own${differs(factory, "rtc-weekday-follows-date")}`, on(async (rtc, bench) => {
    await rtc.startAt([0x59, 0x59, 0x23, 3, 0x28, 0x02, 0x26], b.hours24);
    await bench.advanceMicros(secondMicros / 2 + afterCycle);
    expect(await rtc.time()).toEqual([0, 0, 0, factory.differences.has("rtc-weekday-follows-date") ? 1 : 4, 1, 3, 0x26]);
  }));

  test(`the century byte is plain RAM${differs(factory, "rtc-century-counts")}`, on(async (rtc, bench) => {
    await rtc.startAt([0x59, 0x59, 0x23, 6, 0x31, 0x12, 0x99], b.hours24, { century: 0x19 });
    await bench.advanceMicros(secondMicros / 2 + afterCycle);
    await rtc.time();
    expect(await rtc.get(0x32)).toBe(factory.differences.has("rtc-century-counts") ? 0x20 : 0x19);
  }));

  daylightTests(factory, on);
}

/** Register B, DSE: two special updates at 1:59:59 AM on a Sunday. */
function daylightTests(factory: BenchFactory, on: On): void {
  const ignored = factory.differences.has("rtc-no-daylight-savings");
  const cases: readonly [string, number, readonly number[], readonly number[]][] = [
    ["forward on the last Sunday of April", b.daylight, [0x59, 0x59, 0x01, 1, 0x26, 0x04, 0x26], [0, 0, 0x03, 1, 0x26, 4, 0x26]],
    ["forward on the earliest last Sunday of April", b.daylight, [0x59, 0x59, 0x01, 1, 0x24, 0x04, 0x33], [0, 0, 0x03, 1, 0x24, 4, 0x33]],
    ["back on the last Sunday of October", b.daylight, [0x59, 0x59, 0x01, 1, 0x25, 0x10, 0x26], [0, 0, 0x01, 1, 0x25, 0x10, 0x26]],
    ["not on an earlier Sunday", b.daylight, [0x59, 0x59, 0x01, 1, 0x19, 0x04, 0x26], [0, 0, 0x02, 1, 0x19, 4, 0x26]],
    ["not on a Monday", b.daylight, [0x59, 0x59, 0x01, 2, 0x27, 0x04, 0x26], [0, 0, 0x02, 2, 0x27, 4, 0x26]],
    ["not without DSE", 0, [0x59, 0x59, 0x01, 1, 0x26, 0x04, 0x26], [0, 0, 0x02, 1, 0x26, 4, 0x26]],
  ];
  test.each(cases)(`daylight savings time${differs(factory, "rtc-no-daylight-savings")}: %s`, (_name, mode, before, after) =>
    on(async (rtc, bench) => {
      await rtc.startAt(before, mode | b.hours24);
      await bench.advanceMicros(secondMicros / 2 + afterCycle);
      expect(await rtc.time()).toEqual(ignored ? after.with(2, 0x02) : after);
    })());

  test(`daylight savings time: the hour repeats once${differs(factory, "rtc-no-daylight-savings")}`, on(async (rtc, bench) => {
    await rtc.startAt([0x59, 0x59, 0x01, 1, 0x25, 0x10, 0x26], b.hours24 | b.daylight);
    await bench.advanceMicros(secondMicros / 2 + 3600 * secondMicros + afterCycle);
    expect(await rtc.time()).toEqual([0, 0, ignored ? 0x03 : 0x02, 1, 0x25, 0x10, 0x26]);
  }));
}

function updateTests(factory: BenchFactory, on: On): void {
  const start = [0x00, 0x00, 0x12, 1, 0x01, 0x03, 0x26];
  const instant = factory.differences.has("rtc-update-instant");

  test("the first update comes half a second after the divider is released (Divider Control)", on(async (rtc, bench) => {
    await rtc.startAt(start, b.hours24);
    await bench.advanceMicros(secondMicros / 2 - 1_000);
    expect(await rtc.get(0)).toBe(0);
    await bench.advanceMicros(1_000 + afterCycle);
    expect(await rtc.get(0)).toBe(1);
    await bench.advanceMicros(secondMicros - afterCycle - 1_000);
    expect(await rtc.get(0)).toBe(1);
    await bench.advanceMicros(1_000 + afterCycle);
    expect(await rtc.get(0)).toBe(2);
  }));

  const ticks = factory.differences.has("rtc-periodic-ignores-divider");
  test(`the divider held in reset stops time and interrupts${differs(factory, "rtc-periodic-ignores-divider")}`, on(async (rtc, bench) => {
    await rtc.startAt(start, b.hours24 | b.updateEnable | b.periodicEnable, { rate: 0x0f });
    await rtc.set(0x0a, holdDivider | 0x0f);
    await rtc.get(0x0c);
    await bench.advanceMicros(10 * secondMicros);
    expect(await rtc.time()).toEqual(start);
    expect(await bench.irqLevel("tick")).toBe(ticks);
    expect(await rtc.get(0x0c)).toBe(ticks ? c.irq | c.periodic : 0);
    expect(await rtc.get(0x0a) & 0x80).toBe(0);
  }));

  test("UIP rises 244 us before the update (Update Cycle, tBUC)", on(async (rtc, bench) => {
    await rtc.startAt(start, b.hours24);
    await bench.advanceMicros(secondMicros / 2 - 260);
    expect(await rtc.get(0x0a) & 0x80).toBe(0);
    await bench.advanceMicros(30);
    expect(await rtc.get(0x0a) & 0x80).toBe(0x80);
    expect(await rtc.get(0)).toBe(0);
  }));

  test(`the update cycle lasts 1984 us (Update Cycle, tUC)${differs(factory, "rtc-update-instant")}`, on(async (rtc, bench) => {
    await rtc.startAt(start, b.hours24);
    await bench.advanceMicros(secondMicros / 2 + 1_900);
    expect(await rtc.get(0x0a) & 0x80).toBe(instant ? 0 : 0x80);
    expect(await rtc.get(0x0c) & c.updateEnded).toBe(instant ? c.updateEnded : 0);
    await bench.advanceMicros(100);
    expect(await rtc.get(0x0a) & 0x80).toBe(0);
    expect(await rtc.get(0x0c) & c.updateEnded).toBe(instant ? 0 : c.updateEnded);
    expect(await rtc.get(0)).toBe(1);
  }));

  test(`time bytes are off the bus during the update cycle, RAM is not${differs(factory, "rtc-update-instant")}`, on(async (rtc, bench) => {
    await rtc.startAt(start, b.hours24);
    await rtc.set(0x40, 0x5a);
    await bench.advanceMicros(secondMicros / 2 + 1_000);
    // The data sheet calls what is read undefined; what is written does not arrive.
    expect(await rtc.get(0x40)).toBe(0x5a);
    await rtc.set(5, 0x17);
    await bench.advanceMicros(afterCycle);
    expect(await rtc.get(5)).toBe(instant ? 0x17 : 0x00);
  }));

  test("SET freezes time and keeps UIP low; releasing it goes on from what was written", on(async (rtc, bench) => {
    await rtc.startAt(start, b.hours24);
    await rtc.set(0x0b, b.set | b.hours24);
    for (const micros of [100_000, secondMicros / 2 - 100_100, 100, 5 * secondMicros + 250_000]) {
      await bench.advanceMicros(micros);
      expect(await rtc.get(0x0a) & 0x80).toBe(0);
    }
    expect(await rtc.time()).toEqual(start);
    await rtc.set(0, 0x30);
    await rtc.set(0x0b, b.hours24);
    expect(await rtc.get(0)).toBe(0x30);
    await bench.advanceMicros(secondMicros + afterCycle);
    expect(await rtc.get(0)).toBe(0x31);
  }));

  test("SET does not disturb the phase of the divider", on(async (rtc, bench) => {
    await rtc.startAt(start, b.hours24);
    await bench.advanceMicros(secondMicros / 2 + 200_000);
    await rtc.set(0x0b, b.set | b.hours24);
    await rtc.set(0, 0x40);
    await rtc.set(0x0b, b.hours24);
    await bench.advanceMicros(700_000);
    expect(await rtc.get(0)).toBe(0x40);
    await bench.advanceMicros(100_000 + afterCycle);
    expect(await rtc.get(0)).toBe(0x41);
  }));
}

function interruptTests(on: On): void {
  const start = [0x00, 0x00, 0x12, 1, 0x01, 0x03, 0x26];
  const update = secondMicros / 2 + afterCycle;

  test("UF is set after each update also while it is not enabled, and raises nothing", on(async (rtc, bench) => {
    await rtc.startAt(start, b.hours24);
    await bench.advanceMicros(update);
    expect(await bench.irqLevel("tick")).toBe(false);
    expect(await rtc.get(0x0c) & (c.irq | c.updateEnded)).toBe(c.updateEnded);
    expect(await rtc.get(0x0c) & (c.irq | c.updateEnded)).toBe(0);
  }));

  test("the update-ended interrupt raises the pin until register C is read, each second", on(async (rtc, bench) => {
    await rtc.startAt(start, b.hours24 | b.updateEnable, { alarm: noAlarm });
    await bench.advanceMicros(secondMicros / 2 - 1_000);
    expect(await bench.irqLevel("tick")).toBe(false);
    await bench.advanceMicros(1_000 + afterCycle);
    for (let second = 0; second < 3; second++) {
      expect(await bench.irqLevel("tick")).toBe(true);
      expect(await rtc.get(0x0c)).toBe(c.irq | c.updateEnded);
      expect(await bench.irqLevel("tick")).toBe(false);
      expect(await rtc.get(0x0c)).toBe(0);
      await bench.advanceMicros(secondMicros);
    }
  }));

  test("a flag that is set raises the pin as soon as it is enabled; disabling it drops the pin", on(async (rtc, bench) => {
    await rtc.startAt(start, b.hours24, { alarm: noAlarm });
    await bench.advanceMicros(update);
    expect(await bench.irqLevel("tick")).toBe(false);
    await rtc.set(0x0b, b.hours24 | b.updateEnable);
    expect(await bench.irqLevel("tick")).toBe(true);
    await rtc.set(0x0b, b.hours24);
    expect(await bench.irqLevel("tick")).toBe(false);
    await rtc.set(0x0b, b.hours24 | b.updateEnable);
    expect(await rtc.get(0x0c)).toBe(c.irq | c.updateEnded);
  }));

  test("the pin stays high when the interrupt is not served", on(async (rtc, bench) => {
    await rtc.startAt(start, b.hours24 | b.updateEnable);
    await bench.advanceMicros(update);
    for (let at = 0; at < 3; at++) {
      await bench.advanceMicros(secondMicros);
      expect(await bench.irqLevel("tick")).toBe(true);
    }
  }));

  /** Alarm bytes for seconds, minutes, hours; the time before; seconds until the alarm. */
  const alarms: readonly [string, readonly number[], readonly number[], number][] = [
    ["at a time of day", [0x05, 0x30, 0x12], [0x02, 0x30, 0x12, 5, 1, 1, 0x26], 3],
    ["every second", [0xff, 0xff, 0xff], [0x02, 0x30, 0x12, 5, 1, 1, 0x26], 1],
    ["every minute", [0x00, 0xc0, 0xff], [0x56, 0x30, 0x12, 5, 1, 1, 0x26], 4],
    ["every hour", [0x00, 0x00, 0xd5], [0x57, 0x59, 0x12, 5, 1, 1, 0x26], 3],
    ["the next day", [0x01, 0x00, 0x00], [0x58, 0x59, 0x23, 5, 1, 1, 0x26], 3],
  ];
  test.each(alarms)("the alarm interrupt comes %s", (_name, alarm, before, seconds) =>
    on(async (rtc, bench) => {
      await rtc.startAt(before, b.hours24 | b.alarmEnable, { alarm });
      await bench.advanceMicros(secondMicros / 2 + afterCycle);
      for (let second = 1; second < seconds; second++) {
        expect(await bench.irqLevel("tick")).toBe(false);
        expect(await rtc.get(0x0c) & c.alarm).toBe(0);
        await bench.advanceMicros(secondMicros);
      }
      expect(await bench.irqLevel("tick")).toBe(true);
      expect(await rtc.get(0x0c) & (c.irq | c.alarm)).toBe(c.irq | c.alarm);
      expect(await bench.irqLevel("tick")).toBe(false);
    })());

  test("the alarm in 12-hour mode tells morning from evening", on(async (rtc, bench) => {
    for (const [hours, comes] of [[0x07, false], [0x87, true]] as const) {
      await rtc.startAt([0x59, 0x59, hours, 5, 1, 1, 0x26], b.alarmEnable, { alarm: [0x00, 0x00, 0x88] });
      await bench.advanceMicros(update);
      expect(await bench.irqLevel("tick")).toBe(comes);
    }
  }));

  test("the alarm comes once, and again the next day", on(async (rtc, bench) => {
    for (const day of [1, 2]) {
      await rtc.startAt([0x58, 0x59, 0x07, 4 + day, day, 1, 0x26], b.hours24 | b.alarmEnable, { alarm: [0x59, 0x59, 0x07] });
      await bench.advanceMicros(update);
      expect(await bench.irqLevel("tick")).toBe(true);
      expect(await rtc.get(0x0c) & c.alarm).toBe(c.alarm);
      await bench.advanceMicros(3_600 * secondMicros);
      expect(await bench.irqLevel("tick")).toBe(false);
    }
  }));

  test("AF is set also while it is not enabled", on(async (rtc, bench) => {
    await rtc.startAt([0x58, 0x59, 0x07, 5, 1, 1, 0x26], b.hours24, { alarm: [0x59, 0x59, 0x07] });
    await bench.advanceMicros(update);
    expect(await bench.irqLevel("tick")).toBe(false);
    expect(await rtc.get(0x0c) & (c.irq | c.alarm)).toBe(c.alarm);
  }));

  test("one read of register C reports and clears every cause", on(async (rtc, bench) => {
    await rtc.startAt(start, b.hours24 | b.updateEnable | b.alarmEnable | b.periodicEnable, { rate: 0x0f, alarm: [0xff, 0xff, 0xff] });
    await bench.advanceMicros(secondMicros + afterCycle);
    expect(await rtc.get(0x0c)).toBe(c.irq | c.updateEnded | c.alarm | c.periodic);
    expect(await rtc.get(0x0c)).toBe(0);
    expect(await bench.irqLevel("tick")).toBe(false);
  }));
}

/** No time of day has these alarm bytes. */
const noAlarm = [0x7f, 0x7f, 0x7f];

/** RS3-0 and its rate from the 32.768 kHz time base (table 5). */
const rates: readonly [number, number][] = [
  [1, 256], [2, 128], [3, 8192], [4, 4096], [5, 2048], [6, 1024], [7, 512], [8, 256], [9, 128], [10, 64], [11, 32], [12, 16], [13, 8],
  [14, 4], [15, 2],
];

function periodicTests(factory: BenchFactory, on: On): void {
  test.each(rates)("RS %i gives %i interrupts per second", (code, hertz) =>
    on(async (rtc, bench) => {
      const period = secondMicros / hertz;
      await rtc.set(0x0b, b.hours24);
      await rtc.set(0x0a, runDivider | code);
      await rtc.get(0x0c);
      await rtc.set(0x0b, b.hours24 | b.periodicEnable);
      for (let tries = 0; tries < 20 && !(await bench.irqLevel("tick")); tries++) await bench.advanceMicros(period / 8);
      for (let edge = 0; edge < 4; edge++) {
        expect(await bench.irqLevel("tick")).toBe(true);
        expect(await rtc.get(0x0c) & (c.irq | c.periodic)).toBe(c.irq | c.periodic);
        expect(await bench.irqLevel("tick")).toBe(false);
        await bench.advanceMicros(period * 0.75);
        expect(await bench.irqLevel("tick")).toBe(false);
        await bench.advanceMicros(period * 0.25);
      }
    })());

  test("RS 0 gives none", on(async (rtc, bench) => {
    await rtc.startAt([0, 0, 0, 5, 1, 1, 0x26], b.hours24 | b.periodicEnable);
    await bench.advanceMicros(2 * secondMicros);
    expect(await bench.irqLevel("tick")).toBe(false);
    expect(await rtc.get(0x0c) & c.periodic).toBe(0);
  }));

  test("SET does not stop the periodic interrupt", on(async (rtc, bench) => {
    await rtc.set(0x0a, runDivider | 0x06);
    await rtc.set(0x0b, b.set | b.hours24 | b.periodicEnable);
    await rtc.get(0x0c);
    await bench.advanceMicros(5_000);
    expect(await bench.irqLevel("tick")).toBe(true);
    expect(await rtc.get(0x0c)).toBe(c.irq | c.periodic);
  }));

  test(`PF is set at the rate also while it is not enabled${differs(factory, "rtc-periodic-needs-enable")}`, on(async (rtc, bench) => {
    await rtc.startAt([0, 0, 0, 5, 1, 1, 0x26], b.hours24, { rate: 0x06 });
    await rtc.get(0x0c);
    await bench.advanceMicros(5_000);
    expect(await bench.irqLevel("tick")).toBe(false);
    expect(await rtc.get(0x0c)).toBe(factory.differences.has("rtc-periodic-needs-enable") ? 0 : c.periodic);
  }));

  const note = differs(factory, "rtc-divider-edges");
  test(`an update comes half a period after a periodic edge (Update Cycle)${note}`, on(async (rtc, bench) => {
    await rtc.startAt([0, 0, 0, 5, 1, 1, 0x26], b.hours24 | b.periodicEnable, { rate: 0x0f });
    await rtc.get(0x0c);
    await bench.advanceMicros(245_000);
    expect(await bench.irqLevel("tick")).toBe(false);
    await bench.advanceMicros(10_000);
    expect(await bench.irqLevel("tick")).toBe(!factory.differences.has("rtc-divider-edges"));
  }));
}
