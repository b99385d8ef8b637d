/** The buffers' extents: never overlapping, all of it usable, and one piece again when everything is given back. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Extents, pageBytes } from "./extents.ts";

describe("extents", () => {
  test("overlap with nothing, stay within the buffers, and merge again", () => {
    const step = fc.record({ take: fc.boolean(), pages: fc.integer({ min: 1, max: 64 }), pick: fc.nat() });
    fc.assert(fc.property(
      fc.integer({ min: 1, max: 700 }), fc.array(step, { maxLength: 200 }),
      (pages, steps) => {
        const extents = new Extents(pages * pageBytes, 4);
        const taken: { at: number; size: number }[] = [];
        for (const { take, pages: wanted, pick } of steps) {
          if (!take && taken.length > 0) {
            extents.give(taken.splice(pick % taken.length, 1)[0]!.at);
            continue;
          }
          const size = Math.min(wanted * pageBytes, extents.largestBytes);
          const at = extents.take(size);
          if (at < 0) continue;
          expect(at % pageBytes).toBe(0);
          expect(at + size).toBeLessThanOrEqual(pages * pageBytes);
          for (const other of taken) expect(at + size <= other.at || other.at + other.size <= at).toBe(true);
          taken.push({ at, size });
        }
        for (const { at } of taken) extents.give(at);
        expect(extents.takenBytes).toBe(0);
        // Whole again: as many of the largest as there were at the start.
        let whole = 0;
        while (extents.take(extents.largestBytes) >= 0) whole++;
        expect(whole).toBe(Math.floor(pages * pageBytes / extents.largestBytes));
      },
    ));
  });

  test("all of it can be taken page by page", () => {
    for (const pages of [1, 2, 3, 7, 64, 1_025]) {
      const extents = new Extents(pages * pageBytes + 100, 4);
      const offsets = new Set(Array.from({ length: pages }, () => extents.take(1)));
      expect(offsets.size).toBe(pages);
      expect(offsets.has(-1)).toBe(false);
      expect(extents.take(1)).toBe(-1);
    }
  });

  test.each([[8_388_608, 1_048_576], [1_048_576, 262_144], [65_536, 16_384], [4_096, 4_096], [268_435_456, 1_048_576]])(
    "of %i bytes the largest has %i: several are always under way", (sizeBytes, largest) => {
      expect(new Extents(sizeBytes, 4).largestBytes).toBe(largest);
    },
  );

  test("what is not taken cannot be given back", () => {
    const extents = new Extents(65_536, 4);
    const at = extents.take(8_192);
    expect(() => extents.give(at + pageBytes)).toThrow(/no extent/);
    extents.give(at);
    expect(() => extents.give(at)).toThrow(/no extent/);
    expect(() => extents.give(1e9)).toThrow(/no extent/);
  });
});
