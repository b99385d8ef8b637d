/** QEMU's 82540EM with the far end of its cable: nothing, the built-in host, a TAP interface, or another QEMU's stream. */
import { AirlockError, isAirlockError } from "../../../api/errors.ts";
import type { DeviceDescription } from "../../../bus/device.ts";
import type { PciIdentity } from "../../../bus/pci.ts";
import { networkPeers } from "../network-peers.ts";
import { type QemuDeviceKind, type QemuDevicePlan, type QemuNames, numberOption, optionValue, pathOption, refusal, textOption } from "./kind.ts";

const identity: PciIdentity = {
  vendorId: 0x8086, deviceId: 0x100e, classCode: 0x020000, revision: 3, subsystemVendorId: 0x1af4, subsystemId: 0x1100,
  bars: [{ index: 0, kind: "mmio", sizeBytes: 0x2_0000 }, { index: 1, kind: "port", sizeBytes: 0x40 }],
  interruptPin: 1,
  functionReset: false,
};

/**
 * After a write to RCTL (0x100) QEMU's card takes no frame for a second of its time (hw/net/e1000.c, the timer that flushes
 * its queue), which a driver that starts again would lose all frames of. Only when the write enables the receiver.
 */
const receiverWait = { window: "bar0", offset: 0x100, mask: 1 << 1, micros: 1_001_000 } as const;

/**
 * CTRL.RST does nothing in QEMU 7.2, and the function has no reset of its own. So: interrupts masked and forgotten,
 * receiver and transmitter off, rings of no length (317453, 13.4: IMC, ICR, RCTL, TCTL, RDLEN, TDLEN, heads and tails).
 */
const atRest = [
  ...[0xd8, 0xc0].map((offset) => ({ window: "bar0", offset, value: 0xffff_ffff })),
  ...[0x100, 0x400, 0x2808, 0x3808, 0x2810, 0x2818, 0x3810, 0x3818].map((offset) => ({ window: "bar0", offset, value: 0 })),
];

const defaultMtu = 1_500;
/** Jumbo frames beyond this do not go through the card (317453, 13.4.22, LPE). */
const largestMtu = 16_110;

/** A unicast address, locally administered or not. */
const macForm = /^[0-9a-f][02468ace](?::[0-9a-f]{2}){5}$/i;

const e1000: QemuDeviceKind = {
  compatible: ["e1000", "82540em"],
  identity: () => identity,
  build(description, names) {
    // One per slot, in QEMU's own range.
    const mac = textOption(description, "mac", macForm, "a unicast address like 52:54:00:12:34:56") ?? `52:54:00:a1:00:${names.pciSlot.slice(0, 2)}`;
    const far = farEnd(description, names);
    return {
      args: ["-netdev", far.netdev, "-device", `e1000,id=${names.id},addr=${names.pciSlot},mac=${mac.toLowerCase()},netdev=${names.id}-net,romfile=`],
      connector: far.connector,
      skips: [receiverWait],
      rests: atRest,
    };
  },
};

function farEnd(description: DeviceDescription, names: QemuNames): { netdev: string; connector?: QemuDevicePlan["connector"] } {
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

export default e1000;
