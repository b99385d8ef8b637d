import { describe, expect, test } from "vitest";
import { readLines } from "./dwarf-lines.ts";

const text = (value: string): number[] => [...Buffer.from(value), 0];
const u32 = (value: number): number[] => [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24];

/** A unit of version 4: line base -5, range 14, opcode base 13, one folder and two files. */
function unit(program: readonly number[], version = 4): Uint8Array {
  const operands = [0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1];
  const lists = [...text("lib"), 0, ...text("a.c"), 1, 0, 0, ...text("/b.c"), 1, 0, 0, 0];
  const header = [1, 1, 1, 0xfb, 14, 13, ...operands, ...lists];
  const body = [version, 0, ...u32(header.length), ...header, ...program];
  return Uint8Array.from([...u32(body.length), ...body]);
}

const setAddress = (address: number): number[] => [0, 5, 2, ...u32(address)];
const end = [0, 1, 1];

describe("line tables", () => {
  test("rows with their files, and where a piece ends", () => {
    // Line +2 and copy; column 3; special opcode for address +1, line +1; file 2; const_add_pc; advance 4 and end.
    const program = [...setAddress(16), 3, 2, 1, 5, 3, 13 + (1 + 5) + 14, 4, 2, 8, 1, 2, 4, ...end];
    expect(readLines(unit(program))).toEqual([{
      rows: [
        { address: 16, file: "lib/a.c", line: 3, column: 0 }, { address: 17, file: "lib/a.c", line: 4, column: 3 }, { address: 34, file: "/b.c", line: 4, column: 3 },
      ],
      end: 38,
    }]);
  });

  test("units one after the other, and opcodes that only have to be passed over", () => {
    const passed = [6, 7, 10, 11, 12, 9, 9, 2, 0, 0, 2, 4, 7];
    const both = Buffer.concat([unit([...setAddress(4), 1, ...end]), unit([...passed, 1, ...end])]);
    expect(readLines(both).map(({ rows, end: last }) => [rows.map(({ address }) => address), last])).toEqual([[[4], 4], [[2], 2]]);
  });

  test("another version or a torn table is refused", () => {
    expect(() => readLines(unit(end, 5))).toThrow("version 5");
    const torn = unit(end);
    expect(() => readLines(torn.subarray(0, torn.length - 1))).toThrow(RangeError);
  });
});
