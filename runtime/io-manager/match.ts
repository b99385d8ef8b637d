/** Matches drivers to devices: the stated number of them, exactly the needs, and no resource twice. */
import type { IrqGrant, WindowGrant } from "../api/grants.ts";
import type { DeviceDescription, DeviceWindow } from "../bus/device.ts";
import type { BusGrant, QuiesceStep } from "../bus/platform.ts";
import type { LoadedDriver, LoadedMachine } from "../machine/load.ts";
import type { LoadedManifest } from "../machine/manifest.ts";
import { type DmaNeed, type Manifest, resourcesPerDriver, type WindowNeed } from "../machine/manifest-schema.ts";
import type { Expectation, PciMatch } from "../machine/schema.ts";
import { type Path, Problems } from "../machine/source.ts";
import { advice } from "../machine/suggest.ts";
import { type DmaPlan, planDma } from "./dma-memory.ts";
import { checkOverlaps, devicesCompatibleWith, rangeText, touchesPciConfig } from "./inventory.ts";

/** A grant without its generation and without a place in RAM for its DMA memory: what every generation of a driver is given. */
export interface GrantTemplate extends Omit<BusGrant, "generation" | "dma" | "pageGrant"> {
  readonly dma: readonly DmaPlan[];
}

/** A package and what it gets of the device. */
export interface AssignedPackage {
  readonly package: LoadedManifest;
  readonly grant: GrantTemplate;
  readonly quiesce: readonly QuiesceStep[];
}

/** One driver instance and its device. */
export interface Assignment extends AssignedPackage {
  /** The instance's name: the driver's; of several matched devices "<driver>.<device>". */
  readonly driver: string;
  /** The entry of the machine file. */
  readonly loaded: LoadedDriver;
  readonly device: DeviceDescription;
  /** What the driver becomes when it is escalated to its alternative. */
  readonly alternative?: AssignedPackage;
}

/** Why a device is or is not this driver's. */
export interface DeviceVerdict {
  readonly device: string;
  readonly matched: boolean;
  readonly reason: string;
}

/** What became of one need or grant of a driver on one device. */
export interface ResourceVerdict {
  readonly device: string;
  readonly kind: "window" | "irq" | "dma";
  readonly name: string;
  readonly granted: boolean;
  readonly reason: string;
}

export interface DriverJudgement {
  readonly driver: LoadedDriver;
  readonly devices: readonly DeviceVerdict[];
  readonly resources: readonly ResourceVerdict[];
  /** Empty when anything of the driver was refused. */
  readonly assignments: readonly Assignment[];
}

/** Everything found out about a machine's drivers. It may be brought up only when there are no problems. */
export interface Judgement {
  readonly drivers: readonly DriverJudgement[];
  readonly problems: Problems;
}

/**
 * The assignments of a machine on a platform that has these devices.
 * @throws AirlockError MachineFileInvalid with every problem as "file:line:col: what; what to do"
 */
export function matchDrivers(machine: LoadedMachine, devices: readonly DeviceDescription[]): readonly Assignment[] {
  const { drivers, problems } = judge(machine, devices);
  problems.throwIfAny("MachineFileInvalid", machine.file);
  return drivers.flatMap((one) => one.assignments);
}

/** Like `matchDrivers`, with reasons; problems are a result, not an error. */
export function judge(machine: LoadedMachine, devices: readonly DeviceDescription[]): Judgement {
  const problems = new Problems();
  checkOverlaps(devices, machine.source, problems);
  const judging: Judging = {
    devices,
    holders: new Map(),
    fail: (path, text, what) => problems.add(machine.file, machine.source.locate(path, what), text),
  };
  return { drivers: machine.drivers.map((driver) => judgeDriver(judging, driver)), problems };
}

interface Judging {
  readonly devices: readonly DeviceDescription[];
  /** "device/resource" -> the driver instance that has it. */
  readonly holders: Map<string, string>;
  readonly fail: (path: Path, text: string, what?: "key" | "value") => void;
}

function judgeDriver(judging: Judging, driver: LoadedDriver): DriverJudgement {
  const verdicts = judging.devices.map((device) => judgeDevice(driver, device));
  const matched = judging.devices.filter((_, index) => verdicts[index]!.matched);
  let sound = checkCount(judging, driver, matched);
  const resources: ResourceVerdict[] = [];
  const assignments: Assignment[] = [];
  for (const device of matched) {
    const name = matched.length > 1 ? `${driver.name}.${device.name}` : driver.name;
    sound = checkCompatible(judging, driver, driver.package, device, packagePath(driver)) && sound;
    const mine = judgeResources(judging, driver, name, device);
    resources.push(...mine);
    sound = mine.every((one) => one.granted) && sound;
    const alternative = driver.alternative && judgeAlternative(judging, driver, name, driver.alternative, device);
    assignments.push(
      { driver: name, loaded: driver, device, ...assigned(driver, name, driver.package, device), ...(alternative && { alternative }) },
    );
  }
  return { driver, devices: verdicts, resources, assignments: sound ? assignments : [] };
}

