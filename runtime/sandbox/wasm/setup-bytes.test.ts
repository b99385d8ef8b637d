/** Tests of the setup as C finds it in its memory. */
import { describe, expect, test } from "vitest";
import type { DriverSetup } from "../../api/grants.ts";
import { nameBytes, setupHeaderBytes } from "./abi.ts";
import { setupBytes } from "./setup-bytes.ts";

const setup: DriverSetup = {
  driver: "nic", memoryBytes: 1,
  windows: [{ name: "bar0", sizeBytes: 0x2_0000, rights: "readwrite", widths: [8, 16, 32] }, { name: "cmos", sizeBytes: 2, rights: "read", widths: [8], isPorts: true }],
  irqs: [{ name: "intx" }],
  dma: [{ name: "heap", iova: 0x10_0000, sizeBytes: 8192 }, { name: "buffers", iova: 0x20_0000, sizeBytes: 4096, isBuffers: true }],
  options: { checking: true, TxDescriptors: 80, mode: "fast", quiet: false },
};
const regions = [{ address: 0x80_0000, isShared: true }, { address: 0x80_3000, isShared: false }];

/** Reads words and texts one after the other. */
class Fields {
  readonly #bytes: Uint8Array;
  #at = 0;
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  word(): number {
    const value = new DataView(this.#bytes.buffer).getUint32(this.#at, true);
    this.#at += 4;
    return value;
  }

  words(count: number): number[] {
    return Array.from({ length: count }, () => this.word());
  }

  text(fieldBytes: number): string {
    const field = this.#bytes.subarray(this.#at, this.#at + fieldBytes);
    this.#at += fieldBytes;
    if (field.at(-1) !== 0) throw new Error("a text without an end");
    return new TextDecoder().decode(field.subarray(0, field.indexOf(0)));
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }
}

test("a header, then the lists one after the other", () => {
  const fields = new Fields(setupBytes(setup, regions, 0x80_0000));
  expect(fields.words(7)).toEqual([1, 2, 1, 2, 4, 0x80_0000, 1]);
  expect(new Set(fields.words(4)).size).toBe(4);
  expect(fields.text(nameBytes)).toBe("nic");
  expect([fields.text(nameBytes), fields.words(4)]).toEqual(["bar0", [0x2_0000, 3, 56, 0]]);
  expect([fields.text(nameBytes), fields.words(4)]).toEqual(["cmos", [2, 1, 8, 1]]);
  expect(fields.text(nameBytes)).toBe("intx");
  expect([fields.text(nameBytes), fields.words(5)]).toEqual(["heap", [0x80_0000, 8192, 0x10_0000, 1, 0]]);
  expect([fields.text(nameBytes), fields.words(5)]).toEqual(["buffers", [0x80_3000, 4096, 0x20_0000, 0, 1]]);
  const options = Array.from({ length: 4 }, () => [fields.text(nameBytes), fields.text(64)]);
  expect(options).toEqual([["checking", "1"], ["TxDescriptors", "80"], ["mode", "fast"], ["quiet", "0"]]);
  expect(fields.left).toBe(0);
});

test("a driver's random numbers are its own, and the same each time", () => {
  const seedOf = (driver: string): string => setupBytes({ ...setup, driver }, regions, 0).subarray(28, 44).join();
  expect(seedOf("nic")).toBe(seedOf("nic"));
  expect(seedOf("nic")).not.toBe(seedOf("disk"));
});

test("nothing granted is a header alone, and checking is off", () => {
  const bytes = setupBytes({ driver: "d", memoryBytes: 1, windows: [], irqs: [], dma: [], options: {} }, [], 4096);
  expect(bytes).toHaveLength(setupHeaderBytes);
  expect(new Fields(bytes).words(7)).toEqual([1, 0, 0, 0, 0, 4096, 0]);
});

describe("what does not fit its field is refused by name", () => {
  test.each<[string, Partial<DriverSetup>, string]>([
    ["a driver", { driver: "d".repeat(32) }, "the driver's name has 32 bytes, the wasm tier takes 31; make it shorter"],
    ["a window", { windows: [{ name: "ä".repeat(16), sizeBytes: 1, rights: "read", widths: [8] }] }, "a window's name has 32 bytes"],
    ["an option", { options: { mode: "x".repeat(64) } }, "option mode has 64 bytes, the wasm tier takes 63"],
  ])("%s", (_what, change, said) => {
    expect(() => setupBytes({ ...setup, ...change }, regions, 0)).toThrow(said);
  });

  test("31 bytes and their zero do", () => {
    expect(() => setupBytes({ ...setup, driver: "d".repeat(31) }, regions, 0)).not.toThrow();
  });
});
