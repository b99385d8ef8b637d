/** Waiting for another thread to change a word: spins briefly where that has paid lately, then sleeps. */

/** Longest spin, some 100 us: what a request takes on its way through the other threads and back. */
const mostSpins = 12_000;
/** Below this a spin is not worth its start. */
const leastSpins = 250;
/** After spins in vain none is made, but for one in so many waits, which finds out whether things have changed. */
const waitsPerProbe = 32;

/** One thread's waits for one partner. What it learns is its own: a busy machine teaches it to sleep at once. */
export class AdaptiveWait {
  #spins = leastSpins;
  #waits = 0;
  /** How waits have ended, for reports. */
  spun = 0;
  slept = 0;

  /** Returns when `words[index]` is not `seen` any more, or after `timeoutMs`. */
  wait(words: Int32Array, index: number, seen: number, timeoutMs: number): void {
    const spins = this.#spins === 0 && ++this.#waits % waitsPerProbe === 0 ? leastSpins : this.#spins;
    for (let spin = 0; spin < spins; spin++) {
      if (Atomics.load(words, index) === seen) continue;
      this.spun++;
      this.#spins = Math.min(mostSpins, spins * 2);
      return;
    }
    this.slept++;
    this.#spins = spins > leastSpins ? spins / 2 : 0;
    Atomics.wait(words, index, seen, timeoutMs);
  }
}