function judgeDevice({ entry, package: { manifest } }: LoadedDriver, device: DeviceDescription): DeviceVerdict {
  const has = `it is ${device.compatible.join(", ")}`;
  const drives = manifest.compatible.find((one) => device.compatible.includes(one));
  const driven = drives === undefined ? `but the package drives ${manifest.compatible.join(", ")} and ${has}` : `and the package drives ${drives}`;
  if (entry.device !== undefined) {
    const matched = entry.device === device.name;
    return {
      device: device.name,
      matched,
      reason: matched ? `the machine file names it, ${driven}` : `the machine file names device "${entry.device}"`,
    };
  }
  const { compatible: wanted = [], pci } = entry.match ?? {};
  const differs = pci === undefined ? undefined : pciDifference(pci, device);
  if (differs !== undefined || (pci !== undefined && wanted.length === 0)) {
    return { device: device.name, matched: differs === undefined, reason: differs ?? `its PCI identity is what match wants, ${driven}` };
  }
  const by = wanted.find((one) => device.compatible.includes(one));
  return {
    device: device.name,
    matched: by !== undefined,
    reason: by === undefined ? `match wants ${wanted.join(", ")}; ${has}` : `match wants ${by}, ${driven}`,
  };
}

/** Why a device's PCI identity is not the wanted one; undefined when it is. */
function pciDifference(wanted: PciMatch, { pci }: DeviceDescription): string | undefined {
  if (pci?.identity === undefined) return "match wants a PCI device; it is none";
  const { identity, address } = pci;
  for (const [what, want, is] of [["class", wanted.class, identity.classCode], ["vendor", wanted.vendor, identity.vendorId], ["device", wanted.device, identity.deviceId]] as const) {
    if (want !== undefined && want !== is) return `match wants PCI ${what} ${hex(want)}; it is ${hex(is)}`;
  }
  if (wanted.address !== undefined && wanted.address !== address) return `match wants the PCI device at ${wanted.address}; it is at ${address}`;
  return undefined;
}

const expected: Readonly<Record<Expectation, { least: number; most: number; text: string }>> = {
  exactlyOne: { least: 1, most: 1, text: "exactly one" },
  atMostOne: { least: 0, most: 1, text: "at most one" },
  atLeastOne: { least: 1, most: Infinity, text: "at least one" },
  any: { least: 0, most: Infinity, text: "any number" },
};

function checkCount({ devices, fail }: Judging, { name, entry }: LoadedDriver, matched: readonly DeviceDescription[]): boolean {
  if (entry.device !== undefined) {
    if (matched.length > 0) return true;
    const known = advice(entry.device, devices.map((device) => device.name), "device");
    fail(["drivers", name, "device"], `driver "${name}" names device "${entry.device}", which does not exist; ${known}`);
    return false;
  }
  const { least, most, text } = expected[entry.match?.expect ?? "exactlyOne"];
  if (matched.length >= least && matched.length <= most) return true;
  const found = matched.length === 0 ? "no device" : `${matched.length} devices (${matched.slice(0, 8).map((one) => one.name).join(", ")})`;
  const todo = matched.length === 0 ? nearestDevices(devices, entry.match) : "write device: with one of them, or another expect";
  fail(["drivers", name, "match"], `driver "${name}" matches ${found}, not ${text}; ${todo}`);
  return false;
}

/** What is there, in the words of the match that found none of it. */
function nearestDevices(devices: readonly DeviceDescription[], match: LoadedDriver["entry"]["match"]): string {
  if (match?.pci === undefined) return advice(match?.compatible?.[0] ?? "", devices.flatMap((device) => device.compatible), "device");
  const there = devices.flatMap(({ name, pci }) => (pci?.identity === undefined ? [] : [{ name, address: pci.address, ...pci.identity }]));
  const shown = there.slice(0, 8).map((one) => `${one.name} (class ${hex(one.classCode)}, vendor ${hex(one.vendorId)}, device ${hex(one.deviceId)}, address ${one.address})`);
  return there.length === 0 ? "there is no device on the PCI bus" : `on the PCI bus: ${shown.join(", ")}`;
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}

function packagePath(driver: LoadedDriver): Path {
  return ["drivers", driver.name, "package"];
}

