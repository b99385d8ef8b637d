/** Starts the QEMU platform as a machine file's `platform` section says. */
import type { Clock } from "../../api/clock.ts";
import type { DeviceDescription } from "../../bus/device.ts";
import { QemuPlatform } from "./qemu-platform.ts";

/** `machine` is QEMU's machine type; `binary` the program, looked for when left out. */
export function startPlatform(
  spec: { readonly machine?: "q35"; readonly binary?: string }, devices: readonly DeviceDescription[], clock: Clock, directory?: string,
): Promise<QemuPlatform> {
  // A program named in the machine file goes before the one of the environment: the file is what was asked for.
  const environment = spec.binary === undefined ? process.env : { ...process.env, AIRLOCK_QEMU: spec.binary };
  return QemuPlatform.start({ devices, epochMs: Date.now(), machine: spec.machine, directory, environment }, clock);
}
