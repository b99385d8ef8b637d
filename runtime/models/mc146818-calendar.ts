/** The calendar of the MC146818: its ten time bytes, how an update cycle advances them, and the alarm comparison. */
import { Address, RegB, alarmDontCare, hoursPm } from "./mc146818-registers.ts";

const secondsPerDay = 86_400;

/** After so many days everything the calendar holds repeats: 100 years of which every fourth is a leap year, times the week. */
const calendarCycleDays = 36_525 * 7;

/** Days per month; February has 29 in years divisible by four, which is all the chip knows about leap years. */
const monthDays = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

const sunday = 1;
const april = 4;
const october = 10;

/**
 * Advances the time bytes in place, as raw register contents in whatever mode register B selects. A byte the program left
 * outside its range counts on like a counter and wraps to its minimum at or above its maximum; the data sheet calls the
 * result undefined.
 */
export class Mc146818Calendar {
  readonly #bytes: Uint8Array;
  /** The hour between 1:00 and 2:00 was already repeated: "when the time first reaches" happens once ("DSE"). */
  #fellBack = false;

  /** `bytes` is the chip's RAM, of which the calendar uses addresses 0 to 9. */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Sets all time bytes to a civil time, UTC. */
  setCivil(epochMs: number, registerB: number): void {
    const date = new Date(epochMs);
    const bytes = this.#bytes;
    bytes[Address.seconds] = encode(date.getUTCSeconds(), registerB);
    bytes[Address.minutes] = encode(date.getUTCMinutes(), registerB);
    bytes[Address.hours] = encodeHours(date.getUTCHours(), registerB);
    bytes[Address.dayOfWeek] = encode(date.getUTCDay() + sunday, registerB);
    bytes[Address.dayOfMonth] = encode(date.getUTCDate(), registerB);
    bytes[Address.month] = encode(date.getUTCMonth() + 1, registerB);
    bytes[Address.year] = encode(date.getUTCFullYear() % 100, registerB);
  }

  /**
   * Performs `count` update cycles; returns whether the alarm matched in one of them. Days after the first are skipped
   * whole, because the alarm knows only the time of day: a century takes milliseconds.
   */
  advance(count: number, registerB: number): boolean {
    let left = count;
    let alarm = false;
    let stepped = 0;
    while (left > 0) {
      if (stepped >= secondsPerDay && left >= secondsPerDay) {
        left -= secondsPerDay * this.#skipDays(Math.floor(left / secondsPerDay), registerB);
        if (left >= secondsPerDay) stepped = 0;
        continue;
      }
      this.#step(registerB);
      if (!alarm && this.#alarmMatches()) alarm = true;
      left--;
      stepped++;
    }
    return alarm;
  }

  /** Skips up to `days` whole days, fewer when a change of daylight savings time lies ahead; returns how many. */
  #skipDays(days: number, registerB: number): number {
    const daylight = (registerB & RegB.daylightSavings) !== 0;
    const target = daylight ? days : days % calendarCycleDays;
    let skipped = 0;
    while (skipped < target) {
      if (daylight && this.#nearDaylightChange(registerB)) break;
      this.#nextDay(registerB);
      skipped++;
    }
    return daylight ? skipped : days;
  }

  #nearDaylightChange(registerB: number): boolean {
    const month = decode(this.#bytes[Address.month]!, registerB);
    return (month === april || month === october) && decode(this.#bytes[Address.dayOfMonth]!, registerB) >= 23;
  }

  #step(registerB: number): void {
    const bytes = this.#bytes;
    if ((registerB & RegB.daylightSavings) !== 0 && this.#daylightStep(registerB)) return;
    if (!this.#increment(Address.seconds, 0, 59, registerB)) return;
    if (!this.#increment(Address.minutes, 0, 59, registerB)) return;
    const hours = (decodeHours(bytes[Address.hours]!, registerB) + 1) % 24;
    bytes[Address.hours] = encodeHours(hours, registerB);
    if (hours === 0) this.#nextDay(registerB);
  }

  /** The two special updates of "DSE": forward on the last Sunday of April, back on the last of October, at 1:59:59 AM. */
  #daylightStep(registerB: number): boolean {
    const bytes = this.#bytes;
    if (decodeHours(bytes[Address.hours]!, registerB) !== 1) {
      this.#fellBack = false;
      return false;
    }
    const value = (address: number): number => decode(bytes[address]!, registerB);
    if (value(Address.seconds) !== 59 || value(Address.minutes) !== 59 || value(Address.dayOfWeek) !== sunday) return false;
    const month = value(Address.month);
    const date = value(Address.dayOfMonth);
    const forward = month === april && date >= 24;
    const back = month === october && date >= 25 && !this.#fellBack;
    if (!forward && !back) return false;
    this.#fellBack = back;
    bytes[Address.seconds] = 0;
    bytes[Address.minutes] = 0;
    bytes[Address.hours] = encodeHours(forward ? 3 : 1, registerB);
    return true;
  }

  #nextDay(registerB: number): void {
    this.#increment(Address.dayOfWeek, 1, 7, registerB);
    const bytes = this.#bytes;
    const month = decode(bytes[Address.month]!, registerB);
    const leap = month === 2 && decode(bytes[Address.year]!, registerB) % 4 === 0;
    const days = (monthDays[month - 1] ?? 31) + (leap ? 1 : 0);
    if (!this.#increment(Address.dayOfMonth, 1, days, registerB)) return;
    if (!this.#increment(Address.month, 1, 12, registerB)) return;
    this.#increment(Address.year, 0, 99, registerB);
  }

  /** Counts one byte up; true when it wrapped from its maximum to its minimum. */
  #increment(address: number, minimum: number, maximum: number, registerB: number): boolean {
    const next = decode(this.#bytes[address]!, registerB) + 1;
    const wrapped = next > maximum;
    this.#bytes[address] = encode(wrapped ? minimum : next, registerB);
    return wrapped;
  }

  #alarmMatches(): boolean {
    const bytes = this.#bytes;
    for (const time of [Address.seconds, Address.minutes, Address.hours]) {
      const alarm = bytes[time + 1]!;
      if (alarm !== bytes[time] && (alarm & alarmDontCare) !== alarmDontCare) return false;
    }
    return true;
  }
}

/** A value 0-99 as a register byte: BCD, or binary when register B says so. */
export function encode(value: number, registerB: number): number {
  return (registerB & RegB.binary) !== 0 ? value & 0xff : Math.trunc(value / 10) % 10 * 16 + (value % 10);
}

/** The value of a register byte; a byte that is no BCD number counts its nibbles all the same. */
export function decode(byte: number, registerB: number): number {
  return (registerB & RegB.binary) !== 0 ? byte : (byte >> 4) * 10 + (byte & 0x0f);
}

/** Hours 0-23 as a register byte: in 12-hour mode midnight is 12 AM and bit 7 means PM. */
export function encodeHours(hours: number, registerB: number): number {
  if ((registerB & RegB.hours24) !== 0) return encode(hours, registerB);
  return encode(hours % 12 === 0 ? 12 : hours % 12, registerB) | (hours >= 12 ? hoursPm : 0);
}

/** The hours 0-23 of a register byte. */
export function decodeHours(byte: number, registerB: number): number {
  if ((registerB & RegB.hours24) !== 0) return decode(byte, registerB) % 24;
  return (decode(byte & ~hoursPm & 0xff, registerB) % 12) + ((byte & hoursPm) !== 0 ? 12 : 0);
}
