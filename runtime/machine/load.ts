/** Loads a machine file and the manifests of its drivers: everything checked that can be without the platform. */
import { basename, dirname, isAbsolute, join } from "node:path";
import type { z } from "zod";
import { AirlockError, errorText, isAirlockError } from "../api/errors.ts";
import type { DeviceDescription, DeviceWindow } from "../bus/device.ts";
import { check, checkValue } from "./check.ts";
import { isPackageError, type LoadedManifest, readManifest } from "./manifest.ts";
import { type Manifest, optionMismatch, type Tier } from "./manifest-schema.ts";
import {
  type DeviceEntry, type DriverEntry, limitDefaults, type MachineFile, machineSchema, type PlatformSpec, type RestartSpec,
} from "./schema.ts";
import { parseSource, type Path, Problems, readText, type Source } from "./source.ts";
import { advice } from "./suggest.ts";
import { durationText, type OptionValue, sizeText } from "./values.ts";

/** Largest machine file: 500 drivers with every key written out fit in half of it. */
export const machineMostBytes = 1_048_576;
/** Interrupt lines of QEMU's q35: the inputs of its I/O APIC. */
const qemuLines = 24;

/** How much longer than a long turn the watchdog waits, so that the sandbox sees its own overrun first. */
const hangPerTurn = 1.5;

/** What the composition root knows and this folder does not. */
export interface MachineExtensions {
  /** Export type -> schema of its own keys, without `type` and `driver`. */
  readonly exports: Readonly<Record<string, z.ZodType>>;
}

/** A driver's limits, resolved: machine file, else manifest, else default. */
export interface DriverLimits {
  readonly memoryBytes: number;
  readonly stackBytes: number;
  readonly turnMs: number;
  readonly hangMs: number;
  readonly initMs: number;
  readonly logPerSecond: number;
  readonly irqPerSecond: number;
  readonly irqAckMs: number;
  readonly dmaBytes: number;
}

/** A driver as the machine file and its manifest state it. */
export interface LoadedDriver {
  readonly name: string;
  readonly entry: DriverEntry & { readonly sandbox: Tier };
  readonly package: LoadedManifest;
  /** The package of `escalate: {to: alternative}`. */
  readonly alternative?: LoadedManifest;
  /** Every option the manifest declares has a value. */
  readonly options: Readonly<Record<string, OptionValue>>;
  readonly restart: RestartSpec;
  readonly limits: DriverLimits;
}

/** An entry of `exports`; `options` is what the export's own schema made of the rest of it. */
export interface LoadedExport {
  readonly name: string;
  readonly type: string;
  readonly driver: string;
  readonly options: unknown;
}

/** A machine file that has no problem, and its drivers' manifests. */
export interface LoadedMachine {
  readonly name: string;
  readonly file: string;
  readonly platform: PlatformSpec;
  readonly devices: readonly DeviceDescription[];
  readonly drivers: readonly LoadedDriver[];
  readonly exports: readonly LoadedExport[];
  /** Where each part of the file is written. */
  readonly source: Source;
}

/**
 * Loads a machine file.
 * @throws AirlockError MachineFileInvalid whose message has one "file:line:col: what; what to do" per line, of the
 * machine file and its drivers' manifests; NotFound when the file is missing
 */
export function loadMachine(file: string, extensions: MachineExtensions): LoadedMachine {
  const text = readText(file, machineMostBytes, "MachineFileInvalid", "machine file");
  const problems = new Problems();
  const loaded = build(file, text, extensions, problems);
  problems.throwIfAny("MachineFileInvalid", file);
  if (loaded === undefined) throw new AirlockError(
    "MachineFileInvalid",
    `${file}:1:1: cannot be loaded; correct it`,
    { file, line: 1, column: 1 },
  );
  return loaded;
}

/** Takes the fitting part of a file's checked contents and complains about the rest. */
interface Loading {
  readonly file: MachineFile;
  readonly source: Source;
  readonly problems: Problems;
  readonly fail: (path: Path, text: string, what?: "key" | "value") => void;
}

