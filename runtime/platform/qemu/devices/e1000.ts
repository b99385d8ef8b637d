/** QEMU's 82540EM with the far end of its cable: nothing, the built-in host, a TAP interface, or another QEMU's stream. */
import type { PciIdentity } from "../../../bus/pci.ts";
import { cardMac, farEnd } from "../network-end.ts";
import type { QemuDeviceKind } from "./kind.ts";

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

/** Jumbo frames beyond this do not go through the card (317453, 13.4.22, LPE). */
const largestMtu = 16_110;

const e1000: QemuDeviceKind = {
  compatible: ["e1000", "82540em"],
  identity: () => identity,
  build(description, names) {
    const far = farEnd(description, names, largestMtu);
    return {
      args: ["-netdev", far.netdev, "-device", `e1000,id=${names.id},addr=${names.pciSlot},mac=${cardMac(description, names)},netdev=${names.id}-net,romfile=`],
      connector: far.connector,
      skips: [receiverWait],
      rests: atRest,
    };
  },
};

export default e1000;