function checkCompatible(
  { fail }: Judging, { name }: LoadedDriver, { manifest }: LoadedManifest, device: DeviceDescription, at: Path,
): boolean {
  if (devicesCompatibleWith([device], manifest.compatible).length > 0) return true;
  fail(
    at,
    `package "${manifest.name}" of driver "${name}" drives ${manifest.compatible.join(", ")}, but device "${device.name}" is ${device.compatible.join(", ")}; name another package or device`,
  );
  return false;
}

/** Each need and each grant, once; what is refused is a problem too. */
function judgeResources(judging: Judging, driver: LoadedDriver, instance: string, device: DeviceDescription): ResourceVerdict[] {
  const { grants } = driver.entry;
  const { manifest } = driver.package;
  const at: Path = ["drivers", driver.name, "grants"];
  const verdicts: ResourceVerdict[] = [];
  const refuse = (kind: ResourceVerdict["kind"], name: string, path: Path, what: string, todo: string) => {
    judging.fail(path, `driver "${driver.name}": ${what}; ${todo}`);
    verdicts.push({ device: device.name, kind, name, granted: false, reason: what });
  };
  if (grants.length > resourcesPerDriver) {
    judging.fail(at, `driver "${driver.name}" is granted ${grants.length} windows and lines; at most ${resourcesPerDriver}`);
  }
  for (const [kind, name, need, isOptional] of needsOf(manifest)) {
    const index = grants.indexOf(name);
    if (index < 0 && isOptional) continue;
    if (index < 0) {
      refuse(kind, name, at, `its package needs ${kind} "${name}", which is not granted`, `add ${name} to grants, or name another package`);
      continue;
    }
    const lack = lacking(device, kind, name, need);
    const holder = judging.holders.get(`${device.name}/${name}`);
    if (lack !== undefined) refuse(kind, name, [...at, index], lack.what, lack.todo);
    else if (holder !== undefined) {
      refuse(
        kind,
        name,
        [...at, index],
        `"${name}" of device "${device.name}" is already granted to driver "${holder}"`,
        "one resource has one driver; remove one grant",
      );
    } else {
      judging.holders.set(`${device.name}/${name}`, instance);
      verdicts.push({ device: device.name, kind, name, granted: true, reason: grantedText(device, kind, name, need) });
    }
  }
  checkDmaBudget(judging, driver, manifest, at);
  const needed = needsOf(manifest).map(([, name]) => name);
  for (const [index, grant] of grants.entries()) {
    const kind = Object.hasOwn(device.irqs, grant) ? "irq" : "window";
    if (grants.indexOf(grant) !== index) refuse(kind, grant, [...at, index], `"${grant}" is granted twice`, "name it once");
    else if (!needed.includes(grant)) {
      const near = advice(grant, needed, "need");
      refuse(
        kind,
        grant,
        [...at, index],
        `"${grant}" is granted, but package "${manifest.name}" does not need it`,
        near.startsWith("did") ? near : "remove it from grants",
      );
    }
  }
  return verdicts;
}

/** A driver gets no more DMA memory than its limit. */
function checkDmaBudget(judging: Judging, { name, limits }: LoadedDriver, manifest: Manifest, at: Path): void {
  const bytes = planDma(manifest).reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  if (bytes <= limits.dmaBytes) return;
  judging.fail(
    at,
    `package "${manifest.name}" of driver "${name}" needs ${bytes} bytes of DMA memory, more than its limit of ${limits.dmaBytes}; grant it with limits: { dma: ${bytes} }`,
  );
}

type Need = readonly [kind: ResourceVerdict["kind"], name: string, need: WindowNeed | DmaNeed | undefined, isOptional: boolean];

function needsOf({ needs }: Manifest): Need[] {
  return [
    ...Object.entries(needs.windows).map(([name, need]): Need => ["window", name, need, need.optional]),
    ...needs.irqs.map((name): Need => ["irq", name, undefined, false]),
    ...needs.optionalIrqs.map((name): Need => ["irq", name, undefined, true]),
    ...Object.entries(needs.dma).map(([name, need]): Need => ["dma", name, need, false]),
  ];
}

