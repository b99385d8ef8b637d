/** What a file in this folder exports: something that can be plugged into a simulated device's connector. */
import type { SerialPeer } from "../../../bus/device.ts";
import type { NetworkPeer } from "../../../bus/network-peer.ts";

/** The device's options in the machine file. */
export type PeerOptions = Readonly<Record<string, string | number | boolean>>;

/** The default export of every peer's file. A device's option `peer` names it. It has a `create...` for each connector it fits. */
export interface PeerDefinition {
  readonly name: string;
  /** A new peer for a serial port. */
  createSerial?(options: PeerOptions): SerialPeer;
  /** A new peer for a network card. @throws AirlockError when an option is wrong, or the machine lacks what the peer needs */
  createNetwork?(options: PeerOptions): NetworkPeer;
}

/** What a device has to plug something into. */
export type Connector = "serial" | "network";
