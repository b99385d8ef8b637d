/** What an Intel 6300ESB watchdog does by its data sheet (300641-004US, chapter 16), through registers and its reset output alone. */
import { describe, expect, test } from "vitest";
import { ConfigReg, Configuration, Lock, Reg, Reload, interruptActive, tickMicros, unlockSequence } from "../../../runtime/models/i6300esb-registers.ts";
import { type DmaBenchFactory, type DmaDeviceBench, dmaDiffers, withDmaBench } from "./dma-bench.ts";

/** Counts of a few seconds in each stage, so that a step of device time too little or too much is not what decides. */
const first = 2_000;
const second = 3_000;

class Watchdog {
  readonly #bench: DmaDeviceBench;

  constructor(bench: DmaDeviceBench) {
    this.#bench = bench;
  }

  async unlock(): Promise<void> {
    for (const value of unlockSequence) await this.#bench.write("bar0", Reg.reload, 16, value);
  }

  async preload(one: number, two: number): Promise<void> {
    for (const [register, value] of [[Reg.preload1, one], [Reg.preload2, two]] as const) {
      await this.unlock();
      await this.#bench.write("bar0", register, 32, value);
    }
  }

  async reload(bits: number = Reload.reload): Promise<void> {
    await this.unlock();
    await this.#bench.write("bar0", Reg.reload, 16, bits);
  }

