/** Finer points of the 6300ESB watchdog model than every such device must have, and that nothing written harms it. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { VirtualClock } from "../api/clock.ts";
import type { AccessWidth } from "../api/grants.ts";
import type { DeviceDescription } from "../bus/device.ts";
import { modelEnvironment } from "../../test/fixtures/model-environment.ts";
import { ConfigReg, Configuration, Lock, Reg, Reload, interruptActive, preloadMask, tickMicros, unlockSequence } from "./i6300esb-registers.ts";
import i6300esb from "./i6300esb.ts";

function device(options: DeviceDescription["options"] = {}) {
  const clock = new VirtualClock();
  const asked = { resets: 0 };
  const model = i6300esb.create({ name: "wdt", compatible: ["i6300esb"], windows: {}, irqs: {}, options }, modelEnvironment({ clock, requestReset: () => { asked.resets++; } }));
  const { bar0, config } = model.spaces as Record<"bar0" | "config", (typeof model.spaces)[string]>;
  const unlocked = (offset: number, value: number, width: AccessWidth = 32): void => {
    for (const step of unlockSequence) bar0.write(Reg.reload, 16, step);
    bar0.write(offset, width, value);
  };
  const start = (first: number, second: number, lock: number = Lock.enable): void => {
    unlocked(Reg.preload1, first);
    unlocked(Reg.preload2, second);
    config.write(ConfigReg.lock, 8, lock);
  };
  const pass = (counts: number): void => clock.advance(counts * tickMicros(false));
  return { clock, asked, model, bar0, config, unlocked, start, pass };
}

describe("the counter", () => {
  test("counts the second stage only while it is free running, and sets its flag each time round", () => {
    const { asked, bar0, config, model, pass, start, unlocked } = device();
    config.write(ConfigReg.configuration, 16, Configuration.outputDisabled);
    start(1_000, 10, Lock.enable | Lock.freeRunning);
    pass(11);
    expect([bar0.read(Reg.reload, 16), bar0.read(Reg.interruptStatus, 32)]).toEqual([Reload.timeout, 0]);
    unlocked(Reg.reload, Reload.timeout, 16);
    expect(bar0.read(Reg.reload, 16)).toBe(0);
    pass(35);
    expect(bar0.read(Reg.reload, 16)).toBe(Reload.timeout);
    expect([model.statistics()["timeouts"], asked.resets]).toEqual([4, 0]);
  });

  test("a preload of 0 is one count", () => {
    const { asked, pass, start } = device();
    start(0, 0);
    pass(1.5);
    expect(asked.resets).toBe(0);
    pass(1);
    expect(asked.resets).toBe(1);
  });

  test("with no more than its preloads of power-on it takes two million counts", () => {
    const { asked, clock, config } = device();
    config.write(ConfigReg.lock, 8, Lock.enable);
    clock.advance(2 * preloadMask * tickMicros(false) - 1);
    expect(asked.resets).toBe(0);
    clock.advance(2);
    expect(asked.resets).toBe(1);
  });

  test("counts what it does", () => {
    const { model, pass, start, unlocked } = device();
    start(10, 10);
    pass(15);
    unlocked(Reg.reload, Reload.reload, 16);
    pass(25);
    expect(model.statistics()).toEqual({ reloads: 1, firstStages: 2, timeouts: 1, resetRequests: 1 });
  });
});

describe("registers", () => {
  test("the first stage's end is shown until a one is written to it, which needs no unlocking", () => {
    const { bar0, pass, start } = device();
    start(10, 100);
    pass(11);
    expect(bar0.read(Reg.interruptStatus, 32)).toBe(interruptActive);
    bar0.write(Reg.interruptStatus, 32, 0);
    expect(bar0.read(Reg.interruptStatus, 32)).toBe(interruptActive);
    bar0.write(Reg.interruptStatus, 32, interruptActive);
    expect(bar0.read(Reg.interruptStatus, 32)).toBe(0);
  });

  test("narrow writes fall on their bytes, and only 20 bits of a preload are there", () => {
    const { bar0, unlocked } = device();
    unlocked(Reg.preload1, 0xffff_ffff);
    expect(bar0.read(Reg.preload1, 32)).toBe(preloadMask);
    unlocked(Reg.preload1, 0x1234, 16);
    unlocked(Reg.preload1 + 2, 0xff05, 16);
    expect([bar0.read(Reg.preload1, 32), bar0.read(Reg.preload1, 16), bar0.read(Reg.preload1 + 2, 8)]).toEqual([0x5_1234, 0x1234, 0x05]);
  });

  test("its flag is the battery's: power-on, resets and power cuts leave it", () => {
    const { bar0, config, model, start, unlocked } = device({ timedOut: true });
    start(10, 10);
    model.reset();
    model.powerCut!();
    expect([bar0.read(Reg.reload, 16), config.read(ConfigReg.lock, 8), bar0.read(Reg.preload1, 32)]).toEqual([Reload.timeout, 0, preloadMask]);
    unlocked(Reg.reload, Reload.timeout, 16);
    model.reset();
    expect(bar0.read(Reg.reload, 16)).toBe(0);
  });
});

test("no sequence of accesses throws, reads outside a register, or leaves more than one timer", () => {
  const access = fc.record({
    space: fc.constantFrom("bar0" as const, "config" as const), write: fc.boolean(), width: fc.constantFrom<AccessWidth>(8, 16, 32),
    register: fc.constantFrom(Reg.preload1, Reg.preload2, Reg.interruptStatus, Reg.reload, ConfigReg.configuration, ConfigReg.lock),
    value: fc.oneof(fc.constantFrom(...unlockSequence, Reload.reload, Reload.timeout, Lock.enable, Lock.enable | Lock.freeRunning, 1), fc.nat({ max: 0xffff_ffff })),
    waitMicros: fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat({ max: 5_000_000 }) }),
  });
  fc.assert(fc.property(fc.array(access, { maxLength: 200, size: "max" }), (accesses) => {
    const { clock, model, bar0, config } = device();
    for (const { space, write, width, register, value, waitMicros } of accesses) {
      const offset = register % (space === "bar0" ? 16 : 256);
      const most = 2 ** width - 1;
      const window = space === "bar0" ? bar0 : config;
      const read = write ? 0 : window.read(offset, width);
      if (write) window.write(offset, width, Math.min(value, most));
      expect(Number.isInteger(read) && read >= 0 && read <= most).toBe(true);
      expect(clock.pending).toBeLessThanOrEqual(1);
      clock.advance(waitMicros);
    }
    model.reset();
    expect(clock.pending).toBe(0);
  }));
});
