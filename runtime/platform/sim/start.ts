/** Starts the sim platform as a machine file's `platform` section says. */
import type { Clock } from "../../api/clock.ts";
import type { DeviceDescription } from "../../bus/device.ts";
import { SimPlatform } from "./sim-platform.ts";

/** `epoch` is the civil time at the machine's start; the present when left out. */
export function startPlatform(spec: { readonly epoch?: string }, devices: readonly DeviceDescription[], clock: Clock, directory: string): Promise<SimPlatform> {
  return SimPlatform.start({ devices, directory, epochMs: spec.epoch === undefined ? Date.now() : Date.parse(spec.epoch) }, clock);
}
