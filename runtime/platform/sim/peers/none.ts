/** The peer "none": nothing is plugged in. Characters go nowhere and modem inputs stay inactive; a network card has no carrier. */
import type { SerialPeer } from "../../../bus/device.ts";
import type { NetworkPeer } from "../../../bus/network-peer.ts";
import type { PeerDefinition } from "./peer.ts";

/** Shared by all connectors that are not in use, and by devices that lack one: it keeps nothing. */
export const nothingOnSerial: SerialPeer = { connect: () => undefined, receive: () => undefined, outputs: () => undefined };
export const nothingOnNetwork: NetworkPeer = { connect: () => undefined, receive: () => undefined };

const none: PeerDefinition = { name: "none", createSerial: () => nothingOnSerial, createNetwork: () => nothingOnNetwork };

export default none;
