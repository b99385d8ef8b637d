/** Calendar arithmetic of the rtc class: civil UTC fields to seconds since the Unix epoch and back. */
import type { Reply } from "../../api/contract.ts";
import { firstYear, lastYear, type rtc } from "./contract.ts";

export type Calendar = Reply<typeof rtc, "readTime">;

const daySeconds = 86_400;

/** Seconds since the Unix epoch; undefined when there is no such date, like 30 February. */
export function toEpochSeconds({ year, month, day, hour, minute, second }: Calendar): number | undefined {
  const date = new Date(Date.UTC(year, month - 1, day, hour, minute, second));
  return date.getUTCMonth() === month - 1 && date.getUTCDate() === day ? date.getTime() / 1000 : undefined;
}

/** Calendar of whole seconds since the Unix epoch; undefined outside the years a clock can hold. */
export function fromEpochSeconds(seconds: number): Calendar | undefined {
  const date = new Date(Math.floor(seconds) * 1000);
  const year = date.getUTCFullYear();
  if (!(year >= firstYear && year <= lastYear)) return undefined;
  return {
    year, month: date.getUTCMonth() + 1, day: date.getUTCDate(),
    hour: date.getUTCHours(), minute: date.getUTCMinutes(), second: date.getUTCSeconds(),
  };
}

/** Whether a daily time, in seconds after midnight, was passed in the interval (after, until], in epoch seconds. */
export function passed(secondOfDay: number, after: number, until: number): boolean {
  return Math.floor((until - secondOfDay) / daySeconds) > Math.floor((after - secondOfDay) / daySeconds);
}
