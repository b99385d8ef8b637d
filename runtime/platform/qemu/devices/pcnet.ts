/** QEMU's Am79C970A, a PCnet-PCI II, with the far end of its cable as with every card here. Source: AMD publication 19436. */
import type { PciIdentity } from "../../../bus/pci.ts";
import { cardMac, farEnd } from "../network-end.ts";
import type { QemuDeviceKind } from "./kind.ts";

const identity: PciIdentity = {
  vendorId: 0x1022, deviceId: 0x2000, classCode: 0x020000, revision: 0x10, subsystemVendorId: 0, subsystemId: 0,
  bars: [{ index: 0, kind: "port", sizeBytes: 0x20 }, { index: 1, kind: "mmio", sizeBytes: 0x20 }],
  interruptPin: 1,
  functionReset: false,
};

/** Reading the reset register would do; writing its address register (RAP, 0x12) and STOP to CSR0 (RDP, 0x10) does too, in word mode. */
const atRest = [{ window: "bar0", offset: 0x12, width: 16, value: 0 }, { window: "bar0", offset: 0x10, width: 16, value: 4 }] as const;

const pcnet: QemuDeviceKind = {
  compatible: ["pcnet"],
  identity: () => identity,
  build(description, names) {
    const far = farEnd(description, names);
    return {
      args: ["-netdev", far.netdev, "-device", `pcnet,id=${names.id},addr=${names.pciSlot},mac=${cardMac(description, names)},netdev=${names.id}-net,romfile=`],
      connector: far.connector,
      rests: atRest,
    };
  },
};

export default pcnet;
