/** QEMU's DECchip 21143 ("tulip"), with the far end of its cable as with every card here. Source: Digital's 21143 hardware reference manual. */
import type { PciIdentity } from "../../../bus/pci.ts";
import { cardMac, farEnd } from "../network-end.ts";
import type { QemuDeviceKind } from "./kind.ts";

const identity: PciIdentity = {
  vendorId: 0x1011, deviceId: 0x0019, classCode: 0x020000, revision: 0, subsystemVendorId: 0x103c, subsystemId: 0x104f,
  bars: [{ index: 0, kind: "port", sizeBytes: 0x80 }, { index: 1, kind: "mmio", sizeBytes: 0x80 }],
  interruptPin: 1,
  functionReset: false,
};

/** A software reset (CSR0, bit 0), which stops both processes and their DMA and masks all interrupts. */
const atRest = [{ window: "bar0", offset: 0, width: 32, value: 1 }] as const;

const tulip: QemuDeviceKind = {
  compatible: ["tulip"],
  identity: () => identity,
  build(description, names) {
    const far = farEnd(description, names);
    return {
      args: ["-netdev", far.netdev, "-device", `tulip,id=${names.id},addr=${names.pciSlot},mac=${cardMac(description, names)},netdev=${names.id}-net,romfile=`],
      connector: far.connector,
      rests: atRest,
    };
  },
};

export default tulip;
