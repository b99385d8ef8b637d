/** Tests of loading a package's module: exactly the built file, its map, and one compilation for all who run it. */
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { moduleOf } from "../../test/fixtures/module-text.ts";
import { isAirlockError } from "../api/errors.ts";
import type { DriverBundle } from "./driver-host.ts";
import { loadModule } from "./module-package.ts";

const bytes = moduleOf({});
const digest = (data: Uint8Array): string => createHash("sha256").update(data).digest("hex");

let directory: string;
beforeEach(() => { directory = mkdtempSync(path.join(tmpdir(), "airlock-module-")); });
afterEach(() => rmSync(directory, { recursive: true, force: true }));

function load(data: Uint8Array | undefined, sha256 = digest(bytes), isCounted = false): Promise<DriverBundle> {
  const file = path.join(directory, "driver.wasm");
  if (data !== undefined) writeFileSync(file, data);
  return loadModule({ directory, file, sha256, isCounted });
}

const refusal = (loading: Promise<unknown>): Promise<string> => loading.then(() => "taken", (error: unknown) => {
  if (!isAirlockError(error, "BundleInvalid")) throw error;
  return error.message;
});

describe("a file that is not the built one is refused", () => {
  test("one bit of it changed, the code still valid", async () => {
    const changed = moduleOf({ turn: "(nop)" });
    const said = await refusal(load(changed));
    expect(said).toBe(`${path.basename(directory)}/driver.wasm: its SHA-256 is ${digest(changed)}, but driver.json says ${digest(bytes)}: it was changed after it was built; build it anew with "airlock build"`);
  });

  test("none at all, a folder, and one that is too large", async () => {
    expect(await refusal(load(undefined))).toContain("driver.wasm cannot be read");
    expect(await refusal(loadModule({ directory, file: directory, sha256: digest(bytes), isCounted: false }))).toContain("cannot be read");
    expect(await refusal(load(new Uint8Array(17 * 2 ** 20)))).toContain("has 17825792 bytes, the limit is 16777216");
  });

  test("one with its checksum that is no driver", async () => {
    const text = new TextEncoder().encode("export default 1;");
    expect(await refusal(load(text, digest(text)))).toContain("does not begin as one");
  });

  test("after it was good, and good again after it was bad", async () => {
    await load(bytes);
    expect(await refusal(load(moduleOf({ turn: "(nop)" })))).toContain("was changed");
    await expect(load(bytes)).resolves.toBeDefined();
  });
});

test("it is compiled once, and once more where its steps are counted", async () => {
  const [first, second, counted] = [await load(bytes), await load(bytes), await load(bytes, digest(bytes), true)];
  expect(second.code).toBe(first.code);
  expect(counted.code).not.toBe(first.code);
  expect([first.code, counted.code]).toMatchObject([{ isCounted: false }, { isCounted: true }]);
});

test.each(["", "[]", "null", "5", "{", '{"version":3}', '{"version":3,"sources":[1],"mappings":""}', '{"version":3,"sections":[],"sources":[],"mappings":""}'])("a map that is none is refused: %s", async (text) => {
  const other = moduleOf({ more: `(data (i32.const 300000) "${Buffer.from(text).toString("hex")}")` });
  writeFileSync(path.join(directory, "driver.wasm.map"), text);
  expect(await refusal(load(other, digest(other)))).toContain("driver.wasm.map is no source map");
});

test("its map comes with it, and may be missing", async () => {
  expect((await load(bytes)).map).toBe("");
  const other = moduleOf({ turn: "(nop)" });
  writeFileSync(path.join(directory, "driver.wasm.map"), '{"version":3,"sources":[],"names":[],"mappings":""}');
  expect((await load(other, digest(other))).map).toContain('"version":3');
});
