import { expect, test } from "vitest";
import { lineProgress } from "./progress.ts";
import { packageName } from "./manifest.ts";
import { defaultDirectory, jsonLines } from "./package.ts";
import { type BuildReport, lackText, problemsOf } from "./report.ts";

test("JSON for people is JSON, and what fits on a line is on one", () => {
  const value = { name: "x", list: [1, 2, 3], empty: {}, none: undefined, deep: { long: "y".repeat(130), more: [{ a: null }] } };
  const text = jsonLines(value);
  expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)));
  expect(text).toContain('\n  "list": [1, 2, 3],\n  "empty": {},\n  "deep": {\n');
});

test("names of packages are legal names, whatever a module is called", () => {
  expect(["card", "8card", "a_b-c", "UPPER__", "x".repeat(80)].map((name) => packageName(name))).toEqual(["linux-card", "linux-8card", "linux-a-b-c", "linux-upper", `linux-${"x".repeat(42)}`]);
  expect(defaultDirectory("my_card")).toBe("drivers/linux-my-card");
});

const report: BuildReport = {
  module: "card", config: "CONFIG_CARD", kind: "network", license: "GPL", files: 2, upon: ["lib"], failedUpon: ["other: error"], ok: false, links: false,
  missingFunctions: ["a", "b"], stubbedFunctions: [], missingData: ["c"], mismatches: [], duplicates: [], complaint: "",
};

test("what a driver lacks, in words", () => {
  expect(lackText(report)).toBe("card: a network driver, 2 files, built upon lib\ndoes not link\n  2 missing functions: a, b\n  1 missing variable: c\n  does not compile: other: error");
  expect(lackText({ ...report, links: true, ok: true, missingFunctions: [], missingData: [], upon: [] })).toBe("card: a network driver, 2 files\nlinks, and lacks nothing");
  expect(problemsOf({ ...report, missingFunctions: [], missingData: [] })).toEqual(["it does not link"]);
  const many = problemsOf({ ...report, missingData: [], missingFunctions: Array.from({ length: 50 }, (_, index) => `f${index}`) });
  expect(many[0]).toMatch(/^50 missing functions: f0, .*, f39, and 10 more$/);
});

test("progress: each step, and counts no more often than a person reads", () => {
  const lines: string[] = [];
  let now = 0;
  const progress = lineProgress((line) => { lines.push(line); }, () => now);
  progress.step("compiling");
  for (let done = 1; done <= 20; done++) {
    now += 1_000;
    progress.count(done, 20);
  }
  expect(lines).toEqual(["compiling", "compiling: 5 of 20", "compiling: 10 of 20", "compiling: 15 of 20", "compiling: 20 of 20"]);
});
