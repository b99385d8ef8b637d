/** RTL8139C Fast Ethernet controller. Source: Realtek RTL8139C(L) data sheet, chapters 5 to 7. */
import type { DeviceDescription, Model, ModelDefinition, ModelEnvironment } from "../bus/device.ts";
import type { NetworkPeer } from "../bus/network-peer.ts";
import type { PciIdentity } from "../bus/pci.ts";
import type { RegisterSpace } from "../bus/register-space.ts";
import { Eeprom93c46, eepromWords } from "./eeprom-93c46.ts";
import { macAddress } from "./mac-address.ts";
import { Rtl8139Interrupts } from "./rtl8139-interrupts.ts";
import { Rtl8139Phy } from "./rtl8139-phy.ts";
import { Rtl8139Receiver } from "./rtl8139-receiver.ts";
import { Cr, Cr9346, Isr, Reg, windowBytes } from "./rtl8139-registers.ts";
import { Rtl8139Transmitter } from "./rtl8139-transmitter.ts";

const vendorId = 0x10ec;
const deviceId = 0x8139;
/** What the first word of the EEPROM holds when it is one of this card's (6.1). */
const eepromMark = 0x8129;
const eepromMacWord = 7;

/** Registers by offset and bytes; every other byte of the window is reserved and reads 0. */
const layout: readonly (readonly [number, number])[] = [
  ...bytesOf(Reg.IDR0, 6), ...bytesOf(Reg.MAR0, 8),
  ...[0, 4, 8, 12].flatMap((at) => [[Reg.TSD0 + at, 4], [Reg.TSAD0 + at, 4]] as const),
  [Reg.RBSTART, 4], [Reg.ERBCR, 2], [Reg.ERSR, 1], [Reg.CR, 1], [Reg.CAPR, 2], [Reg.CBR, 2], [Reg.IMR, 2], [Reg.ISR, 2],
  [Reg.TCR, 4], [Reg.RCR, 4], [Reg.TCTR, 4], [Reg.MPC, 4], [Reg.CR9346, 1], [Reg.CONFIG0, 1], [Reg.CONFIG1, 1], [Reg.TIMER, 4],
  [Reg.MSR, 1], [Reg.CONFIG3, 1], [Reg.CONFIG4, 1], [Reg.MULINT, 2], [Reg.RERID, 1], [Reg.TSAD, 2], [Reg.BMCR, 2], [Reg.BMSR, 2],
  [Reg.ANAR, 2], [Reg.ANLPAR, 2], [Reg.ANER, 2], [Reg.DIS, 2], [Reg.FCSC, 2], [Reg.NWAYTR, 2], [Reg.REC, 2], [Reg.CSCR, 2],
  [Reg.PHY1, 4], [Reg.TWISTER, 4], [Reg.PHY2, 1], [Reg.CONFIG5, 1],
];
/** Byte of the window to the offset of its register, and register to its bytes. */
const registerAt = new Map(layout.flatMap(([offset, sizeBytes]) => Array.from({ length: sizeBytes }, (_, at) => [offset + at, offset] as const)));
const sizeOf = new Map(layout);

/** Registers that only keep what is written: writable bits, value after power-on, and whether they are locked by 9346CR (5.13). */
const plainRegisters = new Map<number, { readonly mask: number; readonly value: number; readonly locked: boolean }>([
  [Reg.CONFIG1, { mask: 0xff, value: 0x0d, locked: true }], [Reg.CONFIG3, { mask: 0xff, value: 0x01, locked: true }],
  [Reg.CONFIG4, { mask: 0xff, value: 0, locked: true }], [Reg.CONFIG5, { mask: 0xff, value: 0, locked: true }],
  [Reg.MULINT, { mask: 0x0fff, value: 0, locked: false }], [Reg.PHY1, { mask: 0xffff_ffff, value: 0x60f6_0c59, locked: false }],
  [Reg.TWISTER, { mask: 0xffff_ffff, value: 0x7b73_2660, locked: false }], [Reg.PHY2, { mask: 0xff, value: 0xdb, locked: false }],
]);

class Rtl8139 implements Model {
  readonly spaces: Readonly<Record<string, RegisterSpace>>;
  readonly #mac: Uint8Array;
  readonly #peer: NetworkPeer;
  readonly #interrupts: Rtl8139Interrupts;
  readonly #phy: Rtl8139Phy;
  readonly #eeprom: Eeprom93c46;
  readonly #receiver: Rtl8139Receiver;
  readonly #transmitter: Rtl8139Transmitter;
  readonly #plain = new Map<number, number>();
  #eepromControl = 0;
  readonly #counters = { framesReceived: 0, framesTransmitted: 0, noLinkFrames: 0, resets: 0 };

