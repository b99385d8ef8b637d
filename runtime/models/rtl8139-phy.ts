/** The RTL8139C's built-in PHY: link, auto-negotiation, and its registers among the card's. Source: RTL8139C(L) data sheet, 5.18, 5.22 to 5.31. */
import { Bmcr, Bmsr, Msr, Reg } from "./rtl8139-registers.ts";

/** Abilities: 10 and 100 Mb/s, half and full duplex, negotiation. */
const abilities = 0x7808;
const offered = 0x05e1;
const negotiable = Bmcr.negotiate | Bmcr.speed100 | Bmcr.fullDuplex;
/** Analogue settings that keep what is written: offset and value after power-on. */
const plain: readonly (readonly [number, number])[] = [[Reg.NWAYTR, 0], [Reg.CSCR, 0x03c8], [Reg.ANAR, offered]];

export class Rtl8139Phy {
  readonly #linkChanged: () => void;
  readonly #plain = new Map(plain);
  #control: number = negotiable;
  #carrier = false;
  #mediaControl = 0;

  constructor(linkChanged: () => void) {
    this.#linkChanged = linkChanged;
  }

  get link(): boolean { return this.#carrier && (this.#control & Bmcr.powerDown) === 0; }
  get loopback(): boolean { return (this.#control & Bmcr.loopback) !== 0; }

  powerOn(): void {
    this.#control = negotiable;
    this.#mediaControl = 0;
    for (const [register, value] of plain) this.#plain.set(register, value);
  }

  setCarrier(up: boolean): void {
    const before = this.link;
    this.#carrier = up;
    if (this.link !== before) this.#linkChanged();
  }

  /** A register by its offset among the card's; undefined when it is none of the PHY's. */
  read(register: number): number | undefined {
    switch (register) {
      case Reg.BMCR: return this.#control;
      case Reg.BMSR: return abilities | 1 | (this.link ? Bmsr.link | Bmsr.negotiated : 0);
      case Reg.ANLPAR: return this.link ? offered | 0x4000 : 0;
      case Reg.ANER: return this.link ? 1 : 0;
      case Reg.MSR: return this.#mediaControl | (this.link ? 0 : Msr.noLink);
      case Reg.DIS: case Reg.FCSC: case Reg.REC: return 0;
      default: return this.#plain.get(register);
    }
  }

  /** False when the register is none of the PHY's. */
  write(register: number, value: number): boolean {
    if (register === Reg.BMCR) this.#setControl(value);
    else if (register === Reg.MSR) this.#mediaControl = value & Msr.writable;
    else if (this.#plain.has(register)) this.#plain.set(register, value);
    else return this.read(register) !== undefined;
    return true;
  }

  /** Negotiation takes no time here: the far end is always of the same kind. */
  #setControl(value: number): void {
    const before = this.link;
    this.#control = (value & Bmcr.reset) !== 0 ? negotiable : value & ~Bmcr.restart & 0xffff;
    if (this.link !== before) this.#linkChanged();
  }
}
