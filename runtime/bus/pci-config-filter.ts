/** The configuration space a driver sees: identity read-only, base addresses virtual, the command register limited, capabilities hidden. */
import type { AccessWidth } from "../api/grants.ts";
import { type PciBar, PciCommand, PciConfig, type PciIdentity, pciConfigBytes } from "./pci.ts";
import type { RegisterSpace } from "./register-space.ts";

/** The real function's configuration space, as the platform reaches it: aligned 8-, 16- and 32-bit accesses. */
export interface PciConfigAccess {
  read(offset: number, width: AccessWidth): number;
  write(offset: number, width: AccessWidth, value: number): void;
}

/** Command bits a driver changes in the real register: decoding and its own INTx. The rest is the I/O manager's. */
const driverCommandBits = PciCommand.ioSpace | PciCommand.memorySpace | PciCommand.interruptDisable;

/** Status bits that tell of errors and are cleared by writing ones (6.2.3). The capabilities bit reads 0: the list is hidden. */
const statusErrorBits = 0xf900;

const barRegisters = 6;

/**
 * Every register is one of: constant (identity), virtual (base addresses, which drivers may size and move without the device
 * noticing), limited (command), passed on (status errors), or hidden (reads 0, writes dropped): MSI and MSI-X, power
 * management and the vendor's own capabilities would let a driver aim its device's interrupts, turn it off, or worse.
 */
export class ConfigFilter implements RegisterSpace {
  readonly #access: PciConfigAccess;
  readonly #identity: PciIdentity;
  /** What the driver wrote to its base addresses. */
  readonly #bars = new Uint32Array(barRegisters);
  #interruptLine = 0;
  #cacheLineSize = 0;
  #latencyTimer = 0;
  /** What the driver thinks of bus mastering: it may set the bit and read it back; the real one is the I/O manager's. */
  #wantsBusMaster = false;

  constructor(access: PciConfigAccess, identity: PciIdentity) {
    this.#access = access;
    this.#identity = identity;
    for (const bar of identity.bars) this.#writeBar(bar.index, 0);
  }

  read(offset: number, width: AccessWidth): number {
    const start = offset & ~3;
    const value = this.#readDword(start);
    const shifted = value >>> ((offset & 3) * 8);
    return width === 32 ? shifted >>> 0 : shifted & (width === 16 ? 0xffff : 0xff);
  }

  write(offset: number, width: AccessWidth, value: number): void {
    const start = offset & ~3;
    const shift = (offset & 3) * 8;
    const mask = width === 32 ? 0xffff_ffff : (((width === 16 ? 0xffff : 0xff) << shift) >>> 0);
    this.#writeDword(start, (value << shift) >>> 0, mask);
  }

  #readDword(offset: number): number {
    const id = this.#identity;
    if (offset >= pciConfigBytes) return 0;
    switch (offset) {
      case PciConfig.vendorId: return ((id.deviceId << 16) | id.vendorId) >>> 0;
      case PciConfig.command: return ((this.#readStatus() << 16) | this.#readCommand()) >>> 0;
      case PciConfig.revision: return ((id.classCode << 8) | id.revision) >>> 0;
      case PciConfig.cacheLineSize: return (this.#latencyTimer << 8) | this.#cacheLineSize;
      case PciConfig.subsystemVendorId: return ((id.subsystemId << 16) | id.subsystemVendorId) >>> 0;
      case PciConfig.interruptLine: return (id.interruptPin << 8) | this.#interruptLine;
    }
    const bar = (offset - PciConfig.bar0) / 4;
    return bar >= 0 && bar < barRegisters ? this.#bars[bar]! : 0;
  }

  #writeDword(offset: number, value: number, mask: number): void {
    const has = (shift: number): boolean => ((mask >>> shift) & 0xff) !== 0;
    if (offset === PciConfig.command) {
      if (has(0) || has(8)) this.#writeCommand(value & 0xffff, mask & 0xffff);
      if (has(16) || has(24)) this.#access.write(PciConfig.status, 16, (value >>> 16) & (mask >>> 16) & statusErrorBits);
    } else if (offset === PciConfig.cacheLineSize) {
      if (has(0)) this.#cacheLineSize = value & 0xff;
      if (has(8)) this.#latencyTimer = (value >>> 8) & 0xff;
    } else if (offset === PciConfig.interruptLine) {
      if (has(0)) this.#interruptLine = value & 0xff;
    } else {
      const bar = (offset - PciConfig.bar0) / 4;
      if (bar >= 0 && bar < barRegisters) this.#writeBar(bar, ((this.#bars[bar]! & ~mask) | (value & mask)) >>> 0);
    }
  }

  #readCommand(): number {
    const real = this.#access.read(PciConfig.command, 16) & driverCommandBits;
    return this.#wantsBusMaster ? real | PciCommand.busMaster : real;
  }

  #readStatus(): number {
    return this.#access.read(PciConfig.status, 16) & statusErrorBits;
  }

  #writeCommand(value: number, mask: number): void {
    if ((mask & PciCommand.busMaster) !== 0) this.#wantsBusMaster = (value & PciCommand.busMaster) !== 0;
    const bits = mask & driverCommandBits;
    const real = this.#access.read(PciConfig.command, 16);
    this.#access.write(PciConfig.command, 16, (real & ~bits) | (value & bits));
  }

  /** A base address holds what is written but for the bits below its size, which say what it is (6.2.5.1). */
  #writeBar(index: number, value: number): void {
    const bar = this.#identity.bars.find((one) => one.index === index);
    const upper = this.#identity.bars.find((one) => one.is64Bit === true && one.index === index - 1);
    if (bar !== undefined) this.#bars[index] = ((value & ~(bar.sizeBytes - 1)) | typeBits(bar)) >>> 0;
    else this.#bars[index] = upper === undefined ? 0 : value;
  }
}

function typeBits(bar: PciBar): number {
  if (bar.kind === "port") return 1;
  return (bar.is64Bit === true ? 4 : 0) | (bar.prefetchable === true ? 8 : 0);
}
