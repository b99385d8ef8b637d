/** Tests of the loader: the design's example, every kind of mistake with its place, and hostile files. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { execFileSync } from "node:child_process";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { clockManifest, labText, MachineFiles, messages, noExtensions } from "../../test/fixtures/machine-files.ts";
import { loadMachine, machineMostBytes } from "./load.ts";
import { limitDefaults } from "./schema.ts";

const pty = { exports: { pty: z.strictObject({ link: z.string().optional() }), socket: z.strictObject({ path: z.string() }) } };

describe("a good file", () => {
  test("the design's example loads", () => {
    using files = new MachineFiles();
    const machine = files.load(`
machine: lab-pc
platform: { type: qemu, machine: q35 }
devices:                      # what exists; nobody has access yet
  rtc: { compatible: [mc146818], ports: { cmos: { base: 0x70, size: 2 } }, irqs: { tick: 8 } }
drivers:                      # who may touch what; absent means denied
  clock:
    package: clock
    device: rtc               # or match
    sandbox: quickjs
    grants: [cmos, tick]
    restart: { policy: permanent, intensity: 5, period: 10s }
`);
    expect(machine.platform).toEqual({ type: "qemu", machine: "q35" });
    expect(machine.devices).toEqual([
      { name: "rtc", compatible: ["mc146818"], windows: { cmos: { kind: "port", base: 0x70, sizeBytes: 2, widths: [8] } }, irqs: { tick: 8 }, options: {} },
    ]);
    expect(machine.drivers[0]).toMatchObject({
      name: "clock",
      options: { century: 50 },
      restart: { policy: "permanent", intensity: 5, periodMs: 10_000, escalate: { to: "hold" }, backoff: { initialMs: 10 } },
      limits: limitDefaults,
      entry: { sandbox: "quickjs", grants: ["cmos", "tick"], spares: 1, dependsOn: [] },
    });
  });

  test("units, options and exports are resolved", () => {
    using files = new MachineFiles();
    const machine = files.load(
      `${labText.replace("    grants: [cmos, tick]\n", "    grants: [cmos, tick]\n    limits: { memory: 64MiB, turn: 100ms, irqAck: 2s }\n    options: { century: 20 }\n    restart: { policy: transient, backoff: { initial: 1ms, max: 1m } }\n")}
exports:
  tty: { type: pty, driver: console, link: /tmp/x }
`,
      pty,
    );
    expect(machine.drivers[0]!.limits).toMatchObject({ memoryBytes: 64 * 2 ** 20, turnMs: 100, hangMs: 150, irqAckMs: 2_000 });
    expect(machine.drivers[0]!.options).toEqual({ century: 20 });
    expect(machine.drivers[0]!.restart).toMatchObject({ policy: "transient", backoff: { initialMs: 1, maxMs: 60_000, factor: 2 } });
    expect(machine.exports).toEqual([{ name: "tty", type: "pty", driver: "console", options: { link: "/tmp/x" } }]);
  });
});

describe("every mistake has its place and says what would be right", () => {
  const change = (from: string, to: string) => labText.replace(from, to);
  const tail = (text: string) => `${labText}${text}`;
  const cases: readonly [name: string, text: string, expected: string[]][] = [
    ["unknown key", change("    device: rtc\n", "    devise: rtc\n"), ['9:5: unknown key "devise" in drivers.clock; did you mean "device"?']],
    ["unknown key at the top", tail("exprots: {}\n"), ['15:1: unknown key "exprots"; did you mean "exports"?']],
    ["missing key", change("    grants: [cmos, tick]\n", ""), ['8:5: key "grants" is missing in drivers.clock; add it (windows, lines and DMA memory it may touch; [] for none)']],
    ["neither device nor match", change("    device: rtc\n", ""), ['7:3: driver "clock" has neither device nor match; write one of them']],
    ["both device and match", change("device: rtc\n", "device: rtc\n    match: { compatible: mc146818 }\n"), ['7:3: driver "clock" has a device and a match; write one of them']],
    ["wrong type", change("grants: [cmos, tick]", "grants: cmos"), ['10:13: drivers.clock.grants is "cmos"; write a list such as [first, second], or [] for none']],
    ["empty value", change("grants: [cmos, tick]", "grants:"), ["10:12: drivers.clock.grants is empty; write a list such as [first, second], or [] for none"]],
    ["unknown platform", change("type: sim", "type: sym"), ['2:19: platform.type is "sym"; did you mean "sim"?']],
    ["a key of another platform", change("type: sim", "type: sim, machine: q35"), ['2:24: unknown key "machine" in platform; known: type, epoch']],
    ["bad tier", change("device: rtc\n", "device: rtc\n    sandbox: quikjs\n"), ['10:14: drivers.clock.sandbox is "quikjs"; did you mean "quickjs"?']],
    ["bad duration", change("device: rtc\n", "device: rtc\n    restart: { period: 10 }\n"), ["10:24: drivers.clock.restart.period (10) is not a duration; write a whole number and its unit in quotes or bare: 500us, 100ms, 10s, 2m"]],
    ["duration out of range", change("device: rtc\n", "device: rtc\n    restart: { period: 1ms }\n"), ['10:24: drivers.clock.restart.period ("1ms") is out of range; write 10ms to 1440m']],
    ["bad size", change("device: rtc\n", "device: rtc\n    limits: { memory: lots }\n"), ['10:23: drivers.clock.limits.memory ("lots") is not a size; write a whole number of bytes, or one with its unit: 64KiB, 16MiB, 1GiB']],
    ["bad name", change("  clock:", "  Clock:"), ['7:3: key "Clock" in drivers is not a name; write a lower-case letter, then letters, digits and "-", at most 48 characters']],
    ["duplicate key", change("    device: rtc\n", "    device: rtc\n    device: com1\n"), ['10:5: key "device" appears twice; keep one']],
    ["numeric key", tail("1: 2\n"), ["15:1: key is not a word; write a name"]],
    ["port range past the end", change("base: 0x70, size: 2", "base: 0xffff, size: 2"), ["4:71: devices.rtc.ports.cmos.size (2) reaches past port 0xffff; write a smaller one"]],
    ["one name for two resources", change("irqs: { tick: 8 }", "irqs: { cmos: 8 }"), ['4:84: device "rtc" has "cmos" in ports and in irqs; give each resource its own name']],
    ["line beyond QEMU's", change("type: sim", "type: qemu").replace("tick: 8", "tick: 24"), ["4:90: line 24 does not exist on QEMU's q35; write 0 to 23"]],
    ["a PCI address that is none", change("  com1:", "  disk: { compatible: [nvme], pci: { address: 4 } }\n  com1:"), ['5:47: devices.disk.pci.address (4) is not a PCI address; write bus:device.function in hexadecimal such as "00:04.0"']],
    ["a PCI device with a line of its own", change("  com1:", '  disk: { compatible: [nvme], pci: { address: "00:04.0" }, irqs: { intx: 4 } }\n  com1:'), ['5:60: device "disk" is on the PCI bus, which gives it its irqs; remove them']],
    ["one PCI place for two devices", change("  com1:", '  disk: { compatible: [nvme], pci: { address: "00:04.0" } }\n  other: { compatible: [nvme], pci: { address: "00:04.0" } }\n  com1:'), ['6:48: device "disk" is at 00:04.0 already; give each its own place']],
    ["an empty match", change("device: rtc\n", "match: {}\n"), ["9:12: drivers.clock.match ({}) is empty; name what the device is compatible with, or its pci identity"]],
    ["an empty PCI match", change("device: rtc\n", "match: { pci: {} }\n"), ["9:19: drivers.clock.match.pci ({}) is empty; name a class, vendor, device or address"]],
    ["missing package of a Linux driver", change("package: clock", "package: linux-clock"), ['8:14: package "linux-clock" cannot be used: linux-clock/driver.json: driver manifest does not exist; check the path; a package of that name is made by "airlock build"']],
    ["missing package", change("package: clock", "package: clocks"), ['8:14: package "clocks" cannot be used: clocks/driver.json: driver manifest does not exist; check the path']],
    ["unknown option", change("device: rtc\n", "device: rtc\n    options: { centurey: 50 }\n"), ['10:16: package "rtc-mc146818" has no option "centurey"; did you mean "century"?']],
    ["wrong option", change("device: rtc\n", "device: rtc\n    options: { century: 3 }\n"), ['10:25: option "century" of driver "clock" is 3; write at least 14']],
    ["wrong option type", change("device: rtc\n", "device: rtc\n    options: { century: yes }\n"), ['10:25: option "century" of driver "clock" is "yes"; write a number']],
    ["unknown dependency", change("device: rtc\n", "device: rtc\n    dependsOn: [consol]\n"), ['10:17: driver "clock" depends on "consol", which does not exist; did you mean "console"?']],
    ["dependency on itself", change("device: rtc\n", "device: rtc\n    dependsOn: [clock]\n"), ["10:17: drivers depend on each other in a circle (clock -> clock); remove one dependency"]],
    ["names of Object.prototype", change("device: rtc\n", "device: rtc\n    dependsOn: [constructor]\n"), ['10:17: driver "clock" depends on "constructor", which does not exist; known: clock, console']],
    ["nothing stricter", change("device: rtc\n", "device: rtc\n    restart: { escalate: { to: stricterTier } }\n"), ['10:32: driver "clock" already runs in the strictest tier; write hold or an alternative']],
    ["alternative of another class", change("device: rtc\n", "device: rtc\n    restart: { escalate: { to: alternative, package: console } }\n"), ["10:54: the alternative is of class serial; name a package of class rtc"]],
    ["alternative that misses", change("device: rtc\n", "device: rtc\n    restart: { escalate: { to: alternative } }\n"), ['10:26: key "package" is missing in drivers.clock.restart.escalate; add it (the other driver\'s package, relative to this file)']],
    ["hang before the turn's end", change("device: rtc\n", "device: rtc\n    limits: { turn: 1s, hang: 500ms }\n"), ["10:31: is shorter than a turn may take; write at least 1s"]],
    ["unknown export type", tail("exports: { tty: { type: ptty, driver: console } }\n"), ['15:25: export "tty" is of unknown type "ptty"; did you mean "pty"?']],
    ["unknown export driver", tail("exports: { tty: { type: pty, driver: consol } }\n"), ['15:38: export "tty" names driver "consol", which does not exist; did you mean "console"?']],
    ["export's own key", tail("exports: { tty: { type: pty, driver: console, lnk: x } }\n"), ['15:47: unknown key "lnk" in exports.tty; did you mean "link"?']],
    ["export's missing key", tail("exports: { tty: { type: socket, driver: console } }\n"), ['15:17: key "path" is missing in exports.tty; add it']],
    ["a list as file", "- 1\n", ["1:1: the file is [1]; write a map of keys and values, or {} for none"]],
    ["an empty file", "", ["1:1: the file is empty; write a map of keys and values, or {} for none"]],
    ["two documents", tail("---\na: 1\n"), ["15:1: Source contains multiple documents; please use YAML.parseAllDocuments(); correct the YAML"]],
    ["unknown tag", change("type: sim", "type: !js sim"), ["2:19: Unresolved tag: !js; correct the YAML"]],
    ["merge keys", change("platform: {", "platform: { <<: { a: 1 },"), ['2:13: unknown key "<<" in platform; known: type, epoch']],
  ];
  test.each(cases)("%s", (_, text, expected) => {
    using files = new MachineFiles();
    expect(files.problems(text, pty)).toEqual(expected.map((line) => `machine.yaml:${line}`));
  });

  test("all problems come together, manifests' included", () => {
    using files = new MachineFiles();
    files.package("clock", { ...clockManifest, quiesce: [{ do: "read", window: "cmoss", offset: 0, width: 8 }] });
    const lines = files.problems(labText.replace("device: com1\n", "device: com1\n    dependsOn: [clocks]\n    options: { fast: true }\n"));
    expect(lines).toEqual([
      'machine.yaml:14:17: driver "console" depends on "clocks", which does not exist; did you mean "clock"?',
      expect.stringMatching(/^clock\/driver\.json:\d+:\d+: quiesce uses window "cmoss", which is not needed; did you mean "cmos"\?$/),
      'machine.yaml:15:16: package "uart-16550" has no option "fast"; there is no option',
    ]);
  });

  test("a package may not ask for more than a driver gets by itself", () => {
    using files = new MachineFiles();
    files.package("clock", { ...clockManifest, limits: { memory: "64MiB", turn: "200ms" } });
    expect(files.problems(labText)).toEqual([
      'machine.yaml:7:3: package "rtc-mc146818" asks for 64MiB of memory, more than a driver gets by itself; grant it with limits: { memory: 64MiB }',
      'machine.yaml:7:3: package "rtc-mc146818" asks for turns of 200ms, longer than a driver gets by itself; grant it with limits: { turn: 200ms }',
    ]);
    const granted = labText.replace("device: rtc\n", "device: rtc\n    limits: { memory: 64MiB, turn: 200ms }\n");
    expect(files.load(granted).drivers[0]!.limits).toMatchObject({ memoryBytes: 64 * 2 ** 20, turnMs: 200, hangMs: 300 });
  });

  test("code that needs V8 is refused in quickjs, an option without default has to be written", () => {
    using files = new MachineFiles();
    files.package("clock", { ...clockManifest, tier: "worker", options: { zone: { type: "string", values: ["utc", "local"] } } });
    expect(files.problems(labText)).toEqual([
      'machine.yaml:8:5: package "rtc-mc146818" does not work in the quickjs tier; write sandbox: worker, which does not contain hostile code, or name another package',
      'machine.yaml:7:3: option "zone" of package "rtc-mc146818" has no default; write options: { zone: ... } for driver "clock"',
    ]);
  });

  test("a module runs in the wasm tier without being told, and nothing else does", () => {
    using files = new MachineFiles();
    files.package("clock", { ...clockManifest, tier: "wasm", main: "driver.wasm", sha256: "0".repeat(64), options: { TxDescriptors: { type: "number", default: 1, doc: "" } } });
    files.write("clock/driver.wasm", "");
    expect(files.load(labText.replace("device: rtc\n", "device: rtc\n    options: { TxDescriptors: 2 }\n")).drivers[0]).toMatchObject({ entry: { sandbox: "wasm" }, options: { TxDescriptors: 2 } });
    const sandbox = (tier: string): string => labText.replace("device: rtc\n", `device: rtc\n    sandbox: ${tier}\n`);
    expect(files.load(sandbox("wasm")).drivers[0]!.entry.sandbox).toBe("wasm");
    expect(files.problems(sandbox("quickjs"))).toEqual(['machine.yaml:10:14: package "rtc-mc146818" is a WebAssembly module, which runs in the tier wasm only; remove sandbox']);
    expect(files.problems(labText.replace("device: rtc\n", "device: rtc\n    restart: { escalate: { to: stricterTier } }\n"))).toEqual([
      'machine.yaml:10:32: driver "clock" already runs in the strictest tier; write hold or an alternative',
    ]);
    files.package("clock", clockManifest);
    expect(files.problems(sandbox("wasm"))).toEqual(['machine.yaml:10:14: package "rtc-mc146818" is no WebAssembly module; write quickjs']);
  });

  test("an optional option that nobody sets does not exist", () => {
    using files = new MachineFiles();
    files.package("clock", { ...clockManifest, options: { debug: { type: "number", optional: true }, century: { type: "number", default: 50 } } });
    expect(files.load(labText).drivers[0]!.options).toEqual({ century: 50 });
    expect(files.load(labText.replace("device: rtc\n", "device: rtc\n    options: { debug: 3 }\n")).drivers[0]!.options).toEqual({ century: 50, debug: 3 });
    files.package("clock", { ...clockManifest, options: { debug: { type: "number", optional: true, default: 3 } } });
    expect(files.problems(labText)).toEqual([expect.stringContaining("is for an option without default; remove one of them")]);
  });

  test("an alternative has to work in the driver's tier", () => {
    using files = new MachineFiles();
    files.package("fast", { ...clockManifest, name: "fast", tier: "worker" });
    expect(files.problems(labText.replace("device: rtc\n", "device: rtc\n    restart: { escalate: { to: alternative, package: fast } }\n"))).toEqual([
      'machine.yaml:10:54: the alternative "fast" does not work in the quickjs tier, in which the driver runs; name another package',
    ]);
  });

  test("a circle of dependencies is named", () => {
    using files = new MachineFiles();
    const text = labText.replace("device: rtc\n", "device: rtc\n    dependsOn: [console]\n").replace("device: com1\n", "device: com1\n    dependsOn: [clock]\n");
    expect(files.problems(text)).toEqual(["machine.yaml:15:17: drivers depend on each other in a circle (clock -> console -> clock); remove one dependency"]);
  });
});

describe("hostile files", () => {
  test("a missing file is NotFound", () => {
    using files = new MachineFiles();
    const file = join(files.directory, "none.yaml");
    expect(() => loadMachine(file, noExtensions)).toThrow(expect.objectContaining({ code: "NotFound", message: `${file}: machine file does not exist; check the path` }));
  });

  test("a folder, a pipe and a file too large are refused", () => {
    using files = new MachineFiles();
    mkdirSync(join(files.directory, "folder"));
    execFileSync("mkfifo", [join(files.directory, "pipe")]);
    files.write("large.yaml", new Uint8Array(machineMostBytes + 1).fill(32));
    const load = (name: string) => messages(() => loadMachine(join(files.directory, name), noExtensions), files.directory);
    expect(load("folder")).toEqual(["folder:1:1: is no regular file; name a machine file"]);
    expect(load("pipe")).toEqual(["pipe:1:1: is no regular file; name a machine file"]);
    expect(load("large.yaml")).toEqual([`large.yaml:1:1: is ${machineMostBytes + 1} bytes long; a machine file has at most ${machineMostBytes}`]);
  });

  test("alias bombs, deep nesting and a file of keys end with an error", () => {
    using files = new MachineFiles();
    const levels = Array.from({ length: 12 }, (_, level) => `a${level}: &a${level} [${Array.from({ length: 9 }, () => (level === 0 ? "x" : `*a${level - 1}`)).join(", ")}]`);
    const keys = Array.from({ length: 100_000 }, (_, index) => `k${index}:`).join("\n");
    for (const text of [levels.join("\n"), "[".repeat(100_000), `a: ${"[".repeat(40)}${"]".repeat(40)}`]) {
      const [line] = files.problems(text);
      expect(line).toMatch(/^machine\.yaml:\d+:\d+: .+; .+$/);
    }
    expect(files.problems(keys)).toContain("machine.yaml:33:1: and 99968 more unknown keys; remove them");
  });

  test("control characters of a file do not reach the terminal", () => {
    using files = new MachineFiles();
    const lines = files.problems('"\\e[2J\\n\\u202e": 1\n');
    expect(lines.join("\n")).toMatch(/unknown key " \[2J "/);
  });

  test("whatever the file holds, the outcome is a machine or errors with file, line and column", () => {
    using files = new MachineFiles();
    const line = fc.constantFrom(...labText.split("\n"), "exports: {}", "  x: [1, {a: *b}]", "  clock:", "- !x y", "__proto__: { a: 1 }", "? [a]", "\t", "%YAML 1.1");
    const cut = fc.tuple(fc.nat(labText.length), fc.nat(8), fc.string({ maxLength: 6, unit: "binary" })).map(([at, length, text]) => labText.slice(0, at) + text + labText.slice(at + length));
    fc.assert(
      fc.property(fc.oneof(cut, fc.array(line, { maxLength: 20 }).map((lines) => lines.join("\n")), fc.string({ maxLength: 200 })), (text) => {
        for (const one of files.problems(text)) expect(one).toMatch(/^[^:]+\.(?:yaml|json):\d+:\d+: .+(?:; .+|\?)$/);
      }),
      { numRuns: 300 },
    );
  });
});
