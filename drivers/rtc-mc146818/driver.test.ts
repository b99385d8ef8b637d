/** The MC146818 driver on the simulated chip: every operation, every event, and what a predecessor may have left behind. */
import { VirtualClock, startDriver } from "airlock/driver-testing";
import { describe, expect, test } from "vitest";
import model from "../../runtime/models/mc146818.ts";
import driver from "./driver.ts";
import { encodingOf } from "./encoding.ts";
import { Address, Port, RegB, RegC } from "./registers.ts";
import { levelPin, modelEnvironment } from "../../test/fixtures/model-environment.ts";

const epochMs = Date.UTC(2026, 10, 20, 22, 59, 58, 250);
const start = { year: 2026, month: 11, day: 20, hour: 22, minute: 59, second: 58 };

/** The chip, powered on for years, and a way to look at it and to start drivers on it. */
function chip(options: Record<string, boolean> = {}) {
  const clock = new VirtualClock();
  let pin = (_asserted: boolean): void => undefined;
  const live = model.create(
    { name: "rtc", compatible: ["mc146818"], windows: {}, irqs: { tick: 8 }, options },
    modelEnvironment({ clock, epochMs, irq: () => levelPin((asserted) => pin(asserted)) }),
  );
  const space = live.spaces["cmos"]!;
  const peek = (address: number): number => {
    space.write(Port.index, 8, address);
    return space.read(Port.data, 8);
  };
  const poke = (address: number, value: number): void => {
    space.write(Port.index, 8, address);
    space.write(Port.data, 8, value);
  };
  const run = async () => {
    const running = await startDriver(driver, { clock, windows: { cmos: { sizeBytes: 2, space } }, irqs: ["tick"] });
    pin = (asserted) => running.setIrq("tick", asserted);
    return running;
  };
  return { run, peek, poke, clock };
}

describe("readTime", () => {
  test("reads the calendar with few accesses", async () => {
    const running = await chip().run();
    const before = running.accesses.reads;
    expect(await running.call("readTime", {})).toEqual(start);
    expect(running.accesses.reads - before).toBe(9);
  });

  test("is right at every millisecond around an update", async () => {
    const running = await chip().run();
    await running.advance(740);
    for (let ms = 740; ms < 760; ms++) {
      const time = await running.call("readTime", {});
      expect([58, 59]).toContain(time.second);
      expect({ ...time, second: 0 }).toEqual({ ...start, second: 0 });
      await running.advance(0.3);
    }
  });

  test("fails when the clock never stops updating", async () => {
    const stuck = { read: () => 0x80, write: () => undefined };
    const running = await startDriver(driver, { windows: { cmos: { sizeBytes: 2, space: stuck } }, irqs: ["tick"] });
    await expect(running.call("readTime", {})).rejects.toThrow(/updating at each of 10 looks/);
  });
});

describe("setTime", () => {
  test.each([
    { year: 2000, month: 2, day: 29, hour: 0, minute: 0, second: 0 },
    { year: 1970, month: 1, day: 1, hour: 12, minute: 30, second: 9 },
    { year: 2069, month: 12, day: 31, hour: 23, minute: 59, second: 58 },
  ])("sets $year-$month-$day", async (time) => {
    const running = await chip().run();
    await running.call("setTime", time);
    expect(await running.call("readTime", {})).toEqual(time);
  });

  test("lets the clock run on", async () => {
    const running = await chip().run();
    await running.call("setTime", start);
    await running.advance(3000);
    expect((await running.call("readTime", {})).minute).toBe(0);
  });
});

describe("the alarm", () => {
  test("comes at its second, once a day, until it is cleared", async () => {
    const running = await chip().run();
    await running.call("setAlarm", { hour: 23, minute: 0, second: 1 });
    await running.advance(2700);
    expect(running.takeEvents()).toEqual([]);
    await running.advance(200);
    expect(running.takeEvents()).toEqual([{ name: "alarm", payload: {} }]);
    await running.advance(86_400_000);
    expect(running.takeEvents()).toEqual([{ name: "alarm", payload: {} }]);
    await running.call("clearAlarm", {});
    await running.advance(86_400_000);
    expect(running.takeEvents()).toEqual([]);
  });
});

describe("periodic ticks", () => {
  test.each([2, 64])("of %i Hz are told one by one", async (rateHz) => {
    const running = await chip().run();
    await running.call("setPeriodic", { rateHz });
    await running.advance(2000);
    const events = running.takeEvents();
    expect(events.length).toBeGreaterThanOrEqual(2 * rateHz - 1);
    expect(events.every(({ name, payload }) => name === "periodic" && "count" in payload && payload.count === 1)).toBe(true);
    await running.call("setPeriodic", { rateHz: 0 });
    running.takeEvents();
    await running.advance(2000);
    expect(running.takeEvents()).toEqual([]);
  });

  test("above 64 Hz are counted", async () => {
    const running = await chip().run();
    await running.call("setPeriodic", { rateHz: 8192 });
    await running.advance(1000);
    const counts = running.takeEvents().map(({ payload }) => ("count" in payload ? payload.count : 0));
    expect(counts).toEqual(counts.map(() => 128));
    expect(counts.length).toBeGreaterThanOrEqual(63);
    expect(counts.length).toBeLessThanOrEqual(64);
  });
});

test("update events come each second while they are on", async () => {
  const running = await chip().run();
  await running.call("setUpdateEvents", { on: true });
  await running.advance(3000);
  expect(running.takeEvents().map(({ name }) => name)).toEqual(["update", "update", "update"]);
  await running.call("setUpdateEvents", { on: false });
  await running.advance(3000);
  expect(running.takeEvents()).toEqual([]);
});

test("a failed battery is told", async () => {
  const running = await chip({ batteryFailed: true }).run();
  await running.advance(1);
  expect(running.takeEvents()).toEqual([{ name: "batteryLow", payload: {} }]);
});

describe("a predecessor that died", () => {
  test("in the middle of setTime does not leave the clock stopped", async () => {
    const { run, peek, poke } = chip();
    poke(Address.registerB, peek(Address.registerB) | RegB.set);
    const running = await run();
    const before = await running.call("readTime", {});
    await running.advance(2500);
    expect(await running.call("readTime", {})).not.toEqual(before);
  });

  test("with interrupts on leaves none behind", async () => {
    const { run, peek, poke } = chip();
    poke(Address.registerB, peek(Address.registerB) | RegB.updateEnable | RegB.periodicEnable | RegB.alarmEnable);
    const running = await run();
    expect(peek(Address.registerB) & 0x70).toBe(0);
    expect(peek(Address.registerC) & RegC.updateEnded).toBe(0);
    await running.advance(2000);
    expect(running.takeEvents()).toEqual([]);
  });

  test("with the divider stopped is said so", async () => {
    const { run, poke } = chip();
    poke(Address.registerA, 0x70);
    expect((await run()).logs).toEqual([expect.stringMatching(/divider was stopped/)]);
  });
});

test.each([0, RegB.binary, RegB.hours24, RegB.binary | RegB.hours24])("encodes and decodes every value in mode %i", (mode) => {
  const encoding = encodingOf(mode);
  for (let hour = 0; hour < 24; hour++) expect(encoding.parseHours(encoding.hours(hour))).toBe(hour);
  for (let value = 0; value < 100; value++) expect(encoding.parseNumber(encoding.number(value))).toBe(value);
  expect([encoding.parseYear(encoding.number(70)), encoding.parseYear(encoding.number(69))]).toEqual([1970, 2069]);
});