function build(file: string, text: string, extensions: MachineExtensions, problems: Problems): LoadedMachine | undefined {
  const source = parseSource(file, text, "yaml", problems);
  if (source === undefined) return undefined;
  const contents = check(source, machineSchema, problems);
  if (contents === undefined) return undefined;
  const loading: Loading = {
    file: contents,
    source,
    problems,
    fail: (path, what, part) => problems.add(file, source.locate(path, part), what),
  };
  for (const [name, entry] of Object.entries(contents.devices)) checkDevice(loading, name, entry);
  checkDependencies(loading);
  const packages = new Map<string, LoadedManifest | undefined>();
  const drivers = Object.keys(contents.drivers).map((name) => loadDriver(loading, name, packages));
  const exports = Object.keys(contents.exports).map((name) => loadExport(loading, name, extensions));
  return {
    name: contents.machine,
    file,
    platform: contents.platform,
    devices: Object.entries(contents.devices).map(([name, entry]) => describeDevice(name, entry)),
    drivers: drivers.filter((one) => one !== undefined),
    exports: exports.filter((one) => one !== undefined),
    source,
  };
}

function describeDevice(name: string, { compatible, ports, mmio, pci, irqs, options }: DeviceEntry): DeviceDescription {
  const windows: [string, DeviceWindow][] = [
    ...Object.entries(ports).map(
      ([key, { base, size, widths }]): [string, DeviceWindow] => [key, { kind: "port", base, sizeBytes: size, widths }],
    ),
    ...Object.entries(mmio).map(
      ([key, { base, size, widths }]): [string, DeviceWindow] => [key, { kind: "mmio", base, sizeBytes: size, widths }],
    ),
  ];
  return { name, compatible, windows: Object.fromEntries(windows), irqs, options, ...(pci && { pci }) };
}

/** Grants name resources, so each name of a device is one resource. */
function checkDevice({ file, fail }: Loading, name: string, { ports, mmio, irqs }: DeviceEntry): void {
  const seen = new Map<string, string>();
  for (const [kind, resources] of Object.entries({ ports, mmio, irqs })) {
    for (const resource of Object.keys(resources)) {
      const other = seen.get(resource);
      if (other !== undefined) fail(
        ["devices", name, kind, resource],
        `device "${name}" has "${resource}" in ${other} and in ${kind}; give each resource its own name`,
        "key",
      );
      seen.set(resource, kind);
    }
  }
  checkPci(file, fail, name);
  if (file.platform.type !== "qemu") return;
  for (const [irq, line] of Object.entries(irqs)) {
    if (line >= qemuLines) fail(["devices", name, "irqs", irq], `line ${line} does not exist on QEMU's q35; write 0 to ${qemuLines - 1}`);
  }
}

/** The bus gives a PCI device its windows and lines, and each place has one device. */
function checkPci(file: MachineFile, fail: Loading["fail"], name: string): void {
  const { pci, ports, mmio, irqs } = file.devices[name]!;
  if (pci === undefined) return;
  for (const [kind, resources] of Object.entries({ ports, mmio, irqs })) {
    if (Object.keys(resources).length > 0) fail(["devices", name, kind], `device "${name}" is on the PCI bus, which gives it its ${kind}; remove them`, "key");
  }
  const other = Object.keys(file.devices).find((one) => file.devices[one]!.pci?.address === pci.address);
  if (other !== name) fail(["devices", name, "pci", "address"], `device "${other}" is at ${pci.address} already; give each its own place`);
}

/** `dependsOn` names other drivers and has no circle. */
function checkDependencies({ file, fail }: Loading): void {
  const names = Object.keys(file.drivers);
  const dependencies = (name: string): readonly string[] => (Object.hasOwn(file.drivers, name) ? file.drivers[name]!.dependsOn : []);
  for (const name of names) {
    for (const [index, other] of dependencies(name).entries()) {
      const path = ["drivers", name, "dependsOn", index];
      if (!Object.hasOwn(file.drivers, other)) fail(
        path,
        `driver "${name}" depends on "${other}", which does not exist; ${advice(other, names, "driver")}`,
      );
      else if (dependencies(name).indexOf(other) !== index) fail(path, `driver "${name}" depends on "${other}" twice; name it once`);
    }
  }
  const done = new Set<string>();
  for (const name of names) {
    // Walks depth first without recursion: the chain may be as long as there are drivers.
    const chain: { name: string; next: number }[] = done.has(name) ? [] : [{ name, next: 0 }];
    const active = new Set(chain.map((one) => one.name));
    while (chain.length > 0) {
      const top = chain.at(-1)!;
      const next = dependencies(top.name)[top.next++];
      if (next === undefined) {
        active.delete(top.name);
        done.add(top.name);
        chain.pop();
      } else if (active.has(next)) {
        const circle = [...chain.map((one) => one.name).slice(chain.findIndex((one) => one.name === next)), next].join(" -> ");
        fail(
          ["drivers", top.name, "dependsOn", top.next - 1],
          `drivers depend on each other in a circle (${circle}); remove one dependency`,
        );
      } else if (!done.has(next)) {
        chain.push({ name: next, next: 0 });
        active.add(next);
      }
    }
  }
}

