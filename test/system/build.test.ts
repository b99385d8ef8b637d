/** `airlock build`: Linux drivers become packages that run, and what cannot is refused in one line that says why. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { appendFile, mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { debianArchive } from "../../shims/tools/kernel-source.ts";
import { airlock, type CommandResult, scratch } from "../fixtures/cli.ts";
import { kernelAvailable } from "../fixtures/kernel-available.ts";

/** The first build of all takes out the kernel's source and compiles some 200 files of it. */
const firstMs = 900_000;
const buildMs = 300_000;

const build = (args: readonly string[], cwd: string, env: Readonly<Record<string, string>> = {}): Promise<CommandResult> => airlock(["build", ...args], { cwd, env, limitMs: buildMs });

/** The one line on stderr with nothing on stdout, and the exit code. */
async function refusal(args: readonly string[], cwd: string): Promise<{ code: number | null; message: string }> {
  const { code, stdout, stderr } = await build(args, cwd);
  const lines = stderr.trim().split("\n").filter((line) => line.startsWith("airlock: "));
  const message = lines.join("\n").replace("airlock: ", "");
  expect({ stdout, lines: lines.length }).toEqual({ stdout: "", lines: 1 });
  return { code, message };
}

/** As `refusal`, and --json says the same as an object. */
async function refusalTwice(args: readonly string[], cwd: string): Promise<{ code: number | null; message: string }> {
  const { code, message } = await refusal(args, cwd);
  const json = await build([...args, "--json"], cwd);
  expect(json).toMatchObject({ code, stderr: "" });
  expect(json.json()).toMatchObject({ error: { message } });
  return { code, message };
}

const refused = (code: number, text: string): object => ({ code, message: expect.stringContaining(text) as string });

describe("what it is told", () => {
  test.each([
    [[], "name a driver"],
    [["--all"], "--check --all"],
    [["--check", "--all", "CONFIG_X"], 'leave out "CONFIG_X"'],
    [["CONFIG_X", "--window", "9"], '--window "9" is not a name'],
    [["CONFIG_X", "--compatible", "A B"], "is not a compatible name"],
  ])("%j is refused", async (args, text) => {
    await using directory = await scratch();
    expect(await refusalTwice(args, directory.path)).toEqual(refused(2, text));
  });

  test("without a kernel source it says which package has it", async () => {
    await using directory = await scratch();
    expect(await refusalTwice(["CONFIG_X", "--kernel-src", "/nowhere"], directory.path)).toEqual(refused(6, "there is no kernel source at /nowhere; name a kernel's source folder or its .tar.xz; Debian's package is linux-source-6.1"));
    await mkdir(path.join(directory.path, "folder"));
    expect(await refusalTwice(["CONFIG_X", "--kernel-src", "folder"], directory.path)).toEqual(refused(6, "is no kernel source"));
  });

  test("a compiler that is too old or not there", async () => {
    await using directory = await scratch();
    const clang = path.join(directory.path, "clang");
    await writeFile(clang, '#!/bin/sh\necho "clang version 11.0.1"\n', { mode: 0o755 });
    const { code, stderr } = await build(["CONFIG_X"], directory.path, { PATH: directory.path });
    // With the npm package installed there is always a compiler.
    if (!stderr.includes("clang 17 is needed")) expect(stderr).not.toContain("compiler");
    else expect({ code, stderr }).toEqual({ code: 7, stderr: expect.stringMatching(/^airlock: the compiler is too old: .*clang is version 11\.0\.1, clang 17 is needed at least; install clang-19.*\n$/) as string });
  });
});

/** A whole driver for a watchdog on PCI; `more` is added to it. */
const driverText = (more = "", probe = ""): string => `#include <linux/module.h>
#include <linux/pci.h>
#include <linux/watchdog.h>
static int start(struct watchdog_device *device) { return 0; }
static const struct watchdog_info info = { .options = WDIOF_SETTIMEOUT, .identity = "test" };
static const struct watchdog_ops ops = { .owner = THIS_MODULE, .start = start };
static struct watchdog_device watchdog = { .info = &info, .ops = &ops, .timeout = 10, .min_timeout = 1, .max_timeout = 60 };
static int level = 3;
module_param(level, int, 0444);
MODULE_PARM_DESC(level, "how much it says");
${more}
static int test_probe(struct pci_dev *pci, const struct pci_device_id *id)
{
${probe}
	return devm_watchdog_register_device(&pci->dev, &watchdog);
}
static const struct pci_device_id ids[] = { { PCI_DEVICE(0x1af4, 0x10f0) }, { PCI_DEVICE_SUB(0x1af4, 0x10f1, 0x1234, 0x5678) }, { } };
MODULE_DEVICE_TABLE(pci, ids);
static struct pci_driver test_driver = { .name = "test", .id_table = ids, .probe = test_probe };
module_pci_driver(test_driver);
MODULE_LICENSE("GPL");
`;

