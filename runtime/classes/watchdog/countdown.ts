/** How long the watchdog's client has left, by its last ping: what no restart of a driver may move. */
import type { Clock } from "../../api/clock.ts";

/** After its time a watchdog runs out within this, also when drivers round up to whole seconds and restart meanwhile. */
const overdueMicros = 5_000_000;

export class Countdown {
  readonly #clock: Clock;
  readonly #overdue: () => void;
  /** When it runs out; undefined while it is stopped. */
  #endMicros: number | undefined;
  #cancel: (() => void) | undefined;
  /** When the timer fires. */
  #dueMicros = 0;

  /** `overdue` is called once for each start after which it was neither started anew nor stopped, some time after its end. */
  constructor(clock: Clock, overdue: () => void) {
    this.#clock = clock;
    this.#overdue = overdue;
  }

  /** Counts anew from now. */
  start(timeoutMs: number): void {
    this.#endMicros = this.#clock.nowMicros() + timeoutMs * 1000;
    if (this.#cancel === undefined || this.#endMicros + overdueMicros < this.#dueMicros) this.#look(this.#endMicros + overdueMicros);
  }

  stop(): void {
    this.#endMicros = undefined;
    this.#cancel?.();
    this.#cancel = undefined;
  }

  /** 0 when it is stopped, and from its end on. */
  get leftMicros(): number {
    return this.#endMicros === undefined ? 0 : Math.max(0, this.#endMicros - this.#clock.nowMicros());
  }

  /** Whole milliseconds, never more than there are. */
  get leftMs(): number {
    return Math.floor(this.leftMicros / 1000);
  }

  /** One timer for any number of starts: it looks again when it fired too early. */
  #look(dueMicros: number): void {
    this.#cancel?.();
    this.#dueMicros = dueMicros;
    this.#cancel = this.#clock.setTimer(dueMicros - this.#clock.nowMicros(), () => {
      this.#cancel = undefined;
      if (this.#endMicros === undefined) return;
      const wantedMicros = this.#endMicros + overdueMicros;
      if (wantedMicros > dueMicros) this.#look(wantedMicros);
      else this.#overdue();
    });
  }
}
