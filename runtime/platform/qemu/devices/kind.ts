/** What a file in this folder exports: how one kind of device is put on QEMU's command line. */
import { AirlockError } from "../../../api/errors.ts";
import type { DeviceDescription, DeviceWindow } from "../../../bus/device.ts";

/** Names QEMU may be given for a device; made by the platform, so that nothing of a machine file gets into them. */
export interface QemuNames {
  /** Unique id for this device on the command line: letters, digits. */
  readonly id: string;
  /** Path of the Unix socket for the device's serial connector, escaped for a QEMU option value. */
  readonly socketPath: string;
}

/** What a device adds to the command line. */
export interface QemuDevicePlan {
  readonly args: readonly string[];
  /** The device's serial connector is a chardev server socket at `names.socketPath`. */
  readonly serial: boolean;
}

/** The default export of each device file. */
export interface QemuDeviceKind {
  readonly compatible: readonly string[];
  /**
   * Checks the description against what QEMU can do, then says what to add.
   * @throws AirlockError InvalidArgument when QEMU cannot put the device where the description says
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

export function refusal(description: DeviceDescription, what: string): AirlockError {
  return new AirlockError("InvalidArgument", `device "${description.name}" on QEMU: ${what}`, { device: description.name });
}
