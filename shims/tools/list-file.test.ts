import { expect, test } from "vitest";
import { fillIn, listLines, readList } from "./list-file.ts";

test("comments and blank lines are left out; a # within a word stays", () => {
  expect(listLines("# all\n\n-DA=1 # why\n  -DB=a#b\n")).toEqual(["-DA=1", "-DB=a#b"]);
  expect(readList("/nowhere/at/all.txt")).toEqual([]);
});

test("placeholders are folders; others are a mistake", () => {
  expect(fillIn("-I{kernel}/include -I{shims}", { kernel: "/k", shims: "/s" })).toBe("-I/k/include -I/s");
  expect(() => fillIn("-I{kernle}", { kernel: "/k", shims: "/s" })).toThrow("{kernle} stands for nothing");
});
