/** The ledger: every grant and revocation, in order, with its reason; append-only and bounded. */
import type { Clock } from "../api/clock.ts";

/** grant: the driver may use it; gate: closed at the start of a teardown; revoke: taken back for good. */
export type LedgerAction = "grant" | "gate" | "revoke";

export interface LedgerEntry {
  /** Counts from 1 without gaps, also over dropped entries. */
  readonly sequence: number;
  readonly atMicros: number;
  readonly driver: string;
  readonly generation: bigint;
  readonly capability: string;
  readonly action: LedgerAction;
  readonly reason: string;
}

/** Entries kept: a restart of a driver with two capabilities writes six, so this is the last 680 restarts. */
export const ledgerEntries = 4_096;
/** Longest reason kept: some come from failures, and so from drivers. */
const reasonLength = 256;

/** Grants and revocations since the machine came up. Entries are frozen; the oldest go when it is full, and are counted. */
export class Ledger {
  readonly #clock: Clock;
  readonly #capacity: number;
  readonly #entries: LedgerEntry[] = [];
  /** "driver/capability" -> its last entry while it is granted. */
  readonly #current = new Map<string, LedgerEntry>();
  #sequence = 0;

  constructor(clock: Clock, capacity: number = ledgerEntries) {
    this.#clock = clock;
    this.#capacity = Math.max(1, capacity);
  }

  /** Entries that are no longer kept. */
  get dropped(): number {
    return this.#sequence - this.#entries.length;
  }

  append(driver: string, generation: bigint, capability: string, action: LedgerAction, reason: string): LedgerEntry {
    const entry = Object.freeze({
      sequence: ++this.#sequence,
      atMicros: this.#clock.nowMicros(),
      driver,
      generation,
      capability,
      action,
      reason: reason.slice(0, reasonLength),
    });
    this.#entries.push(entry);
    if (this.#entries.length > this.#capacity) this.#entries.shift();
    if (action === "grant") this.#current.set(`${driver}/${capability}`, entry);
    else this.#current.delete(`${driver}/${capability}`);
    return entry;
  }

  /** The entries kept, oldest first; of one driver, or all. */
  entries(driver?: string): LedgerEntry[] {
    return this.#entries.filter((entry) => driver === undefined || entry.driver === driver);
  }

  /** The grants that hold now, also those whose entry is no longer kept. */
  current(driver?: string): LedgerEntry[] {
    return [...this.#current.values()].filter((entry) => driver === undefined || entry.driver === driver);
  }
}
