/** Packages that try to get files into their bundle that are not theirs, or to harm the bundler: all are refused. */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { isAirlockError } from "../../runtime/api/errors.ts";
import { bundleDriver } from "../../runtime/host/bundle.ts";

const secret = "what-no-driver-may-read";
const honest = 'import { defineDriver } from "airlock/driver";\nimport { rtc } from "airlock/driver/rtc";\nexport default defineDriver(rtc, () => ({}) as never);\n';

let root: string;
let folder: string;

beforeEach(() => {
  root = mkdtempSync(path.join(os.tmpdir(), "airlock-escape-"));
  folder = path.join(root, "evil");
  mkdirSync(path.join(root, "outside"));
  for (const [name, text] of [["secret.txt", secret], ["secret.json", JSON.stringify({ secret })], ["secret.ts", `export default "${secret}";`]] as const) {
    writeFileSync(path.join(root, "outside", name), text);
  }
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function write(files: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    writeFileSync(path.join(folder, name), text);
  }
}

/** The refusal, in one line; undefined when the package bundles, which then must not contain the secret. */
async function refusal(files: Readonly<Record<string, string>>, main = "driver.ts"): Promise<string | undefined> {
  write(files);
  try {
    const { code, map } = await bundleDriver(folder, main);
    expect(code + map).not.toContain(secret);
    expect(map).not.toContain("root:");
    return undefined;
  } catch (error) {
    if (!isAirlockError(error, "BundleInvalid")) throw error;
    expect(error.message).not.toContain("\n");
    return error.message;
  }
}

describe("imports", () => {
  test.each([
    ["an absolute path", 'import "/etc/passwd";'], ["a file URL", 'import "file:///etc/passwd";'], ["a data URL", 'import "data:text/javascript,export default 1";'],
    ["a Node builtin", 'import "node:fs";'], ["a builtin without prefix", 'import "child_process";'], ["climbing out", 'import "../outside/secret.ts";'],
    ["climbing out from within", 'import "./a/../../outside/secret.ts";'], ["text from outside", 'import text from "../outside/secret.txt"; globalThis.x = text;'],
    ["an address", 'import "https://example.org/x.js";'], ["a package", 'import "quickjs-emscripten";'], ["another namespace", 'import "package:/etc/passwd";'],
    ["Airlock's guest code", 'import "airlock:guest";'], ["Airlock's inside", 'import "airlock/machine";'], ["an inside by path", 'import "airlock/driver/../../api/guest.ts";'],
    ["a pattern of files", 'const name = "secret"; globalThis.x = import("../outside/" + name + ".txt");'],
    ["a pattern of files, as a template", 'const name = "secret"; globalThis.x = import(`../outside/${name}.json`);'],
    ["a pattern of required files", 'const name = "secret"; globalThis.x = (require as any)("../outside/" + name + ".json");'.replace("(require as any)", "require")],
    ["a pattern below the package", 'const name = "a"; globalThis.x = import("./data/" + name + ".json");'],
    ["an import of anything", "globalThis.x = (name: string) => import(name);"], ["a require of anything", "globalThis.x = (name: string) => require(name);"],
    ["import.meta", "globalThis.x = import.meta.url;"], ["top-level await", "await Promise.resolve();"],
    ["another type", 'import text from "./other.ts" with { type: "text" }; globalThis.x = text;'],
    ["a style sheet", 'import "./style.css";'], ["a file of no known kind", 'import "./blob.bin";'], ["a NUL", 'import "./other\\0.ts";'],
  ])("%s", async (_what, line) => {
    const message = await refusal({ "driver.ts": honest + line, "other.ts": "export default 1;", "style.css": '@import "../outside/secret.txt";', "blob.bin": "x", "data/a.json": "{}" });
    expect(message).toMatch(/^evil\/driver\.ts:4:\d+: /);
  });

  test("a package named like the bundler's own entry gets no more", async () => {
    expect(await refusal({ "airlock-entry.js": `${honest.replace(" as never", "")}import "airlock:guest";` }, "airlock-entry.js")).toContain('"airlock:guest"');
  });

  test("JSX cannot name a runtime to import", async () => {
    expect(await refusal({ "driver.ts": honest, "view.tsx": "/** @jsxImportSource ../outside */ export const x = <a/>;" })).toBeUndefined();
    expect(await refusal({ "driver.ts": `${honest}import "./view.tsx";` })).toContain("no kind of file");
  });

  test("links that lead out, to a file and through a folder", async () => {
    write({ "driver.ts": `${honest}import x from "./link.ts"; globalThis.x = x;` });
    symlinkSync(path.join(root, "outside/secret.ts"), path.join(folder, "link.ts"));
    expect(await refusal({})).toContain("through a link");
    symlinkSync(path.join(root, "outside"), path.join(folder, "sub"));
    expect(await refusal({ "driver.ts": `${honest}import x from "./sub/secret.ts"; globalThis.x = x;` })).toContain("through a link");
  });
});

describe("main", () => {
  test.each(["../outside/secret.ts", "/etc/passwd", "a/../../outside/secret.ts", ".", "", "missing.ts", "folder"])("%j", async (main) => {
    expect(await refusal({ "driver.ts": honest, "folder/x.txt": "" }, main)).toBeDefined();
  });

  test("a link that leads out", async () => {
    write({ "other.ts": "" });
    symlinkSync(path.join(root, "outside/secret.ts"), path.join(folder, "driver.ts"));
    expect(await refusal({})).toContain("through a link");
  });

  test("text that would end the string it is put in", async () => {
    expect(await refusal({ 'a"; import "node:fs"; ".ts': honest }, 'a"; import "node:fs"; ".ts')).toBeUndefined();
  });
});

describe("configuration in the package has no say", () => {
  const evil = { "evil.ts": `throw new Error("${secret}");` };
  test("tsconfig.json", async () => {
    const tsconfig = JSON.stringify({ extends: "../outside/secret.json", compilerOptions: { baseUrl: ".", paths: { "airlock/driver": ["./evil.ts"], "*": ["../outside/*"] }, jsxImportSource: "../outside" } });
    expect(await refusal({ ...evil, "driver.ts": honest, "tsconfig.json": tsconfig })).toBeUndefined();
  });

  test("package.json's browser, imports, exports and main", async () => {
    const manifest = JSON.stringify({
      name: "airlock", main: "../outside/secret.ts", browser: { "airlock/driver": "./evil.ts", "./other.ts": "../outside/secret.ts" },
      imports: { "#secret": "../outside/secret.ts" }, exports: { "./driver": "./evil.ts" }, sideEffects: false,
    });
    expect(await refusal({ ...evil, "package.json": manifest, "other.ts": "globalThis.x = 1;", "driver.ts": `${honest}import "./other.ts";` })).toBeUndefined();
    expect(await refusal({ "driver.ts": `${honest}import x from "#secret"; globalThis.x = x;` })).toContain('"#secret"');
    expect(await refusal({ "sub/package.json": '{"main":"../../outside/secret.ts"}', "driver.ts": `${honest}import x from "./sub"; globalThis.x = x;` })).toContain("does not exist");
  });

  test("node_modules/airlock", async () => {
    const files = { "node_modules/airlock/driver.js": evil["evil.ts"], "node_modules/airlock/package.json": '{"exports":{"./driver":"./driver.js"}}' };
    expect(await refusal({ ...files, "driver.ts": honest })).toBeUndefined();
  });

  test.each([
    ["inside the file", (map: string) => `data:application/json,${encodeURIComponent(map)}`], ["beside it", () => "driver.js.map"], ["outside", () => "../outside/map.json"],
  ])("source maps %s", async (_where, url) => {
    const claimed = JSON.stringify({ version: 3, sources: ["../outside/secret.txt", "airlock/api/guest.ts"], names: [], mappings: "AAAA;ACAA" });
    writeFileSync(path.join(root, "outside/map.json"), claimed);
    const text = `globalThis.x = 1;\n${honest.replace(" as never", "")}//# sourceMappingURL=${url(claimed)}\n`;
    expect(await refusal({ "driver.js": text, "driver.js.map": claimed }, "driver.js")).toBeUndefined();
    const { map } = await bundleDriver(folder, "driver.js");
    const { sources } = JSON.parse(map) as { sources: string[] };
    expect(sources.filter((source) => !/^airlock\/(?:airlock-entry\.js|api|classes)/.test(source))).toEqual(["driver.js"]);
  });
});

describe("harm to the bundler", () => {
  test("named pipes in the place of files are not waited for", async () => {
    write({ "driver.ts": `${honest}import "./pipe.ts";` });
    for (const name of ["pipe.ts", "package.json", "tsconfig.json"]) execFileSync("mkfifo", [path.join(folder, name)]);
    expect(await refusal({})).toContain("does not exist");
    expect(await refusal({ "driver.ts": honest })).toBeUndefined();
  });

  test("code that nests too deeply for it is that package's failure only", async () => {
    write({ "driver.ts": honest });
    const other = path.join(root, "other");
    mkdirSync(other);
    writeFileSync(path.join(other, "driver.ts"), honest);
    write({ "driver.ts": `${honest}globalThis.x = ${"(".repeat(400_000)}` });
    const [evil, good] = await Promise.allSettled([bundleDriver(folder, "driver.ts"), bundleDriver(other, "driver.ts")]);
    expect(evil).toMatchObject({ status: "rejected", reason: { code: "BundleInvalid" } });
    expect(good).toMatchObject({ status: "fulfilled" });
  });
});
