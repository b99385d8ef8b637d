/** The rate limit on a driver's log. */
import type { Clock } from "../api/clock.ts";

/** Seconds' worth of lines a driver may log at once: bursts at start and at errors are normal. */
const burstSeconds = 1;

/** A token bucket of log lines. */
export class LogLimit {
  readonly #clock: Clock;
  readonly #perSecond: number;
  #tokens: number;
  #lastMicros: number;

  constructor(clock: Clock, perSecond: number) {
    this.#clock = clock;
    this.#perSecond = perSecond;
    this.#tokens = perSecond * burstSeconds;
    this.#lastMicros = clock.nowMicros();
  }

  /** Takes one line; false when the driver logs faster than its limit. */
  take(): boolean {
    const now = this.#clock.nowMicros();
    this.#tokens = Math.min(this.#perSecond * burstSeconds, this.#tokens + ((now - this.#lastMicros) / 1e6) * this.#perSecond);
    this.#lastMicros = now;
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }
}
