/** The 82540EM's internal PHY behind MDIC: auto-negotiation and link. Source: 317453, chapter 8 and 13.4.7; IEEE 802.3 clause 22. */
import type { Clock } from "../api/clock.ts";
import { Mdic } from "./e1000-registers.ts";

/** The PHY's address on its management bus. */
const phyAddress = 1;

/**
 * How long auto-negotiation takes. Real links need 1.5 to 3 s, and drivers that look for one in vain look again after seconds: this is
 * shorter than the time from a PHY's reset to the first look of any of them, and not nothing, so that one which never looks is noticed.
 */
export const negotiationMicros = 200;

/** Registers (8.7; names of IEEE 802.3). */
const Phy = {
  control: 0, status: 1, id1: 2, id2: 3, advertise: 4, partner: 5, expansion: 6, nextPage: 7, gigabitControl: 9, gigabitStatus: 10, extended: 15,
  specificControl: 16, specificStatus: 17, interruptEnable: 18, interruptStatus: 19, extendedControl: 20,
} as const;

const Control = { reset: 1 << 15, loopback: 1 << 14, negotiate: 1 << 12, powerDown: 1 << 11, isolate: 1 << 10, restart: 1 << 9 } as const;
const StatusBit = { negotiated: 1 << 5, link: 1 << 2 } as const;

/** What the registers hold after a reset: 10, 100 and 1000 Mb/s full and half duplex are offered, auto-negotiation is on. */
const resetValues: readonly (readonly [number, number])[] = [
  [Phy.control, 0x1140], [Phy.advertise, 0x0de1], [Phy.nextPage, 0x2001], [Phy.gigabitControl, 0x0e00], [Phy.specificControl, 0x0360],
  [Phy.extendedControl, 0x0d60],
];
const writable = new Set<number>([
  Phy.control, Phy.advertise, Phy.nextPage, Phy.gigabitControl, Phy.specificControl, Phy.interruptEnable, Phy.extendedControl,
]);
/** Marvell 88E1011, revision 0. */
const id1 = 0x0141;
const id2 = 0x0c20;

export class E1000Phy {
  readonly #clock: Clock;
  readonly #linkChanged: (up: boolean) => void;
  readonly #registers = new Uint16Array(32);
  #mdic = 0;
  #carrier = false;
  #link = false;
  /** Link status as IEEE 802.3 22.2.4.2.13 wants it: a failure is kept until it was read. */
  #linkLost = false;
  #cancel: (() => void) | undefined;

  constructor(clock: Clock, linkChanged: (up: boolean) => void) {
    this.#clock = clock;
    this.#linkChanged = linkChanged;
    for (const [register, value] of resetValues) this.#registers[register] = value;
  }

  get link(): boolean { return this.#link; }
  get loopback(): boolean { return (this.#registers[Phy.control]! & Control.loopback) !== 0; }

  setCarrier(up: boolean): void {
    if (up === this.#carrier) return;
    this.#carrier = up;
    this.#negotiate();
  }

  /** Power-on, long enough ago that the link has settled. */
  settle(): void {
    this.#load();
    this.#stop();
    this.#linkLost = false;
    this.#setLink(this.#carrier);
    this.#linkLost = false;
  }

  /** The PHY's reset by CTRL or its own control register: it negotiates anew. */
  reset(): void {
    this.#load();
    this.#negotiate();
  }

  /** CTRL.RST: the management interface only; the PHY stays as it is. */
  resetInterface(): void {
    this.#mdic = 0;
  }

  readMdic(): number {
    return this.#mdic;
  }

  /** Performs the operation at once. True when the driver wants MDAC for it. */
  writeMdic(value: number): boolean {
    const register = (value >>> Mdic.registerShift) & Mdic.field;
    const operation = value & Mdic.operation;
    const mine = ((value >>> Mdic.phyShift) & Mdic.field) === phyAddress;
    let result = value & ~(Mdic.ready | Mdic.error);
    if (!mine || (operation !== Mdic.read && operation !== Mdic.write)) result |= Mdic.error;
    else if (operation === Mdic.read) result = (result & ~Mdic.data) | this.#read(register);
    else this.#write(register, value & Mdic.data);
    this.#mdic = (result | Mdic.ready) >>> 0;
    return (value & Mdic.interrupt) !== 0;
  }

  #read(register: number): number {
    switch (register) {
      case Phy.status: return this.#readStatus();
      case Phy.id1: return id1;
      case Phy.id2: return id2;
      case Phy.partner: return this.#link ? 0x45e1 : 0;
      case Phy.expansion: return this.#link ? 0x0003 : 0x0004;
      case Phy.gigabitStatus: return this.#link ? 0x3c00 : 0;
      case Phy.extended: return 0x3000;
      // 1000 Mb/s, full duplex, resolved, link (8.7, register 17).
      case Phy.specificStatus: return this.#link ? 0xac00 : 0x8000;
      default: return this.#registers[register]!;
    }
  }

  /** Abilities 10/100 half and full, extended status, auto-negotiation, preamble suppression, extended registers. */
  #readStatus(): number {
    const up = this.#link && !this.#linkLost;
    this.#linkLost = false;
    return 0x7949 | (this.#link ? StatusBit.negotiated : 0) | (up ? StatusBit.link : 0);
  }

  #write(register: number, value: number): void {
    if (!writable.has(register)) return;
    if (register !== Phy.control) {
      this.#registers[register] = value;
      return;
    }
    if ((value & Control.reset) !== 0) return this.reset();
    const before = this.#registers[Phy.control]!;
    this.#registers[Phy.control] = value & ~(Control.reset | Control.restart);
    const restarted = (value & Control.restart) !== 0 && (value & Control.negotiate) !== 0;
    const power = ((value ^ before) & (Control.powerDown | Control.isolate)) !== 0;
    if (restarted || power) this.#negotiate();
  }

  /** The link goes, and comes back after the time it takes if there is a partner. */
  #negotiate(): void {
    this.#stop();
    this.#setLink(false);
    const off = (this.#registers[Phy.control]! & (Control.powerDown | Control.isolate)) !== 0;
    if (!this.#carrier || off) return;
    this.#cancel = this.#clock.setTimer(negotiationMicros, () => {
      this.#cancel = undefined;
      this.#setLink(true);
    });
  }

  #setLink(up: boolean): void {
    if (up === this.#link) return;
    this.#link = up;
    if (!up) this.#linkLost = true;
    this.#linkChanged(up);
  }

  #load(): void {
    this.#registers.fill(0);
    for (const [register, value] of resetValues) this.#registers[register] = value;
    this.#mdic = 0;
  }

  #stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }
}
