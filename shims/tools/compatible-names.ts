/** Turns a module's device tables into the names that drivers and devices are matched by. */
// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
import type { ModuleFacts, PciId } from "./module-facts.ts";
import type { SourceTables } from "./source-tables.ts";

/**
 * Names for what a module drives, the module's own first. PCI ids have the form of the Open Firmware PCI bus binding, 2.5
 * ("pci8086,100e", "pci8086,100e.103c.1234", "pciclass,020000"); PnP devices are
 * "pnp,pnp0b00", those of device trees have their own names, platform devices "platform,<name>".
 */
export function compatibleNames(module: string, { pci, aliases }: Pick<ModuleFacts, "pci" | "aliases">, { pnp, deviceTree }: SourceTables): string[] {
  const platform = aliases.flatMap((alias) => (alias.startsWith("platform:") ? [`platform,${alias.slice("platform:".length)}`] : []));
  const names = [module, ...pci.flatMap(pciNames), ...pnp.map((id) => `pnp,${id}`), ...deviceTree, ...platform].map(plain);
  return [...new Set(names)].filter((name) => /^[a-z0-9][a-z0-9.,_-]{0,63}$/.test(name));
}

function pciNames({ vendor, device, subVendor, subDevice, classCode, classMask }: PciId): string[] {
  if (vendor !== undefined && device !== undefined) {
    const sub = subVendor !== undefined && subDevice !== undefined ? `.${hex(subVendor, 4)}.${hex(subDevice, 4)}` : "";
    return [`pci${hex(vendor, 4)},${hex(device, 4)}${sub}`];
  }
  // By class: whole, or without the programming interface. A vendor with any device is no name that the binding has.
  if (vendor !== undefined || classMask === 0) return [];
  if ((classMask & 0xff_ffff) === 0xff_ffff) return [`pciclass,${hex(classCode & 0xff_ffff, 6)}`];
  return (classMask & 0xff_ff00) === 0xff_ff00 ? [`pciclass,${hex((classCode >>> 8) & 0xffff, 4)}`] : [];
}

function plain(name: string): string {
  return name.toLowerCase().replaceAll(/[^a-z0-9.,_-]/g, "-");
}

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, "0");
}
