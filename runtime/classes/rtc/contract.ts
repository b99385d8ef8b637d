/** The rtc class contract: a battery-backed calendar clock with an alarm, periodic ticks and update events. */
import { defineClass } from "../../api/contract.ts";
import { type Field, bool, u16, u32, u8 } from "../../api/layout.ts";

/**
 * Longest a driver may take over one operation. The slowest honest one waits for an update cycle to end (about 2.2 ms on
 * an MC146818, datasheet "Update Cycle") and makes some 15 accesses; the rest is room for a busy machine. It is also how
 * long a driver that never answers goes unnoticed.
 */
const answerMs = 400;

/** Years every PC clock can hold in its two digits; the driver maps 70..99 to 19xx and 00..69 to 20xx. */
export const firstYear = 1970;
export const lastYear = 2069;

/** Fastest periodic rate; an MC146818 makes 2^1..2^13 interrupts per second from a 32.768 kHz crystal. */
export const maxPeriodicHz = 8192;

const timeOfDay = { hour: u8(0, 23), minute: u8(0, 59), second: u8(0, 59) };
const calendar = { year: u16(firstYear, lastYear), month: u8(1, 12), day: u8(1, 31), ...timeOfDay };

/** 0 for off, or a power of two in 2..maxPeriodicHz. */
const periodicRate: Field<number> = {
  ...u16(0, maxPeriodicHz),
  range: `0 or a power of two in 2..${maxPeriodicHz}`,
  check: (value) =>
    typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= maxPeriodicHz && value !== 1 && (value & (value - 1)) === 0
      ? undefined : `is not 0 or a power of two in 2..${maxPeriodicHz}`,
};

/** Civil time without a zone; the machine's convention (Airlock's clients: UTC). Operations reach a driver one at a time. */
export const rtc = defineClass({
  name: "rtc",
  version: 1,
  operations: {
    /** The calendar as it stands in the device, never torn by an update. */
    readTime: { treatment: "query", args: {}, reply: calendar, deadlineMs: answerMs },
    /**
     * Sets the calendar. Never replayed after it was answered: an old time would set the clock back. When the driver dies
     * before it answers, it is sent again with the time that has passed since the client asked added, so that setting it
     * twice sets the same instant: that makes it idempotent.
     */
    setTime: { treatment: "idempotent", args: calendar, reply: {}, deadlineMs: answerMs },
    /** Raises `alarm` every day at this time of day, until cleared. */
    setAlarm: { treatment: "config", args: timeOfDay, reply: {}, deadlineMs: answerMs },
    clearAlarm: { treatment: "config", args: {}, reply: {}, deadlineMs: answerMs },
    /** Raises `periodic` at this rate; 0 turns it off. */
    setPeriodic: { treatment: "config", args: { rateHz: periodicRate }, reply: {}, deadlineMs: answerMs },
    /** Raises `update` after each second's update of the calendar. */
    setUpdateEvents: { treatment: "config", args: { on: bool() }, reply: {}, deadlineMs: answerMs },
  },
  events: {
    alarm: {},
    /** `count` ticks since the last event: a driver may put several into one, and must above 64 Hz. */
    periodic: { count: u32(1) },
    update: {},
    /** The battery failed: time and RAM are not to be trusted until the time is set. */
    batteryLow: {},
  },
});