/** The tier a package's code runs in, of which a machine file may say one that does for scripts. */
export function tierFor({ tier }: Pick<Manifest, "tier">, sandbox: Tier | undefined): Tier {
  if (tier === "wasm") return "wasm";
  return sandbox === undefined || sandbox === "wasm" ? "quickjs" : sandbox;
}

function loadDriver(loading: Loading, name: string, packages: Map<string, LoadedManifest | undefined>): LoadedDriver | undefined {
  const entry = loading.file.drivers[name]!;
  const at: Path = ["drivers", name];
  const loaded = loadPackage(loading, entry.package, [...at, "package"], packages);
  if ((entry.device === undefined) === (entry.match === undefined)) {
    loading.fail(
      at,
      `driver "${name}" has ${entry.device === undefined ? "neither device nor match" : "a device and a match"}; write one of them`,
      "key",
    );
  }
  const { escalate } = entry.restart;
  const escalateAt = [...at, "restart", "escalate", "package"];
  const alternative = escalate.to === "alternative" ? loadPackage(loading, escalate.package, escalateAt, packages) : undefined;
  if (loaded === undefined) return undefined;
  const sandbox = tierFor(loaded.manifest, entry.sandbox);
  if (entry.sandbox !== undefined && entry.sandbox !== sandbox) {
    loading.fail([...at, "sandbox"], sandbox === "wasm"
      ? `package "${loaded.manifest.name}" is a WebAssembly module, which runs in the tier wasm only; remove sandbox`
      : `package "${loaded.manifest.name}" is no WebAssembly module; write quickjs`);
  }
  if (escalate.to === "stricterTier" && sandbox !== "worker") {
    loading.fail([...at, "restart", "escalate", "to"], `driver "${name}" already runs in the strictest tier; write hold or an alternative`);
  }
  if (alternative !== undefined && alternative.manifest.class !== loaded.manifest.class) {
    loading.fail(
      [...at, "restart", "escalate", "package"],
      `the alternative is of class ${alternative.manifest.class}; name a package of class ${loaded.manifest.class}`,
    );
  }
  if (alternative?.manifest.tier === "worker" && tierFor(alternative.manifest, sandbox) === "quickjs") {
    loading.fail(
      [...at, "restart", "escalate", "package"],
      `the alternative "${alternative.manifest.name}" does not work in the quickjs tier, in which the driver runs; name another package`,
    );
  }
  const tiers = [sandbox, ...(escalate.to === "stricterTier" ? ["quickjs"] : [])];
  if (loaded.manifest.tier === "worker" && tiers.includes("quickjs")) {
    const key = sandbox === "quickjs" ? ["sandbox"] : ["restart", "escalate", "to"];
    loading.fail(
      [...at, ...key],
      `package "${loaded.manifest.name}" does not work in the quickjs tier; write sandbox: worker, which does not contain hostile code, or name another package`,
    );
  }
  const options = resolveOptions(loading, name, loaded);
  return {
    name,
    entry: { ...entry, sandbox },
    package: loaded,
    ...(alternative && { alternative }),
    options,
    restart: entry.restart,
    limits: resolveLimits(loading, name, loaded),
  };
}

/** What the folders of packages begin with that `airlock build` makes of Linux's drivers: in a checkout they are not there at first. */
const builtPrefix = "linux-";

function loadPackage(
  loading: Loading, path: string, at: Path, packages: Map<string, LoadedManifest | undefined>,
): LoadedManifest | undefined {
  const directory = isAbsolute(path) ? path : join(dirname(loading.source.file), path);
  try {
    if (!packages.has(directory)) {
      packages.set(directory, undefined);
      packages.set(directory, readManifest(directory, loading.problems));
    }
  } catch (error) {
    if (!isPackageError(error)) throw error;
    const hint = isAirlockError(error, "NotFound") && basename(directory).startsWith(builtPrefix) ? '; a package of that name is made by "airlock build"' : "";
    loading.fail(at, `package "${path}" cannot be used: ${errorText(error)}${hint}`);
  }
  return packages.get(directory);
}

