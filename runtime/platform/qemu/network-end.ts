/** A QEMU network card's address and the far end of its cable: nothing, the built-in host, a TAP interface, or another QEMU's stream. */
import { AirlockError, isAirlockError } from "../../api/errors.ts";
import type { DeviceDescription } from "../../bus/device.ts";
import { type QemuDevicePlan, type QemuNames, numberOption, optionValue, pathOption, refusal, textOption } from "./devices/kind.ts";
import { networkPeers } from "./network-peers.ts";

export interface FarEnd {
  /** The value of `-netdev`. */
  readonly netdev: string;
  readonly connector?: QemuDevicePlan["connector"];
}

/** What Ethernet carries, and every card here can. */
const defaultMtu = 1_500;

/** A unicast address, locally administered or not. */
const macForm = /^[0-9a-f][02468ace](?::[0-9a-f]{2}){5}$/i;

/** The option `mac`, or an address of the slot's own in QEMU's range. @throws AirlockError InvalidArgument */
export function cardMac(description: DeviceDescription, names: QemuNames): string {
  const mac = textOption(description, "mac", macForm, "a unicast address like 52:54:00:12:34:56") ?? `52:54:00:a1:00:${names.pciSlot.slice(0, 2)}`;
  return mac.toLowerCase();
}

/**
 * What the options `peer` and its own ask for, as a `-netdev` whose id is the card's with "-net".
 * @throws AirlockError InvalidArgument for options it cannot have, NotFound for a peer there is not
 */
export function farEnd(description: DeviceDescription, names: QemuNames, largestMtu = defaultMtu): FarEnd {
  const peer = textOption(description, "peer", /^\w{1,16}$/, "the name of a peer") ?? "none";
  if (networkPeers.has(peer)) {
    try {
      networkPeers.get(peer)?.check?.(description.options);
    } catch (error) {
      if (!isAirlockError(error, "InvalidArgument")) throw error;
      throw refusal(description, error.message, typeof error.fields.option === "string" ? error.fields.option : undefined);
    }
    return { netdev: `stream,id=${names.id}-net,server=on,addr.type=unix,addr.path=${names.socketPath}`, connector: { kind: "network", peer } };
  }
  if (peer === "tap") {
    const name = textOption(description, "interface", /^[A-Za-z0-9._-]{1,15}$/, "the name of an interface");
    if (name === undefined) throw refusal(description, "peer tap needs the option interface");
    return { netdev: `tap,id=${names.id}-net,fd=${names.tap(name, numberOption(description, "mtu", defaultMtu, 68, largestMtu))}` };
  }
  if (peer === "stream") {
    const path = pathOption(description, "path", names.directory);
    if (path === undefined) throw refusal(description, "peer stream needs the option path, a Unix socket");
    return { netdev: `stream,id=${names.id}-net,server=${description.options["server"] === true ? "on" : "off"},addr.type=unix,addr.path=${optionValue(path)}` };
  }
  const known = [...networkPeers.keys(), "tap", "stream"].sort().join(", ");
  throw new AirlockError("NotFound", `device "${description.name}": there is no network peer "${peer}" for QEMU; there are ${known}`, { device: description.name, peer });
}