describe.skipIf(!(await kernelAvailable()))("drivers", () => {
  test("the three commands: build a driver, check its package, run it", async () => {
    await using directory = await scratch();
    const built = await airlock(["build", "CONFIG_I6300ESB_WDT", "--json"], { cwd: directory.path, limitMs: firstMs });
    expect(built).toMatchObject({ code: 0, stderr: "" });
    expect(built.json()).toMatchObject({ directory: "drivers/linux-i6300esb", className: "watchdog", missingFunctions: [], ok: true });
    const folder = path.join(directory.path, "drivers/linux-i6300esb");
    expect(readdirSync(folder).toSorted()).toEqual([".gitignore", "driver.json", "driver.wasm", "driver.wasm.map", "sources.json"]);
    expect(await airlock(["check", "drivers/linux-i6300esb"], { cwd: directory.path })).toMatchObject({ code: 0 });
    await writeFile(path.join(directory.path, "machine.yaml"), `machine: test
platform: { type: sim }
devices:
  wdt: { compatible: [i6300esb], pci: { address: "00:06.0" } }
drivers:
  watchdog: { package: drivers/linux-i6300esb, device: wdt, sandbox: wasm, grants: [bar0, config, heap], options: { delays: 0 } }
`);
    const trial = await airlock(["trial", "machine.yaml", "--json"], { cwd: directory.path, limitMs: buildMs });
    expect(trial.json()).toMatchObject({ ok: true });
    await appendFile(path.join(folder, "driver.wasm"), "\0");
    const changed = await airlock(["trial", "machine.yaml"], { cwd: directory.path });
    expect(changed).toMatchObject({ code: 3, stderr: expect.stringContaining("it was changed after it was built") as string });
  }, firstMs);

  test("a driver's files are the source's own, by their checksums", async () => {
    await using directory = await scratch();
    expect(await build(["CONFIG_I6300ESB_WDT"], directory.path)).toMatchObject({ code: 0 });
    const { driver, kernel } = JSON.parse(readFileSync(path.join(directory.path, "drivers/linux-i6300esb/sources.json"), "utf8")) as {
      driver: Record<string, string>; kernel: { version: string };
    };
    expect(kernel.version).toMatch(/^6\.1\.\d+$/);
    const files = Object.keys(driver);
    expect(files).toContain("drivers/watchdog/i6300esb.c");
    for (const file of files) {
      const original = execFileSync("tar", ["-xJOf", debianArchive, `linux-source-6.1/${file}`], { maxBuffer: 2 ** 26 });
      expect({ file, sha256: createHash("sha256").update(original).digest("hex") }).toEqual({ file, sha256: driver[file] });
    }
  }, buildMs);

  test("a driver outside of a tree: ids, parameters and names come from it; the same files give the same module", async () => {
    await using directory = await scratch();
    await writeFile(path.join(directory.path, "my-card.c"), driverText());
    const first = await build(["my-card.c", "--json", "--compatible", "maker,card", "--out", "one"], directory.path);
    expect(first).toMatchObject({ code: 0, stderr: "" });
    const manifest = JSON.parse(readFileSync(path.join(directory.path, "one/driver.json"), "utf8")) as Record<string, unknown>;
    expect(manifest).toMatchObject({
      name: "linux-my-card", class: "watchdog", tier: "wasm", compatible: ["my-card", "pci1af4,10f0", "pci1af4,10f1.1234.5678", "maker,card"],
      options: { level: { type: "number", optional: true, doc: "how much it says" } },
    });
    const sources = JSON.parse(readFileSync(path.join(directory.path, "one/sources.json"), "utf8")) as { driver: object };
    expect(sources.driver).toEqual({ "my-card.c": createHash("sha256").update(driverText()).digest("hex") });
    const second = await build(["my-card.c", "--json", "--out", "two"], directory.path);
    expect((second.json() as { sha256: string }).sha256).toBe((first.json() as { sha256: string }).sha256);
    await mkdir(path.join(directory.path, "mine"));
    await writeFile(path.join(directory.path, "mine/precious"), "");
    expect(await refusal(["my-card.c", "--out", "mine"], directory.path)).toEqual(refused(5, "mine exists and is no built package"));
  }, buildMs);

  test("what it needs that is not there: functions are traps and are listed, variables and wrong types fail", async () => {
    await using directory = await scratch();
    const file = path.join(directory.path, "card.c");
    await writeFile(file, driverText("void nobody_has_this(int); void nor_this(void);", "\tnobody_has_this(1);\n\tnor_this();"));
    const warned = await build(["card.c"], directory.path);
    expect(warned).toMatchObject({ code: 0, stdout: expect.stringContaining("2 missing functions: nobody_has_this, nor_this") as string });
    expect(await refusal(["card.c", "--strict"], directory.path)).toEqual(refused(7, "card cannot be built: 2 missing functions: nobody_has_this, nor_this"));
    const checked = await build(["--check", "card.c", "--json"], directory.path);
    expect(checked).toMatchObject({ code: 1, stderr: "" });
    expect(checked.json()).toMatchObject({ links: true, ok: false, missingFunctions: ["nobody_has_this", "nor_this"] });
    await writeFile(file, driverText("extern int no_such_variable;", "\tlevel = no_such_variable;"));
    expect(await refusal(["card.c"], directory.path)).toEqual(refused(7, "card cannot be built: 1 missing variable: no_such_variable"));
    await writeFile(file, driverText("long long kstrdup_const(int, int);".replace("kstrdup_const", "pci_bus_max_busnr"), "\tlevel = pci_bus_max_busnr(1, 2);").replace("#include <linux/pci.h>", "#define pci_bus_max_busnr hidden\n#include <linux/pci.h>\n#undef pci_bus_max_busnr"));
    expect(await refusal(["card.c"], directory.path)).toEqual(refused(7, "function of another type than it is called with: pci_bus_max_busnr"));
  }, buildMs);

  test.each([
    ["not a driver", "int f(void) { return 1; }\n", 2, "card.c is not a driver: card has no module_init"],
    ["no device table", driverText().replace(/MODULE_DEVICE_TABLE.*\n/, ""), 2, "card has no device table (MODULE_DEVICE_TABLE)"],
    ["two modules in one file", driverText("static int __init two(void) { return 0; }\nmodule_init(two);"), 2, "card is 2 modules in one"],
    ["no C that compiles", driverText("int f(void) { return x; }"), 7, "card.c does not compile: card.c:"],
    ["a header that is not there", driverText('#include "mine.h"'), 7, "'mine.h' file not found"],
    ["a class that is not there", driverText("#include <linux/hw_random.h>\nstatic struct hwrng rng;", "\treturn hwrng_register(&rng);").replace("devm_watchdog_register_device(&pci->dev, &watchdog)", "0"), 7, "card is a hw_random driver; the environment has drivers of the classes net, rtc, watchdog"],
  ])("%s", async (_, text, code, said) => {
    await using directory = await scratch();
    await writeFile(path.join(directory.path, "card.c"), text);
    expect(await refusal(["card.c"], directory.path)).toEqual(refused(code, said));
  }, buildMs);

  test.each([
    ["CONFIG_I6300ESB_WTD", 6, "did you mean CONFIG_I6300ESB_WDT?"],
    ["i6300esb", 6, "did you mean CONFIG_I6300ESB_WDT?"],
    ["lib/sort.c", 2, "lib/sort.c is not a driver: sort has no module_init"],
    ["drivers/watchdog/gone.c", 6, "there is no file or folder drivers/watchdog/gone.c"],
    ["drivers/watchdog", 2, "modules: CONFIG_"],
  ])("%s", async (what, code, text) => {
    await using directory = await scratch();
    expect(await refusal([what], directory.path)).toEqual(refused(code, text));
  }, buildMs);
});
