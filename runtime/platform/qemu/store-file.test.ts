import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openDescriptor } from "./descriptors.ts";
import { prepareStoreFile } from "./store-file.ts";

let folder = "";
beforeAll(async () => void (folder = await mkdtemp(path.join(os.tmpdir(), "airlock-test-"))));
afterAll(() => rm(folder, { recursive: true }));

const prepare = (name: string, sizeBytes?: number): void => prepareStoreFile({ device: "disk", path: path.join(folder, name), sizeBytes });

describe("a disk's file", () => {
  test("is made when it is missing, made longer, and never shorter", async () => {
    prepare("new", 8_192);
    expect((await stat(path.join(folder, "new"))).size).toBe(8_192);
    await writeFile(path.join(folder, "old"), "contents");
    prepare("old", 4_096);
    prepare("old", 512);
    prepare("old");
    expect((await stat(path.join(folder, "old"))).size).toBe(4_096);
    expect((await readFile(path.join(folder, "old"))).toString("latin1", 0, 8)).toBe("contents");
  });

  test.each([["missing", undefined], [".", 4_096], ["none/such", 4_096]])("%s cannot be one", (name, sizeBytes) => {
    expect(() => prepare(name, sizeBytes)).toThrow(expect.objectContaining({ code: "InvalidArgument", message: expect.stringContaining("disk") as string }));
  });

  test("that is empty needs a size", async () => {
    await writeFile(path.join(folder, "empty"), "");
    expect(() => prepare("empty")).toThrow(/sizeBytes/);
  });
});

describe("a file in memory", () => {
  test("is zeroed, of its size, and has no name", async () => {
    const fd = openDescriptor(folder, { kind: "memory", sizeBytes: 65_536 });
    try {
      const { size, nlink, mode } = fs.fstatSync(fd);
      expect([size, nlink, mode & 0o777]).toEqual([65_536, 0, 0o600]);
    } finally {
      fs.closeSync(fd);
    }
  });

  test("that nothing has room for is refused", () => {
    expect(() => openDescriptor(folder, { kind: "memory", sizeBytes: 2 ** 52 })).toThrow(expect.objectContaining({ code: "PlatformUnavailable" }));
  });
});
