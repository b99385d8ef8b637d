/** How long the hardware's thread goes on looking for work before it sleeps: longer where that has paid lately. */

/** A driver that polls a register finds the thread awake. More would take the processor from the threads that it waits for, where there are two. */
const leastMicros = 4;
/** What a driver in C does between two accesses of one turn, and its host between two turns. To be woken costs as much. */
const mostMicros = 60;
/** A sleep shorter than this had better not been begun: half of it or more is what it takes to fall asleep and be woken. */
const shortMicros = 60;
/** After so many waits in vain as long as they may be, others need the processor: then none is longer than the least for so many waits. */
const mostVain = 4;
const waitsPerProbe = 32;

/** One thread's. What it learns is its own. */
export class Patience {
  #micros = leastMicros;
  #sinceMicros = 0;
  #vain = 0;
  #shortWaits = 0;
  /** The last sleep, until there is work: how long it was, and the reads that there had been. */
  #sleptMicros: number | undefined;
  #readsBefore = 0;

  /** There was work; `reads` counts those that a driver has waited for. */
  worked(reads: () => number): void {
    if (this.#sleptMicros !== undefined) this.#learn(this.#sleptMicros, reads() !== this.#readsBefore);
    else if (this.#sinceMicros !== 0) this.#vain = 0;
    this.#sleptMicros = undefined;
    this.#sinceMicros = 0;
  }

  /** Since when nothing was found to do, as far as `isOver` was told the time. */
  get sinceMicros(): number {
    return this.#sinceMicros;
  }

  /** Whether to sleep now; for a thread that has found nothing to do since it last worked or slept. */
  isOver(nowMicros: number): boolean {
    if (this.#sinceMicros === 0) this.#sinceMicros = nowMicros;
    return nowMicros - this.#sinceMicros >= this.#micros;
  }

  /** A sleep ended after this long; Infinity when nobody ended it. */
  slept(micros: number, reads: number): void {
    this.#sinceMicros = 0;
    this.#sleptMicros = Math.max(micros, this.#sleptMicros ?? 0);
    this.#readsBefore = reads;
  }

  /** A driver that only posts writes is not kept waiting by a sleep. */
  #learn(sleptMicros: number, isAwaited: boolean): void {
    if (this.#shortWaits > 0) {
      if (--this.#shortWaits === 0) this.#vain = 0;
      return;
    }
    if (!isAwaited || sleptMicros >= shortMicros) this.#micros = Math.max(leastMicros, this.#micros / 2);
    else if (this.#micros < mostMicros) this.#micros = mostMicros;
    else if (++this.#vain === mostVain) {
      this.#micros = leastMicros;
      this.#shortWaits = waitsPerProbe;
    }
  }
}
