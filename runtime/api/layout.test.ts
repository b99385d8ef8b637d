/** Layouts: what is encoded decodes to the same, and no bytes at all make decoding throw. */
import * as fc from "fast-check";
import { describe, expect, expectTypeOf, test } from "vitest";
import { type StructValue, bool, bytes, oneOf, struct, u16, u32, u53, u8 } from "./layout.ts";

const message = struct({ small: u8(1, 200), wide: u16(), long: u32(), huge: u53(), flag: bool(), kind: oneOf("none", "odd", "even"), data: bytes(32) });
type Message = StructValue<typeof message.fields>;

const values: fc.Arbitrary<Message> = fc.record({
  small: fc.integer({ min: 1, max: 200 }), wide: fc.integer({ min: 0, max: 0xffff }), long: fc.integer({ min: 0, max: 0xffff_ffff }), huge: fc.maxSafeNat(),
  flag: fc.boolean(), kind: fc.constantFrom("none", "odd", "even"), data: fc.uint8Array({ maxLength: 32 }),
});

describe("layout", () => {
  test("types follow the fields", () => {
    expectTypeOf<Message["kind"]>().toEqualTypeOf<"none" | "odd" | "even">();
    expectTypeOf<Message["data"]>().toEqualTypeOf<Uint8Array>();
    expectTypeOf<Message["flag"]>().toEqualTypeOf<boolean>();
  });

  test("every value comes back", () => {
    fc.assert(fc.property(values, (value) => {
      expect(message.decode(message.encode(value))).toEqual({ ok: true, value });
    }));
  });

  test("any bytes decode to a valid value or to a reason", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 2 * message.maxBytes }), (data) => {
      const decoded = message.decode(data);
      if (decoded.ok) expect(message.check(decoded.value)).toBeUndefined();
      else expect(decoded.reason).not.toBe("");
    }));
  });

  test("one byte more, one byte less and a wrong inner length are malformed", () => {
    const good = message.encode({ small: 7, wide: 1, long: 2, huge: 3, flag: true, kind: "odd", data: Uint8Array.of(1, 2, 3) });
    expect(message.decode(good).ok).toBe(true);
    expect(message.decode(Uint8Array.of(...good, 0)).ok).toBe(false);
    expect(message.decode(good.subarray(0, -1)).ok).toBe(false);
    const lying = good.slice();
    new DataView(lying.buffer).setUint16(message.fixedBytes - 2, 400, true);
    expect(message.decode(lying).ok).toBe(false);
  });

  test.each([
    ["small", 0], ["small", 201], ["small", 1.5], ["small", "7"], ["wide", 65_536], ["long", -1], ["huge", Number.NaN], ["huge", 2 ** 53], ["flag", 1], ["kind", "mark"], ["data", [1]], ["data", new Uint8Array(33)],
  ])("%s does not take %s, and says so", (field, wrong) => {
    const value = { small: 7, wide: 1, long: 2, huge: 3, flag: true, kind: "odd", data: new Uint8Array(0), [field]: wrong };
    expect(message.check(value)).toMatch(new RegExp(`^${field} `));
    expect(() => message.encode(value as Message)).toThrow(RangeError);
  });

  test("boolean and choice bytes other than the defined ones are malformed", () => {
    const flags = struct({ flag: bool(), kind: oneOf("a", "b") });
    expect(flags.decode(Uint8Array.of(1, 1))).toEqual({ ok: true, value: { flag: true, kind: "b" } });
    expect(flags.decode(Uint8Array.of(2, 1)).ok).toBe(false);
    expect(flags.decode(Uint8Array.of(1, 2)).ok).toBe(false);
  });

  test("data decodes to a copy", () => {
    const layout = struct({ data: bytes(4) });
    const source = layout.encode({ data: Uint8Array.of(1, 2) });
    const decoded = layout.decode(source);
    source.fill(9);
    expect(decoded).toEqual({ ok: true, value: { data: Uint8Array.of(1, 2) } });
  });

  test("data comes last, and once", () => {
    expect(() => struct({ data: bytes(1), more: u8() })).toThrow(RangeError);
    expect(() => struct({ data: bytes(1), again: bytes(1) })).toThrow(RangeError);
  });
});
