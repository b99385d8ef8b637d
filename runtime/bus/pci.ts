/** PCI: addresses, identities, and the registers of configuration space. Source: PCI Local Bus Specification 3.0, chapter 6. */

/** "bus:device.function" in hexadecimal: "00:04.0". */
export type PciAddress = string;

/** One base address register's window. */
export interface PciBar {
  /** Number of the register, 0 to 5. */
  readonly index: number;
  readonly kind: "mmio" | "port";
  /** A power of two. */
  readonly sizeBytes: number;
  /** A 64-bit register takes two numbers. */
  readonly is64Bit?: boolean;
  readonly prefetchable?: boolean;
}

/** What a function's configuration space says it is. */
export interface PciIdentity {
  readonly vendorId: number;
  readonly deviceId: number;
  /** Base class, sub-class, programming interface: 0x010802 is NVMe. */
  readonly classCode: number;
  readonly revision: number;
  readonly subsystemVendorId: number;
  readonly subsystemId: number;
  readonly bars: readonly PciBar[];
  /** The INTx pin, 1 to 4 for INTA# to INTD#; 0 for none. */
  readonly interruptPin: number;
  /** Present when it has MSI-X: its vectors, and where their table and pending bits lie. */
  readonly msix?: { readonly vectors: number; readonly bar: number; readonly tableOffset: number; readonly pendingOffset: number };
  /** Whether it can be reset by itself (function-level reset, PCI Express 2.0, 6.6.2). */
  readonly functionReset: boolean;
  /**
   * Registers beyond the header and outside of every capability that belong to the device's own function, as its data sheet says:
   * whoever is granted `config` reaches these too, and nothing else there.
   */
  readonly deviceRegisters?: readonly PciDeviceRegister[];
}

/** One register of the device's own in configuration space. */
export interface PciDeviceRegister {
  readonly offset: number;
  readonly sizeBytes: 1 | 2 | 4;
}

const addressPattern = /^([0-9a-f]{2}):([01][0-9a-f])\.([0-7])$/;

export interface PciLocation {
  readonly bus: number;
  readonly device: number;
  readonly function: number;
}

/** The parts of an address; undefined when it is none. */
export function parsePciAddress(address: PciAddress): PciLocation | undefined {
  const match = addressPattern.exec(address);
  if (match === null) return undefined;
  return { bus: Number.parseInt(match[1]!, 16), device: Number.parseInt(match[2]!, 16), function: Number(match[3]) };
}

export function pciAddressText({ bus, device, function: fn }: PciLocation): PciAddress {
  return `${bus.toString(16).padStart(2, "0")}:${device.toString(16).padStart(2, "0")}.${fn}`;
}

/** Offsets in configuration space (6.1, figure 6-1). */
export const PciConfig = {
  vendorId: 0x00, deviceId: 0x02, command: 0x04, status: 0x06, revision: 0x08, classCode: 0x09, cacheLineSize: 0x0c, latencyTimer: 0x0d,
  headerType: 0x0e, bar0: 0x10, subsystemVendorId: 0x2c, subsystemId: 0x2e, expansionRom: 0x30, capabilities: 0x34, interruptLine: 0x3c,
  interruptPin: 0x3d,
} as const;

/** Bits of the command register (6.2.2). */
export const PciCommand = {
  ioSpace: 1 << 0, memorySpace: 1 << 1, busMaster: 1 << 2, writeInvalidate: 1 << 4, parityError: 1 << 6, serr: 1 << 8, interruptDisable: 1 << 10,
} as const;

export const pciConfigBytes = 256;
/** Below this offset the specification says what registers are; above it the capabilities and the device do. */
export const pciHeaderBytes = 64;
