/** QEMU's command line for a list of devices: a machine without anything of its own choice, stopped in time. */
import path from "node:path";
import { AirlockError } from "../../api/errors.ts";
import type { DeviceDescription } from "../../bus/device.ts";
import type { Connector } from "./connector.ts";
import type { QemuDescriptor } from "./descriptors.ts";
import { slotOf } from "./describe.ts";
import { findKind } from "./devices/find-kind.ts";
import { type StoreFile, optionValue, refusal } from "./devices/kind.ts";
import { machineRamBytes } from "./memory-map.ts";
import { qmpSocketName } from "./qmp.ts";
import { qmpEventsSocketName } from "./qmp-events.ts";
import type { ActualIdentity, Nudge, Quirks, RestStep, TimeSkip } from "./quirks.ts";

/** Machine types with the devices and the interrupt wiring that this platform knows. */
export const machineTypes = ["q35", "pc"] as const;
export type MachineType = (typeof machineTypes)[number];

export interface MachinePlan {
  readonly args: readonly string[];
  readonly connectors: readonly Connector[];
  readonly quirks: Quirks;
  /** Whether the first of `descriptors` is the machine's RAM, for devices with DMA. */
  readonly hasRam: boolean;
  /** What QEMU wants to find as its descriptors from `firstDescriptor` on. */
  readonly descriptors: readonly QemuDescriptor[];
  readonly files: readonly StoreFile[];
  /** QEMU's name of each device. */
  readonly ids: ReadonlyMap<string, string>;
  /** The device that QEMU's event WATCHDOG is about, where there is one. */
  readonly watchdog: string | undefined;
}

export interface MachineWish {
  readonly machine: MachineType;
  readonly devices: readonly DeviceDescription[];
  /** Civil time of the clock at power-on, milliseconds since the Unix epoch; QEMU takes whole seconds. */
  readonly epochMs: number;
  /** The private directory for FIFOs and sockets. */
  readonly folder: string;
  /** The machine file's folder. */
  readonly directory?: string;
}

/** Without devices that reach memory nothing uses it; the firmware still wants room. */
const smallMemoryMegabytes = 16;

/** Descriptors after stdin, stdout and stderr. */
export const firstDescriptor = 3;

/** More than a machine with a disk or a card in each slot needs. */
const maxDescriptors = 32;

/** sun_path of a Unix socket address, with its final zero. */
const maxSocketPathBytes = 107;

/** Years that QEMU's `-rtc base` and the clock's century byte can tell. */
const earliestEpochMs = Date.UTC(1970, 0, 1);
const endEpochMs = Date.UTC(10_000, 0, 1);

/** Names of the FIFOs that QEMU derives from the one path it is given. */
export const fifoNames = { command: "qtest.in", reply: "qtest.out" } as const;

/**
 * @throws AirlockError InvalidArgument or NotFound for a device that QEMU cannot provide as described,
 *   PlatformUnavailable when the directory's path is too long for a socket
 */
