/** Tests of reading and writing numbers and names in the binary format. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isAirlockError } from "../../api/errors.ts";
import { ByteReader, ByteWriter, u32Bytes } from "./byte-reader.ts";

const refused = (read: () => unknown): boolean => {
  try {
    read();
    return false;
  } catch (error) {
    if (!isAirlockError(error, "BundleInvalid")) throw error;
    return true;
  }
};

describe("numbers", () => {
  test("are read as they were written, in as many bytes as were told", () => {
    fc.assert(fc.property(fc.array(fc.nat(2 ** 32 - 1)), (values) => {
      const writer = new ByteWriter(1);
      for (const value of values) writer.u32(value);
      expect(writer.length).toBe(values.reduce((sum, value) => sum + u32Bytes(value), 0));
      const reader = new ByteReader(writer.done());
      expect(values.map(() => reader.u32())).toEqual(values);
      expect(reader.atEnd).toBe(true);
    }));
  });

  test.each<[number[], number]>([
    [[0], 0], [[0x7f], 0xffff_ffff], [[0xff, 0], 127], [[0x80, 0x7f], 0xffff_ff80], [[0xff, 0xff, 0xff, 0xff, 0x07], 0x7fff_ffff], [[0x80, 0x80, 0x80, 0x80, 0x78], 0x8000_0000],
    [[0x80, 0x80, 0x04], 65_536],
  ])("signed: %j is %i", (bytes, value) => {
    expect(new ByteReader(Uint8Array.from(bytes)).s32()).toBe(value);
  });

  test.each([[[0xff, 0xff, 0xff, 0xff, 0x1f]], [[0x80, 0x80, 0x80, 0x80, 0x80, 0]], [[0x80]], [[]]])("%j is none", (bytes) => {
    expect(refused(() => new ByteReader(Uint8Array.from(bytes)).u32())).toBe(true);
  });

  test("whatever the bytes, a number comes out or the module is refused", () => {
    const property = fc.property(fc.uint8Array({ maxLength: 12 }), fc.constantFrom("u32", "s32", "skip32", "skip64", "count", "name", "byte"), (bytes, method) => {
      const reader = new ByteReader(bytes);
      return refused(() => reader[method as "u32"]()) || reader.at <= bytes.length;
    });
    expect(fc.check(property).failed).toBe(false);
  });
});

test("names are UTF-8, and nothing else", () => {
  const writer = new ByteWriter();
  writer.name("häuser €");
  expect(new ByteReader(writer.done()).name()).toBe("häuser €");
  expect(refused(() => new ByteReader(Uint8Array.of(2, 0xc3, 0x28)).name())).toBe(true);
});

test("a part ends where it ends, whatever follows", () => {
  const reader = new ByteReader(Uint8Array.of(1, 2, 3, 4), 1, 3);
  expect([...reader.take(2)]).toEqual([2, 3]);
  expect(refused(() => reader.byte())).toBe(true);
  expect(refused(() => new ByteReader(Uint8Array.of(1, 2, 3), 0, 2).skip(3))).toBe(true);
});
