/** Register-level helpers for tests of an MC146818 on any bench. */
import type { DeviceBench } from "./bench.ts";

/** Register B. */
export const b = {
  set: 0x80, periodicEnable: 0x40, alarmEnable: 0x20, updateEnable: 0x10, squareWave: 0x08, binary: 0x04, hours24: 0x02, daylight: 0x01,
} as const;

/** Register C. */
export const c = { irq: 0x80, periodic: 0x40, alarm: 0x20, updateEnded: 0x10 } as const;

/** Register A: the divider held in reset, and running on 32.768 kHz. */
export const holdDivider = 0x70;
export const runDivider = 0x20;

/** Addresses of seconds, minutes, hours, weekday, day, month, year. */
const timeAddresses = [0, 2, 4, 6, 7, 8, 9] as const;

interface StartOptions {
  /** RS3-0. */
  readonly rate?: number;
  /** Raw bytes for seconds, minutes, hours. */
  readonly alarm?: readonly number[];
  readonly century?: number;
}

/** The clock behind its two ports. */
export class Rtc {
  readonly #bench: DeviceBench;

  constructor(bench: DeviceBench) {
    this.#bench = bench;
  }

  async get(address: number): Promise<number> {
    await this.#bench.write8("cmos", 0, address);
    return await this.#bench.read8("cmos", 1);
  }

  async set(address: number, value: number): Promise<void> {
    await this.#bench.write8("cmos", 0, address);
    await this.#bench.write8("cmos", 1, value);
  }

  /** Seconds, minutes, hours, weekday, day, month, year: raw bytes. */
  async time(): Promise<number[]> {
    const bytes: number[] = [];
    for (const address of timeAddresses) bytes.push(await this.get(address));
    return bytes;
  }

  /**
   * Sets time, mode and alarm with the divider held, and lets it go: the next update begins half a second from now.
   * No flag is pending afterwards. The century byte is set as firmware does, in the same mode as the year.
   */
  async startAt(time: readonly number[], registerB: number, options: StartOptions = {}): Promise<void> {
    const { rate = 0, alarm = [0, 0, 0], century = (registerB & b.binary) !== 0 ? 20 : 0x20 } = options;
    await this.set(0x0b, b.set | (registerB & (b.hours24 | b.binary)));
    await this.set(0x0a, holdDivider);
    for (const [at, address] of timeAddresses.entries()) await this.set(address, time[at]!);
    for (const [at, value] of alarm.entries()) await this.set(2 * at + 1, value);
    await this.set(0x32, century);
    await this.set(0x0b, registerB);
    await this.set(0x0a, runDivider | rate);
    await this.get(0x0c);
  }
}