  constructor(description: DeviceDescription, environment: ModelEnvironment) {
    const { clock, dma } = environment;
    this.#mac = macAddress(description);
    this.#peer = environment.network;
    this.#interrupts = new Rtl8139Interrupts(clock, environment.irq("intx"));
    this.#phy = new Rtl8139Phy(() => this.#interrupts.set(Isr.linkChange));
    this.#eeprom = new Eeprom93c46(eepromOf(this.#mac));
    this.#receiver = new Rtl8139Receiver(dma, this.#interrupts, this.#mac);
    this.#transmitter = new Rtl8139Transmitter(dma, this.#interrupts, (frame) => this.#transmitted(frame));
    const registers: RegisterSpace = {
      read: (offset, width) => this.#readBytes(offset, width / 8),
      write: (offset, width, value) => this.#writeBytes(offset, width / 8, value),
    };
    this.spaces = { bar0: registers, bar1: registers };
    this.#peer.connect({
      send: (frame) => this.#arrived(frame),
      hasRoom: () => !this.#phy.link || this.#receiver.askRoom(),
      setCarrier: (up) => this.#phy.setCarrier(up),
    });
    this.reset();
  }

  /** Power-on. */
  reset(): void {
    this.#phy.powerOn();
    this.#eepromControl = 0;
    this.#eeprom.reset();
    this.#receiver.multicast.fill(0);
    for (const [register, { value }] of plainRegisters) this.#plain.set(register, value);
    this.#loadAddress();
    this.#resetChip();
  }

  statistics(): Readonly<Record<string, number>> {
    return {
      ...this.#counters, filteredFrames: this.#receiver.filteredFrames, lostFrames: this.#receiver.lostFrames,
      spoiledFrames: this.#transmitter.spoiledFrames, interrupts: this.#interrupts.raised,
    };
  }

  /** CR.RST (5.7): everything but the addresses, the configuration and the PHY. */
  #resetChip(): void {
    this.#transmitter.reset();
    this.#receiver.reset();
    this.#interrupts.reset();
  }

  #loadAddress(): void {
    this.#receiver.address.set(this.#mac);
  }

  /** Any width at any offset, put together from the registers it touches: reading changes none. */
  #readBytes(offset: number, sizeBytes: number): number {
    if (sizeOf.get(offset) === sizeBytes) return this.#read(offset);
    let value = 0;
    for (let at = 0; at < sizeBytes; at++) {
      const register = registerAt.get(offset + at);
      if (register === undefined) continue;
      const byte = Math.floor(this.#read(register) / 2 ** (8 * (offset + at - register))) & 0xff;
      value += byte * 2 ** (8 * at);
    }
    return value;
  }

  /** Each register that is touched is written once, with its own bytes where the access has none. */
  #writeBytes(offset: number, sizeBytes: number, value: number): void {
    if (sizeOf.get(offset) === sizeBytes) return this.#write(offset, value);
    for (let at = 0; at < sizeBytes;) {
      const register = registerAt.get(offset + at);
      if (register === undefined) {
        at++;
        continue;
      }
      const skipped = offset + at - register;
      const count = Math.min(sizeBytes - at, sizeOf.get(register)! - skipped);
      const mask = (2 ** (8 * count) - 1) * 2 ** (8 * skipped);
      const bits = (Math.floor(value / 2 ** (8 * at)) % 2 ** (8 * count)) * 2 ** (8 * skipped);
      // Ones clear: bytes that are not written must not.
      const kept = register === Reg.ISR ? 0 : (this.#read(register) & ~mask) >>> 0;
      this.#write(register, kept + bits);
      at += count;
    }
  }

  #read(register: number): number {
    const { address, multicast } = this.#receiver;
    if (register < Reg.IDR0 + address.length) return address[register]!;
    if (register >= Reg.MAR0 && register < Reg.TSD0) return multicast[register - Reg.MAR0]!;
    if (register >= Reg.TSD0 && register < Reg.TSAD0) return this.#transmitter.status((register - Reg.TSD0) >> 2);
    if (register >= Reg.TSAD0 && register < Reg.RBSTART) return this.#transmitter.address((register - Reg.TSAD0) >> 2);
    switch (register) {
      case Reg.RBSTART: return this.#receiver.start;
      case Reg.CR: return this.#command();
      case Reg.CAPR: return this.#receiver.readPointer;
      case Reg.CBR: return this.#receiver.writePointer;
      case Reg.IMR: return this.#interrupts.mask;
      case Reg.ISR: return this.#interrupts.status;
      case Reg.TCR: return this.#transmitter.control;
      case Reg.RCR: return this.#receiver.control;
      case Reg.TCTR: return this.#interrupts.counter;
      case Reg.TIMER: return this.#interrupts.compare;
      case Reg.MPC: return this.#receiver.missed;
      case Reg.CR9346: return this.#eepromControl | (this.#eeprom.dataOut ? Cr9346.dataOut : 0);
      case Reg.TSAD: return this.#transmitter.summary;
      default: return this.#phy.read(register) ?? this.#plain.get(register) ?? 0;
    }
  }

  #write(register: number, value: number): void {
    const { address, multicast } = this.#receiver;
    if (register < Reg.IDR0 + address.length) address[register] = value;
    else if (register >= Reg.MAR0 && register < Reg.TSD0) multicast[register - Reg.MAR0] = value;
    else if (register >= Reg.TSD0 && register < Reg.TSAD0) this.#transmitter.setStatus((register - Reg.TSD0) >> 2, value);
    else if (register >= Reg.TSAD0 && register < Reg.RBSTART) this.#transmitter.setAddress((register - Reg.TSAD0) >> 2, value);
    else this.#writeOther(register, value);
  }

  #writeOther(register: number, value: number): void {
    switch (register) {
      case Reg.RBSTART: return this.#receiver.setStart(value);
      case Reg.CR: return this.#setCommand(value);
      case Reg.CAPR: return this.#receiver.setReadPointer(value);
      case Reg.IMR: return this.#interrupts.setMask(value);
      case Reg.ISR: return this.#interrupts.clear(value);
      case Reg.TCR: return this.#transmitter.setControl(value);
      case Reg.RCR: return this.#receiver.setControl(value);
      case Reg.TCTR: return this.#interrupts.restartCounter();
      case Reg.TIMER: return this.#interrupts.setCompare(value);
      case Reg.MPC: return this.#receiver.clearMissed();
      case Reg.CR9346: return this.#setEepromControl(value);
    }
    if (this.#phy.write(register, value)) return;
    const plain = plainRegisters.get(register);
    if (plain === undefined || (plain.locked && this.#eepromMode() !== Cr9346.unlocked)) return;
    this.#plain.set(register, (value & plain.mask) >>> 0);
  }

  #command(): number {
    return (this.#transmitter.enabled ? Cr.transmit : 0) | (this.#receiver.enabled ? Cr.receive : 0) | (this.#receiver.isEmpty ? Cr.empty : 0);
  }

  #setCommand(value: number): void {
    if ((value & Cr.reset) !== 0) {
      this.#counters.resets++;
      this.#resetChip();
      return;
    }
    this.#receiver.setEnabled((value & Cr.receive) !== 0);
    this.#transmitter.setEnabled((value & Cr.transmit) !== 0);
  }

  #eepromMode(): number {
    return this.#eepromControl >> Cr9346.modeShift;
  }

  /** The wires reach the EEPROM in programming mode only; loading takes no time here (5.13). */
  #setEepromControl(value: number): void {
    this.#eepromControl = value & ~Cr9346.dataOut;
    if (this.#eepromMode() === Cr9346.autoload) {
      this.#loadAddress();
      this.#eepromControl = 0;
    }
    const programming = this.#eepromMode() === Cr9346.programming;
    this.#eeprom.drive(programming && (value & Cr9346.select) !== 0, (value & Cr9346.clock) !== 0, (value & Cr9346.dataIn) !== 0);
  }

  #transmitted(frame: Uint8Array): void {
    if (this.#isLoopback()) this.#receiver.accept(frame);
    else if (this.#phy.link) {
      this.#counters.framesTransmitted++;
      this.#peer.receive(frame);
    } else this.#counters.noLinkFrames++;
  }

  #arrived(frame: Uint8Array): boolean {
    if (!this.#phy.link || this.#isLoopback()) return false;
    this.#counters.framesReceived++;
    return this.#receiver.accept(frame);
  }

  #isLoopback(): boolean {
    return this.#transmitter.isLoopback || this.#phy.loopback;
  }
}

function bytesOf(offset: number, count: number): (readonly [number, number])[] {
  return Array.from({ length: count }, (_, at) => [offset + at, 1] as const);
}

/** The EEPROM's contents as far as drivers look at them (6.1). */
function eepromOf(mac: Uint8Array): Uint16Array {
  const words = new Uint16Array(eepromWords);
  words.set([eepromMark, vendorId, deviceId, vendorId, deviceId]);
  for (let at = 0; at < 3; at++) words[eepromMacWord + at] = mac[2 * at]! | (mac[2 * at + 1]! << 8);
  return words;
}

const pci: PciIdentity = {
  vendorId, deviceId, classCode: 0x02_00_00, revision: 0x10, subsystemVendorId: vendorId, subsystemId: deviceId,
  bars: [{ index: 0, kind: "port", sizeBytes: windowBytes }, { index: 1, kind: "mmio", sizeBytes: windowBytes }],
  interruptPin: 1, functionReset: false,
};

const rtl8139: ModelDefinition = {
  compatible: ["rtl8139"],
  pci,
  create: (description, environment) => new Rtl8139(description, environment),
};

export default rtl8139;
