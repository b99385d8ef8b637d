/** QEMU's RTL8139, with the far end of its cable as with every card here. Source: Realtek RTL8139C(L)+ and RTL8139D data sheets. */
import { AirlockError } from "../../../api/errors.ts";
import type { DeviceDescription } from "../../../bus/device.ts";
import type { PciIdentity } from "../../../bus/pci.ts";
import { cardMac, farEnd } from "../network-end.ts";
import type { QemuDeviceKind } from "./kind.ts";

/** Revision of an RTL8139C+; below it the chip has the older programming interface only. */
const plusRevision = 0x20;
const plainRevision = 0x10;

const identity: PciIdentity = {
  vendorId: 0x10ec, deviceId: 0x8139, classCode: 0x020000, revision: plusRevision, subsystemVendorId: 0x1af4, subsystemId: 0x1100,
  bars: [{ index: 0, kind: "port", sizeBytes: 0x100 }, { index: 1, kind: "mmio", sizeBytes: 0x100 }],
  interruptPin: 1,
  functionReset: false,
};

/** CR.RST (0x37, bit 4) resets everything but the address and the link; then what a reset leaves: no interrupts. */
const atRest = [{ window: "bar1", offset: 0x37, width: 8, value: 0x10 }, { window: "bar1", offset: 0x3c, width: 16, value: 0 }] as const;

/**
 * QEMU's card takes no frame while RXOVW is masked (IMR, 0x3c, bit 4) and less than 1514 bytes of its ring are free: the frame waits in QEMU's
 * queue, and with it every later one. Unmasking does not make it look there; moving the ring's read pointer does (CAPR, 0x38), also to where it is.
 */
const unmasking = ["bar0", "bar1"].map((window) => ({ window, offset: 0x3c, mask: 0x10, by: { offset: 0x38, width: 16 } }) as const);

const rtl8139: QemuDeviceKind = {
  compatible: ["rtl8139"],
  /**
   * QEMU has one chip for both: a C+ that is an RTL8139C until a driver switches the C+ mode on. Drivers tell them apart by the
   * revision, so it says what the machine file wants it to be.
   */
  identity: (description) => ({ ...identity, revision: isPlus(description) ? plusRevision : plainRevision }),
  build(description, names) {
    const far = farEnd(description, names);
    return {
      args: ["-netdev", far.netdev, "-device", `rtl8139,id=${names.id},addr=${names.pciSlot},mac=${cardMac(description, names)},netdev=${names.id}-net,romfile=`],
      connector: far.connector,
      nudges: unmasking,
      rests: atRest,
      actual: { revision: plusRevision },
    };
  },
};

/** The option `plus`. @throws AirlockError InvalidArgument */
function isPlus({ name, options }: DeviceDescription): boolean {
  const given = options["plus"] ?? false;
  if (typeof given === "boolean") return given;
  throw new AirlockError("InvalidArgument", `device "${name}": option plus is not true or false: whether it says that it is an RTL8139C+`, { device: name, option: "plus" });
}

export default rtl8139;
