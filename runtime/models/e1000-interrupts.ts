/** Interrupt causes of the 82540EM: mask, throttling and the delays of receive and transmit. Source: 317453, 13.4.17 to 13.4.21 and 13.4.30. */
import type { Clock } from "../api/clock.ts";
import type { IrqPin } from "../bus/device.ts";
import { Cause, delayUnitMicros, throttleUnitMicros } from "./e1000-registers.ts";

/** The pin is high while an enabled cause is set; after a rise it stays low at least for the throttling interval. */
export class E1000Interrupts {
  readonly #clock: Clock;
  readonly #pin: IrqPin;
  readonly receiveDelay: DelayedCause;
  readonly transmitDelay: DelayedCause;
  #causes = 0;
  #mask = 0;
  #throttle = 0;
  #high = false;
  /** When the pin may rise again. */
  #allowedMicros = 0;
  #cancelThrottle: (() => void) | undefined;
  raised = 0;

  constructor(clock: Clock, pin: IrqPin) {
    this.#clock = clock;
    this.#pin = pin;
    this.receiveDelay = new DelayedCause(clock, () => this.set(Cause.rxTimer));
    this.transmitDelay = new DelayedCause(clock, () => this.set(Cause.txDescriptorWritten));
  }

  get mask(): number { return this.#mask; }
  get throttle(): number { return this.#throttle; }

  /** ICS, and the device's own causes. */
  set(causes: number): void {
    this.#causes |= causes & Cause.all;
    this.#update();
  }

  /** ICR: reading clears all causes. */
  take(): number {
    const causes = this.#causes;
    this.#causes = 0;
    this.#update();
    return causes;
  }

  /** ICR written: ones clear. */
  clear(causes: number): void {
    this.#causes &= ~causes;
    this.#update();
  }

  enable(causes: number): void {
    this.#mask |= causes & Cause.all;
    this.#update();
  }

  disable(causes: number): void {
    this.#mask &= ~causes;
    this.#update();
  }

  setThrottle(value: number): void {
    this.#throttle = value & 0xffff;
    if (this.#throttle === 0) this.#allowedMicros = 0;
    this.#stopThrottle();
    this.#update();
  }

  reset(): void {
    this.#causes = 0;
    this.#mask = 0;
    this.#throttle = 0;
    this.#allowedMicros = 0;
    this.#stopThrottle();
    this.receiveDelay.reset();
    this.transmitDelay.reset();
    this.#update();
  }

  #update(): void {
    const wanted = (this.#causes & this.#mask) !== 0;
    if (wanted === this.#high) return;
    if (wanted && this.#throttle > 0 && this.#mustWait()) return;
    this.#high = wanted;
    if (wanted) this.raised++;
    this.#pin.set(wanted);
  }

  /** Whether the interval since the last rise is not over; then a timer looks again. Starts the next interval otherwise. */
  #mustWait(): boolean {
    const now = this.#clock.nowMicros();
    if (now >= this.#allowedMicros) {
      this.#allowedMicros = now + this.#throttle * throttleUnitMicros;
      return false;
    }
    this.#cancelThrottle ??= this.#clock.setTimer(this.#allowedMicros - now, () => {
      this.#cancelThrottle = undefined;
      this.#update();
    });
    return true;
  }

  #stopThrottle(): void {
    this.#cancelThrottle?.();
    this.#cancelThrottle = undefined;
  }
}

/**
 * A cause that waits: until nothing has happened for `delayTicks`, and never longer than `absoluteTicks` after the first event.
 * A delay of 0 means at once. One timer at most: it looks again when it fires too early.
 */
export class DelayedCause {
  readonly #clock: Clock;
  readonly #due: () => void;
  /** RDTR, TIDV and RADV, TADV: 16 bits, a tick is 1.024 us; an absolute delay of 0 is none. */
  delayTicks = 0;
  absoluteTicks = 0;
  #deadlineMicros = 0;
  #latestMicros = 0;
  #cancel: (() => void) | undefined;

  constructor(clock: Clock, due: () => void) {
    this.#clock = clock;
    this.#due = due;
  }

  /** Something happened: true when the cause is to be set at once. */
  event(): boolean {
    if (this.delayTicks === 0) return true;
    const now = this.#clock.nowMicros();
    this.#deadlineMicros = now + this.delayTicks * delayUnitMicros;
    if (this.#cancel === undefined) {
      this.#latestMicros = this.absoluteTicks === 0 ? Infinity : now + this.absoluteTicks * delayUnitMicros;
      this.#arm(now);
    }
    return false;
  }

  /** Does now what waits. */
  flush(): void {
    if (this.#cancel === undefined) return;
    this.stop();
    this.#due();
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  reset(): void {
    this.stop();
    this.delayTicks = 0;
    this.absoluteTicks = 0;
  }

  #arm(now: number): void {
    const due = Math.min(this.#deadlineMicros, this.#latestMicros);
    this.#cancel = this.#clock.setTimer(due - now, () => {
      this.#cancel = undefined;
      const later = this.#clock.nowMicros();
      // Rounding of the sum must not make it a microtick early for ever.
      if (later + 0.001 < Math.min(this.#deadlineMicros, this.#latestMicros)) this.#arm(later);
      else this.#due();
    });
  }
}
