import { readFileSync } from "node:fs";
import path from "node:path";
import { beforeAll, afterAll, describe, expect, test } from "vitest";
import { wasm } from "../../runtime/sandbox/web-assembly.ts";
import { compilerAvailable } from "../../test/fixtures/kernel-available.ts";
import { finishModule } from "./asyncify.ts";
import { bundledToolchain } from "./bundled-toolchain.ts";
import { Cache } from "./cache.ts";
import { Compiler } from "./compiler.ts";
import { Linker } from "./linker.ts";
import { moduleFacts } from "./module-facts.ts";
import { noProgress } from "./progress.ts";
import { decodeMappings, type SourceMapFile } from "./source-map.ts";
import { parsePolicies } from "./stubs.ts";
import { TestFolder } from "./test-kernel.ts";
import { findToolchain } from "./toolchain.ts";
import { dataOf, readObject } from "./wasm-object.ts";
import { importedFunctions } from "./wasm-reader.ts";

const flags = ["--target=wasm32-unknown-unknown", "-O1", "-ffreestanding", "-mbulk-memory", "-w"];
const linkFlags = ["--no-entry", "--global-base=131072", "--fatal-warnings", "--export=entry", "--gc-sections"];

describe.skipIf(!(await compilerAvailable()))("with a compiler", () => {
  let folder: TestFolder;
  let compiler: Compiler;
  let linker: Linker;
  /** A compiler takes it that a file does not change. */
  let files = 0;

  beforeAll(async () => {
    folder = new TestFolder();
    const cache = new Cache(path.join(folder.path, "cache"));
    const toolchain = await findToolchain({ path: process.env["PATH"] ?? "", bundled: bundledToolchain });
    compiler = new Compiler(toolchain, cache, { kernel: folder.path, shims: "/shims" }, flags);
    linker = new Linker(toolchain, cache, linkFlags, flags, parsePolicies(["known 7", "known_trap trap"], "t"));
  });
  afterAll(() => { folder[Symbol.dispose](); });

  /** Objects of these files, compiled. */
  async function objects(...texts: readonly string[]): Promise<string[]> {
    const jobs = texts.map((text) => ({ file: folder.write(`file${++files}.c`, text), flags: [] }));
    const compiled = await compiler.compileAll(jobs, noProgress);
    return compiled.map(({ object, diagnostics }) => object ?? expect.fail(diagnostics));
  }

  const link = async (driver: string, ...library: readonly string[]) => {
    const [first, ...rest] = await objects(driver, ...library);
    return linker.link({ objects: [first!], library: rest });
  };

  test("missing functions become stubs that say their names; known ones do what the table says; nothing else is imported", async () => {
    const linked = await link("int missing(int); int known(void); void known_trap(void); int there(void);\nint entry(int x) { known_trap(); return missing(x) + known() + there(); }", "int there(void) { return 1; }", "int never(void); int unused(void) { return never(); }");
    expect(linked).toMatchObject({ missingFunctions: ["missing"], stubbedFunctions: ["known", "known_trap"], missingData: [], mismatches: [], duplicates: [], complaint: "" });
    expect(importedFunctions(linked.module!).map((one) => `${one.module}.${one.name}`)).toEqual(["airlock.fail"]);
    const failures: string[] = [];
    const memory = new wasm.Memory({ initial: 32, maximum: 64 });
    const fail = (why: number, at: number, length: number): void => {
      failures.push(`${why} ${Buffer.from(memory.buffer, at, length).toString()}`);
      throw new Error("ended");
    };
    const { entry } = new wasm.Instance(new wasm.Module(linked.module!), { airlock: { memory, fail } }).exports as { entry(x: number): number };
    expect(() => entry(1)).toThrow("ended");
    expect(failures).toEqual(["2 known_trap"]);
  });

  test.each([
    ["undefined data", ["extern int nowhere; int entry(int x) { return nowhere; }"], { missingData: ["nowhere"] }],
    ["another type", ["int there(int, int); int entry(int x) { return there(x, 1); }", "int there(int x) { return x; }"], { mismatches: ["there"] }],
    ["defined twice", ["int there(void); int other(void); int entry(int x) { return there() + other(); }", "int there(void) { return 1; }", "int other(void) { return 1; } int there(void) { return 2; }"], { duplicates: ["there"] }],
  ])("%s is refused by name", async (_, [driver, ...library], report) => {
    expect(await link(driver!, ...library)).toMatchObject({ module: undefined, complaint: "", ...report });
  });

  test("an object is used again until something it was made from changes; a failure is remembered too", async () => {
    folder.write("h.h", "#define H 1\n");
    const job = { file: folder.write("again.c", '#include "h.h"\nint entry(int x) { return H; }\n'), flags: [] };
    const run = (): Promise<{ ok: boolean; cached: boolean; inputs: readonly string[] }> => new Compiler(compiler.toolchain, compiler.cache, compiler.folders, flags).compile(job);
    expect(await run()).toMatchObject({ ok: true, cached: false });
    const second = await run();
    expect(second).toMatchObject({ ok: true, cached: true });
    expect(second.inputs.map((file) => path.basename(file))).toEqual(["again.c", "h.h"]);
    folder.write("h.h", "#define H nothing\n");
    expect([await run(), await run()]).toMatchObject([{ ok: false, cached: false }, { ok: false, cached: true }]);
    folder.write("h.h", "#define H 100\n");
    expect(await run()).toMatchObject({ ok: true, cached: false });
  });

  test("what a driver says about itself is read from its objects", async () => {
    const [object] = await objects(`
struct pci_device_id { unsigned vendor, device, subvendor, subdevice, class, class_mask; unsigned long data; unsigned override; };
const struct pci_device_id ids[] = { { 0x8086, 0x100e, ~0u, ~0u, 0, 0, 5, 0 }, { ~0u, ~0u, ~0u, ~0u, 0x20000, 0xffffff, 0, 0 }, { 0 } };
extern const struct pci_device_id __attribute__((alias("ids"))) __mod_pci__ids_device_table;
#define INFO(name, text) static const char name[] __attribute__((used, section(".modinfo"), aligned(1))) = text;
INFO(a, "license=GPL v2") INFO(b, "author=One") INFO(c, "author=Two") INFO(d, "parmtype=level:int") INFO(e, "parm=level:how: much") INFO(f, "alias=platform:thing")
int outside(void);
static int start(void) { return outside(); }
static const void *const __UNIQUE_ID_airlock_initcalls7 __attribute__((used)) = start;
`);
    const facts = moduleFacts([readObject(readFileSync(object!))]);
    expect(facts).toMatchObject({
      license: "GPL v2", authors: ["One", "Two"], aliases: ["platform:thing"], parameters: [{ name: "level", type: "int", about: "how: much" }], tables: ["pci"], initFunctions: 1,
      pci: [{ vendor: 0x8086, device: 0x100e, subVendor: undefined }, { vendor: undefined, classCode: 0x2_0000, classMask: 0xff_ffff }],
    });
    expect([...facts.calls]).toEqual(["outside"]);
  });

  test("data symbols have their bytes", async () => {
    const [object] = await objects("const char text[] = \"abc\"; static int local = 5; int *entry(int x) { return &local; }");
    const read = readObject(readFileSync(object!));
    const text = read.symbols.find(({ name }) => name === "text")!;
    expect(Buffer.from(dataOf(read, text)!).toString()).toBe("abc\0");
    expect(read.symbols.find(({ name }) => name === "local")).toMatchObject({ local: true, defined: true });
  });

  test("a finished module can sleep, keeps its names, exports nothing of asyncify, and its map leads to its lines", async () => {
    const { module } = await link(`
__attribute__((import_module("asyncify"), import_name("start_unwind"))) void unwind(void *);
__attribute__((import_module("airlock"), import_name("log"))) void say(int, const char *, int);
static char stack[64];
__attribute__((noinline)) int deeper(int x) {
  if (x == 1) unwind(stack);
  say(x, "x", 1);
  if (x == 3) __builtin_trap();
  return x;
}
int entry(int x) { return deeper(x) + 1; }
`);
    const finished = await finishModule(module!, compiler.cache);
    expect(importedFunctions(finished.module).map((one) => `${one.module}.${one.name}`)).toEqual(["airlock.log"]);
    const memory = new wasm.Memory({ initial: 32, maximum: 64 });
    const instance = new wasm.Instance(new wasm.Module(finished.module), { airlock: { memory, log: () => undefined } });
    expect(Object.keys(instance.exports)).toEqual(["entry"]);
    const { entry } = instance.exports as { entry(x: number): number };
    expect(entry(2)).toBe(3);
    const stack = trapStack(() => entry(3));
    const [, name = "", offset = ""] = /at (?:\S+\.)?(\w+) \(wasm:.*wasm-function\[\d+\]:(0x[0-9a-f]+)\)/.exec(stack) ?? expect.fail(stack);
    expect(name).toBe("deeper");
    const map = JSON.parse(finished.map) as SourceMapFile;
    const mapping = decodeMappings(map.mappings).findLast((one) => one.offset <= Number(offset));
    expect({ source: map.sources[mapping!.source!], line: mapping!.line }).toEqual({ source: `file${files}.c`, line: 8 });
    expect(await finishModule(module!, compiler.cache)).toEqual(finished);
  });
});

function trapStack(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    return (error as Error).stack ?? "";
  }
  return expect.fail("it did not trap");
}
