/** What a file in this folder exports: how one kind of device is put on QEMU's command line. */
import path from "node:path";
import { AirlockError } from "../../../api/errors.ts";
import type { DeviceDescription, DeviceWindow } from "../../../bus/device.ts";
import type { PciIdentity } from "../../../bus/pci.ts";
import type { ConnectorKind } from "../connector.ts";
import type { Nudge, RestStep, TimeSkip } from "../quirks.ts";

/** Names QEMU may be given for a device; made by the platform, so that nothing of a machine file gets into them. */
export interface QemuNames {
  /** Unique id for this device on the command line: letters, digits. */
  readonly id: string;
  /** Path of the Unix socket for the device's connector, escaped for a QEMU option value. */
  readonly socketPath: string;
  /** QEMU's `addr=` of a PCI device: "04.0"; empty for another. */
  readonly pciSlot: string;
  /** What relative paths of the machine file are relative to; undefined when there is no machine file. */
  readonly directory: string | undefined;
  /** Makes a zeroed file in memory that lives as long as this QEMU; its path for QEMU, escaped. */
  memoryFile(sizeBytes: number): string;
  /** Opens a TAP interface and brings it up; the number of QEMU's descriptor. */
  tap(name: string, mtu: number): number;
}

/** What a device adds to the command line. */
export interface QemuDevicePlan {
  readonly args: readonly string[];
  /** The device's connector is a server socket of QEMU at `names.socketPath`, and the peer that is plugged into it. */
  readonly connector?: { readonly kind: ConnectorKind; readonly peer: string };
  /** Files to be there when QEMU starts: made when missing, and made as long as `sizeBytes` when they are shorter. */
  readonly files?: readonly StoreFile[];
  /** Waits in the device's own time that nobody should have to wait for. */
  readonly skips?: readonly Omit<TimeSkip, "device">[];
  /** Writes that should make it look again at something, and do not. */
  readonly nudges?: readonly Omit<Nudge, "device">[];
  /** Brings a device without a function reset to rest, as the platform does in place of a reset. */
  readonly rests?: readonly Omit<RestStep, "device">[];
  /** Where the device differs from what `identity` says of it to drivers. */
  readonly actual?: Partial<PciIdentity>;
  /** QEMU tells of it with its event WATCHDOG, which does not say which one: there can be one in a machine. */
  readonly isWatchdog?: boolean;
}

/** A file that keeps a device's contents. */
export interface StoreFile {
  readonly device: string;
  readonly path: string;
  /** Undefined: as long as it is. */
  readonly sizeBytes: number | undefined;
}

/** The default export of each device file. */
export interface QemuDeviceKind {
  readonly compatible: readonly string[];
  /** The device is a clock: its machine's time must not run far ahead. */
  readonly keepsTime?: boolean;
  /**
   * For a PCI function: who it says to drivers that it is. The start compares it, with the plan's `actual` over it, with what is on the bus.
   * @throws AirlockError InvalidArgument for options that QEMU's device cannot have
   */
  identity?(description: DeviceDescription): PciIdentity;
  /**
   * Checks the description against what QEMU can do, then says what to add.
   * @throws AirlockError InvalidArgument when QEMU cannot put the device where the description says, NotFound for an unknown peer
   */
  build(description: DeviceDescription, names: QemuNames): QemuDevicePlan;
}

/**
 * The single port window of a device, checked.
 * @throws AirlockError InvalidArgument when there are other windows, or it is of another size or outside the 64 KiB of ports
 */
export function onlyPortWindow(description: DeviceDescription, sizeBytes: number): DeviceWindow {
  const windows = Object.values(description.windows);
  const window = windows[0];
  if (windows.length !== 1 || window === undefined || window.kind !== "port" || window.sizeBytes !== sizeBytes) {
    throw refusal(description, `needs exactly one port range of ${sizeBytes} bytes`);
  }
  if (!Number.isInteger(window.base) || window.base < 0 || window.base + sizeBytes > 0x10000) {
    throw refusal(description, `port base ${String(window.base)} is outside 0..0x${(0x10000 - sizeBytes).toString(16)}`);
  }
  return window;
}

/**
 * The single ISA interrupt of a device, checked; undefined when it has none.
 * @throws AirlockError InvalidArgument when there are several or it is no ISA line
 */
export function onlyIsaIrq(description: DeviceDescription): number | undefined {
  const irqs = Object.values(description.irqs);
  const irq = irqs[0];
  if (irqs.length > 1) throw refusal(description, "has one interrupt output only");
  if (irq !== undefined && !(Number.isInteger(irq) && irq >= 0 && irq <= 15)) throw refusal(description, `irq ${String(irq)} is not an ISA line, 0..15`);
  return irq;
}

/** A whole number among the options, `otherwise` when it is left out. @throws AirlockError InvalidArgument outside of the range */
export function numberOption(description: DeviceDescription, name: string, otherwise: number, least: number, most: number): number {
  const value = description.options[name] ?? otherwise;
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= least && value <= most) return value;
  throw refusal(description, `option ${name} is ${shown(value)}, not a whole number from ${least} to ${most}`, name);
}

/** A text among the options that has this form. @throws AirlockError InvalidArgument for another */
export function textOption(description: DeviceDescription, name: string, form: RegExp, what: string): string | undefined {
  const value = description.options[name];
  if (value === undefined || (typeof value === "string" && form.test(value))) return value;
  throw refusal(description, `option ${name} is ${shown(value)}, not ${what}`, name);
}

/**
 * A path among the options, made absolute; relative ones are relative to the machine file. Not escaped.
 * @throws AirlockError InvalidArgument for a relative one without a machine file, and for what is no path
 */
export function pathOption(description: DeviceDescription, name: string, directory: string | undefined): string | undefined {
  const value = textOption(description, name, /^[^\0\n]+$/, "a path");
  if (value === undefined) return undefined;
  if (!path.isAbsolute(value) && directory === undefined) throw refusal(description, `option ${name} is relative, and there is no machine file; give an absolute path`, name);
  return path.resolve(directory ?? "/", value);
}

/** In a QEMU option a comma is written twice. */
export function optionValue(text: string): string {
  return text.replaceAll(",", ",,");
}

/** `option` is the one of the device's options that is wrong. */
export function refusal(description: DeviceDescription, what: string, option?: string): AirlockError {
  return new AirlockError("InvalidArgument", `device "${description.name}" on QEMU: ${what}`, { device: description.name, option });
}

function shown(value: unknown): string {
  return String(value).replaceAll(/[^\x20-\x7e]/g, "?").slice(0, 60);
}
