import { expect, test } from "vitest";
import { impossiblePart } from "./kconfig-expression.ts";

/** PCI is on, what other machines have is off, and of all else nothing is known. */
const known = (symbol: string): boolean | undefined => ({ PCI: true, X86: false, ARM64: false, "64BIT": false })[symbol];

test("what can never hold, and no more of the condition than that", () => {
  expect(impossiblePart("64BIT && PCI", known)).toBe("64BIT");
  expect(impossiblePart("PCI && (X86 || ARM64) && NET", known)).toBe("X86 || ARM64");
  expect(impossiblePart("(64BIT && COMPILE_TEST) || ARM64 # 64 bits", known)).toBe("(64BIT && COMPILE_TEST) || ARM64");
  expect(impossiblePart("(NET && (X86))", known)).toBe("X86");
  expect(impossiblePart("!PCI || X86=y", known)).toBe("!PCI || X86=y");
  expect(impossiblePart("PCI!=y", known)).toBe("PCI!=y");
});

test("what may hold", () => {
  for (const condition of [
    "PCI", "NET", "X86 || COMPILE_TEST", "!X86", "X86=n", "PCI && !(X86 || ARM64)", "64BIT!=y", "NET=m || NET=n", "PAGE_SHIFT < 16", "!(NET && X86)", "PCI=VALUE",
  ]) expect([condition, impossiblePart(condition, known)]).toEqual([condition, undefined]);
});

test("what cannot be read says nothing", () => {
  for (const condition of ["", "X86 &&", "(X86", "X86 X86", "$(cc-option,-mx) && X86", "X86 =", "&& X86", "!"]) {
    expect([condition, impossiblePart(condition, known)]).toEqual([condition, undefined]);
  }
});
