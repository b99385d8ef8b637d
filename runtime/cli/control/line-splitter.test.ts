/** Lines come out whole however the stream is cut, and no more than one line is ever kept. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { LineSplitter } from "./line-splitter.ts";

const text = (lines: readonly Uint8Array[] | undefined): string[] | undefined => lines?.map((line) => Buffer.from(line).toString());

test("any cuts give the same lines", () => {
  fc.assert(fc.property(fc.array(fc.stringMatching(/^[a-z]{0,20}$/), { minLength: 1 }), fc.array(fc.nat(7)), (lines, cuts) => {
    const splitter = new LineSplitter(20);
    const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(""));
    const out: Uint8Array[] = [];
    let at = 0;
    for (const cut of [...cuts, bytes.length]) {
      out.push(...splitter.push(bytes.subarray(at, at + cut))!);
      at += cut;
    }
    expect(text(out)).toEqual(lines);
  }));
});

test("a line above the limit ends it, whole or in pieces", () => {
  expect(new LineSplitter(4).push(Buffer.from("12345\n"))).toBeUndefined();
  expect(text(new LineSplitter(4).push(Buffer.from("1234\n")))).toEqual(["1234"]);
  const pieces = new LineSplitter(4);
  expect(pieces.push(Buffer.from("123"))).toEqual([]);
  expect(pieces.push(Buffer.from("45"))).toBeUndefined();
});
