import { closeSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import * as fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";
import { addonMissing, requireClient } from "../../test/clients/client.ts";
import { type NativeAddon, loadAddon } from "./addon.ts";
import { type TestWasmMemory, wasmLoader, wasmMemory, wasmPageBytes } from "./test-memory.ts";
import { TestThread } from "./test-thread.ts";

const pageBytes = 4_096;
const fileBytes = 8 * pageBytes;

let addon: NativeAddon;
let fd: number;
let file: Uint8Array;

beforeEach((context) => {
  requireClient(context, addonMissing());
  addon = loadAddon();
  fd = addon.createSharedMemory("airlock-pages", fileBytes);
  file = new Uint8Array(addon.mapShared(fd, 0, fileBytes, true));
});

afterEach(() => {
  if (fd !== undefined) closeSync(fd);
});

test.each([false, true])("pages appear in a memory, stay when it grows, and are gone after the revocation (shared: %s)", (shared) => {
  const memory = wasmMemory(1, { maximum: 64, shared });
  const grant = addon.createPageGrant();
  new Uint8Array(memory.buffer).fill(0xaa);
  file.fill(1, pageBytes, 2 * pageBytes);
  addon.layPages(grant, memory, 2 * pageBytes, fd, pageBytes, 2 * pageBytes);
  memory.grow(10);
  const bytes = new Uint8Array(memory.buffer);
  expect([2, 3, 4].map((page) => bytes[page * pageBytes])).toEqual([1, 0, 0xaa]);
  bytes[3 * pageBytes] = 5;
  expect(file[2 * pageBytes]).toBe(5);
  expect(addon.revokePages(grant)).toBe(1);
  expect([1, 2, 3, 4].map((page) => bytes[page * pageBytes])).toEqual([0xaa, 0, 0, 0xaa]);
  bytes.fill(9, 0, wasmPageBytes);
  expect([...file.subarray(pageBytes - 1, pageBytes + 1), file[2 * pageBytes]]).toEqual([0, 1, 5]);
  memory.grow(10);
  expect(new Uint8Array(memory.buffer)[2 * pageBytes]).toBe(9);
});

test("compiled code reaches pages by plain loads", () => {
  const memory = wasmMemory(1);
  const load = wasmLoader(memory);
  const grant = addon.createPageGrant();
  addon.layPages(grant, memory, pageBytes, fd, 0, pageBytes);
  file[7] = 77;
  expect(load(pageBytes + 7)).toBe(77);
  addon.revokePages(grant);
  expect(load(pageBytes + 7)).toBe(0);
});

test("pages are laid again after a revocation, under a new grant only", () => {
  const memory = wasmMemory(1);
  const [first, second] = [addon.createPageGrant(), addon.createPageGrant()];
  addon.layPages(first, memory, 0, fd, 0, pageBytes);
  expect(() => addon.layPages(second, memory, 0, fd, 0, 2 * pageBytes)).toThrow(/already/);
  addon.layPages(second, memory, pageBytes, fd, 0, pageBytes);
  expect(() => addon.layPages(second, memory, 0, fd, 0, 2 * pageBytes)).toThrow(/already/);
  expect([addon.revokePages(first), addon.revokePages(first)]).toEqual([1, 0]);
  expect(() => addon.layPages(first, memory, 0, fd, 0, pageBytes)).toThrow(/revoked/);
  expect(() => addon.mapGranted(first, fd, 0, pageBytes)).toThrow(/revoked/);
  addon.layPages(second, memory, 0, fd, 0, pageBytes);
  file[0] = 3;
  expect([new Uint8Array(memory.buffer)[0], new Uint8Array(memory.buffer)[pageBytes]]).toEqual([3, 3]);
  expect(addon.revokePages(second)).toBe(2);
  expect(() => addon.revokePages(second + 1_000)).toThrow(/never/);
});

test("a memory is kept while it has pages, and not longer", async () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const grants = [addon.createPageGrant(), addon.createPageGrant()];
  const weak = new WeakRef({});
  const memories = grants.map((grant) => {
    const memory = wasmMemory(1);
    addon.layPages(grant, memory, 0, fd, 0, pageBytes);
    return new WeakRef(memory);
  });
  const alive = async (): Promise<boolean[]> => {
    // What a turn made or looked at is not collected in it.
    for (let i = 0; i < 5; i++) {
      await new Promise((resolve) => { setImmediate(resolve); });
      collect();
    }
    return [weak, ...memories].map((each) => each.deref() !== undefined);
  };
  expect(await alive()).toEqual([false, true, true]);
  addon.revokePages(grants[0]!);
  expect(await alive()).toEqual([false, false, true]);
  addon.revokePages(grants[1]!);
  expect(await alive()).toEqual([false, false, false]);
});

