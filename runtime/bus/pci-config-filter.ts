/** The configuration space a driver sees: identity read-only, base addresses virtual, the command register limited, capabilities hidden, the device's own registers passed on. */
import type { AccessWidth } from "../api/grants.ts";
import { type PciBar, PciCommand, PciConfig, type PciIdentity, pciConfigBytes, pciHeaderBytes } from "./pci.ts";
import type { RegisterSpace } from "./register-space.ts";

/** The real function's configuration space, as the platform reaches it: aligned 8-, 16- and 32-bit accesses. */
export interface PciConfigAccess {
  read(offset: number, width: AccessWidth): number;
  write(offset: number, width: AccessWidth, value: number): void;
}

/** Command bits a driver changes in the real register: decoding and its own INTx. The rest is the I/O manager's. */
const driverCommandBits = PciCommand.ioSpace | PciCommand.memorySpace | PciCommand.interruptDisable;

/**
 * Command bits a driver may set and read back, as it could in a device that has them, and that stay as they are in the real one:
 * bus mastering is the I/O manager's, errors are the platform's, and memory write and invalidate needs a cache line size.
 */
const believedCommandBits = PciCommand.busMaster | PciCommand.writeInvalidate | PciCommand.parityError | PciCommand.serr;

/** Status bits that tell of errors and are cleared by writing ones (6.2.3). The capabilities bit reads 0: the list is hidden. */
const statusErrorBits = 0xf900;
/** Whether the function asserts its INTx, whatever the command register lets through (6.2.3). Read only. */
const statusInterrupt = 1 << 3;

const barRegisters = 6;

/**
 * Every register is one of: constant (identity), virtual (base addresses, which drivers may size and move without the device
 * noticing), limited (command), passed on (status errors, the device's own registers), or hidden (reads 0, writes dropped):
 * MSI and MSI-X, power management and the vendor's own capabilities would let a driver aim its device's interrupts, turn it
 * off, or worse. What lies beyond the header is hidden, but for the registers that the identity names: who the device is, is
 * said by the platform's own files, never by a driver's package.
 */
export class ConfigFilter implements RegisterSpace {
  readonly #access: PciConfigAccess;
  readonly #identity: PciIdentity;
  /** What the driver wrote to its base addresses. */
  readonly #bars = new Uint32Array(barRegisters);
  #interruptLine = 0;
  #cacheLineSize = 0;
  #latencyTimer = 0;
  /** Command bits as the driver wrote them, that the device never sees. */
  #believed = 0;

  /** @throws RangeError for an identity whose own registers lie in the header: a mistake in the platform's files */
  constructor(access: PciConfigAccess, identity: PciIdentity) {
    this.#access = access;
    this.#identity = identity;
    for (const { offset, sizeBytes } of identity.deviceRegisters ?? []) {
      const fits = Number.isInteger(offset) && offset >= pciHeaderBytes && offset % sizeBytes === 0 && offset + sizeBytes <= pciConfigBytes;
      if (!fits) throw new RangeError(`a device's own register at ${offset}: those are beyond the header and aligned`);
    }
    for (const bar of identity.bars) this.#writeBar(bar.index, 0);
  }

  read(offset: number, width: AccessWidth): number {
    if (offset >= pciHeaderBytes) return this.#readOwn(offset, width);
    const start = offset & ~3;
    const value = this.#readDword(start);
    const shifted = value >>> ((offset & 3) * 8);
    return width === 32 ? shifted >>> 0 : shifted & (width === 16 ? 0xffff : 0xff);
  }

  write(offset: number, width: AccessWidth, value: number): void {
    if (offset >= pciHeaderBytes) return this.#writeOwn(offset, width, value);
    const start = offset & ~3;
    const shift = (offset & 3) * 8;
    const mask = width === 32 ? 0xffff_ffff : (((width === 16 ? 0xffff : 0xff) << shift) >>> 0);
    this.#writeDword(start, (value << shift) >>> 0, mask);
  }

  #readDword(offset: number): number {
    const id = this.#identity;
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

  /** Beyond the header: the parts of the access that fall on the device's own registers; the rest reads 0. */
  #readOwn(offset: number, width: AccessWidth): number {
    let value = 0;
    for (const part of this.#ownParts(offset, width)) value |= this.#access.read(part.offset, part.width) << ((part.offset - offset) * 8);
    return value >>> 0;
  }

  #writeOwn(offset: number, width: AccessWidth, value: number): void {
    for (const part of this.#ownParts(offset, width)) this.#access.write(part.offset, part.width, truncate(value >>> ((part.offset - offset) * 8), part.width));
  }

  /** As few aligned accesses as there can be: a register of two bytes is read and written as one, also by a driver that asks for four. */
  #ownParts(offset: number, width: AccessWidth): OwnPart[] {
    const parts: OwnPart[] = [];
    for (const register of this.#identity.deviceRegisters ?? []) {
      const end = Math.min(offset + width / 8, register.offset + register.sizeBytes);
      for (let at = Math.max(offset, register.offset); at < end;) {
        const bytes = end - at >= 4 && at % 4 === 0 ? 4 : end - at >= 2 && at % 2 === 0 ? 2 : 1;
        parts.push({ offset: at, width: (bytes * 8) as AccessWidth });
        at += bytes;
      }
    }
    return parts;
  }

  #readCommand(): number {
    return (this.#access.read(PciConfig.command, 16) & driverCommandBits) | this.#believed;
  }

  #readStatus(): number {
    return this.#access.read(PciConfig.status, 16) & (statusErrorBits | statusInterrupt);
  }

  #writeCommand(value: number, mask: number): void {
    const believed = mask & believedCommandBits;
    this.#believed = (this.#believed & ~believed) | (value & believed);
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

interface OwnPart {
  readonly offset: number;
  readonly width: AccessWidth;
}

function truncate(value: number, width: AccessWidth): number {
  return width === 32 ? value >>> 0 : value & (width === 16 ? 0xffff : 0xff);
}

function typeBits(bar: PciBar): number {
  if (bar.kind === "port") return 1;
  return (bar.is64Bit === true ? 4 : 0) | (bar.prefetchable === true ? 8 : 0);
}
