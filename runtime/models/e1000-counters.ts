/** Statistics registers of the 82540EM: count up to their maximum and are cleared by reading. Source: 317453, 13.7. */
import { Reg, fcsBytes } from "./e1000-registers.ts";

/** Offsets from the first counter, in words. Those a simulated wire never moves are not named; they read 0. */
export const Counter = {
  MPC: 0x10 / 4, PRC64: 0x5c / 4, GPRC: 0x74 / 4, BPRC: 0x78 / 4, MPRC: 0x7c / 4, GPTC: 0x80 / 4, GORCL: 0x88 / 4, GOTCL: 0x90 / 4,
  RNBC: 0xa0 / 4, ROC: 0xac / 4, TORL: 0xc0 / 4, TOTL: 0xc8 / 4, TPR: 0xd0 / 4, TPT: 0xd4 / 4, PTC64: 0xd8 / 4, MPTC: 0xf0 / 4, BPTC: 0xf4 / 4,
} as const;

/** Low words of the 64-bit counters, which are cleared by reading their high word (13.7.21). */
const wide = new Set<number>([Counter.GORCL, Counter.GOTCL, Counter.TORL, Counter.TOTL]);
const words = (Reg.STATISTICS_LAST - Reg.STATISTICS) / 4 + 1;
/** Where the size classes of PRC64... and PTC64... end: 64, 127, 255, 511, 1023 bytes with check sequence. */
const sizeClasses = [64, 127, 255, 511, 1_023];

export class E1000Counters {
  /** As numbers: 64-bit counters lie whole at their low word, and no simulation lasts 2^53 bytes. */
  readonly #counts = new Float64Array(words);

  /** The register at this offset of the window; reading clears. */
  read(offset: number): number {
    const at = (offset - Reg.STATISTICS) >> 2;
    if (wide.has(at)) return this.#counts[at]! % 2 ** 32;
    if (wide.has(at - 1)) return Math.floor(this.#take(at - 1) / 2 ** 32) % 2 ** 32;
    return Math.min(this.#take(at), 0xffff_ffff);
  }

  reset(): void {
    this.#counts.fill(0);
  }

  add(counter: number): void {
    this.#counts[counter]!++;
  }

  /** A frame that passed the filter and is kept: `sizeBytes` without check sequence. */
  received(sizeBytes: number, first: number, broadcast: boolean): void {
    const counts = this.#counts;
    counts[Counter.GPRC]!++;
    counts[Counter.GORCL]! += sizeBytes + fcsBytes;
    if ((first & 1) !== 0) counts[broadcast ? Counter.BPRC : Counter.MPRC]!++;
    counts[Counter.PRC64 + sizeClass(sizeBytes + fcsBytes)]!++;
  }

  /** Any frame off the wire that the filter let through, kept or not. */
  arrived(sizeBytes: number): void {
    this.#counts[Counter.TPR]!++;
    this.#counts[Counter.TORL]! += sizeBytes + fcsBytes;
  }

  transmitted(sizeBytes: number, first: number, broadcast: boolean): void {
    const counts = this.#counts;
    const wireBytes = sizeBytes + fcsBytes;
    counts[Counter.GPTC]!++;
    counts[Counter.TPT]!++;
    counts[Counter.GOTCL]! += wireBytes;
    counts[Counter.TOTL]! += wireBytes;
    if ((first & 1) !== 0) counts[broadcast ? Counter.BPTC : Counter.MPTC]!++;
    counts[Counter.PTC64 + sizeClass(wireBytes)]!++;
  }

  #take(at: number): number {
    const count = this.#counts[at]!;
    this.#counts[at] = 0;
    return count;
  }
}

function sizeClass(wireBytes: number): number {
  let at = 0;
  while (at < sizeClasses.length && wireBytes > sizeClasses[at]!) at++;
  return at;
}
