/** Tests of the manifest's loader: what it accepts, every refusal with its place, and entry files that lead out. */
import { mkdirSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { clockManifest, MachineFiles, messages } from "../../test/fixtures/machine-files.ts";
import { loadManifest, manifestMostBytes } from "./manifest.ts";
import { optionMismatch } from "./manifest-schema.ts";

function problems(files: MachineFiles, change: Record<string, unknown>): string[] {
  const directory = files.package("clock", { ...clockManifest, ...change });
  return messages(() => loadManifest(directory), files.directory).map((line) => line.replace(/^clock\/driver\.json:\d+:\d+: /, ""));
}

const read = { do: "read", window: "cmos", offset: 0, width: 8 };
const write = { do: "write", window: "cmos", offset: 0, width: 8, value: 0 };

describe("manifest", () => {
  test("it loads, with defaults and units resolved, and runs no code", () => {
    using files = new MachineFiles();
    const directory = files.package("clock", { ...clockManifest, limits: { memory: "16MiB", turn: "20ms" }, needs: { windows: { cmos: { sizeBytes: 2, rights: "read" } } }, quiesce: [] });
    const { manifest, mainFile } = loadManifest(directory);
    expect(mainFile).toBe(join(directory, "driver.ts"));
    expect(manifest).toMatchObject({ class: "rtc", limits: { memory: 16 * 2 ** 20, turn: 20 }, needs: { windows: { cmos: { widths: [8] } }, irqs: [] } });
  });

  test("a module's manifest: windows without sizes, optional resources, module parameters as options, hundreds of devices", () => {
    using files = new MachineFiles();
    const compatible = Array.from({ length: 1000 }, (_, index) => `pci8086,${index.toString(16).padStart(4, "0")}`);
    const directory = files.package("clock", {
      ...clockManifest, tier: "wasm", main: "driver.wasm", sha256: "0123456789abcdef".repeat(4), compatible, quiesce: [],
      needs: {
        windows: { bar0: { optional: true, rights: "readwrite", widths: [8, 16, 32] }, config: { sizeBytes: 256, rights: "readwrite" } }, irqs: ["intx"],
        optionalIrqs: ["msix0"], dma: { heap: { size: "8MiB" }, buffers: { size: "8MiB", use: "buffers", visible: true } },
      },
      options: { TxDescriptors: { type: "number", doc: "" }, full_duplex: { type: "string", doc: "" } },
    });
    files.write("clock/driver.wasm", "");
    const { manifest } = loadManifest(directory);
    expect(manifest.needs.windows["bar0"]).toEqual({ optional: true, rights: "readwrite", widths: [8, 16, 32] });
    expect(manifest.needs.windows["config"]).toMatchObject({ optional: false, sizeBytes: 256 });
    expect(manifest.needs.optionalIrqs).toEqual(["msix0"]);
    expect(Object.keys(manifest.options)).toEqual(["TxDescriptors", "full_duplex"]);
    expect(manifest.compatible).toHaveLength(1000);
  });

  const cases: readonly [name: string, change: Record<string, unknown>, expected: string[]][] = [
    ["unknown key", { nedes: {} }, ['unknown key "nedes"; did you mean "needs"?']],
    ["missing key", { class: undefined }, ['key "class" is missing; add it (the class it implements: rtc, serial, ...)']],
    ["another API", { apiVersion: 2 }, ["apiVersion (2) is not supported; this build speaks apiVersion 1"]],
    ["unknown tier", { tier: "wasn" }, ['tier is "wasn"; did you mean "wasm"?']],
    ["a module without its checksum", { tier: "wasm", main: "driver.ts" }, [
      'is "wasm", for which key "sha256" is missing; build the package with "airlock build", which writes it',
      'main "driver.ts" is no WebAssembly module, which the tier wasm runs; name one, such as driver.wasm',
    ]],
    ["a checksum that is none", { tier: "wasm", sha256: "ABC" }, ['sha256 ("ABC") is no SHA-256; write 64 lower-case hexadecimal digits']],
    ["a script with a checksum", { sha256: "0".repeat(64) }, ["is for the tier wasm; remove it"]],
    ["a script by a module's name", { main: "driver.wasm" }, ['main "driver.wasm" is no TypeScript or JavaScript file; name one, such as driver.ts']],
    ["an optional line that is needed too", { needs: { windows: {}, irqs: ["tick"], optionalIrqs: ["tick"] }, quiesce: [] }, ['line "tick" is needed twice; name it once']],
    ["an optional line by a window's name", { needs: { windows: { tick: { sizeBytes: 1, rights: "read" } }, optionalIrqs: ["tick"] }, quiesce: [] }, ['"tick" is a window and a line; give each its own name']],
    ["too many with the optional ones", { needs: { windows: {}, optionalIrqs: Array.from({ length: 31 }, (_, index) => `l${index}`), irqs: ["tick"] }, quiesce: [] }, ["needs 32 windows and lines; a driver has at most 31"]],
    ["visible memory of its own", { needs: { windows: {}, dma: { ring: { size: 1, visible: true } } }, quiesce: [] }, ["is for buffers; a driver sees its own memory anyway, remove it"]],
    ["an option that is no name", { options: { "a b": { type: "boolean", doc: "" } } }, [expect.stringContaining("options")]],
    ["more devices than there are", { compatible: Array.from({ length: 1025 }, (_, index) => `d${index}`) }, [expect.stringContaining("compatible")]],
    ["no device", { compatible: [] }, ["compatible ([]) is empty; name at least one device"]],
    ["bad width", { needs: { windows: { cmos: { sizeBytes: 2, rights: "read", widths: [64] } } }, quiesce: [] }, ["needs.windows.cmos.widths[0] (64) is not an access width; write 8, 16 or 32"]],
    ["a width wider than its window", { needs: { windows: { cmos: { sizeBytes: 2, rights: "read", widths: [8, 32] } } }, quiesce: [] }, ["a 32-bit access does not fit in 2 bytes; leave that width out"]],
    ["a line twice", { needs: { windows: {}, irqs: ["tick", "tick"] }, quiesce: [] }, ['line "tick" is needed twice; name it once']],
    ["DMA memory by a line's name", { needs: { windows: {}, irqs: ["tick"], dma: { tick: { size: "4KiB" } } }, quiesce: [] }, ['"tick" is DMA memory and a window or line; give each its own name']],
    ["two regions of buffers", { needs: { windows: {}, dma: { first: { size: 1, use: "buffers" }, second: { size: 1, use: "buffers" } } }, quiesce: [] }, ['is "buffers" as that of "first" is; a class has one region for its buffers']],
    ["too many regions", { needs: { windows: {}, dma: Object.fromEntries(Array.from({ length: 9 }, (_, index) => [`r${index}`, { size: 1 }])) }, quiesce: [] }, ["has 9 regions; a driver has at most 8"]],
    ["DMA memory without a size", { needs: { windows: {}, dma: { ring: {} } }, quiesce: [] }, ['key "size" is missing in needs.dma.ring; add it (bytes, rounded up to whole pages of 4096)']],
    ["a name twice", { needs: { windows: { tick: { sizeBytes: 1, rights: "read" } }, irqs: ["tick"] }, quiesce: [] }, ['"tick" is a window and a line; give each its own name']],
    ["quiesce in another window", { quiesce: [{ ...read, window: "regs" }] }, ['quiesce uses window "regs", which is not needed; known: cmos']],
    ["quiesce outside", { quiesce: [{ ...read, offset: 2 }] }, ['is outside window "cmos"; it has 2 bytes']],
    ["quiesce with another width", { quiesce: [{ ...write, width: 16 }] }, ['is 16; window "cmos" is needed with 8']],
    ["quiesce with too large a value", { quiesce: [{ ...write, value: 256 }] }, ["is 256; it has to fit in 8 bits"]],
    ["quiesce without the right", { needs: { windows: { cmos: { sizeBytes: 2, rights: "read" } } }, quiesce: [read, write] }, ['is "write"; window "cmos" is needed for read only']],
    ["quiesce with an unknown step", { quiesce: [{ ...read, do: "reed" }] }, ['quiesce[0].do is "reed"; did you mean "read"?']],
    ["a default its own declaration refuses", { options: { mode: { type: "string", values: ["a", "b"], default: "c" } } }, ['the option\'s own declaration refuses this default; write one of "a", "b"']],
    ["main outside by name", { main: "../driver.ts" }, ['main "../driver.ts" leaves the package; write a path inside it, such as driver.ts']],
    ["main absolute", { main: "/etc/hosts.ts" }, ['main "/etc/hosts.ts" leaves the package; write a path inside it, such as driver.ts']],
    ["main of another kind", { main: "driver.json" }, ['main "driver.json" is no TypeScript or JavaScript file; name one, such as driver.ts']],
    ["main that is missing", { main: "drivr.ts" }, ['main "drivr.ts" does not exist; name the entry file']],
  ];
  test.each(cases)("%s", (_, change, expected) => {
    using files = new MachineFiles();
    expect(problems(files, change)).toEqual(expected);
  });

  test("a link that leads out is refused, one that stays is followed", () => {
    using files = new MachineFiles();
    const directory = files.package("clock", { ...clockManifest, main: "linked.ts" });
    const outside = files.write("outside.ts", "");
    symlinkSync(outside, join(directory, "linked.ts"));
    expect(messages(() => loadManifest(directory), files.directory)).toEqual([
      'clock/driver.json:7:11: main "linked.ts" is a link that leaves the package; put the file inside it',
    ]);
    rmSync(join(directory, "linked.ts"));
    symlinkSync("driver.ts", join(directory, "linked.ts"));
    expect(loadManifest(directory).mainFile).toBe(join(directory, "driver.ts"));
    rmSync(join(directory, "linked.ts"));
    mkdirSync(join(directory, "linked.ts"));
    expect(messages(() => loadManifest(directory), files.directory)[0]).toContain('main "linked.ts" is no file');
  });

  test("what is no JSON, twice written or too large is refused with its place", () => {
    using files = new MachineFiles();
    const load = (text: string) => {
      files.write("clock/driver.json", text);
      return messages(() => loadManifest(join(files.directory, "clock")), files.directory)[0];
    };
    expect(load('{\n  name: "x"\n}')).toMatch(/^clock\/driver\.json:2:3: is not JSON/);
    expect(load('{ "name": "x",\n  "name": "y" }')).toBe('clock/driver.json:2:3: key "name" appears twice; keep one');
    expect(load('{ "name": "x"')).toMatch(/^clock\/driver\.json:\d+:\d+: .+; correct the JSON$/);
    expect(load(" ".repeat(manifestMostBytes + 1))).toMatch(/^clock\/driver\.json:1:1: is 65537 bytes long; a driver manifest has at most 65536$/);
    expect(() => loadManifest(join(files.directory, "none"))).toThrow(expect.objectContaining({ code: "NotFound" }));
  });
});

test("options are checked against their declaration", () => {
  const number = { type: "number", min: 1, max: 3, doc: "" } as const;
  expect([0, 1, 3, 4, "2", true].map((value) => optionMismatch(number, value))).toEqual(["write at least 1", undefined, undefined, "write at most 3", "write a number", "write a number"]);
  expect(optionMismatch({ type: "string", values: ["a"], doc: "" }, "b")).toBe('write one of "a"');
  expect(optionMismatch({ type: "boolean", doc: "" }, false)).toBeUndefined();
});
