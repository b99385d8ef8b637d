/** 82540EM Ethernet controller (e1000). Source: Intel PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's Manual (317453). */
import type { AccessWidth } from "../api/grants.ts";
import type { DeviceDescription, Model, ModelDefinition, ModelEnvironment } from "../bus/device.ts";
import type { NetworkPeer } from "../bus/network-peer.ts";
import type { PciIdentity } from "../bus/pci.ts";
import type { RegisterSpace } from "../bus/register-space.ts";
import { E1000Counters } from "./e1000-counters.ts";
import { E1000Eeprom } from "./e1000-eeprom.ts";
import { AddressFilter, isBroadcast } from "./e1000-filter.ts";
import { E1000Interrupts } from "./e1000-interrupts.ts";
import { E1000Phy } from "./e1000-phy.ts";
import { E1000Receiver } from "./e1000-receiver.ts";
import { Cause, Ctrl, Rctl, Reg, Status, rdtrFlush } from "./e1000-registers.ts";
import { E1000Transmitter } from "./e1000-transmitter.ts";
import { macAddress } from "./mac-address.ts";

const windowBytes = 0x2_0000;
const ioBytes = 0x40;

/** CTRL after a reset, as the EEPROM's initialization control words set it: full duplex by negotiation, link wanted. */
const ctrlReset = Ctrl.swdPin2 | Ctrl.swdPin0 | Ctrl.speed1000 | Ctrl.setLinkUp;

/** Registers that only keep what is written: offset, writable bits, value after a reset. */
const plainRegisters: readonly (readonly [number, number, number])[] = [
  [Reg.CTRL_EXT, 0xffff_ffff, 0], [Reg.FCAL, 0xffff_ffff, 0x00c2_8001], [Reg.FCAH, 0xffff, 0x0100], [Reg.FCT, 0xffff, 0x8808],
  [Reg.VET, 0xffff, 0x8100],
  [Reg.FCTTV, 0xffff, 0], [Reg.TXCW, 0xffff_ffff, 0], [Reg.TIPG, 0x3fff_ffff, 0x0060_2006], [Reg.AIT, 0xffff, 0],
  [Reg.LEDCTL, 0xcfcf_cfcf, 0x0706_8302], [Reg.PBA, 0xffff, 0x0030], [Reg.FCRTL, 0x8000_fff8, 0], [Reg.FCRTH, 0x8000_fff8, 0],
  [Reg.RXDCTL, 0x013f_3f3f, 0x0001_0000], [Reg.RSRPD, 0xfff, 0], [Reg.TXDMAC, 1, 0], [Reg.TXDCTL, 0xff3f_3f3f, 0], [Reg.TSPMT, 0xffff_ffff, 0],
  [Reg.RXCSUM, 0x3ff, 0], [Reg.WUC, 0xf, 0], [Reg.WUFC, 0xf_80ff, 0], [Reg.IPAV, 0x1_000f, 0], [Reg.MANC, 0xffff_ffff, 0],
];
const plainMasks = new Map(plainRegisters.map(([offset, mask]) => [offset, mask]));

class E1000 implements Model {
  readonly spaces: Readonly<Record<string, RegisterSpace>>;
  readonly #mac: Uint8Array;
  readonly #peer: NetworkPeer;
  readonly #interrupts: E1000Interrupts;
  readonly #phy: E1000Phy;
  readonly #eeprom: E1000Eeprom;
  readonly #filter = new AddressFilter();
  readonly #statistics = new E1000Counters();
  readonly #receiver: E1000Receiver;
  readonly #transmitter: E1000Transmitter;
  readonly #plain = new Map<number, number>();
  #control = ctrlReset;
  /** IOADDR: which register IODATA is. */
  #ioAddress = 0;
  readonly #counters = { framesReceived: 0, framesTransmitted: 0, noLinkFrames: 0, resets: 0 };

