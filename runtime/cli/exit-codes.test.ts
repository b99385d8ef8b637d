/** The exit codes are complete, and documented as they are. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { AirlockError, type ErrorCode, errorCodes } from "../api/errors.ts";
import { exitCodeOf, exitCodes, exitCodesText, exitOfError } from "./exit-codes.ts";

const readme = readFileSync(new URL("README.md", import.meta.url), "utf8");

describe("exit codes", () => {
  test("are 0 and up without a gap, then the shells' own for a signal, and listed by help", () => {
    expect(Object.values(exitCodes).map(({ code }) => code)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 130]);
    for (const { code, meaning } of Object.values(exitCodes)) expect(exitCodesText()).toContain(`  ${code}  ${meaning}`);
  });

  test("the README lists the same codes with the same meanings and errors, and no others", () => {
    const rows = [...readme.matchAll(/^\| (\d+) \| (.+?) \| (.*?) \|$/gm)].map(([, code, meaning, errors]) => ({ code: Number(code), meaning, errors: errors!.split(", ").filter((one) => one !== "").sort() }));
    expect(rows).toEqual(Object.entries(exitCodes).map(([name, { code, meaning }]) => ({
      code, meaning, errors: Object.entries(exitOfError).filter(([, exit]) => exit === name).map(([error]) => error).sort(),
    })));
  });

  test.each(Object.keys(errorCodes) as ErrorCode[])("%s leads to one of them, never to ok", (code) => {
    expect(exitCodeOf(new AirlockError(code, "x"))).toBe(exitCodes[exitOfError[code]].code);
    expect(exitCodeOf(new AirlockError(code, "x"))).not.toBe(0);
  });

  test("what is no AirlockError is a bug", () => {
    expect(exitCodeOf(new TypeError("x"))).toBe(1);
    expect(exitCodeOf("thrown text")).toBe(1);
  });
});