  async hasTimedOut(): Promise<boolean> {
    return ((await this.#bench.read("bar0", Reg.reload, 16)) & Reload.timeout) !== 0;
  }

  async configure(value: number): Promise<void> {
    await this.#bench.write("config", ConfigReg.configuration, 16, value);
  }

  async lock(value: number): Promise<void> {
    await this.#bench.write("config", ConfigReg.lock, 8, value);
  }

  async lockBits(): Promise<number> {
    return await this.#bench.read("config", ConfigReg.lock, 8);
  }

  async pass(counts: number, fast = false): Promise<void> {
    await this.#bench.advanceMicros(counts * tickMicros(fast));
  }

  /** How often it asked for the machine's reset, once that is `atLeast` so often. */
  async resets(atLeast = 0): Promise<number> {
    if (atLeast > 0) await this.#bench.until(async () => (await this.#bench.resetRequests()) >= atLeast, `${atLeast} reset requests`);
    return await this.#bench.resetRequests();
  }
}

export function i6300esbSuite(factory: DmaBenchFactory): void {
  const on = (body: (wdt: Watchdog, bench: DmaDeviceBench) => Promise<void>) => () => withDmaBench(factory, (bench) => body(new Watchdog(bench), bench));

  describe(`i6300esb: ${factory.platform}`, () => {
    test("is stopped at power-on, whatever time passes", on(async (wdt, bench) => {
      expect([await bench.read("config", ConfigReg.configuration, 16), await wdt.lockBits(), await bench.read("bar0", Reg.reload, 16)]).toEqual([0, 0, 0]);
      await wdt.pass(3e6);
      expect(await wdt.resets(0)).toBe(0);
    }));

    test("counts both stages, then asks for the reset, which stops it and leaves only its flag", on(async (wdt) => {
      await wdt.preload(first, second);
      await wdt.configure(Configuration.interruptMask);
      await wdt.lock(Lock.enable);
      await wdt.pass(first + second - 2);
      expect([await wdt.resets(), await wdt.hasTimedOut(), await wdt.lockBits()]).toEqual([0, false, Lock.enable]);
      await wdt.pass(4);
      expect(await wdt.resets(1)).toBe(1);
      expect([await wdt.hasTimedOut(), await wdt.lockBits()]).toEqual([true, 0]);
      await wdt.pass(3e6);
      expect(await wdt.resets(1)).toBe(1);
    }));

    test("its flag stays until a one is written to it", on(async (wdt, bench) => {
      await wdt.preload(1, 1);
      await wdt.lock(Lock.enable);
      await wdt.pass(4);
      await wdt.reload(Reload.reload);
      expect(await wdt.hasTimedOut()).toBe(true);
      await bench.write("bar0", Reg.reload, 16, Reload.timeout);
      expect(await wdt.hasTimedOut()).toBe(true);
      await wdt.reload(Reload.timeout);
      expect(await wdt.hasTimedOut()).toBe(false);
    }));

    test("a reload begins the first stage again, from either stage", on(async (wdt) => {
      await wdt.preload(first, second);
      await wdt.lock(Lock.enable);
      for (const counts of [first - 10, first + second - 10, first + 10]) {
        await wdt.pass(counts);
        await wdt.reload();
      }
      await wdt.pass(first + second - 10);
      expect(await wdt.resets(0)).toBe(0);
      await wdt.pass(20);
      expect(await wdt.resets(1)).toBe(1);
    }));

    test("a reload without the unlocking sequence, and one write too late, are none", on(async (wdt, bench) => {
      await wdt.preload(first, second);
      await wdt.lock(Lock.enable);
      await wdt.pass(first);
      await bench.write("bar0", Reg.reload, 16, Reload.reload);
      await bench.write("bar0", Reg.reload, 16, unlockSequence[1]);
      await bench.write("bar0", Reg.reload, 16, Reload.reload);
      await wdt.reload(0);
      await bench.write("bar0", Reg.reload, 16, Reload.reload);
      await wdt.pass(second + 4);
      expect(await wdt.resets(1)).toBe(1);
    }));

    test("a preload counts from the next time its stage begins, and none without the unlocking sequence", on(async (wdt, bench) => {
      await wdt.preload(first, second);
      await bench.write("bar0", Reg.preload1, 32, 1);
      await wdt.lock(Lock.enable);
      await wdt.preload(100, second);
      await wdt.pass(first + second - 10);
      expect(await wdt.resets(0)).toBe(0);
      await wdt.reload();
      await wdt.pass(100 + second + 4);
      expect(await wdt.resets(1)).toBe(1);
    }));

    test("stopped and started again it counts from the beginning", on(async (wdt) => {
      await wdt.preload(first, second);
      await wdt.lock(Lock.enable);
      await wdt.pass(first + second - 10);
      await wdt.lock(0);
      await wdt.pass(1e6);
      await wdt.lock(Lock.enable);
      await wdt.pass(first + second - 10);
      expect(await wdt.resets(0)).toBe(0);
      await wdt.pass(20);
      expect(await wdt.resets(1)).toBe(1);
    }));

    test("locked it cannot be stopped, and can be reloaded", on(async (wdt) => {
      await wdt.preload(first, second);
      await wdt.lock(Lock.enable | Lock.locked);
      await wdt.lock(0);
      expect(await wdt.lockBits()).toBe(Lock.enable | Lock.locked);
      await wdt.pass(first);
      await wdt.reload();
      await wdt.pass(first + second - 10);
      expect(await wdt.resets(0)).toBe(0);
      await wdt.pass(20);
      expect(await wdt.resets(1)).toBe(1);
      await wdt.lock(0);
      expect(await wdt.lockBits()).toBe(0);
    }));

    test("counts a thousand times faster on the fast clock", on(async (wdt) => {
      await wdt.preload(first, second);
      await wdt.configure(Configuration.fastClock | Configuration.interruptMask);
      await wdt.lock(Lock.enable);
      await wdt.pass(first + second - 100, true);
      expect(await wdt.resets(0)).toBe(0);
      await wdt.pass(200, true);
      expect(await wdt.resets(1)).toBe(1);
    }));

    test(`shows its preloads, and that the first stage ended${dmaDiffers(factory, "i6300esb-reads-zero")}`, on(async (wdt, bench) => {
      const shown = factory.differences.has("i6300esb-reads-zero") ? [0, 0, 0] : [first, second, interruptActive];
      await wdt.preload(first, second);
      await wdt.lock(Lock.enable);
      await wdt.pass(first + 10);
      expect([await bench.read("bar0", Reg.preload1, 32), await bench.read("bar0", Reg.preload2, 32), await bench.read("bar0", Reg.interruptStatus, 32)]).toEqual(shown);
    }));

    test(`with its output disabled it asks for nothing${dmaDiffers(factory, "i6300esb-unnoticed-without-output")}`, on(async (wdt) => {
      await wdt.preload(first, second);
      await wdt.configure(Configuration.outputDisabled);
      await wdt.lock(Lock.enable);
      await wdt.pass(first + second + 10);
      expect(await wdt.resets(0)).toBe(0);
      expect([await wdt.hasTimedOut(), await wdt.lockBits()]).toEqual([!factory.differences.has("i6300esb-unnoticed-without-output"), Lock.enable]);
    }));
  });
}
