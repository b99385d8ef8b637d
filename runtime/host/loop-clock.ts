/** The clock of a thread that never returns to its event loop: its timers fire when the loop asks for them. */
import { type Clock, TimerQueue, realClock } from "../api/clock.ts";

export class LoopClock implements Clock {
  readonly #timers = new TimerQueue();

  nowMicros(): number {
    return realClock.nowMicros();
  }

  setTimer(delayMicros: number, callback: () => void): () => void {
    return this.#timers.add(this.nowMicros() + Math.max(0, delayMicros), callback);
  }

  /** Fires what is due now; a timer that sets itself anew for now waits for the next call. */
  runDue(): void {
    const now = this.nowMicros();
    for (let due = this.#timers.takeDue(now); due !== undefined; due = this.#timers.takeDue(now)) due.callback();
  }

  /** How long until the next timer is due, but at most `mostMs`. */
  idleMs(mostMs: number): number {
    const due = this.#timers.nextDueMicros();
    return due === undefined ? mostMs : Math.min(mostMs, Math.max(0, (due - this.nowMicros()) / 1000));
  }
}