/** What the device lacks for a need. */
function lacking(
  device: DeviceDescription, kind: ResourceVerdict["kind"], name: string, need: WindowNeed | DmaNeed | undefined,
): { what: string; todo: string } | undefined {
  if (need !== undefined && "use" in need) {
    if (device.pci !== undefined) return undefined;
    return { what: `device "${device.name}" has no DMA: it is not on the PCI bus`, todo: "name another package or device" };
  }
  const all: Readonly<Record<string, unknown>> = kind === "irq" ? device.irqs : device.windows;
  if (!Object.hasOwn(all, name)) {
    return { what: `device "${device.name}" has no ${kind} "${name}"`, todo: advice(name, Object.keys(all), kind) };
  }
  if (need === undefined) return undefined;
  const window = device.windows[name] as DeviceWindow;
  if (need.sizeBytes !== undefined && window.sizeBytes < need.sizeBytes) {
    return {
      what: `window "${name}" of device "${device.name}" has ${window.sizeBytes} bytes, but the package needs ${need.sizeBytes}`,
      todo: "correct its size, or name another package",
    };
  }
  const missing = need.widths.filter((width) => !window.widths.includes(width));
  if (missing.length > 0) {
    return {
      what: `window "${name}" of device "${device.name}" does not decode ${missing.join(" and ")}-bit accesses`,
      todo: `write widths: [${need.widths.join(", ")}] if it does`,
    };
  }
  if (touchesPciConfig({ ...window, sizeBytes: need.sizeBytes ?? window.sizeBytes })) {
    return {
      what: `window "${name}" of device "${device.name}" holds the PCI configuration ports 0xcf8 to 0xcff, which nobody is granted`,
      todo: "remove it",
    };
  }
  return undefined;
}

function grantedText(device: DeviceDescription, kind: ResourceVerdict["kind"], name: string, need: WindowNeed | DmaNeed | undefined): string {
  if (need !== undefined && "use" in need) return `${need.size} bytes of DMA memory, for ${need.use === "buffers" ? "the class's buffers" : "driver and device"}, needed and granted`;
  if (kind === "irq" || need === undefined) return `${irqText(device, name)}, needed and granted`;
  const window = device.windows[name]!;
  return `${rangeText(window.kind, window.base, need.sizeBytes ?? window.sizeBytes)}, ${need.rights}, ${need.widths.join("/")}-bit, needed and granted`;
}

/** A message has no line that means anything to a person. */
function irqText({ irqs, pci }: DeviceDescription, name: string): string {
  const message = pci === undefined ? null : /^msix?(\d+)$/.exec(name);
  return message === null ? `line ${irqs[name]!}` : `PCI message ${message[1]!}`;
}

/** An alternative gets no more than the driver it replaces: its needs lie within the same grants. */
function judgeAlternative(
  judging: Judging, driver: LoadedDriver, instance: string, loaded: LoadedManifest, device: DeviceDescription,
): AssignedPackage {
  const at: Path = ["drivers", driver.name, "restart", "escalate", "package"];
  checkCompatible(judging, driver, loaded, device, at);
  checkDmaBudget(judging, driver, loaded.manifest, at);
  for (const [kind, name, need, isOptional] of needsOf(loaded.manifest)) {
    if (isOptional && !driver.entry.grants.includes(name)) continue;
    const lack = driver.entry.grants.includes(name)
      ? lacking(device, kind, name, need)
      : { what: `it needs ${kind} "${name}", which is not granted`, todo: "name another alternative" };
    if (lack !== undefined) judging.fail(
      at,
      `alternative "${loaded.manifest.name}" of driver "${driver.name}": ${lack.what}; ${lack.todo}`,
    );
  }
  return assigned(driver, instance, loaded, device, planDma(driver.package.manifest));
}

/** The grant is the need, not the device's whole window: a package gets no register it does not ask for. */
function assigned(
  { limits, entry }: LoadedDriver, instance: string, loaded: LoadedManifest, device: DeviceDescription, replaced?: GrantTemplate["dma"],
): AssignedPackage {
  const { needs, quiesce } = loaded.manifest;
  // What is refused elsewhere must not fail here.
  const isGranted = (name: string): boolean => entry.grants.includes(name);
  const windows = Object.entries(needs.windows).filter(([name, { optional }]) => !optional || isGranted(name)).map(
    ([name, { sizeBytes, rights, widths }]): WindowGrant => {
      const window = Object.hasOwn(device.windows, name) ? device.windows[name] : undefined;
      return { name, sizeBytes: sizeBytes ?? window?.sizeBytes ?? 0, rights, widths, ...(window?.kind === "port" && { isPorts: true }) };
    },
  );
  const irqs = [...needs.irqs, ...needs.optionalIrqs.filter(isGranted)].map((name): IrqGrant => ({ name }));
  const busLimits = { stormPerSecond: limits.irqPerSecond, ackMs: limits.irqAckMs };
  const dma = planDma(loaded.manifest, replaced);
  return { package: loaded, grant: { driver: instance, device: device.name, windows, irqs, dma, limits: busLimits }, quiesce };
}
