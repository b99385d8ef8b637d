/** Numbers in the data mode the clock is in: BCD or binary, 12 or 24 hours (data sheet, "Time, Calendar, and Alarm Locations"). */
import { RegB, hoursPm } from "./registers.ts";

/** First two-digit year of the 1900s; below it are the 2000s. The chip itself knows no century. */
const pivotYear = 70;

export interface Encoding {
  readonly number: (value: number) => number;
  readonly hours: (value: number) => number;
  readonly parseNumber: (byte: number) => number;
  readonly parseHours: (byte: number) => number;
  /** Full year of the year byte, 1970..2069. */
  readonly parseYear: (byte: number) => number;
}

/** The encoding that register B selects. Whatever the bytes are, the results are small non-negative integers. */
export function encodingOf(registerB: number): Encoding {
  const binary = (registerB & RegB.binary) !== 0;
  const number = (value: number): number => (binary ? value : (Math.trunc(value / 10) << 4) | value % 10);
  const parseNumber = (byte: number): number => (binary ? byte : (byte >> 4) * 10 + (byte & 0x0f));
  if ((registerB & RegB.hours24) !== 0) return { number, parseNumber, hours: number, parseHours: parseNumber, parseYear };
  return {
    number, parseNumber, parseYear,
    hours: (value) => number(value % 12 || 12) | (value >= 12 ? hoursPm : 0),
    parseHours: (byte) => (parseNumber(byte & ~hoursPm) % 12) + ((byte & hoursPm) === 0 ? 0 : 12),
  };

  function parseYear(byte: number): number {
    const digits = parseNumber(byte);
    return digits + (digits >= pivotYear ? 1900 : 2000);
  }
}
