/** Columns and durations. */
import { expect, test } from "vitest";
import { machineLine, shortDuration, textTable } from "./text-table.ts";

test("columns are as wide as their widest cell, and hostile cells stay in their row", () => {
  expect(textTable([["A", "LONG", "C"], ["value", "x", "a\nb"]])).toEqual(["A      LONG  C", "value  x     a\\u000ab"]);
});

test.each([[0, "0 ms"], [999, "999 ms"], [1_500, "1.5 s"], [61_000, "1 m 1 s"], [3_600_000, "1 h 0 m"], [90_000_000, "1 d 1 h"]])("%i ms is %s", (ms, text) => {
  expect(shortDuration(ms)).toBe(text);
});

test("a machine's line tells of lost hardware and of devices that asked for a reset", () => {
  const report = { machine: "lab", file: "lab.yaml", platform: "sim", pid: 7, state: "/s", uptimeMs: 61_000, exports: [], drivers: [] };
  expect(machineLine(report)).toBe("machine lab on sim, process 7, up 1 m 1 s");
  expect(machineLine({ ...report, lost: "gone", resetRequest: { device: "wdt", count: 1, agoMs: 1_500 } })).toBe(
    "machine lab on sim, process 7, up 1 m 1 s, HARDWARE LOST: gone, RESET ASKED FOR by wdt 1.5 s ago",
  );
  expect(machineLine({ ...report, resetRequest: { device: "wdt", count: 3, agoMs: 0 } })).toMatch(/RESET ASKED FOR by wdt 3 times, last 0 ms ago$/);
});
