import { describe, expect, test } from "vitest";
import * as fc from "fast-check";
import { customSection, importedFunctions, Reader, SectionId, sectionsOf, typeText } from "./wasm-reader.ts";
import { readObject } from "./wasm-object.ts";

const head = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
const text = (value: string): number[] => [value.length, ...Buffer.from(value)];
const section = (id: number, content: readonly number[]): number[] => [id, content.length, ...content];
const module = (...sections: readonly (readonly number[])[]): Uint8Array => Uint8Array.from([...head, ...sections.flat()]);

const types = section(SectionId.type, [2, 0x60, 2, 0x7f, 0x7e, 1, 0x7f, 0x60, 0, 0]);
const imports = section(SectionId.import, [3, ...text("env"), ...text("f"), 0, 0, ...text("airlock"), ...text("memory"), 2, 1, 2, 16, ...text("env"), ...text("g"), 0, 1]);

describe("modules", () => {
  test("sections, imports and their types", () => {
    const bytes = module(types, imports, section(SectionId.custom, [...text("name"), 1, 2, 3]));
    expect(sectionsOf(bytes).map(({ id, name }) => [id, name])).toEqual([[1, ""], [2, ""], [0, "name"]]);
    const found = importedFunctions(bytes);
    expect(found.map(({ module: from, name, type }) => `${from}.${name} ${typeText(type)}`)).toEqual(["env.f (i32, i64) -> (i32)", "env.g () -> ()"]);
    expect([...customSection(bytes, sectionsOf(bytes), "name")!]).toEqual([1, 2, 3]);
    expect(customSection(bytes, sectionsOf(bytes), "other")).toBeUndefined();
  });

  test("numbers", () => {
    const reader = new Reader(Uint8Array.of(0xe5, 0x8e, 0x26, 0x7f, 0xc0, 0xbb, 0x78, 0x61, 0));
    expect([reader.unsigned(), reader.signed(), reader.signed(), reader.terminated()]).toEqual([624_485, -1, -123_456, "a"]);
    expect(reader.ended).toBe(true);
    expect(() => reader.u8()).toThrow("past the end");
  });

  test("what is none is refused", () => {
    expect(() => sectionsOf(Buffer.from("no module"))).toThrow("no WebAssembly file");
    expect(() => sectionsOf(module([1, 9, 0]))).toThrow("runs past the end");
    expect(() => readObject(module())).toThrow("no linking section");
  });

  test("hostile bytes never do worse than a RangeError", () => {
    const whole = module(types, imports);
    const change = fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 });
    fc.assert(fc.property(change, fc.nat(whole.length), (changes, length) => {
      const bytes = Uint8Array.from(whole);
      for (const [at, value] of changes) bytes[at] = value;
      try {
        importedFunctions(bytes.subarray(0, length));
        readObject(bytes);
      } catch (error) {
        expect(error).toBeInstanceOf(RangeError);
      }
    }));
  });
});
