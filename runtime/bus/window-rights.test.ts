import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { AccessWidth, WindowGrant } from "../api/grants.ts";
import { WindowRights } from "./window-rights.ts";

const grant: WindowGrant = { name: "regs", sizeBytes: 8, rights: "readwrite", widths: [8, 16, 32] };

const anyNumber = fc.oneof(fc.double(), fc.integer({ min: -16, max: 32 }), fc.constantFrom(Number.NaN, Infinity, -0, 0.5, 2 ** 31, 2 ** 32, 2 ** 32 + 1, 2 ** 53, -(2 ** 31)));

describe("an access", () => {
  test("is covered exactly when it lies whole, aligned and in range inside the window", () => {
    fc.assert(fc.property(anyNumber, fc.constantFrom(8, 16, 32), anyNumber, (offset, width, value) => {
      const bytes = width / 8;
      const offsets = Array.from({ length: 8 / bytes }, (_, index) => index * bytes);
      const covered = offsets.includes(offset) && Number.isInteger(value) && value >= 0 && value <= 2 ** width - 1;
      expect(new WindowRights(grant).denial("write", offset, width, value) === undefined).toBe(covered);
      expect(new WindowRights(grant).denial("read", offset, width, value) === undefined).toBe(offsets.includes(offset));
    }));
  });

  test("of a width the window does not decode is denied, whatever it is", () => {
    fc.assert(fc.property(anyNumber, (width) => {
      fc.pre(![8, 16, 32].includes(width));
      expect(new WindowRights(grant).denial("read", 0, width as AccessWidth, 0)).toBe("width");
    }));
    expect(new WindowRights({ ...grant, widths: [8] }).denial("read", 0, 32, 0)).toBe("width");
  });

  test.each([
    ["rights", { ...grant, rights: "read" } as const, "write", 0, 8, 0], ["rights", { ...grant, rights: "write" } as const, "read", 0, 8, 0],
    ["bounds", grant, "read", 8, 8, 0], ["bounds", grant, "read", -1, 8, 0], ["bounds", grant, "read", 6, 32, 0], ["bounds", grant, "read", Number.NaN, 8, 0],
    ["alignment", grant, "read", 1, 16, 0], ["alignment", grant, "read", 2, 32, 0], ["value", grant, "write", 0, 8, 256], ["value", grant, "write", 0, 32, 2 ** 32],
  ] as const)("that is denied for its %s says so", (reason, window, direction, offset, width, value) => {
    expect(() => new WindowRights(window).check("uart", direction, offset, width, value)).toThrow(expect.objectContaining({
      code: "CapabilityViolation", fields: expect.objectContaining({ holder: "uart", capability: "regs", reason, direction }) as unknown,
    }));
  });
});
