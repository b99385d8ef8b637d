import { describe, expect, test } from "vitest";
import * as fc from "fast-check";
import { decodeMappings, encodeMappings, type Mapping, mapOfLines, shiftMappings } from "./source-map.ts";

const mapping = fc.oneof(
  fc.record({ offset: fc.nat(1 << 20) }),
  fc.record({ offset: fc.nat(1 << 20), source: fc.nat(500), line: fc.integer({ min: 1, max: 1 << 16 }), column: fc.nat(300) }),
);

describe("mappings", () => {
  test("what is encoded is decoded, whatever it is", () => {
    fc.assert(fc.property(fc.array(mapping), (list) => {
      const sorted: Mapping[] = list.toSorted((a, b) => a.offset - b.offset);
      expect(decodeMappings(encodeMappings(sorted))).toEqual(sorted);
    }));
  });

  test("as others write them", () => {
    // One segment: offset 16, source 0, line 2, column 1; then 3 bytes on, of no source.
    expect(encodeMappings([{ offset: 16, source: 0, line: 2, column: 1 }, { offset: 19 }])).toBe("gBACC,G");
  });

  test("shifted", () => {
    expect(decodeMappings(shiftMappings(encodeMappings([{ offset: 4, source: 1, line: 1, column: 0 }, { offset: 9 }]), 100)).map(({ offset }) => offset)).toEqual([104, 109]);
  });

  test.each([["A;A", "one line"], ["!", "no digit"], ["g", "ends within a number"]])("%j is refused", (text, said) => {
    expect(() => decodeMappings(text)).toThrow(said);
  });
});

describe("from line tables", () => {
  const row = (address: number, line: number, file = "./lib/../lib/a.c") => ({ address, file, line, column: 5 });

  test("addresses count from the code; the end of a piece has no source; the last row of an address counts", () => {
    const map = mapOfLines([{ rows: [row(10, 1), row(10, 2), row(20, 0)], end: 30 }, { rows: [row(4, 7, "b.c")], end: 8 }], 100, 50);
    expect(map.sources).toEqual(["b.c", "lib/a.c"]);
    expect(decodeMappings(map.mappings)).toEqual([
      { offset: 104, source: 0, line: 7, column: 4 }, { offset: 108 }, { offset: 110, source: 1, line: 2, column: 4 }, { offset: 120 }, { offset: 130 },
    ]);
  });

  test("what the linker dropped is dropped", () => {
    expect(mapOfLines([{ rows: [row(0, 1)], end: 5 }, { rows: [row(60, 1)], end: 70 }, { rows: [], end: 3 }, { rows: [row(0xffff_fff0, 1)], end: 0 }], 0, 50).mappings).toBe("");
  });
});
