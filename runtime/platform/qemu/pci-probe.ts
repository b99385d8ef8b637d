/**
 * What is on PCI bus 0: configuration space through ports 0xcf8 and 0xcfc, and who a function says it is.
 * Source: PCI Local Bus Specification 3.0, 3.2.2.3.2 (mechanism), 6.1 and 6.2.5.1 (header, sizing), 6.7 (capabilities), 6.8.2 (MSI-X).
 */
import type { AccessWidth } from "../../api/grants.ts";
import type { PciConfigAccess } from "../../bus/pci-config-filter.ts";
import { type PciBar, PciCommand, PciConfig, type PciIdentity, pciConfigBytes } from "../../bus/pci.ts";

/** The part of a qtest connection that reaches ports. */
export interface PortAccess {
  readPort(port: number, width: AccessWidth): number;
  writePort(port: number, width: AccessWidth, value: number): void;
}

const configAddressPort = 0xcf8;
const configDataPort = 0xcfc;
const enableBit = 0x8000_0000;

/** What a slot without a function reads. */
const nobody = 0xffff;

/** Capability identities (PCI Code and ID Assignment). */
export const PciCapability = { msi: 0x05, express: 0x10, msix: 0x11 } as const;

/** Registers of the MSI-X capability (6.8.2) and of the PCI Express capability (PCI Express 2.0, 7.8), from its start. */
export const MsixCapability = { control: 2, table: 4, pending: 8, sizeMask: 0x7ff, functionMask: 1 << 14, enable: 1 << 15, barMask: 7 } as const;
export const ExpressCapability = { deviceCapabilities: 4, deviceControl: 8, canReset: 1 << 28, reset: 1 << 15 } as const;

/** A header holds at most this many capabilities: the list of a broken device may be a circle. */
const maxCapabilities = 48;

const statusHasCapabilities = 1 << 4;
const barRegisters = 6;

/** Type 0 header, of a function that is not a bridge. */
const plainHeader = 0;

/** Raw, unfiltered configuration space of the function 0 in a slot of bus 0: the platform's own. */
export function configAccess(ports: PortAccess, slot: number): PciConfigAccess {
  const place = (offset: number): number => {
    ports.writePort(configAddressPort, 32, enableBit + slot * 0x800 + (offset & 0xfc));
    return configDataPort + (offset & 3);
  };
  return {
    read: (offset, width) => ports.readPort(place(offset), width),
    write: (offset, width, value) => ports.writePort(place(offset), width, value),
  };
}

/** A function that answers, and where its capabilities are. */
export interface FoundFunction {
  readonly identity: PciIdentity;
  /** Offset in configuration space by capability identity. */
  readonly capabilities: ReadonlyMap<number, number>;
}

/** Undefined when nobody answers. Leaves the function with decoding and bus mastering off, its base addresses undefined. */
export function probeFunction(config: PciConfigAccess): FoundFunction | undefined {
  if (config.read(PciConfig.vendorId, 16) === nobody) return undefined;
  config.write(PciConfig.command, 16, 0);
  const capabilities = findCapabilities(config);
  const classAndRevision = config.read(PciConfig.revision, 32);
  const isPlain = (config.read(PciConfig.headerType, 8) & 0x7f) === plainHeader;
  const express = capabilities.get(PciCapability.express);
  return {
    capabilities,
    identity: {
      vendorId: config.read(PciConfig.vendorId, 16), deviceId: config.read(PciConfig.deviceId, 16),
      classCode: classAndRevision >>> 8, revision: classAndRevision & 0xff,
      subsystemVendorId: config.read(PciConfig.subsystemVendorId, 16), subsystemId: config.read(PciConfig.subsystemId, 16),
      bars: isPlain ? sizeBars(config) : [],
      interruptPin: config.read(PciConfig.interruptPin, 8),
      ...findMsix(config, capabilities.get(PciCapability.msix)),
      functionReset: express !== undefined && (config.read(express + ExpressCapability.deviceCapabilities, 32) & ExpressCapability.canReset) !== 0,
    },
  };
}