function resolveOptions({ file, fail }: Loading, name: string, { manifest }: LoadedManifest): Record<string, OptionValue> {
  const given = file.drivers[name]!.options;
  const resolved: Record<string, OptionValue> = {};
  for (const [option, value] of Object.entries(given)) {
    const at: Path = ["drivers", name, "options", option];
    const declared = Object.hasOwn(manifest.options, option) ? manifest.options[option] : undefined;
    const mismatch = declared === undefined ? undefined : optionMismatch(declared, value);
    if (declared === undefined) fail(
      at,
      `package "${manifest.name}" has no option "${option}"; ${advice(option, Object.keys(manifest.options), "option")}`,
      "key",
    );
    else if (mismatch !== undefined) fail(
      at,
      `option "${option}" of driver "${name}" is ${JSON.stringify(value).slice(0, 60)}; ${mismatch}`,
    );
    else resolved[option] = value;
  }
  for (const [option, declared] of Object.entries(manifest.options)) {
    if (Object.hasOwn(given, option)) continue;
    if (declared.default !== undefined) resolved[option] = declared.default;
    else if (declared.optional !== true) fail(
      ["drivers", name],
      `option "${option}" of package "${manifest.name}" has no default; write options: { ${option}: ... } for driver "${name}"`,
      "key",
    );
  }
  return resolved;
}

/** A manifest may ask for less than the defaults by itself; more is the machine file's to give. */
function resolveLimits({ file, fail }: Loading, name: string, { manifest }: LoadedManifest): DriverLimits {
  const written = file.drivers[name]!.limits;
  const asked = manifest.limits;
  const at: Path = ["drivers", name];
  const memoryBytes = written.memory ?? asked.memory ?? limitDefaults.memoryBytes;
  const turnMs = written.turn ?? asked.turn ?? limitDefaults.turnMs;
  if (written.memory === undefined && memoryBytes > limitDefaults.memoryBytes) {
    fail(
      at,
      `package "${manifest.name}" asks for ${sizeText(memoryBytes)} of memory, more than a driver gets by itself; grant it with limits: { memory: ${sizeText(memoryBytes)} }`,
      "key",
    );
  }
  if (written.turn === undefined && turnMs > limitDefaults.turnMs) {
    fail(
      at,
      `package "${manifest.name}" asks for turns of ${durationText(turnMs)}, longer than a driver gets by itself; grant it with limits: { turn: ${durationText(turnMs)} }`,
      "key",
    );
  }
  const hangMs = written.hang ?? (turnMs <= limitDefaults.turnMs ? limitDefaults.hangMs : turnMs * hangPerTurn);
  if (hangMs < turnMs) fail([...at, "limits", "hang"], `is shorter than a turn may take; write at least ${durationText(turnMs)}`);
  return {
    memoryBytes,
    stackBytes: written.stack ?? limitDefaults.stackBytes,
    turnMs,
    hangMs,
    initMs: written.init ?? limitDefaults.initMs,
    logPerSecond: written.logPerSecond ?? limitDefaults.logPerSecond,
    irqPerSecond: written.irqPerSecond ?? limitDefaults.irqPerSecond,
    irqAckMs: written.irqAck ?? limitDefaults.irqAckMs,
    dmaBytes: written.dma ?? limitDefaults.dmaBytes,
  };
}

function loadExport({ file, source, problems, fail }: Loading, name: string, extensions: MachineExtensions): LoadedExport | undefined {
  const { type, driver, ...own } = file.exports[name]!;
  const at: Path = ["exports", name];
  if (!Object.hasOwn(file.drivers, driver)) {
    fail(
      [...at, "driver"],
      `export "${name}" names driver "${driver}", which does not exist; ${advice(driver, Object.keys(file.drivers), "driver")}`,
    );
  }
  const other = Object.keys(file.exports).find((one) => file.exports[one]!.driver === driver);
  if (other !== undefined && other !== name) {
    fail([...at, "driver"], `exports "${other}" and "${name}" both offer driver "${driver}"; a device has one client at a time, keep one export`);
  }
  if (!Object.hasOwn(extensions.exports, type)) {
    fail(
      [...at, "type"],
      `export "${name}" is of unknown type "${type}"; ${advice(type, Object.keys(extensions.exports), "type of export")}`,
    );
    return undefined;
  }
  const before = problems.list.length;
  const options = checkValue(source, extensions.exports[type]!, own, problems, at);
  return problems.list.length > before ? undefined : { name, type, driver, options };
}
