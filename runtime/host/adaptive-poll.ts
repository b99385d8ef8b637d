/** Waiting on the event loop for another thread: polls for some turns where that has paid lately, then sleeps. */

/**
 * Longest polling: what a driver, its device and the way there and back take for one request. A wait that was shorter than
 * `shortMicros`, the wake-up of this thread included, had better been polled.
 */
const mostMicros = 100;
const shortMicros = 200;
/** Below this polling is not worth its start: a turn of the event loop takes about 2 us. */
const leastMicros = 10;
/** After polling in vain none is made, but for one in so many waits, which finds out whether things have changed. */
const waitsPerProbe = 32;

/** One waiter's waits for one partner; what it learns is its own. Other work of the event loop goes on meanwhile. */
export class AdaptivePoll {
  readonly #nowMicros: () => number;
  #budgetMicros = mostMicros;
  #waits = 0;

  constructor(nowMicros: () => number) {
    this.#nowMicros = nowMicros;
  }

  /** Resolves when `hasData`, or when `sleep` does, which is begun when polling was in vain. */
  async wait(hasData: () => boolean, sleep: () => Promise<void>): Promise<void> {
    const budget = this.#budgetMicros === 0 && ++this.#waits % waitsPerProbe === 0 ? mostMicros : this.#budgetMicros;
    const start = this.#nowMicros();
    while (this.#nowMicros() - start < budget) {
      await new Promise((resolve) => { setImmediate(resolve); });
      if (!hasData()) continue;
      this.#budgetMicros = budget;
      return;
    }
    await sleep();
    const isShort = this.#nowMicros() - start < budget + shortMicros - mostMicros;
    this.#budgetMicros = isShort ? mostMicros : budget > leastMicros ? budget / 2 : 0;
  }
}
