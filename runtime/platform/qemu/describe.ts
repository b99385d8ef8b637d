/** Completes the descriptions of QEMU's PCI devices before QEMU runs: where they will be, and who they will say they are. */
import { describeFunction } from "../../bus/describe-pci.ts";
import type { DeviceDescription } from "../../bus/device.ts";
import { dmaPageBytes } from "../../bus/iommu.ts";
import { type PciAddress, parsePciAddress } from "../../bus/pci.ts";
import { findKind } from "./devices/find-kind.ts";
import { refusal } from "./devices/kind.ts";

/** Slots of q35's bus 0 that are free with -nodefaults and whose interrupt wiring is fixed; 25 to 31 are the chipset's own. */
const firstSlot = 1;
const lastSlot = 24;

/**
 * q35 wires INTA# of slots 0 to 24 to its PIRQ E to H in turn (ICH9: D25IR and up route the other slots), and these to inputs
 * 20 to 23 of the I/O APIC. Checked on QEMU 7.2 for each of these slots.
 */
const firstIntxGsi = 20;
const intxWires = 4;

/** The hole for PCI memory below the I/O APIC, and ports above the chipset's. */
const space = { mmio: { first: 0xe000_0000, end: 0xf000_0000 }, port: { first: 0xc000, end: 0x1_0000 } } as const;

/**
 * The same descriptions; those on PCI with windows, lines and identity.
 * @throws AirlockError NotFound for a device QEMU does not have, InvalidArgument for a place it cannot be at
 */
export async function describeDevices(devices: readonly DeviceDescription[]): Promise<readonly DeviceDescription[]> {
  const next: Record<keyof typeof space, number> = { mmio: space.mmio.first, port: space.port.first };
  const taken = new Map<number, string>();
  const described: DeviceDescription[] = [];
  for (const device of devices) {
    const kind = await findKind(device.compatible);
    if (kind.identity === undefined || device.pci === undefined) {
      if (kind.identity !== undefined) throw refusal(device, 'it is a PCI device; write pci: { address: "00:04.0" }');
      if (device.pci !== undefined) throw refusal(device, "it is no PCI device; give it ports instead of pci");
      described.push(device);
      continue;
    }
    const slot = slotOf(device);
    const other = taken.get(slot);
    if (other !== undefined) throw refusal(device, `"${other}" is at ${device.pci.address} already`);
    taken.set(slot, device.name);
    described.push(describeFunction(device, kind.identity(device), {
      index: taken.size - 1, intxLine: intxLine(slot),
      base: (bar) => {
        const sizeBytes = Math.max(bar.sizeBytes, bar.kind === "mmio" ? dmaPageBytes : 1);
        const base = Math.ceil(next[bar.kind] / sizeBytes) * sizeBytes;
        next[bar.kind] = base + sizeBytes;
        if (next[bar.kind] > space[bar.kind].end) throw refusal(device, `there is no room for bar${bar.index} of ${bar.sizeBytes} bytes`);
        return base;
      },
    }));
  }
  return described;
}

/** The slot of a PCI device of this machine. @throws AirlockError InvalidArgument for an address that no device can have here */
export function slotOf(device: DeviceDescription): number {
  const address: PciAddress = device.pci?.address ?? "";
  const place = parsePciAddress(address);
  if (place !== undefined && place.bus === 0 && place.function === 0 && place.device >= firstSlot && place.device <= lastSlot) return place.device;
  throw refusal(device, `PCI address "${address.slice(0, 20)}": q35 has room on bus 00, slots 01 to ${lastSlot.toString(16)}, function 0, as in "00:04.0"`);
}

/** The I/O APIC input that the INTA# of a slot is wired to. */
export function intxLine(slot: number): number {
  return firstIntxGsi + (slot % intxWires);
}
