/** Preparing a checkout, with stand-ins for npm, the compiler and node-gyp that note that they were called. */
import { spawn } from "node:child_process";
import { appendFileSync, chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, readlinkSync, rmSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";

const log = 'require("node:fs").appendFileSync("calls.log", NAME + " " + process.argv.slice(2).join(" ") + "\\n");\n';

/** Compiles by copying; fails on a source that says "error". Takes a while, so that two would overlap. */
const compiler = `${log.replace("NAME", '"tsc"')}
const fs = require("node:fs"), path = require("node:path");
for (const name of fs.readdirSync("runtime", { recursive: true }).filter((name) => name.endsWith(".ts"))) {
  const text = fs.readFileSync(path.join("runtime", name), "utf8"), built = path.join("dist/runtime", name.replace(/ts$/, "js"));
  if (text.includes("error")) { console.log(name + ": what is wrong"); process.exit(2); }
  fs.mkdirSync(path.dirname(built), { recursive: true });
  fs.writeFileSync(built, text);
}
fs.appendFileSync("calls.log", "tsc ended\\n");
`;
const gyp = `${log.replace("NAME", '"node-gyp"')}
const fs = require("node:fs");
if (fs.readFileSync("native/src/addon.cc", "utf8").includes("error")) { console.log("addon.cc: what is wrong"); process.exit(1); }
fs.mkdirSync("native/build/Release", { recursive: true });
fs.writeFileSync("native/build/Release/airlock.node", "");
`;
const npm = `${log.replace("NAME", '"npm"')}
const fs = require("node:fs");
fs.cpSync("modules", "node_modules", { recursive: true });
fs.cpSync("package-lock.json", "node_modules/.package-lock.json");
`;

let root: string;

beforeEach(() => {
  root = mkdtempSync(path.join(os.tmpdir(), "airlock-prepare-"));
  cpSync(path.join(import.meta.dirname, "prepare.mjs"), path.join(root, "runtime/cli/prepare.mjs"));
  write("runtime/cli/main.ts", "#!/usr/bin/env node\n");
  write("runtime/faults/hang.ts", "hang\n");
  write("native/binding.gyp", "{}");
  write("native/src/addon.cc", "");
  write("package.json", "{}");
  write("package-lock.json", JSON.stringify({ packages: { "": {}, "node_modules/typescript": { version: "7.0.0", integrity: "a" }, "node_modules/other-system": { version: "1.0.0", integrity: "b", optional: true } } }));
  for (const name of ["tsconfig.json", "tsconfig.build.json"]) write(name, "{}");
  write("modules/typescript/package.json", '{ "version": "7.0.0" }');
  write("modules/typescript/bin/tsc", compiler);
  write("modules/node-gyp/bin/node-gyp.js", gyp);
  write("npm.cjs", npm);
  write("nodedir/include/node/node_api.h", "");
  for (const name of ["g++", "make", "python3"]) {
    write(`bin/${name}`, "");
    chmodSync(path.join(root, "bin", name), 0o755);
  }
});

afterEach(() => rmSync(root, { recursive: true }));

test("installs, builds and links once, and then finds nothing to do", async () => {
  const first = await prepare();
  expect(first.code).toBe(0);
  expect(calls()).toEqual([
    "npm ci --ignore-scripts --include=dev --no-audit --no-fund", "tsc -p tsconfig.build.json", "tsc ended",
    `node-gyp rebuild --directory native --nodedir ${path.join(root, "nodedir")}`,
  ]);
  expect(readlinkSync(path.join(root, "node_modules/.bin/airlock"))).toBe("../../dist/runtime/cli/main.js");
  expect(await prepare()).toEqual({ code: 0, text: "" });
  expect(calls()).toHaveLength(4);
  expect(readdirSync(path.join(root, ".airlock"))).toEqual([]);
});

test("installs again when the lock names another version", async () => {
  await prepare();
  write("package-lock.json", readFileSync(path.join(root, "package-lock.json"), "utf8").replace("7.0.0", "7.0.1"));
  await prepare();
  expect(calls().filter((call) => call.startsWith("npm"))).toHaveLength(2);
});

test("keeps nothing in dist/ of sources that are gone", async () => {
  write("runtime/gone/a.ts", "a");
  await prepare();
  expect(existsSync(path.join(root, "dist/runtime/gone/a.js"))).toBe(true);
  rmSync(path.join(root, "runtime/gone"), { recursive: true });
  await prepare();
  expect(readdirSync(path.join(root, "dist/runtime")).sort()).toEqual(["cli", "faults"]);
});

test("builds anew after a change, with --force always, and with --dist nothing else", async () => {
  await prepare();
  appendFileSync(path.join(root, "runtime/faults/hang.ts"), "more\n");
  await prepare("--dist");
  expect(calls().slice(4)).toEqual(["tsc -p tsconfig.build.json", "tsc ended"]);
  await prepare("--force");
  expect(calls().slice(6).map((call) => call.split(" ")[0])).toEqual(["tsc", "tsc", "node-gyp"]);
});

test("shows the compiler's errors, fails, and tries again next time", async () => {
  await prepare();
  write("runtime/faults/hang.ts", "error");
  expect(await prepare()).toEqual({ code: 1, text: expect.stringContaining("what is wrong") });
  expect(await prepare()).toEqual({ code: 1, text: expect.stringContaining("what is wrong") });
});

test("goes on without the addon and says what is missing", async () => {
  rmSync(path.join(root, "bin/g++"));
  const { code, text } = await prepare();
  expect(code).toBe(0);
  expect(text).toContain("the native addon is not built: missing: g++\n");
  expect(text).toContain("pty and tap exports");
});

test("goes on without the addon when it does not compile, and builds it once its source has changed", async () => {
  write("native/src/addon.cc", "error");
  expect(await prepare()).toEqual({ code: 0, text: expect.stringContaining("addon.cc: what is wrong") });
  write("native/src/addon.cc", "");
  await prepare();
  expect(existsSync(path.join(root, "native/build/Release/airlock.node"))).toBe(true);
  const laterSeconds = Date.now() / 1000 + 10;
  utimesSync(path.join(root, "native/src/addon.cc"), laterSeconds, laterSeconds);
  await prepare();
  expect(calls().filter((call) => call.startsWith("node-gyp"))).toHaveLength(3);
});

test("two at once build one after the other, and the second finds it done", async () => {
  const codes = await Promise.all([prepare(), prepare()]);
  expect(codes.map(({ code }) => code)).toEqual([0, 0]);
  expect(calls()).toHaveLength(4);
});

test("takes the place of one that was killed", async () => {
  const child = spawn(process.execPath, ["-e", ""]);
  await new Promise((resolve) => { child.once("exit", resolve); });
  write(".airlock/prepare.lock", `${child.pid}\n`);
  expect((await prepare()).code).toBe(0);
});

test("refuses an argument it does not know", async () => {
  expect(await prepare("--forse")).toEqual({ code: 1, text: 'unknown argument "--forse"; there are --force and --dist\n' });
});

function prepare(...args: string[]): Promise<{ code: number | null; text: string }> {
  // Node must be found by the stand-ins' parents, and no real g++.
  const node = path.join(root, "bin/node");
  if (!existsSync(node)) symlinkSync(process.execPath, node);
  const env = { PATH: path.join(root, "bin"), npm_execpath: path.join(root, "npm.cjs"), npm_config_nodedir: path.join(root, "nodedir") };
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ["runtime/cli/prepare.mjs", ...args], { cwd: root, env, stdio: ["ignore", "ignore", "pipe"] });
    let text = "";
    child.stderr.on("data", (chunk) => { text += String(chunk); });
    child.once("close", (code) => resolve({ code, text }));
  });
}

function calls(): string[] {
  return readFileSync(path.join(root, "calls.log"), "utf8").trim().split("\n").map((line) => line.trim());
}

function write(file: string, text: string): void {
  mkdirSync(path.dirname(path.join(root, file)), { recursive: true });
  writeFileSync(path.join(root, file), text);
}
