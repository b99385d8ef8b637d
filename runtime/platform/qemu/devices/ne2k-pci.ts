/** QEMU's NE2000 on PCI, as Realtek's RTL8029AS, with the far end of its cable as with every card here. Source: RTL8029AS data sheet; National DP8390D. */
import type { PciIdentity } from "../../../bus/pci.ts";
import { cardMac, farEnd } from "../network-end.ts";
import type { QemuDeviceKind } from "./kind.ts";

const identity: PciIdentity = {
  vendorId: 0x10ec, deviceId: 0x8029, classCode: 0x020000, revision: 0, subsystemVendorId: 0x1af4, subsystemId: 0x1100,
  bars: [{ index: 0, kind: "port", sizeBytes: 0x100 }],
  interruptPin: 1,
  functionReset: false,
};

/** Page 0, stopped, no remote DMA (CR, 0x00); no interrupts (IMR, 0x0f), and none left (ISR, 0x07). It has no DMA to the machine's memory. */
const atRest = [[0x00, 0x21], [0x0f, 0x00], [0x07, 0xff]].map(([offset, value]) => ({ window: "bar0", offset: offset!, width: 8, value: value! }) as const);

const ne2kPci: QemuDeviceKind = {
  compatible: ["ne2k-pci", "rtl8029as"],
  identity: () => identity,
  build(description, names) {
    const far = farEnd(description, names);
    return {
      args: ["-netdev", far.netdev, "-device", `ne2k_pci,id=${names.id},addr=${names.pciSlot},mac=${cardMac(description, names)},netdev=${names.id}-net,romfile=`],
      connector: far.connector,
      rests: atRest,
    };
  },
};

export default ne2kPci;
