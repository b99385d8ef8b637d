/** The MC146818 that every PC machine of QEMU has: nothing to add, its place is fixed. */
import { onlyIsaIrq, onlyPortWindow, refusal, type QemuDeviceKind } from "./kind.ts";

/** Where a PC has its clock; QEMU's cannot be moved. */
const base = 0x70;
const sizeBytes = 2;
const irq = 8;

const mc146818: QemuDeviceKind = {
  compatible: ["mc146818"],
  keepsTime: true,
  build(description) {
    const window = onlyPortWindow(description, sizeBytes);
    const wired = onlyIsaIrq(description) ?? irq;
    if (window.base !== base || wired !== irq) {
      throw refusal(description, `the clock is at ports 0x70-0x71 with irq 8, not at 0x${window.base.toString(16)} with irq ${wired}`);
    }
    return { args: [] };
  },
};

export default mc146818;
