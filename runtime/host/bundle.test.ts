/** What goes into a driver bundle, what is refused, and where the refusal points to. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import vm from "node:vm";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { isAirlockError } from "../api/errors.ts";
import { bundleDriver, checkImports, maxBundleBytes } from "./bundle.ts";

let root: string;
let folder: string;

beforeEach(() => {
  root = mkdtempSync(path.join(os.tmpdir(), "airlock-bundle-"));
  folder = path.join(root, "blinker");
  mkdirSync(path.join(folder, "src"), { recursive: true });
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const write = (file: string, text: string): void => writeFileSync(path.join(folder, file), text);
const driver = (imports: string, rest = ""): void =>
  write("src/driver.ts", `import { defineDriver } from "airlock/driver";\nimport { rtc } from "airlock/driver/rtc";\n${imports}\nexport default defineDriver(rtc, () => ({}) as never);\n${rest}`);
const refusal = async (): Promise<string> => {
  const error: unknown = await bundleDriver(folder, "src/driver.ts").then(() => "bundled", (each: unknown) => each);
  if (!isAirlockError(error, "BundleInvalid")) throw new Error(`expected BundleInvalid, not ${String(error)}`);
  expect(error.message).not.toContain("\n");
  return error.message;
};

describe("bundleDriver", () => {
  test("gives a script whose value is the driver entry, and adds nothing to the global scope", async () => {
    driver('import { rate } from "./rate.ts";\nexport const used = rate;');
    write("src/rate.ts", "export const rate: number = 5;\n");
    const bundle = await bundleDriver(folder, "src/driver.ts");
    expect(bundle.name).toBe("blinker/bundle.js");
    const context = vm.createContext({});
    const entry: unknown = new vm.Script(bundle.code).runInContext(context);
    expect(typeof entry).toBe("function");
    expect(Object.keys(context)).toEqual([]);
  });

  test("keeps a source map in terms of the package, without paths of this machine", async () => {
    driver("");
    const { map } = await bundleDriver(folder, "src/driver.ts");
    const { version, sources, sourcesContent } = JSON.parse(map) as { version: number; sources: string[]; sourcesContent: (string | null)[] };
    expect(version).toBe(3);
    expect(sources).toContain("src/driver.ts");
    expect(sources.filter((source) => !source.startsWith("airlock/"))).toEqual(["src/driver.ts"]);
    expect(sources).toContain("airlock/api/guest.ts");
    expect(sourcesContent[sources.indexOf("src/driver.ts")]).toContain("defineDriver");
    expect(map).not.toContain(root);
  });

  test.each([
    ["a Node builtin", 'import "node:fs";', "node:fs"], ["a bare builtin", 'import "fs";', "fs"], ["a package", 'import "yaml";', "yaml"],
    ["an absolute path", 'import "/etc/hostname";', "/etc/hostname"], ["a file outside", 'import "../../other.ts";', "../../other.ts"],
    ["an address", 'import "https://example.org/x.js";', "https://example.org/x.js"], ["data", 'import "data:text/javascript,1";', "data:text/javascript,1"],
    ["Airlock's inside", 'import "airlock/machine";', "airlock/machine"], ["the guest code", 'import "airlock:guest";', "airlock:guest"],
    ["a dynamic import", 'await import("node:net");', "node:net"], ["require", 'declare const require: Function; require("node:os");', "node:os"],
    ["a re-export", 'export * from "child_process";', "child_process"], ["a climbing class name", 'import "airlock/driver/../errors";', "airlock/driver/../errors"],
  ])("refuses %s, with its place", async (_title, line, specifier) => {
    driver(line);
    const message = await refusal();
    expect(message).toContain("blinker/src/driver.ts:3:");
    expect(message).toContain(`"${specifier}"`);
  });

  test("refuses a link that leads out of the package", async () => {
    writeFileSync(path.join(root, "secret.ts"), "export const secret = 1;\n");
    symlinkSync(path.join(root, "secret.ts"), path.join(folder, "src/inside.ts"));
    driver('import "./inside.ts";');
    expect(await refusal()).toContain("through a link");
  });

  test("names the classes there are when one does not exist", async () => {
    driver('import "airlock/driver/toaster";');
    const message = await refusal();
    expect(message).toContain('no class "toaster"');
    expect(message).toContain("rtc");
  });

  test("gives file, line and column of a syntax error", async () => {
    driver("", "export const x = ;\n");
    expect(await refusal()).toContain("blinker/src/driver.ts:5:18: ");
  });

  test("says when main is missing or outside of the package", async () => {
    driver("");
    await expect(bundleDriver(folder, "src/other.ts")).rejects.toThrow('main "src/other.ts" is not a file of this package');
    await expect(bundleDriver(folder, "../../etc/passwd")).rejects.toThrow("is not a file of this package");
    await expect(bundleDriver(path.join(root, "nothing"), "x.ts")).rejects.toThrow("no such driver package");
  });

  test("is made once while its files stay as they are, and again when one changes", async () => {
    driver('export * from "./rate.ts";');
    write("src/rate.ts", "export const rate = 5;\n");
    const [first, second] = await Promise.all([bundleDriver(folder, "src/driver.ts"), bundleDriver(folder, "src/driver.ts")]);
    expect(second).toBe(first);
    expect(await bundleDriver(folder, "src/driver.ts")).toBe(first);
    write("src/rate.ts", "export const rate = 66; console.log(rate);\n");
    const changed = await bundleDriver(folder, "src/driver.ts");
    expect(changed.code).toContain("66");
    write("src/rate.ts", "export const rate = ;\n");
    await refusal();
    write("src/rate.ts", "export const rate = 7; console.log(rate);\n");
    expect((await bundleDriver(folder, "src/driver.ts")).code).toContain("rate = 7");
  });

  test("has a size limit", async () => {
    write("src/half.ts", `export const half = "${"x".repeat(maxBundleBytes / 2)}";\n`);
    write("src/other.ts", `export const other = "${"y".repeat(maxBundleBytes / 2)}";\n`);
    driver('import { half } from "./half.ts";\nimport { other } from "./other.ts";\nexport const both = [half, other];', "console.log(both)");
    expect(await refusal()).toContain("the limit is");
    write("src/half.ts", `// ${"x".repeat(maxBundleBytes)}`);
    expect(await refusal()).toContain("larger than");
  });
});

describe("checkImports", () => {
  test("lists every problem, and nothing for a good package", async () => {
    driver("");
    expect(await checkImports(folder, "src/driver.ts")).toEqual([]);
    driver('import "node:fs";\nimport "yaml";');
    const problems = await checkImports(folder, "src/driver.ts");
    expect(problems.map(({ file, line }) => `${file}:${line}`)).toEqual(["src/driver.ts:3", "src/driver.ts:4"]);
  });
});
