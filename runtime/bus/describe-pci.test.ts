/** What of a PCI function can be granted: never the table that aims its interrupts. */
import { expect, test } from "vitest";
import { describeFunction, firstMessageLine, messagesPerFunction } from "./describe-pci.ts";
import type { DeviceDescription } from "./device.ts";
import type { PciIdentity } from "./pci.ts";

const nvme: PciIdentity = {
  vendorId: 0x1b36, deviceId: 0x10, classCode: 0x010802, revision: 2, subsystemVendorId: 0x1af4, subsystemId: 0x1100, interruptPin: 1, functionReset: true,
  bars: [{ index: 0, kind: "mmio", sizeBytes: 0x4000, is64Bit: true }, { index: 4, kind: "mmio", sizeBytes: 0x1000 }],
  msix: { vectors: 65, bar: 0, tableOffset: 0x2000, pendingOffset: 0x3000 },
};
const device: DeviceDescription = { name: "disk", compatible: ["nvme"], windows: {}, irqs: {}, options: {}, pci: { address: "00:04.0" } };

test("windows end before the MSI-X table, and messages get lines of their own", () => {
  const described = describeFunction(device, nvme, { index: 2, intxLine: 20, base: ({ index }) => 0xe000_0000 + index * 0x1_0000 });
  expect(described.windows).toEqual({
    bar0: { kind: "mmio", base: 0xe000_0000, sizeBytes: 0x2000, widths: [8, 16, 32] }, bar4: { kind: "mmio", base: 0xe004_0000, sizeBytes: 0x1000, widths: [8, 16, 32] },
    config: { kind: "config", base: 512, sizeBytes: 256, widths: [8, 16, 32] },
  });
  expect(described.irqs.intx).toBe(20);
  expect(Object.keys(described.irqs)).toHaveLength(1 + messagesPerFunction);
  expect(described.irqs.msix1).toBe(firstMessageLine + 2 * messagesPerFunction + 1);
  expect(described.pci).toEqual({ address: "00:04.0", identity: nvme });
});

test("a table at the start of its BAR leaves no window, and a function without a pin has no wire", () => {
  const hidden = { ...nvme, interruptPin: 0, msix: { ...nvme.msix!, bar: 4, tableOffset: 0, pendingOffset: 0x800 } };
  const described = describeFunction(device, hidden, { index: 0, intxLine: 20, base: () => 0 });
  expect(Object.keys(described.windows)).toEqual(["bar0", "config"]);
  expect(described.irqs.intx).toBeUndefined();
});

test("a function is compatible with what its identity says, after what the machine file says", () => {
  const described = describeFunction(device, nvme, { index: 0, intxLine: 20, base: () => 0 });
  expect(described.compatible).toEqual(["nvme", "pci1b36,0010.1af4.1100", "pci1b36,0010", "pciclass,010802", "pciclass,0108"]);
  const named = { ...device, compatible: ["pci1b36,0010"] };
  const plain = { ...nvme, subsystemVendorId: 0, subsystemId: 0, classCode: 0x200 };
  expect(describeFunction(named, plain, { index: 0, intxLine: 20, base: () => 0 }).compatible).toEqual(["pci1b36,0010", "pciclass,000200", "pciclass,0002"]);
});
