import { closeSync, fstatSync, mkdtempSync, openSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { addonMissing, requireClient } from "../../test/clients/client.ts";
import type { RamAccess, RamHandle } from "../bus/ram.ts";
import { loadAddon } from "./addon.ts";
import { createRam, freeRam, openRam } from "./ram.ts";
import { TestThread } from "./test-thread.ts";

const pageBytes = 4_096;
const sizeBytes = 4 * pageBytes;

/** How RAM is made, and how it is opened; each pair that Airlock uses. */
const variants = [
  { name: "memory of the addon, mapped", file: true, mapped: true },
  { name: "a file, read and written", file: true, mapped: false },
  { name: "shared memory, without the addon", file: false, mapped: true },
] as const;

describe.each(variants)("$name", ({ file, mapped }) => {
  let ram: RamHandle;
  const open = (): RamAccess => openRam(ram, file && mapped ? loadAddon() : false);

  beforeEach((context) => {
    if (file) requireClient(context, addonMissing());
    ram = createRam(sizeBytes, pageBytes, file ? loadAddon() : false);
    return () => freeRam(ram);
  });

  test("is zeroed, and one for everybody who opens it", () => {
    expect(ram).toMatchObject({ sizeBytes, firstFreeOffset: pageBytes });
    const [one, two] = [open(), open()];
    const bytes = new Uint8Array(sizeBytes).fill(1);
    one.read(0, bytes);
    expect(bytes.every((byte) => byte === 0)).toBe(true);
    one.write(pageBytes - 2, Uint8Array.of(1, 2, 3, 4));
    const got = new Uint8Array(6);
    two.read(pageBytes - 3, got);
    expect([...got]).toEqual([0, 1, 2, 3, 4, 0]);
    two.write(sizeBytes - 1, Uint8Array.of(9));
    one.read(sizeBytes - 6, got);
    expect([...got]).toEqual([0, 0, 0, 0, 0, 9]);
    one.close();
    two.close();
  });

  test("has live views where it is memory", () => {
    const access = open();
    const view = access.view(pageBytes, 8);
    expect(view?.length).toBe(mapped ? 8 : undefined);
    access.write(pageBytes + 1, Uint8Array.of(7));
    if (view !== undefined) {
      expect(view[1]).toBe(7);
      view[2] = 8;
      const got = new Uint8Array(1);
      access.read(pageBytes + 2, got);
      expect(got[0]).toBe(8);
    }
    access.close();
  });

  test("everything beyond its end is a RangeError and has no effect", () => {
    const access = open();
    const bytes = new Uint8Array(8).fill(5);
    for (const offset of [-1, sizeBytes - 7, sizeBytes, sizeBytes + 1, 0.5, NaN, Infinity, 2 ** 53, -(2 ** 53)]) {
      expect(() => access.read(offset, bytes), `read at ${offset}`).toThrow(RangeError);
      expect(() => access.write(offset, bytes), `write at ${offset}`).toThrow(RangeError);
      expect(() => access.view(offset, 8), `view at ${offset}`).toThrow(RangeError);
    }
    for (const size of [-1, NaN, 0.5, sizeBytes + 1, Infinity]) expect(() => access.view(0, size)).toThrow(RangeError);
    access.read(sizeBytes - 8, bytes);
    expect([...bytes]).toEqual(Array.from({ length: 8 }, () => 0));
    access.read(sizeBytes, new Uint8Array(0));
    access.close();
  });

  test("is closed for the thread that closed it, and for no other", () => {
    const [one, two] = [open(), open()];
    one.write(0, Uint8Array.of(3));
    one.close();
    one.close();
    for (const use of [() => one.read(0, new Uint8Array(1)), () => one.write(0, new Uint8Array(1))]) {
      expect(use).toThrow(expect.objectContaining({ code: "Closed" }));
    }
    const got = new Uint8Array(1);
    two.read(0, got);
    expect(got[0]).toBe(3);
    two.close();
  });
});

test("threads with and without the addon reach the same bytes", async (context) => {
  requireClient(context, addonMissing());
  const ram = createRam(sizeBytes, 0, loadAddon());
  await using thread = new TestThread("new Uint8Array(addon.mapShared(data.fd, 0, data.sizeBytes, true))[9] = 1; post(1);", ram);
  await thread.next();
  const got = new Uint8Array(1);
  openRam(ram, false).read(9, got);
  expect(got[0]).toBe(1);
  freeRam(ram);
});

test("a file that is shorter than it should be is an error, and no access beyond it", (context) => {
  requireClient(context, addonMissing());
  const folder = mkdtempSync(path.join(os.tmpdir(), "airlock-ram-"));
  const file = path.join(folder, "ram");
  writeFileSync(file, new Uint8Array(sizeBytes));
  truncateSync(file, pageBytes);
  const fd = openSync(file, "r+");
  try {
    const ram: RamHandle = { sizeBytes, firstFreeOffset: 0, fd };
    expect(() => openRam(ram, loadAddon()).read(0, new Uint8Array(1))).toThrow(RangeError);
    expect(() => openRam(ram, false).read(pageBytes - 1, new Uint8Array(2))).toThrow(RangeError);
    expect(fstatSync(fd).size).toBe(pageBytes);
  } finally {
    closeSync(fd);
    rmSync(folder, { recursive: true });
  }
});

test("sizes that are no RAM are refused", () => {
  for (const size of [-pageBytes, NaN, 1, 0.5, pageBytes + 1, 2 ** 53]) expect(() => createRam(size, 0, false)).toThrow(RangeError);
  for (const first of [-1, NaN, sizeBytes + 1]) expect(() => createRam(sizeBytes, first, false)).toThrow(RangeError);
  expect(() => openRam({ sizeBytes, firstFreeOffset: 0 })).toThrow(TypeError);
  expect(() => openRam({ sizeBytes, firstFreeOffset: 0, shared: new SharedArrayBuffer(pageBytes) })).toThrow(RangeError);
});
