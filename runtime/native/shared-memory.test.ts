import { closeSync, fstatSync, ftruncateSync, mkdtempSync, openSync, readSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import * as fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";
import { addonMissing, requireClient } from "../../test/clients/client.ts";
import { type NativeAddon, loadAddon } from "./addon.ts";
import { TestThread } from "./test-thread.ts";

const pageBytes = 4_096;
const sizeBytes = 16 * pageBytes;

let addon: NativeAddon;
const opened: number[] = [];

beforeEach((context) => {
  requireClient(context, addonMissing());
  addon = loadAddon();
});

afterEach(() => {
  for (const fd of opened.splice(0)) closeSync(fd);
});

test("a mapping shows what the file has, and the file what the mapping got", () => {
  const fd = memory();
  const whole = new Uint8Array(addon.mapShared(fd, 0, sizeBytes, true));
  const page = new Uint8Array(addon.mapShared(fd, 3 * pageBytes, pageBytes, false));
  expect(whole.every((byte) => byte === 0)).toBe(true);
  whole[3 * pageBytes + 5] = 99;
  expect([page.length, page[5]]).toEqual([pageBytes, 99]);
  const read = new Uint8Array(1);
  readSync(fd, read, 0, 1, 3 * pageBytes + 5);
  expect(read[0]).toBe(99);
});

test("threads see each other's writes, in both directions, while both have it mapped", async () => {
  const fd = memory();
  const words = new Int32Array(addon.mapShared(fd, 0, sizeBytes, true));
  await using thread = new TestThread(`
    const words = new Int32Array(addon.mapShared(data.fd, 0, data.sizeBytes, true));
    post("mapped");
    while (Atomics.load(words, 0) === 0);
    Atomics.store(words, 1, words[0] + 1);
    post("answered");`, { fd, sizeBytes });
  expect(await thread.next()).toBe("mapped");
  Atomics.store(words, 0, 41);
  expect(await thread.next()).toBe("answered");
  expect(words[1]).toBe(42);
});

test("the size of shared memory is fixed, and it is closed in programs that are started", () => {
  const fd = memory();
  for (const size of [0, pageBytes, sizeBytes * 2]) expect(() => ftruncateSync(fd, size)).toThrow(expect.objectContaining({ code: "EPERM" }));
  expect(fstatSync(fd).size).toBe(sizeBytes);
});

test("a buffer is unmapped once, at once, and has no bytes after it", () => {
  const fd = memory();
  const buffer = addon.mapShared(fd, 0, sizeBytes, true);
  const bytes = new Uint8Array(buffer);
  addon.unmapShared(buffer);
  expect([buffer.byteLength, bytes.length, bytes[0]]).toEqual([0, 0, undefined]);
  addon.unmapShared(buffer);
  // Its addresses may be those of the next one, which a finalizer that ran twice would take away.
  const next = new Uint8Array(addon.mapShared(fd, 0, sizeBytes, true)).fill(7);
  expect(next[sizeBytes - 1]).toBe(7);
  for (const other of [new ArrayBuffer(8), new ArrayBuffer(0), next, {}, undefined]) {
    expect(() => addon.unmapShared(other as ArrayBuffer)).toThrow(TypeError);
  }
});

test("a buffer stays with its thread: a transfer is refused or copies it, by version of Node", () => {
  const buffer = addon.mapShared(memory(), 0, sizeBytes, true);
  try {
    const copy = structuredClone(buffer, { transfer: [buffer] });
    new Uint8Array(buffer)[0] = 1;
    expect(new Uint8Array(copy)[0]).toBe(0);
  } catch (error) {
    expect(error).toHaveProperty("name", "DataCloneError");
  }
  expect(buffer.byteLength).toBe(sizeBytes);
});

test("what is not within the file, or not whole pages, or not a file is refused", () => {
  const fd = memory();
  const outside = [[0, sizeBytes + pageBytes], [sizeBytes, pageBytes], [pageBytes, sizeBytes], [2 ** 52, pageBytes]];
  for (const [offset, size] of [...outside, [0, 0], [1, pageBytes], [0, 1]]) {
    expect(() => addon.mapShared(fd, offset!, size!, true), `${offset} ${size}`).toThrow(RangeError);
  }
  const folder = mkdtempSync(path.join(os.tmpdir(), "airlock-map-"));
  try {
    const file = path.join(folder, "file");
    writeFileSync(file, new Uint8Array(pageBytes));
    opened.push(openSync(folder, "r"), openSync(file, "r"));
    expect(() => addon.mapShared(opened.at(-2)!, 0, pageBytes, false)).toThrow(RangeError);
    expect(() => addon.mapShared(opened.at(-1)!, 0, pageBytes, true)).toThrow(expect.objectContaining({ code: "EACCES", syscall: "mmap" }));
    expect(new Uint8Array(addon.mapShared(opened.at(-1)!, 0, pageBytes, false))[0]).toBe(0);
  } finally {
    rmSync(folder, { recursive: true });
  }
  expect(() => addon.mapShared(999_999, 0, pageBytes, true)).toThrow(expect.objectContaining({ code: "EBADF", syscall: "fstat" }));
});

test("no argument of any kind does more than throw", () => {
  const fd = memory();
  const descriptors = readdirSync("/proc/self/fd").length;
  fc.assert(fc.property(fc.array(oddValue, { minLength: 0, maxLength: 4 }), fc.nat(3), (odd, at) => {
    const mapping: unknown[] = [fd, 0, pageBytes, true];
    mapping.splice(at, odd.length, ...odd);
    const call = addon.mapShared as (...all: unknown[]) => ArrayBuffer;
    try {
      const buffer = call(...mapping.slice(0, 4));
      expect(buffer.byteLength % pageBytes).toBe(0);
      addon.unmapShared(buffer);
    } catch (error) {
      expect(error).toBeInstanceOf(Error);
    }
  }));
  fc.assert(fc.property(fc.oneof(fc.constantFrom(0, -1, NaN, 2 ** 30 + 1, 2 ** 53, 1e300, Infinity), fc.string(), fc.object()), (size) => {
    expect(() => addon.createSharedMemory("odd", size as number)).toThrow(Error);
  }));
  for (const name of ["x".repeat(201), "a\0b", 1, undefined]) expect(() => addon.createSharedMemory(name as string, pageBytes)).toThrow(Error);
  expect(readdirSync("/proc/self/fd").length).toBe(descriptors);
});

const oddValue = fc.oneof(
  fc.constantFrom<unknown>(-1, 0, 1, NaN, Infinity, -0, 4_095, 4_097, 2 ** 31, 2 ** 32, 2 ** 53, 2 ** 63, 1e300, null, undefined, true, 1n),
  fc.integer(), fc.double(), fc.string(), fc.object(),
);

function memory(): number {
  const fd = addon.createSharedMemory("airlock-test", sizeBytes);
  opened.push(fd);
  return fd;
}
