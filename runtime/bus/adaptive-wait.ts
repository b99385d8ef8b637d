/** Waiting for another thread to change a word: spins where that has paid lately, then sleeps. */
import { realClock } from "../api/clock.ts";

/**
 * Longest spin: what the other threads take for their part of a request when they are awake. Waking a thread that sleeps costs
 * both sides some 40 us here, so a wait that was shorter than `shortMicros`, that included, had better been spun.
 */
const mostMicros = 60;
const shortMicros = 120;
/** Below this a spin is not worth its start. */
const leastMicros = 4;
/** After spins in vain none is made, but for one in so many waits, which finds out whether things have changed. */
const waitsPerProbe = 32;
/** Looks at the word per look at the clock. */
const looksPerTime = 64;

/** One thread's waits for one partner. What it learns is its own: a busy machine teaches it to sleep at once. */
export class AdaptiveWait {
  readonly #nowMicros: () => number;
  #budgetMicros = mostMicros;
  #waits = 0;
  /** How waits have ended, for reports. */
  spun = 0;
  slept = 0;

  constructor(nowMicros: () => number = () => realClock.nowMicros()) {
    this.#nowMicros = nowMicros;
  }

  /** Returns when `words[index]` is not `seen` any more, or after `timeoutMs`. */
  wait(words: Int32Array, index: number, seen: number, timeoutMs: number): void {
    const budget = this.#budgetMicros === 0 && ++this.#waits % waitsPerProbe === 0 ? mostMicros : this.#budgetMicros;
    const start = this.#nowMicros();
    if (budget > 0 && this.#spin(words, index, seen, start + budget)) {
      this.spun++;
      this.#budgetMicros = budget;
      return;
    }
    this.slept++;
    const isChanged = Atomics.wait(words, index, seen, timeoutMs) !== "timed-out";
    const isShort = isChanged && this.#nowMicros() - start < budget + shortMicros - mostMicros;
    this.#budgetMicros = isShort ? mostMicros : budget > leastMicros ? budget / 2 : 0;
  }

  #spin(words: Int32Array, index: number, seen: number, endMicros: number): boolean {
    do {
      for (let look = 0; look < looksPerTime; look++) if (Atomics.load(words, index) !== seen) return true;
    } while (this.#nowMicros() < endMicros);
    return false;
  }
}
