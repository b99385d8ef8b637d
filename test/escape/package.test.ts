/** Manifests and machine files that point out of their package or at things that are no files: refused before any code is read. */
import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync, symlinkSync } from "node:fs";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { isAirlockError } from "../../runtime/api/errors.ts";
import { loadMachine } from "../../runtime/machine/load.ts";
import { loadManifest } from "../../runtime/machine/manifest.ts";
import { MachineFiles, clockManifest, labText, noExtensions } from "../fixtures/machine-files.ts";

let files: MachineFiles;
beforeEach(() => { files = new MachineFiles(); });
afterEach(() => files[Symbol.dispose]());

const refusal = (action: () => unknown): string => {
  try {
    action();
  } catch (error) {
    if (isAirlockError(error)) return `${error.code}: ${error.message}`;
    throw error;
  }
  return "accepted";
};
const manifest = (name: string): string => refusal(() => loadManifest(path.join(files.directory, name)));

describe("main", () => {
  test.each(["../secret.ts", "/etc/passwd", "a/../../secret.ts", "..", ".", "./", "a\\..\\..\\secret.ts", "driver.ts/../../secret.ts", "\u0000driver.ts", "", "driver.json", "sub"])("%j", (main) => {
    files.package("evil", { ...clockManifest, main });
    files.write("secret.ts", "export default 1;");
    files.write("evil/sub/x.ts", "");
    expect(manifest("evil")).toMatch(/^ManifestInvalid: .*driver\.json:\d+:\d+: /);
  });

  test("a link to a file outside, and to a folder outside", () => {
    files.write("secret.ts", "export default 1;");
    files.package("evil", { ...clockManifest, main: "link.ts" });
    symlinkSync("../secret.ts", path.join(files.directory, "evil/link.ts"));
    expect(manifest("evil")).toContain("leaves the package");
    files.package("evil", { ...clockManifest, main: "up/secret.ts" });
    symlinkSync("..", path.join(files.directory, "evil/up"));
    expect(manifest("evil")).toContain("leaves the package");
  });

  test("a link to itself, and a named pipe", () => {
    files.package("evil", { ...clockManifest, main: "loop.ts" });
    symlinkSync("loop.ts", path.join(files.directory, "evil/loop.ts"));
    expect(manifest("evil")).toContain("does not exist");
    files.package("evil", { ...clockManifest, main: "pipe.ts" });
    execFileSync("mkfifo", [path.join(files.directory, "evil/pipe.ts")]);
    expect(manifest("evil")).toContain("is no file");
  });
});

test.each([
  ["manifest", "evil/driver.json", () => manifest("evil")],
  ["machine file", "machine.yaml", () => refusal(() => loadMachine(path.join(files.directory, "machine.yaml"), noExtensions))],
] as const)("a %s that is a folder, a pipe or endless is refused and not waited for", (_what, name, load) => {
  const refused = /^(?:ManifestInvalid|MachineFileInvalid|NotFound): /;
  files.package("evil", clockManifest);
  const file = path.join(files.directory, name);
  rmSync(file, { force: true });
  mkdirSync(file);
  expect(load()).toMatch(refused);
  rmSync(file, { recursive: true });
  symlinkSync("/dev/zero", file);
  expect(load()).toMatch(refused);
  rmSync(file);
  execFileSync("mkfifo", [file]);
  expect(load()).toMatch(refused);
});

test("keys that are names of Object's own are keys like any other", () => {
  for (const key of ["__proto__", "constructor", "toString", "hasOwnProperty"]) {
    const text = labText.replace("  clock:\n", `  ${key}:\n`);
    const loaded = refusal(() => files.load(text));
    expect(loaded === "accepted" || loaded.startsWith("MachineFileInvalid: ")).toBe(true);
    expect(({} as Record<string, unknown>)["package"]).toBeUndefined();
    files.package("evil", { ...clockManifest, options: { [key]: { type: "number", default: 1, doc: "x" } } });
    expect(manifest("evil")).toMatch(/^(?:accepted|ManifestInvalid)/);
  }
});

test("a machine file of references that multiply is refused in time", () => {
  const bomb = ["a: &a [x,x,x,x,x,x,x,x,x]", ..."bcdefghi".split("").map((name, i) => `${name}: &${name} [${Array.from({ length: 9 }, () => `*${"abcdefghi"[i]}`).join()}]`)].join("\n");
  expect(refusal(() => files.load(`${bomb}\n${labText}`))).toMatch(/^MachineFileInvalid: /);
  expect(refusal(() => files.load("[".repeat(500_000)))).toMatch(/^MachineFileInvalid: /);
  expect(refusal(() => files.load(`{a: `.repeat(100_000)))).toMatch(/^MachineFileInvalid: /);
});
