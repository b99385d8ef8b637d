/** Tests of suggestions for mistyped words. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { advice, editDistance, nearest } from "./suggest.ts";

test("near words are suggested, far ones are not", () => {
  const words = ["clock", "console", "restart", "ps"];
  expect(nearest("clokc", words)).toBe("clock");
  expect(nearest("Consol", words)).toBe("console");
  expect(nearest("pt", words)).toBe("ps");
  expect(nearest("xyzzy", words)).toBeUndefined();
  expect(nearest("a", [])).toBeUndefined();
});

test("advice suggests, else lists, else says that there is nothing", () => {
  expect(advice("clokc", ["clock"], "driver")).toBe('did you mean "clock"?');
  expect(advice("zebra", ["clock", "ps"], "driver")).toBe("known: clock, ps");
  expect(advice("zebra", [], "driver")).toBe("there is no driver");
  expect(advice("zebra", Array.from({ length: 14 }, (_, index) => `d${index}`), "driver")).toMatch(/, and 2 more$/);
});

test("the distance is a distance", () => {
  const word = fc.string({ maxLength: 12 });
  fc.assert(
    fc.property(word, word, (left, right) => {
      const distance = editDistance(left, right);
      expect(distance).toBe(editDistance(right, left));
      expect(distance === 0).toBe(left === right);
      expect(distance).toBeLessThanOrEqual(Math.max(left.length, right.length));
      expect(distance).toBeGreaterThanOrEqual(Math.abs(left.length - right.length));
    }),
  );
  expect(editDistance("ab", "ba")).toBe(1);
  expect(editDistance("x".repeat(10_000), "y".repeat(10_000))).toBe(Infinity);
});
