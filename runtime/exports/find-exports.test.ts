import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { expect, test } from "vitest";
import { loadAddon } from "../native/addon.ts";
import { findExports } from "./find-exports.ts";

test("finds every folder, and their options refuse what they do not know", async () => {
  const found = await findExports();
  const entries = await readdir(import.meta.dirname, { withFileTypes: true });
  expect([...found.keys()]).toEqual(entries.filter((entry) => entry.isDirectory()).map(({ name }) => name).sort());
  expect([...found.keys()]).toEqual(expect.arrayContaining(["nbd", "pty", "unix"]));
  for (const definition of found.values()) {
    expect(definition.options.safeParse({}).success).toBe(true);
    for (const wrong of [{ unknown: 1 }, { baudRate: 0 }, { baudRate: "9600" }, { parity: "mark" }, { dataBits: 9 }, { stopBits: 1.5 }, null]) {
      expect(definition.options.safeParse(wrong).success).toBe(false);
    }
  }
});

test("a folder whose file is no export is refused by name; one without the file is none", async () => {
  const directory = await mkdtemp(path.join(os.tmpdir(), "airlock-exports-"));
  try {
    await mkdir(path.join(directory, "notes"));
    expect((await findExports(directory)).size).toBe(0);
    await mkdir(path.join(directory, "odd"));
    await writeFile(path.join(directory, "odd/export.ts"), "export default { type: 'other' };\n");
    await expect(findExports(directory)).rejects.toThrow(/odd\/export\.ts .*"odd"/);
  } finally {
    await rm(directory, { recursive: true });
  }
});

test("without a built addon the message says how to build it", () => {
  expect(() => loadAddon(path.join(os.tmpdir(), "no-such-addon"))).toThrow(
    expect.objectContaining({ code: "AddonMissing", message: expect.stringMatching(/npm run build.*g\+\+, make and python3$/) as string }),
  );
});
