/** A clock for recorders that reads the real one once in a while: cheap time that is right where it matters. */

/**
 * Entries that may share one reading. With 40 ns per reading and accesses of some 100 ns each, an entry's time is then
 * at most a few microseconds old within a turn; between turns `mark` makes it exact.
 */
const entriesPerReading = 16;

/** Caches `nowMicros`: read anew at `mark` (start of a turn, arrival of an interrupt) and at every sixteenth use. */
export class TurnClock {
  readonly #readMicros: () => number;
  readonly #cached = new Float64Array(1);
  #left = 0;

  constructor(readMicros: () => number) {
    this.#readMicros = readMicros;
  }

  /** The next use reads the real clock. */
  mark(): void {
    this.#left = 0;
  }

  /** Never goes back when the real clock does not. Bound, so that it can be given away as a function. */
  readonly nowMicros = (): number => {
    if (this.#left === 0) {
      this.#left = entriesPerReading;
      this.#cached[0] = this.#readMicros();
    }
    this.#left--;
    return this.#cached[0]!;
  };
}
