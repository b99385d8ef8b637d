/** What a file in this folder exports: something that can be plugged into a simulated serial port's connector. */
import type { SerialPeer } from "../../../bus/device.ts";

/** The default export of every peer's file. A device's option `peer` names it. */
export interface PeerDefinition {
  readonly name: string;
  /** `options` are the device's options in the machine file. A new peer for each port. */
  create(options: Readonly<Record<string, string | number | boolean>>): SerialPeer;
}
