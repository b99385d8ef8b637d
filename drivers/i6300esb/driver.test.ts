/** The i6300esb driver on the simulated device: every operation, what a predecessor left behind, and devices that lie. */
import { VirtualClock, startDriver } from "airlock/driver-testing";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { modelEnvironment } from "../../test/fixtures/model-environment.ts";
import model from "../../runtime/models/i6300esb.ts";
import driver from "./driver.ts";
import { ConfigReg, Lock, Reg, Reload, countMs, mostCounts, unlockSequence } from "./registers.ts";

/** Something between the driver and the device. */
interface Lies {
  read?: (window: string, offset: number, value: number) => number;
  writes?: boolean;
}

/** The device, powered on, and a way to look at it and to start drivers on it. */
function device(options: Record<string, boolean> = {}, lies: Lies = {}) {
  const clock = new VirtualClock();
  const resets = { count: 0 };
  const live = model.create({ name: "wdt", compatible: ["i6300esb"], windows: {}, irqs: {}, options }, modelEnvironment({ clock, requestReset: () => { resets.count++; } }));
  const { bar0, config } = live.spaces as Record<"bar0" | "config", (typeof live.spaces)[string]>;
  const space = (name: "bar0" | "config") => ({
    read: (offset: number, width: 8 | 16 | 32) => {
      const value = live.spaces[name]!.read(offset, width);
      return lies.read === undefined ? value : lies.read(name, offset, value);
    },
    write: (offset: number, width: 8 | 16 | 32, value: number) => { if (lies.writes !== false) live.spaces[name]!.write(offset, width, value); },
  });
  const run = () => startDriver(driver, {
    clock, windows: { bar0: { sizeBytes: 16, widths: [16, 32], space: space("bar0") }, config: { sizeBytes: 128, widths: [8, 16], space: space("config") } },
  });
  return { clock, resets, bar0, config, run, lies };
}

const seconds = { running: true, noWayOut: false, timeoutMs: 3_000, pretimeoutMs: 0 };

describe("identify", () => {
  test("tells what the data sheet says of it", async () => {
    const running = await device().run();
    expect(await running.call("identify", {})).toEqual({
      minTimeoutMs: 2, maxTimeoutMs: Math.floor(2 * mostCounts * countMs), canStop: true, hasPretimeout: false, tellsTimeLeft: false, hasExpired: false, isRunning: false,
    });
  });

  test("tells of the reset it caused, once", async () => {
    const one = device({ timedOut: true });
    expect(await (await one.run()).call("identify", {})).toMatchObject({ hasExpired: true });
    expect(await (await one.run()).call("identify", {})).toMatchObject({ hasExpired: false });
  });
});

describe("configure and ping", () => {
  test.each([2, 3, 1_000, 3_000, 60_000, 2_000_000])("%i ms pass before it runs out, and hardly more", async (timeoutMs) => {
    const { clock, resets, run } = device();
    const running = await run();
    const { timeoutMs: given, isRunning } = await running.call("configure", { ...seconds, timeoutMs });
    expect([isRunning, given >= timeoutMs && given <= timeoutMs + 1]).toEqual([true, true]);
    clock.advance(timeoutMs * 1_000 - 1);
    expect(resets.count).toBe(0);
    clock.advance(countMs * 1_000 + 1);
    expect(resets.count).toBe(1);
  });

  test("a ping begins the time anew, from either stage, with the timeout it says", async () => {
    const { clock, resets, run } = device();
    const running = await run();
    await running.call("configure", seconds);
    for (const ms of [1_000, 2_000, 2_990]) {
      clock.advance(ms * 1_000);
      await running.call("ping", { timeoutMs: 3_000 });
    }
    await running.call("ping", { timeoutMs: 10_000 });
    clock.advance(9_999_000);
    expect(resets.count).toBe(0);
    clock.advance(10_000);
    expect(resets.count).toBe(1);
  });

  test("a ping costs three writes and a read when nothing changes", async () => {
    const running = await device().run();
    await running.call("configure", seconds);
    const before = { ...running.accesses };
    await running.call("ping", { timeoutMs: 3_000 });
    expect([running.accesses.reads - before.reads, running.accesses.writes - before.writes]).toEqual([1, 3]);
  });

  test("a ping does not start what is stopped", async () => {
    const { clock, resets, run } = device();
    const running = await run();
    await running.call("ping", { timeoutMs: 2 });
    clock.advance(1e6);
    expect(resets.count).toBe(0);
  });

  test("stopped it does not run out, and can be started again", async () => {
    const { clock, resets, run } = device();
    const running = await run();
    await running.call("configure", seconds);
    expect(await running.call("configure", { ...seconds, running: false, timeoutMs: 1 })).toMatchObject({ isRunning: false });
    clock.advance(10e6);
    expect(resets.count).toBe(0);
    await running.call("configure", seconds);
    clock.advance(3_010_000);
    expect(resets.count).toBe(1);
  });

  test("without a way out it runs on", async () => {
    const { clock, resets, run } = device();
    const running = await run();
    await running.call("configure", { ...seconds, noWayOut: true });
    expect(await running.call("configure", { ...seconds, running: false })).toMatchObject({ isRunning: true });
    expect(await running.call("identify", {})).toMatchObject({ canStop: false, isRunning: true });
    clock.advance(3_010_000);
    expect(resets.count).toBe(1);
  });
});