test("a view under a grant shows zeroes after the revocation, and can be unmapped before or after it", () => {
  const grant = addon.createPageGrant();
  const [one, two] = [new Uint8Array(addon.mapGranted(grant, fd, 0, fileBytes)), new Uint8Array(addon.mapGranted(grant, fd, 0, fileBytes))];
  one[1] = 11;
  expect([two[1], file[1]]).toEqual([11, 11]);
  addon.unmapShared(two.buffer);
  expect(addon.revokePages(grant)).toBe(1);
  expect(one[1]).toBe(0);
  one[1] = 12;
  expect(file[1]).toBe(11);
  addon.unmapShared(one.buffer);
  expect(one.length).toBe(0);
});

test("another thread's pages are revoked while it uses them, and it notices by their contents only", async () => {
  file.fill(0xff);
  const grant = addon.createPageGrant();
  await using thread = new TestThread(`
    const memory = new WebAssembly.Memory({ initial: 1 });
    addon.layPages(data.grant, memory, 0, data.fd, 0, 4096);
    const [bytes, view] = [new Uint8Array(memory.buffer), new Uint8Array(addon.mapGranted(data.grant, data.fd, 0, 4096))];
    const state = { loops: 0, seen: new Set() };
    post("busy");
    while (bytes[100] !== 0 || view[200] !== 0) state.seen.add(bytes[100]).add(view[200]);
    bytes.fill(5); view.fill(6);
    try { addon.layPages(data.grant, memory, 0, data.fd, 0, 4096); } catch (error) { post([...state.seen, error.message]); }`, { fd, grant });
  expect(await thread.next()).toBe("busy");
  expect(addon.revokePages(grant)).toBe(2);
  const [message, ...seen] = (await thread.next() as unknown[]).toReversed();
  expect(message).toMatch(/revoked/);
  for (const byte of seen) expect([0xff, 0]).toContain(byte);
  expect(file.every((byte) => byte === 0xff)).toBe(true);
});

/** Where a thread is when it is terminated. */
const work = [
  "for (;;);", "for (;;) new Uint8Array(memory.buffer).fill(1);", '/^(a+)+$/.test("a".repeat(40) + "b")',
  "await new Promise(() => { setInterval(() => {}, 1); })",
];

test.each(work)("what a terminated thread had is nobody's any more, and a later revocation touches nothing: %s", async (busy) => {
  for (let i = 0; i < 3; i++) {
    const grant = addon.createPageGrant();
    {
      await using thread = new TestThread(`
        const memory = new WebAssembly.Memory({ initial: 1 });
        addon.layPages(data.grant, memory, 0, data.fd, 0, 8192);
        globalThis.view = addon.mapGranted(data.grant, data.fd, 0, 4096);
        post("laid");
        ${busy};`, { fd, grant });
      expect(await thread.next()).toBe("laid");
    }
    file.fill(0xee);
    // Their addresses are taken by others now.
    const memory = wasmMemory(1, { maximum: 1 });
    const views = Array.from({ length: 8 }, () => new Uint8Array(addon.mapShared(fd, 0, fileBytes, true)));
    new Uint8Array(memory.buffer).fill(0xdd);
    expect(addon.revokePages(grant)).toBe(0);
    expect(new Uint8Array(memory.buffer).every((byte) => byte === 0xdd)).toBe(true);
    for (const view of views) {
      expect(view.every((byte) => byte === 0xee)).toBe(true);
      addon.unmapShared(view.buffer);
    }
  }
});

