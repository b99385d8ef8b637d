/** `airlock` without a daemon: help, version, schema, check, new, and what it says of bad input. */
import { readFileSync, readdirSync } from "node:fs";
import { cp, mkdir, rm, symlink, writeFile } from "node:fs/promises";
import { spawn } from "node:child_process";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { z } from "zod";
import { airlock, labFile, mainFile, scratch } from "../fixtures/cli.ts";

const root = path.join(import.meta.dirname, "../..");
const template = path.join(root, "drivers/template");

describe("help", () => {
  test("lists every command and the exit codes; each command shows an example and takes --json", async () => {
    const { code, stdout } = await airlock(["--help"]);
    expect(code).toBe(0);
    const commands = ["check", "hold", "kill", "logs", "new", "ps", "release", "restart", "run", "schema", "trace", "why"];
    for (const command of commands) expect(stdout).toMatch(new RegExp(`^  ${command} `, "m"));
    for (const exit of [0, 1, 2, 3, 4, 5, 6, 7]) expect(stdout).toMatch(new RegExp(`^  ${exit}  \\w`, "m"));
    for (const command of commands) {
      const help = await airlock([command, "--help"]);
      expect(help.code).toBe(0);
      expect(help.stdout).toMatch(/Examples?:\n {2}\$ airlock /);
      expect(help.stdout).toContain("--json");
    }
  });

  test("version", async () => {
    const { version } = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8")) as { version: string };
    expect(await airlock(["--version"])).toMatchObject({ code: 0, stdout: `${version}\n` });
  });

  test("without a command it says how it is used", async () => {
    expect(await airlock([])).toMatchObject({ code: 2, stdout: "", stderr: expect.stringContaining("Usage: airlock") as string });
  });

  test("schema is JSON Schema with this installation's exports", async () => {
    const schema = (await airlock(["schema", "machine"])).json() as { properties: { exports: object } };
    expect(JSON.stringify(schema.properties.exports)).toContain('"unix"');
    expect((await airlock(["schema", "manifest", "--json"])).json()).toHaveProperty("properties.contractVersion");
  });

  test("schema validates the example machines, and refuses a mistyped key", async () => {
    const schema = z.fromJSONSchema((await airlock(["schema"])).json() as Parameters<typeof z.fromJSONSchema>[0]);
    const examples = path.join(root, "runtime/machine/examples");
    for (const file of readdirSync(examples)) {
      expect({ file, problems: schema.safeParse(parse(readFileSync(path.join(examples, file), "utf8"))).error?.issues ?? [] }).toEqual({ file, problems: [] });
    }
    const disk = readFileSync(path.join(examples, "disk.yaml"), "utf8");
    const shadowed = disk.replace("spares: 3", "shadow: { journal: true, checksums: true }\n    limits: { dma: 9MiB }").replace(/ {4}limits: .*\n/, "");
    const secured = shadowed.replace("driver: disk }", "driver: disk, port: 10809, tls: { cert: a.pem, key: b.pem, ca: c.pem } }");
    expect(secured).not.toBe(shadowed);
    expect(schema.safeParse(parse(secured)).error?.issues ?? []).toEqual([]);
    for (const [from, to] of [["pci: { address", "pci: { addres"], ["class: 0x010802", "clas: 1"], ["shadow:", "shadows:"], ["port: 10809", "port: 99999"], ["cert: a.pem", "crt: a.pem"]] as const) {
      expect(secured).toContain(from);
      expect({ to, ok: schema.safeParse(parse(secured.replace(from, to))).success }).toEqual({ to, ok: false });
    }
  });

  test("a reader that stops reading is no error", async () => {
    const child = spawn("sh", ["-c", `"${process.execPath}" "${mainFile}" schema | head -n 1; wait`], { stdio: ["ignore", "pipe", "pipe"] });
    let stderr = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => { stderr += text; });
    child.stdout.resume();
    await new Promise((resolve) => { child.on("close", resolve); });
    expect(stderr).toBe("");
  });
});

