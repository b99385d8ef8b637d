import { expect, test } from "vitest";
import type { DriverCheck } from "./check-drivers.ts";
import { summaryOf, summaryText } from "./check-report.ts";

const driver = (kind: string, state: DriverCheck["state"], lacks: Partial<DriverCheck> = {}): DriverCheck => ({
  module: "m", config: undefined, folder: "f", kind, files: 1, state, otherMachine: undefined, missingFunctions: [], missingData: [], mismatches: [], duplicates: [], error: "", ...lacks,
});
const drivers = [
  driver("network", "complete"), driver("network", "links", { missingFunctions: ["b", "a"] }), driver("network", "links", { missingFunctions: ["b"] }),
  driver("network", "compiles", { missingData: ["d"], missingFunctions: ["c"] }), driver("rtc", "does not compile", { error: "drivers/rtc/x.c:3:1: fatal error: 'y.h' file not found" }),
  driver("rtc", "for other machines", { otherMachine: "64BIT", error: "drivers/rtc/y.c:1:1: error: no readq", missingData: ["e"] }), driver("hw_random", "complete", { otherMachine: "X86" }),
];

test("how many come how far, and what most of them lack", () => {
  const summary = summaryOf(drivers);
  expect(summary.kinds).toEqual([
    { kind: "network", drivers: 4, otherMachines: 0, compile: 4, link: 3, complete: 1 }, { kind: "watchdog", drivers: 0, otherMachines: 0, compile: 0, link: 0, complete: 0 },
    { kind: "rtc", drivers: 2, otherMachines: 1, compile: 0, link: 0, complete: 0 }, { kind: "hw_random", drivers: 1, otherMachines: 0, compile: 1, link: 1, complete: 1 },
  ]);
  expect(summary.total).toEqual({ kind: "all", drivers: 7, otherMachines: 1, compile: 5, link: 4, complete: 2 });
  expect(summary.missingData).toEqual([{ name: "d", drivers: 1 }]);
  expect(summary.otherMachines).toEqual([{ name: "64BIT", drivers: 1 }]);
  expect(summary.missingFunctions).toEqual([{ name: "b", drivers: 2 }, { name: "a", drivers: 1 }, { name: "c", drivers: 1 }]);
  expect(summary.short.map(({ state, reason }) => [state, reason])).toEqual([
    ["links", "b, a"], ["links", "b"], ["compiles", "d, c"], ["does not compile", "drivers/rtc/x.c:3:1: fatal error: 'y.h' file not found"], ["for other machines", "depends on 64BIT"],
  ]);
  expect(summary.errors).toEqual([{ name: "fatal error: 'y.h' file not found", drivers: 1 }]);
});

test("as text", () => {
  const text = summaryText(summaryOf(drivers), (rows) => rows.map((row) => row.join(" ")));
  expect(text).toContain(
    "KIND DRIVERS OTHER MACHINES COMPILE LINK LACK NOTHING\nnetwork 4 0 4 3 1\nwatchdog 0 0 0 0 0\nrtc 2 1 0 0 0\nhw_random 1 0 1 1 1\nall 7 1 5 4 2\n"
    + "\n7 drivers: 1 for other machines only; of the other 6, 5 compile, 4 link, 2 lack nothing\n",
  );
  expect(text).toContain("\n1 64BIT\n");
  expect(summaryText(summaryOf(drivers.slice(0, 2)), (rows) => rows.map((row) => row.join(" ")))).toContain("\n2 drivers: 2 compile, 2 link, 1 lack nothing\n");
  expect(text).toContain("\n2 b\n");
  expect(text).toContain("\ndrivers that do not come to the end: 5\nDRIVER STATE WHY\nm links b, a\n");
  const many = [driver("rtc", "links", { missingFunctions: Array.from({ length: 40 }, (_, index) => `f${index}`) })];
  expect(summaryText(summaryOf(many), (rows) => rows.map((row) => row.join(" ")))).toContain("... and 15 more; --json lists all");
  expect(summaryOf(many).short[0]!.reason).toBe("f0, f1, f2, and 37 more");
});