  constructor(description: DeviceDescription, environment: ModelEnvironment) {
    const { clock, dma } = environment;
    this.#mac = macAddress(description);
    this.#peer = environment.network;
    this.#interrupts = new E1000Interrupts(clock, environment.irq("intx"));
    this.#phy = new E1000Phy(clock, () => this.#interrupts.set(Cause.linkChange));
    this.#eeprom = new E1000Eeprom(this.#mac);
    const vlan = { isOn: () => (this.#control & Ctrl.vlanMode) !== 0, type: () => this.#plain.get(Reg.VET)! };
    this.#receiver = new E1000Receiver(dma, this.#interrupts, this.#statistics, this.#filter, vlan);
    this.#transmitter = new E1000Transmitter(clock, dma, this.#interrupts, vlan, (frame) => this.#transmitted(frame));
    this.spaces = {
      bar0: {
        read: (offset, width) => narrow(this.#read(offset & ~3), offset, width),
        write: (offset, width, value) => { if (width === 32) this.#write(offset, value); },
      },
      bar1: {
        read: (offset, width) => narrow(this.#readIo(offset & ~3), offset, width),
        write: (offset, width, value) => { if (width === 32) this.#writeIo(offset, value); },
      },
    };
    this.#peer.connect({
      send: (frame) => this.#arrived(frame),
      hasRoom: () => !this.#linkUp() || this.#receiver.hasRoom,
      setCarrier: (up) => this.#phy.setCarrier(up),
    });
    this.reset();
  }

  /** Power-on, with the link already negotiated when there is one. */
  reset(): void {
    this.#phy.settle();
    this.#filter.clear();
    this.#resetMac();
  }

  statistics(): Readonly<Record<string, number>> {
    return {
      ...this.#counters,
      filteredFrames: this.#receiver.filteredFrames, lostFrames: this.#receiver.lostFrames, spoiledFrames: this.#transmitter.spoiledFrames,
      interrupts: this.#interrupts.raised,
    };
  }

  /** CTRL.RST (13.4.1): everything but the PHY and the tables of the filter. */
  #resetMac(): void {
    this.#transmitter.reset();
    this.#receiver.reset();
    this.#interrupts.reset();
    this.#statistics.reset();
    this.#eeprom.reset();
    this.#phy.resetInterface();
    this.#filter.reset(this.#mac);
    this.#control = ctrlReset;
    this.#ioAddress = 0;
    for (const [offset, , value] of plainRegisters) this.#plain.set(offset, value);
  }

  #read(offset: number): number {
    switch (offset) {
      case Reg.ICR: return this.#interrupts.take();
      case Reg.TDH: return this.#transmitter.ring.head;
      case Reg.TDT: return this.#transmitter.ring.tail;
      case Reg.RDH: return this.#receiver.ring.head;
      case Reg.RDT: return this.#receiver.ring.tail;
      case Reg.STATUS: return this.#readStatus();
      case Reg.CTRL: case Reg.CTRL_ALIAS: return this.#control;
      case Reg.EECD: return this.#eeprom.readControl();
      case Reg.EERD: return this.#eeprom.readRead();
      case Reg.MDIC: return this.#phy.readMdic();
      case Reg.IMS: return this.#interrupts.mask;
      case Reg.ITR: return this.#interrupts.throttle;
      case Reg.RCTL: return this.#receiver.control;
      case Reg.TCTL: return this.#transmitter.control;
      case Reg.RDTR: return this.#interrupts.receiveDelay.delayTicks;
      case Reg.RADV: return this.#interrupts.receiveDelay.absoluteTicks;
      case Reg.TIDV: return this.#interrupts.transmitDelay.delayTicks;
      case Reg.TADV: return this.#interrupts.transmitDelay.absoluteTicks;
      default: return this.#readOther(offset);
    }
  }

  #readOther(offset: number): number {
    const { ring: rx } = this.#receiver;
    const { ring: tx } = this.#transmitter;
    switch (offset) {
      case Reg.RDBAL: return rx.baseLow;
      case Reg.RDBAH: return rx.baseHigh;
      case Reg.RDLEN: return rx.lengthBytes;
      case Reg.TDBAL: return tx.baseLow;
      case Reg.TDBAH: return tx.baseHigh;
      case Reg.TDLEN: return tx.lengthBytes;
    }
    if (offset >= Reg.STATISTICS && offset <= Reg.STATISTICS_LAST) return this.#statistics.read(offset);
    return this.#filter.read(offset) ?? this.#plain.get(offset) ?? 0;
  }

  #write(offset: number, value: number): void {
    switch (offset) {
      case Reg.TDT:
        this.#transmitter.ring.setTail(value);
        return this.#transmitter.run();
      case Reg.RDT:
        this.#receiver.ring.setTail(value);
        return this.#receiver.drain();
      case Reg.ICR: return this.#interrupts.clear(value);
      case Reg.ICS: return this.#interrupts.set(value);
      case Reg.IMS: return this.#interrupts.enable(value);
      case Reg.IMC: return this.#interrupts.disable(value);
      case Reg.ITR: return this.#interrupts.setThrottle(value);
      case Reg.CTRL: case Reg.CTRL_ALIAS: return this.#writeControl(value);
      case Reg.EECD: return this.#eeprom.writeControl(value);
      case Reg.EERD: return this.#eeprom.writeRead(value);
      case Reg.MDIC:
        if (this.#phy.writeMdic(value)) this.#interrupts.set(Cause.mdioDone);
        return;
      case Reg.RCTL: return this.#receiver.setControl(value);
      case Reg.TCTL:
        this.#transmitter.control = value;
        return this.#transmitter.run();
      default: return this.#writeRing(offset, value);
    }
  }

  #writeRing(offset: number, value: number): void {
    const { ring: rx } = this.#receiver;
    const { ring: tx } = this.#transmitter;
    const { receiveDelay, transmitDelay } = this.#interrupts;
    switch (offset) {
      case Reg.RDBAL: return rx.setBaseLow(value);
      case Reg.RDBAH: return rx.setBaseHigh(value);
      case Reg.RDLEN: return rx.setLength(value);
      case Reg.RDH: return rx.setHead(value);
      case Reg.TDBAL: return tx.setBaseLow(value);
      case Reg.TDBAH: return tx.setBaseHigh(value);
      case Reg.TDLEN: return tx.setLength(value);
      case Reg.TDH: return tx.setHead(value);
      case Reg.RDTR:
        receiveDelay.delayTicks = value & 0xffff;
        if ((value & rdtrFlush) !== 0) receiveDelay.flush();
        return;
      case Reg.RADV: receiveDelay.absoluteTicks = value & 0xffff; return;
      case Reg.TIDV: transmitDelay.delayTicks = value & 0xffff; return;
      case Reg.TADV: transmitDelay.absoluteTicks = value & 0xffff; return;
    }
    const mask = plainMasks.get(offset);
    if (mask !== undefined) this.#plain.set(offset, (value & mask) >>> 0);
    else this.#filter.write(offset, value);
  }