describe("bad machine files", () => {
  test.each([
    ["malformed YAML", "machine: [\n", /^\S+bad\.yaml:\d+:\d+: /],
    ["no machine file at all", "", /bad\.yaml:1:1: /],
    ["a missing package", "machine: bad\nplatform: { type: sim }\ndevices: {}\ndrivers:\n  clock: { package: ./nowhere, device: rtc, grants: [] }\n", /bad\.yaml:5:21: package ".\/nowhere" cannot be used: .*does not exist/],
    ["an unknown export", `machine: bad\nplatform: { type: sim }\ndevices: {}\ndrivers: {}\nexports:\n  x: { type: unx, driver: clock }\n`, /unknown type "unx"; did you mean "unix"\?/],
  ])("%s", async (_, text, expected) => {
    await using directory = await scratch();
    const file = path.join(directory.path, "bad.yaml");
    await writeFile(file, text);
    const state = path.join(directory.path, "state");
    const result = await airlock(["run", file, "--state", state]);
    expect(result.code).toBe(3);
    expect(result.stdout).toBe("");
    expect(result.stderr).toMatch(expected);
    for (const line of result.stderr.trim().split("\n")) expect(line).toMatch(/^\S+:\d+:\d+: /);
    const json = (await airlock(["run", file, "--state", state, "--json"])).json() as { error: { code: string; fields: { file: string } } };
    expect(json.error).toMatchObject({ code: "MachineFileInvalid", fields: { file } });
  });

  test("two wrong keys are two lines", async () => {
    await using directory = await scratch();
    const file = path.join(directory.path, "bad.yaml");
    await writeFile(file, readFileSync(labFile, "utf8").replace("machine: lab", "machin: lab\nmachine: lab\nplatfrm: 1"));
    const { stderr } = await airlock(["why", "clock", "--file", file]);
    expect(stderr.split("\n").filter((line) => line.includes("unknown key"))).toHaveLength(2);
  });

  test("a missing file", async () => {
    expect(await airlock(["run", "/nowhere.yaml"])).toMatchObject({ code: 6, stderr: "airlock: /nowhere.yaml: machine file does not exist; check the path\n" });
  });

  test("a package that does not bundle", async () => {
    await using directory = await scratch();
    await cp(template, path.join(directory.path, "broken"), { recursive: true });
    await writeFile(path.join(directory.path, "broken/driver.ts"), 'import fs from "node:fs";\nexport default fs;\n');
    const file = path.join(directory.path, "bad.yaml");
    const drivers = "  clock: { package: ./broken, device: rtc, grants: [cmos, tick] }\n";
    await writeFile(file, `machine: bad\nplatform: { type: sim }\ndevices:\n  rtc: { compatible: [mc146818], ports: { cmos: { base: 0x70, size: 2 } }, irqs: { tick: 8 } }\ndrivers:\n${drivers}`);
    const result = await airlock(["run", file, "--state", path.join(directory.path, "state")]);
    expect(result.code).toBe(3);
    expect(result.stderr).toMatch(/^broken\/driver\.ts:1:\d+: import of "node:fs" is not allowed/m);
  });
});

