/** Columns and durations. */
import { expect, test } from "vitest";
import { shortDuration, textTable } from "./text-table.ts";

test("columns are as wide as their widest cell, and hostile cells stay in their row", () => {
  expect(textTable([["A", "LONG", "C"], ["value", "x", "a\nb"]])).toEqual(["A      LONG  C", "value  x     a\\u000ab"]);
});

test.each([[0, "0 ms"], [999, "999 ms"], [1_500, "1.5 s"], [61_000, "1 m 1 s"], [3_600_000, "1 h 0 m"], [90_000_000, "1 d 1 h"]])("%i ms is %s", (ms, text) => {
  expect(shortDuration(ms)).toBe(text);
});