test("ranges outside of the memory or the file, crooked ones and odd values are refused, and lay nothing", () => {
  const memory = wasmMemory(2);
  const grant = addon.createPageGrant();
  const odd = fc.oneof(
    fc.constantFrom(-1, -pageBytes, -0.5, 1, 4_095, 0.5, NaN, Infinity, 2 ** 30 + pageBytes, 2 ** 32, 2 ** 52, 2 ** 53, 2 ** 64 - pageBytes, 1e300),
    fc.double(), fc.constantFrom("4096", undefined, 4_096n),
  );
  const page = fc.integer({ min: 0, max: 33 }).map((index) => index * pageBytes);
  const number = fc.oneof({ weight: 1, arbitrary: odd }, { weight: 9, arbitrary: page }) as fc.Arbitrary<number>;
  const few = fc.integer({ min: 0, max: 9 }).map((index) => index * pageBytes);
  const pages = fc.oneof({ weight: 1, arbitrary: odd }, { weight: 9, arbitrary: few }) as fc.Arbitrary<number>;
  const isPages = (value: unknown, limit: number): boolean => typeof value === "number" && value >= 0 && value <= limit && value % pageBytes === 0;
  let laid = 0;
  fc.assert(fc.property(number, pages, pages, (byteOffset, offset, size) => {
    const memoryBytes = 2 * wasmPageBytes;
    const fits = isPages(size, fileBytes) && size > 0 && isPages(byteOffset, memoryBytes - size) && isPages(offset, fileBytes - size);
    const once = addon.createPageGrant();
    if (fits) {
      addon.layPages(once, memory, byteOffset, fd, offset, size);
      laid++;
    } else {
      expect(() => addon.layPages(once, memory, byteOffset, fd, offset, size)).toThrow(Error);
    }
    expect(addon.revokePages(once)).toBe(fits ? 1 : 0);
    expect(() => addon.mapGranted(once, fd, offset, size)).toThrow(Error);
  }), { numRuns: 500 });
  expect(laid).toBeGreaterThan(0);
  for (const value of [NaN, -1, 0, 0.5, grant + 1_000, 2 ** 53, "1", undefined, null]) {
    expect(() => addon.layPages(value as number, memory, 0, fd, 0, pageBytes)).toThrow(Error);
    expect(() => addon.revokePages(value as number)).toThrow(Error);
  }
  const pretenders = [{ buffer: memory.buffer }, { buffer: new ArrayBuffer(wasmPageBytes) }, new Proxy(memory, {}), Object.create(memory)];
  for (const value of [...pretenders, memory.buffer, null, 1]) {
    expect(() => addon.layPages(grant, value as TestWasmMemory, 0, fd, 0, pageBytes)).toThrow(TypeError);
  }
  expect(addon.revokePages(grant)).toBe(0);
});

test("a grant has a limited number of ranges, and all of them are taken back", () => {
  const grant = addon.createPageGrant();
  const memory = wasmMemory(80);
  const ranges = 1_024;
  for (let i = 0; i < ranges; i++) addon.layPages(grant, memory, i * pageBytes, fd, 0, pageBytes);
  expect(() => addon.layPages(grant, memory, ranges * pageBytes, fd, 0, pageBytes)).toThrow(/too many/);
  expect(addon.revokePages(grant)).toBe(ranges);
});

test("a guarded start traps compiled code, again and again, and the rest of the memory stays what it was", () => {
  const memory = wasmMemory(2, { maximum: 2 });
  new Uint8Array(memory.buffer).fill(7);
  const load = wasmLoader(memory);
  expect(load(0)).toBe(7);
  expect(addon.guardStart(memory, wasmPageBytes)).toBe(true);
  for (let turn = 0; turn < 3; turn++) for (const address of [0, 1, pageBytes, wasmPageBytes - 1]) expect(() => load(address)).toThrow("memory access out of bounds");
  expect([load(wasmPageBytes), new Uint8Array(memory.buffer)[2 * wasmPageBytes - 1]]).toEqual([7, 7]);
  memory.grow(0);
  expect(() => load(8)).toThrow("memory access out of bounds");
});

test("a guard is whole pages of a memory of one thread", () => {
  const memory = wasmMemory(1);
  expect(() => addon.guardStart(memory, 2 * wasmPageBytes)).toThrow(RangeError);
  expect(() => addon.guardStart(memory, 100)).toThrow(RangeError);
  expect(() => addon.guardStart(memory, -1)).toThrow("the size of a guard");
  expect(() => addon.guardStart({ buffer: new ArrayBuffer(wasmPageBytes) }, pageBytes)).toThrow(TypeError);
  expect(addon.guardStart(wasmMemory(1, { maximum: 1, shared: true }), pageBytes)).toBe(false);
  expect(wasmLoader(memory)(0)).toBe(0);
});
