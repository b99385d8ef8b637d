/** The device's counters, which reading clears, added up. Source: manual 317453, section 13.7. */
import type { RegisterWindow } from "airlock/driver";

/** Offsets (table 13-2). */
const Counter = {
  crcErrors: 0x4000, alignmentErrors: 0x4004, symbolErrors: 0x4008, receiveErrors: 0x400c, missed: 0x4010, excessiveCollisions: 0x4018,
  lateCollisions: 0x4020, lengthErrors: 0x4040, received: 0x4074, transmitted: 0x4080,
} as const;

export interface Totals {
  received: number;
  transmitted: number;
  receiveErrors: number;
  transmitErrors: number;
  missed: number;
}

export class Statistics {
  readonly #regs: RegisterWindow;
  readonly #totals: Totals = { received: 0, transmitted: 0, receiveErrors: 0, transmitErrors: 0, missed: 0 };

  /** Counts from now on. */
  constructor(regs: RegisterWindow) {
    this.#regs = regs;
    for (const offset of Object.values(Counter)) regs.read32(offset);
  }

  /** The totals since the start; the object stays this one's. */
  read(): Readonly<Totals> {
    const totals = this.#totals;
    const take = (offset: number): number => this.#regs.read32(offset);
    totals.received += take(Counter.received);
    totals.transmitted += take(Counter.transmitted);
    totals.receiveErrors += take(Counter.crcErrors) + take(Counter.alignmentErrors) + take(Counter.symbolErrors)
      + take(Counter.receiveErrors) + take(Counter.lengthErrors);
    totals.transmitErrors += take(Counter.excessiveCollisions) + take(Counter.lateCollisions);
    totals.missed += take(Counter.missed);
    return totals;
  }
}