/** What differs, in words; none when it is who it should be. */
export function identityDifferences(found: PciIdentity, expected: PciIdentity): string[] {
  const flat = (identity: PciIdentity): Record<string, string> => ({
    ...Object.fromEntries(Object.entries(identity).filter(([, value]) => typeof value === "number").map(([name, value]) => [name, `0x${(value as number).toString(16)}`])),
    bars: identity.bars.map(barText).join(" ") || "none",
    msix: identity.msix === undefined ? "none" : Object.values(identity.msix).join("/"),
    functionReset: String(identity.functionReset),
  });
  const [is, wanted] = [flat(found), flat(expected)];
  return Object.keys(wanted).filter((name) => is[name] !== wanted[name]).map((name) => `${name} is ${is[name]}, not ${wanted[name]}`);
}

function barText({ index, kind, sizeBytes, is64Bit, prefetchable }: PciBar): string {
  return `bar${index}:${kind}${is64Bit === true ? "64" : ""}${prefetchable === true ? "p" : ""}:0x${sizeBytes.toString(16)}`;
}

function findCapabilities(config: PciConfigAccess): Map<number, number> {
  const found = new Map<number, number>();
  if ((config.read(PciConfig.status, 16) & statusHasCapabilities) === 0) return found;
  let at = config.read(PciConfig.capabilities, 8) & 0xfc;
  for (let count = 0; at >= 0x40 && at < pciConfigBytes && count < maxCapabilities; count++) {
    const header = config.read(at, 16);
    if (!found.has(header & 0xff)) found.set(header & 0xff, at);
    at = (header >>> 8) & 0xfc;
  }
  return found;
}

/** Ones are written to each base address; the bits that stay 0 are its size. */
function sizeBars(config: PciConfigAccess): PciBar[] {
  const bars: PciBar[] = [];
  const size = (index: number): number => {
    config.write(PciConfig.bar0 + index * 4, 32, 0xffff_ffff);
    return config.read(PciConfig.bar0 + index * 4, 32);
  };
  for (let index = 0; index < barRegisters; index++) {
    const low = size(index);
    if (low === 0) continue;
    if ((low & 1) !== 0) {
      // Ports are 16 bits; what a function says of the upper half means nothing here.
      bars.push({ index, kind: "port", sizeBytes: 0x1_0000 - (low & 0xfffc) });
      continue;
    }
    const is64Bit = (low & 6) === 4;
    const high = is64Bit ? size(index + 1) : 0xffff_ffff;
    // Of 4 GiB and more, which nobody here has, only the order of size is kept: a number does not hold it exactly.
    const below4Gib = 2 ** 32 - ((low & ~15) >>> 0);
    bars.push({
      index, kind: "mmio", sizeBytes: high === 0xffff_ffff ? below4Gib : 2 ** 64 - high * 2 ** 32,
      ...(is64Bit ? { is64Bit } : {}), ...((low & 8) === 0 ? {} : { prefetchable: true }),
    });
    if (is64Bit) index++;
  }
  return bars;
}

function findMsix(config: PciConfigAccess, at: number | undefined): Pick<PciIdentity, "msix"> {
  if (at === undefined) return {};
  const table = config.read(at + MsixCapability.table, 32);
  const pending = config.read(at + MsixCapability.pending, 32);
  const { barMask } = MsixCapability;
  // Both in one BAR with all devices here; a function with them apart would be refused by its identity.
  return { msix: {
    vectors: (config.read(at + MsixCapability.control, 16) & MsixCapability.sizeMask) + 1, bar: table & barMask,
    tableOffset: (table & ~barMask) >>> 0, pendingOffset: (pending & ~barMask) >>> 0,
  } };
}

/** Decoding of a function's base addresses, without bus mastering. */
export const decodeOnly = PciCommand.ioSpace | PciCommand.memorySpace;