describe("check", () => {
  const packages = readdirSync(path.join(root, "drivers"), { withFileTypes: true }).filter((entry) => entry.isDirectory()).map(({ name }) => name);

  test.each(packages)("%s is in order", async (name) => {
    expect(await airlock(["check", path.join(root, "drivers", name)])).toMatchObject({ code: 0, stderr: "" });
  });

  test("knows DMA memory that nobody uses, and a class that has nowhere to keep its data", async () => {
    await using directory = await scratch();
    const copy = path.join(directory.path, "bad");
    await cp(path.join(root, "drivers/nvme"), copy, { recursive: true });
    const manifest = path.join(copy, "driver.json");
    const text = readFileSync(manifest, "utf8");
    const dma = '"buffers": { "size": "8MiB", "use": "buffers" }';
    expect(text).toContain(dma);
    await writeFile(manifest, text.replace(dma, '"spareRing": { "size": "8MiB" }'));
    const { code, stderr } = await airlock(["check", copy]);
    expect(code).toBe(3);
    expect(stderr).toMatch(/driver\.json:\d+:\d+: asks for DMA memory "spareRing", which the code never names; remove it/);
    expect(stderr).toMatch(/driver\.json:\d+:\d+: asks for no DMA memory that class block could keep its data in; write dma: /);
  });

  test("reports everything with its place", async () => {
    await using directory = await scratch();
    const copy = path.join(directory.path, "bad");
    await cp(template, copy, { recursive: true });
    const manifest = path.join(copy, "driver.json");
    const edited = readFileSync(manifest, "utf8").replace('"contractVersion": 1', '"contractVersion": 7').replace('"tick"', '"tick", "tock"').replace('"widths": [8]', '"widths": [8, 16]');
    await writeFile(manifest, edited);
    const { code, stderr } = await airlock(["check", copy]);
    expect(code).toBe(3);
    expect(stderr).toMatch(/driver\.json:5:\d+: is 7; this build has version 1 of class rtc/);
    expect(stderr).toMatch(/driver\.json:\d+:\d+: asks for line "tock", which the code never names/);
    expect(stderr).toMatch(/driver\.json:\d+:\d+: asks for 16-bit accesses to window "cmos"/);
    await writeFile(manifest, edited.replace('"class": "rtc"', '"class": "rct"'));
    await writeFile(path.join(copy, "registers.ts"), 'import "../outside.ts";\nimport "lodash";\n');
    const json = (await airlock(["check", copy, "--json"])).json() as { ok: boolean; problems: { file: string; line: number; text: string }[] };
    expect(json.ok).toBe(false);
    expect(json.problems.map(({ text }) => text)).toEqual(expect.arrayContaining([
      'there is no class "rct"; did you mean "rtc"?',
      expect.stringContaining('import of "../outside.ts" leaves the package'), expect.stringContaining('import of "lodash" is not allowed'),
    ]));
    expect(json.problems.find(({ text }) => text.includes("lodash"))).toMatchObject({ file: path.join(copy, "registers.ts"), line: 2 });
  });

  test("no package", async () => {
    expect(await airlock(["check", "/nowhere"])).toMatchObject({ code: 6 });
  });
});

describe("new", () => {
  test.each([["rtc", "my-clock"], ["serial", "my-uart"], ["block", "my-disk"], ["net", "my-nic"]])("a package of class %s passes its check, its types and its test", async (className, name) => {
    // Inside the repository, so that "airlock/driver" resolves as it does in an installation.
    const parent = path.join(root, `test/system/.new-${process.pid}-${className}`);
    await mkdir(parent);
    try {
      await symlink(path.join(root, "node_modules"), path.join(parent, "node_modules"));
      const made = await airlock(["new", className, name, "--in", parent, "--json"]);
      expect(made.code).toBe(0);
      const directory = path.join(parent, name);
      expect(await airlock(["check", directory])).toMatchObject({ code: 0, stderr: "" });
      await writeFile(path.join(parent, "tsconfig.json"), JSON.stringify({ extends: path.join(root, "tsconfig.json"), include: [`${name}/*.ts`] }));
      expect(await node([path.join(root, "node_modules/typescript/bin/tsc"), "--noEmit", "-p", parent])).toMatchObject({ code: 0, output: "" });
      await writeFile(path.join(parent, "vitest.config.mjs"), "export default {};\n");
      const tested = await node([path.join(root, "node_modules/vitest/vitest.mjs"), "run", "--root", parent, path.join(directory, "driver.test.ts")]);
      expect(tested.output).toMatch(/Tests +\d+ passed/);
      expect(tested.code).toBe(0);
      const again = await airlock(["new", className, name, "--in", parent]);
      expect(again).toMatchObject({ code: 5, stderr: expect.stringContaining("exists already") as string });
    } finally {
      await rm(parent, { recursive: true });
    }
  });

  test.each([
    [["seral", "x"], 2, 'did you mean "serial"?'],
    [["rtc", "../x"], 2, "is not a name"],
    [["rtc", "x", "--in", "/nowhere"], 6, "no such directory"],
  ])("refuses %j", async (words, code, text) => {
    const result = await airlock(["new", ...words]);
    expect(result.code).toBe(code);
    expect(result.stderr).toContain(text);
  });
});

function node(args: readonly string[]): Promise<{ code: number | null; output: string }> {
  const child = spawn(process.execPath, args, { cwd: root, stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, NO_COLOR: "1" } });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text: string) => { output += text; });
  return new Promise((resolve) => { child.on("close", (code) => resolve({ code, output })); });
}