  #writeControl(value: number): void {
    if ((value & Ctrl.reset) !== 0) {
      this.#counters.resets++;
      this.#resetMac();
    } else {
      this.#control = (value & ~(Ctrl.reset | Ctrl.phyReset)) >>> 0;
    }
    if ((value & Ctrl.phyReset) !== 0) this.#phy.reset();
  }

  #readStatus(): number {
    const up = Status.linkUp | Status.speed1000 | Status.asdv1000;
    return Status.fullDuplex | (this.#linkUp() ? up : 0);
  }

  /** The MAC looks at the PHY's link only while SLU says so (13.4.1, SLU). */
  #linkUp(): boolean {
    return this.#phy.link && (this.#control & Ctrl.setLinkUp) !== 0;
  }

  /** IOADDR and IODATA: every register of bar0 through two ports (13.2.2). */
  #readIo(offset: number): number {
    if (offset === 0) return this.#ioAddress;
    return offset === 4 ? this.#read(this.#ioAddress) : 0;
  }

  #writeIo(offset: number, value: number): void {
    if (offset === 0) this.#ioAddress = value & (windowBytes - 4);
    else if (offset === 4) this.#write(this.#ioAddress, value);
  }

  /** A frame leaves the MAC: to the wire, or in loopback to the receiver. */
  #transmitted(frame: Uint8Array): void {
    if (this.#isLoopback()) {
      this.#statistics.transmitted(frame.length, frame[0]!, isBroadcast(frame));
      this.#receiver.accept(frame);
      return;
    }
    if (!this.#linkUp()) {
      this.#counters.noLinkFrames++;
      return;
    }
    this.#counters.framesTransmitted++;
    this.#statistics.transmitted(frame.length, frame[0]!, isBroadcast(frame));
    this.#peer.receive(frame);
  }

  #arrived(frame: Uint8Array): boolean {
    if (!this.#linkUp() || this.#isLoopback()) return false;
    this.#counters.framesReceived++;
    return this.#receiver.accept(frame);
  }

  /** By the MAC or by the PHY (13.4.22, LBM; 8.7). */
  #isLoopback(): boolean {
    return (this.#receiver.control & Rctl.loopback) !== 0 || this.#phy.loopback;
  }
}

/** The part of a register that a narrower read asks for; narrower writes do nothing (13.1). */
function narrow(value: number, offset: number, width: AccessWidth): number {
  if (width === 32) return value;
  return (value >>> ((offset & 3) * 8)) & (width === 8 ? 0xff : 0xffff);
}

const pci: PciIdentity = {
  vendorId: 0x8086, deviceId: 0x100e, classCode: 0x02_00_00, revision: 2, subsystemVendorId: 0x8086, subsystemId: 0x001e,
  bars: [{ index: 0, kind: "mmio", sizeBytes: windowBytes }, { index: 1, kind: "port", sizeBytes: ioBytes }],
  interruptPin: 1, functionReset: false,
};

const e1000: ModelDefinition = {
  compatible: ["e1000", "82540em"],
  pci,
  create: (description, environment) => new E1000(description, environment),
};

export default e1000;