export async function planMachine(wish: MachineWish): Promise<MachinePlan> {
  if (!machineTypes.includes(wish.machine)) {
    throw new AirlockError("InvalidArgument", `QEMU machine "${String(wish.machine)}": not one of ${machineTypes.join(", ")}`, { platform: "qemu" });
  }
  const hasRam = wish.devices.some(({ pci }) => pci !== undefined);
  if (hasRam && wish.machine !== "q35") {
    throw new AirlockError("InvalidArgument", `QEMU machine "${wish.machine}": PCI devices need an IOMMU, which only q35 has`, { platform: "qemu" });
  }
  const descriptors: QemuDescriptor[] = [];
  const number = (descriptor: QemuDescriptor): number => {
    if (descriptors.length >= maxDescriptors) throw new AirlockError("InvalidArgument", `QEMU: more than ${maxDescriptors} disks and taps`, { platform: "qemu" });
    return firstDescriptor + descriptors.push(descriptor) - 1;
  };
  const memoryFile = (sizeBytes: number): string => `/proc/self/fd/${number({ kind: "memory", sizeBytes })}`;
  const args = [
    "-no-user-config", "-nodefaults", "-display", "none", "-accel", "qtest", ...(hasRam ? dmaMachine(memoryFile) : smallMachine(wish.machine)),
    "-rtc", `clock=vm,base=${rtcBase(wish.epochMs)}`,
    "-chardev", `pipe,id=qtest,path=${optionValue(path.join(wish.folder, "qtest"))}`, "-qtest", "chardev:qtest", "-qtest-log", "none",
    "-qmp", `unix:${optionValue(path.join(wish.folder, qmpSocketName))},server=on,wait=off`,
  ];
  const plan = {
    connectors: [] as Connector[], files: [] as StoreFile[], ids: new Map<string, string>(),
    quirks: { skips: [] as TimeSkip[], nudges: [] as Nudge[], rests: [] as RestStep[], actual: [] as ActualIdentity[], keepsTime: false },
  };
  let watchdog: string | undefined;
  for (const [index, device] of wish.devices.entries()) {
    const kind = await findKind(device.compatible);
    const id = `dev${index}`;
    const socketPath = path.join(wish.folder, id);
    const pciSlot = kind.identity === undefined ? "" : `${slotOf(device).toString(16).padStart(2, "0")}.0`;
    const added = kind.build(device, { id, socketPath: optionValue(socketPath), pciSlot, directory: wish.directory, memoryFile, tap: (name, mtu) => number({ kind: "tap", name, mtu }) });
    args.push(...added.args);
    plan.files.push(...(added.files ?? []));
    plan.ids.set(device.name, id);
    plan.quirks.keepsTime ||= kind.keepsTime === true;
    plan.quirks.skips.push(...(added.skips ?? []).map((skip) => ({ ...skip, device: device.name })));
    plan.quirks.nudges.push(...(added.nudges ?? []).map((nudge) => ({ ...nudge, device: device.name })));
    plan.quirks.rests.push(...(added.rests ?? []).map((rest) => ({ ...rest, device: device.name })));
    if (added.actual !== undefined) plan.quirks.actual.push({ device: device.name, identity: added.actual });
    if (added.isWatchdog === true) {
      if (watchdog !== undefined) throw refusal(device, `QEMU cannot tell two watchdogs apart, and "${watchdog}" is one already; leave one out`);
      watchdog = device.name;
    }
    if (added.connector === undefined) continue;
    if (Buffer.byteLength(socketPath) > maxSocketPathBytes) {
      throw new AirlockError("PlatformUnavailable", `the temporary directory's path is too long for a socket: ${socketPath}; set TMPDIR to a shorter one`);
    }
    plan.connectors.push({ ...added.connector, device: device.name, options: device.options, socketPath });
  }
  // A second control socket, because the first is taken and given back for each command.
  if (watchdog !== undefined) args.push("-qmp", `unix:${optionValue(path.join(wish.folder, qmpEventsSocketName))},server=on,wait=off`);
  return { ...plan, args, hasRam, descriptors, watchdog };
}

function smallMachine(machine: MachineType): string[] {
  return ["-machine", machine, "-m", String(smallMemoryMegabytes)];
}

/** RAM in a file that we can map, and an IOMMU in front of everything on PCI; no interrupts by it, messages go to RAM. */
function dmaMachine(memoryFile: (sizeBytes: number) => string): string[] {
  const megabytes = machineRamBytes / 2 ** 20;
  return [
    "-object", `memory-backend-file,id=ram,size=${megabytes}M,mem-path=${memoryFile(machineRamBytes)},share=on`,
    "-machine", "q35,memory-backend=ram", "-m", String(megabytes), "-device", "intel-iommu,intremap=off,caching-mode=off,aw-bits=39",
  ];
}

/** "2026-11-03T12:00:00" */
function rtcBase(epochMs: number): string {
  if (!(epochMs >= earliestEpochMs && epochMs < endEpochMs)) {
    throw new AirlockError("InvalidArgument", `civil time ${String(epochMs)} ms: QEMU's clock starts in the years 1970 to 9999`, { platform: "qemu" });
  }
  return new Date(epochMs).toISOString().slice(0, 19);
}
