/** From a PCI function's identity to the resources a driver can be granted: windows of its BARs, its configuration space, its interrupts. */
import type { DeviceDescription, DeviceWindow } from "./device.ts";
import { type PciBar, type PciIdentity, pciConfigBytes } from "./pci.ts";

/** Line numbers of messages start here, above every wire an interrupt controller has. */
export const firstMessageLine = 1_024;
/** Messages of one function that become lines; a driver waits for 31 at most. */
export const messagesPerFunction = 32;

/** What a platform decides about a function. */
export interface PciPlacement {
  /** Number of the function among the machine's, from 0: gives its messages their lines. */
  readonly index: number;
  /** The wire its INTx pin is on; undefined when it is on none. */
  readonly intxLine: number | undefined;
  /** Where a BAR's window begins; 0 for a platform that has no addresses. */
  base(bar: PciBar): number;
}

/**
 * The description with its windows "bar0" to "bar5" and "config", its lines "intx" and "msix0" upwards. The window of a BAR
 * that holds the MSI-X table or its pending bits ends before them: whoever can write the table can aim interrupts.
 */
export function describeFunction(description: DeviceDescription, identity: PciIdentity, placement: PciPlacement): DeviceDescription {
  const windows: [string, DeviceWindow][] = [];
  for (const bar of identity.bars) {
    const sizeBytes = grantableBytes(bar, identity);
    if (sizeBytes === 0) continue;
    windows.push([`bar${bar.index}`, { kind: bar.kind, base: placement.base(bar), sizeBytes, widths: [8, 16, 32] }]);
  }
  windows.push(["config", { kind: "config", base: placement.index * pciConfigBytes, sizeBytes: pciConfigBytes, widths: [8, 16, 32] }]);
  const vectors = Math.min(identity.msix?.vectors ?? 0, messagesPerFunction);
  const messages = Array.from({ length: vectors }, (_, vector): [string, number] => [`msix${vector}`, messageLine(placement.index, vector)]);
  const wire: [string, number][] = placement.intxLine === undefined || identity.interruptPin === 0 ? [] : [["intx", placement.intxLine]];
  return {
    ...description, pci: { ...description.pci!, identity }, compatible: [...description.compatible, ...identityNames(identity).filter((name) => !description.compatible.includes(name))],
    windows: { ...description.windows, ...Object.fromEntries(windows) }, irqs: { ...description.irqs, ...Object.fromEntries([...wire, ...messages]) },
  };
}

/** What a function is by its identity, most specific first (Open Firmware PCI bus binding 2.1, 2.5); packages that know ids only match by these. */
export function identityNames({ vendorId, deviceId, subsystemVendorId, subsystemId, classCode }: PciIdentity): string[] {
  const ids = `pci${hex(vendorId, 4)},${hex(deviceId, 4)}`;
  const subsystem = subsystemVendorId === 0 && subsystemId === 0 ? [] : [`${ids}.${hex(subsystemVendorId, 4)}.${hex(subsystemId, 4)}`];
  return [...subsystem, ids, `pciclass,${hex(classCode, 6)}`, `pciclass,${hex(classCode >>> 8, 4)}`];
}

/** The line of a function's message. */
export function messageLine(index: number, vector: number): number {
  return firstMessageLine + index * messagesPerFunction + vector;
}

function grantableBytes(bar: PciBar, { msix }: PciIdentity): number {
  return msix?.bar === bar.index ? Math.min(bar.sizeBytes, msix.tableOffset, msix.pendingOffset) : bar.sizeBytes;
}

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, "0");
}
