/** QEMU's Intel 6300ESB watchdog. When it runs out QEMU tells, and the machine goes on. Source: Intel 6300ESB data sheet (300641), chapter 16. */
import type { PciIdentity } from "../../../bus/pci.ts";
import type { QemuDeviceKind } from "./kind.ts";

const identity: PciIdentity = {
  vendorId: 0x8086, deviceId: 0x25ab, classCode: 0x088000, revision: 0, subsystemVendorId: 0x1af4, subsystemId: 0x1100,
  bars: [{ index: 0, kind: "mmio", sizeBytes: 0x10 }],
  interruptPin: 0,
  functionReset: false,
  // WDT Configuration and WDT Lock.
  deviceRegisters: [{ offset: 0x60, sizeBytes: 2 }, { offset: 0x68, sizeBytes: 1 }],
};

const i6300esb: QemuDeviceKind = {
  compatible: ["i6300esb"],
  identity: () => identity,
  build: (_description, names) => ({
    // Reset, QEMU's own default, would take the addresses from every device under the feet of its driver.
    args: ["-action", "watchdog=none", "-device", `i6300esb,id=${names.id},addr=${names.pciSlot}`],
    // No rests: it keeps counting while nobody drives it, which is what it is for.
    isWatchdog: true,
  }),
};

export default i6300esb;