describe("running out", () => {
  test("is told at the next ping or configuration, once", async () => {
    for (const next of ["ping", "configure"] as const) {
      const { clock, run } = device();
      const running = await run();
      await running.call("configure", seconds);
      clock.advance(3_010_000);
      await (next === "ping" ? running.call("ping", { timeoutMs: 3_000 }) : running.call("configure", seconds));
      await running.call("ping", { timeoutMs: 3_000 });
      expect(running.takeEvents()).toEqual([{ name: "expired", payload: {} }]);
    }
  });

  test("it has forgotten its timeout, and is given it again", async () => {
    const { clock, resets, run } = device();
    const running = await run();
    await running.call("configure", seconds);
    clock.advance(3_010_000);
    await running.call("configure", seconds);
    clock.advance(3_010_000);
    expect(resets.count).toBe(2);
  });
});

describe("a predecessor that died", () => {
  test("left it counting: it goes on, by what it was told, until this driver is told otherwise", async () => {
    const { clock, resets, run } = device();
    await (await run()).call("configure", seconds);
    clock.advance(2e6);
    const next = await run();
    expect(await next.call("identify", {})).toMatchObject({ isRunning: true });
    clock.advance(990_000);
    expect(resets.count).toBe(0);
    await next.call("ping", { timeoutMs: 3_000 });
    clock.advance(2_999_000);
    expect(resets.count).toBe(0);
  });

  test.each([0, 1, 2])("after %i writes of the unlocking sequence leaves nothing unlocked", async (count) => {
    const { bar0, clock, resets, run } = device();
    await (await run()).call("configure", seconds);
    for (const value of unlockSequence.slice(0, count)) bar0.write(Reg.reload, 16, value);
    const next = await run();
    bar0.write(Reg.preload1, 32, 1);
    bar0.write(Reg.preload2, 32, 1);
    await next.call("ping", { timeoutMs: 3_000 });
    clock.advance(2_999_000);
    expect(resets.count).toBe(0);
  });

  test("between the two halves of a new timeout leaves no mixture", async () => {
    const { bar0, clock, resets, run } = device();
    await (await run()).call("configure", { ...seconds, timeoutMs: 100_000 });
    for (const value of unlockSequence) bar0.write(Reg.reload, 16, value);
    bar0.write(Reg.preload1, 32, 1);
    const next = await run();
    await next.call("configure", seconds);
    clock.advance(3_010_000);
    expect(resets.count).toBe(1);
  });
});

describe("devices that lie", () => {
  test("one that is gone ends its driver, at the start and later", async () => {
    const lies: Lies = { read: () => 0xffff };
    await expect(device({}, lies).run()).rejects.toThrow(/the device is gone/);
    const one = device();
    const running = await one.run();
    one.lies.read = () => 0xffff;
    await expect(running.call("ping", { timeoutMs: 3_000 })).rejects.toThrow(/the device is gone/);
  });

  test("one whose flag never goes ends it instead of telling of it for ever", async () => {
    const stuck = device({}, { read: (window, offset, value) => (window === "bar0" && offset === Reg.reload ? Reload.timeout : value) });
    await expect(stuck.run()).rejects.toThrow(/whatever it is told/);
  });

  test("one that takes no writes is not said to run", async () => {
    const running = await device({}, { writes: false }).run();
    expect(await running.call("configure", seconds)).toMatchObject({ isRunning: false });
  });

  test("no device and no order of calls makes it hang, answer outside of its contract, or leave the flag standing", async () => {
    const call = fc.oneof(
      fc.record({ name: fc.constant("configure" as const), running: fc.boolean(), noWayOut: fc.boolean(), timeoutMs: fc.integer({ min: 1, max: 3_600_000 }) }),
      fc.record({ name: fc.constant("ping" as const), timeoutMs: fc.integer({ min: 1, max: 3_600_000 }) }),
      fc.record({ name: fc.constant("pass" as const), ms: fc.nat({ max: 10_000 }) }),
      fc.record({ name: fc.constant("restart" as const) }),
    );
    await fc.assert(fc.asyncProperty(fc.array(call, { maxLength: 20 }), fc.array(fc.tuple(fc.nat({ max: 30 }), fc.nat({ max: 0xffff })), { maxLength: 3 }), async (calls, noise) => {
      let reads = 0;
      const lies: Lies = { read: (_window, _offset, value) => value ^ (noise.find(([at]) => at === reads++)?.[1] ?? 0) };
      const one = device({}, lies);
      let running = await one.run().catch(() => undefined);
      for (const step of calls) {
        if (step.name === "pass") one.clock.advance(step.ms * 1_000);
        else if (step.name === "restart" || running === undefined) running = await one.run().catch(() => undefined);
        else {
          const { name, ...args } = step;
          const reply = running.call(name, { pretimeoutMs: 0, ...args } as never);
          await reply.catch((error: unknown) => {
            expect(String(error)).toMatch(/the device/);
            running = undefined;
          });
        }
      }
      delete lies.read;
      const { hasExpired } = await (await one.run()).call("identify", {});
      expect(typeof hasExpired).toBe("boolean");
      expect(one.bar0.read(Reg.reload, 16) & Reload.timeout).toBe(0);
      expect(one.config.read(ConfigReg.lock, 8) & ~(Lock.enable | Lock.locked)).toBe(0);
    }), { numRuns: 200 });
  });
});
