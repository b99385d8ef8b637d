/**
 * Interrupt lines with L4 semantics: a delivered line stays masked until every live sharer has acked it.
 * Level-triggered, wired-or of its sources. Lives in the hardware's thread; all methods are synchronous.
 */
import type { Clock } from "../api/clock.ts";
import type { IrqLimits } from "./platform.ts";

/** Deliveries are counted over this window to tell a storm from a burst. */
const stormWindowMicros = 100_000;

/**
 * A line that never goes low between deliveries is a storm however slowly the driver acks without clearing the cause: it
 * gets this share of a second's deliveries. A driver that is behind on a busy line sees it go low every few of them.
 */
const stuckShare = 1 / 40;

export interface IrqReceiver {
  /** The line was delivered to this receiver; it owes an ack. */
  raise(): void;
  /** The receiver was cut off: it was delivered the line more often than its limit. */
  storm(perSecond: number): void;
  /** The receiver did not ack in time; the line has been force-acked for it. */
  unacked(afterMs: number): void;
}

export class IrqLine {
  readonly number: number;
  readonly #clock: Clock;
  readonly #sources = new Set<string>();
  readonly #bindings = new Set<IrqBinding>();
  /** A message that nobody was given yet. */
  #latched = false;
  /** How often the line went from low to high. */
  #rises = 0;

  constructor(number: number, clock: Clock) {
    this.number = number;
    this.#clock = clock;
  }

  get asserted(): boolean {
    return this.#sources.size > 0;
  }

  /** Whether some sharer has been delivered the line and has not acked yet. */
  get owed(): boolean {
    for (const binding of this.#bindings) if (binding.owesAck) return true;
    return false;
  }

  /** Drives the line from one source; the line is asserted while any source is. */
  setLevel(source: string, asserted: boolean): void {
    if (asserted && !this.asserted) this.#rises++;
    if (asserted) this.#sources.add(source);
    else this.#sources.delete(source);
    this.#evaluate();
  }

  /** An edge, as MSI and MSI-X send: kept until the line is delivered. Those that come before that are one. */
  pulse(): void {
    this.#rises++;
    this.#latched = true;
    this.#evaluate();
  }

  /** Adds a sharer. It starts masked, so that a driver that has not attached its handler is not waited for. */
  attach(receiver: IrqReceiver, limits: IrqLimits): IrqBinding {
    const binding = new IrqBinding(this.#clock, receiver, limits, () => this.#evaluate(), (self) => this.#bindings.delete(self));
    this.#bindings.add(binding);
    return binding;
  }

  #evaluate(): void {
    if (!(this.asserted || this.#latched) || this.owed) return;
    // A message is used up by whoever gets it. Another one may come, and be delivered, while this one is.
    const isMessage = this.#latched;
    this.#latched = false;
    let isTaken = false;
    for (const binding of [...this.#bindings]) isTaken = binding.deliver(this.#rises) || isTaken;
    if (isMessage && !isTaken) this.#latched = true;
  }
}

/** One sharer's end of a line: mask, unmask and ack affect only this sharer. */
export class IrqBinding {
  readonly #clock: Clock;
  readonly #receiver: IrqReceiver;
  readonly #limits: IrqLimits;
  readonly #changed: () => void;
  readonly #remove: (self: IrqBinding) => void;
  #masked = true;
  #cutOff = false;
  #attached = true;
  #owesAck = false;
  #cancelAckTimer: () => void = () => undefined;
  #windowStartMicros = -Infinity;
  #deliveries = 0;
  #lastRise = -1;
  #stuck = 0;

  constructor(clock: Clock, receiver: IrqReceiver, limits: IrqLimits, changed: () => void, remove: (self: IrqBinding) => void) {
    this.#clock = clock;
    this.#receiver = receiver;
    this.#limits = limits;
    this.#changed = changed;
    this.#remove = remove;
  }

  get owesAck(): boolean {
    return this.#owesAck;
  }

  get masked(): boolean {
    return this.#masked;
  }

  mask(): void {
    this.#masked = true;
  }

  unmask(): void {
    this.#masked = false;
    this.#changed();
  }

  /** Ends this sharer's service of the line; an ack that is not owed has no effect. */
  ack(): void {
    if (!this.#owesAck) return;
    this.#settle();
    this.#changed();
  }

  /** Leaves the line, force-acking it; idempotent. */
  detach(): void {
    if (!this.#attached) return;
    this.#attached = false;
    this.#remove(this);
    this.#settle();
    this.#changed();
  }

  /** Called by the line when it is asserted and nobody owes an ack; `rises` tells one assertion from the next. Whether it was delivered. */
  deliver(rises: number): boolean {
    if (!this.#attached || this.#masked || this.#cutOff || this.#owesAck) return false;
    if (this.#isStorm(rises)) {
      this.#cutOff = true;
      const elapsedMicros = Math.max(1, this.#clock.nowMicros() - this.#windowStartMicros);
      this.#receiver.storm(Math.round((this.#deliveries * 1e6) / elapsedMicros));
      return false;
    }
    this.#owesAck = true;
    this.#cancelAckTimer = this.#clock.setTimer(this.#limits.ackMs * 1000, () => this.#expire());
    this.#receiver.raise();
    return true;
  }

  #isStorm(rises: number): boolean {
    const now = this.#clock.nowMicros();
    if (now - this.#windowStartMicros >= stormWindowMicros) {
      this.#windowStartMicros = now;
      this.#deliveries = 0;
    }
    this.#deliveries++;
    this.#stuck = rises === this.#lastRise ? this.#stuck + 1 : 0;
    this.#lastRise = rises;
    return this.#stuck > this.#limits.stormPerSecond * stuckShare || this.#deliveries > (this.#limits.stormPerSecond * stormWindowMicros) / 1e6;
  }

  #expire(): void {
    this.#masked = true;
    this.#settle();
    this.#receiver.unacked(this.#limits.ackMs);
    this.#changed();
  }

  #settle(): void {
    this.#owesAck = false;
    this.#cancelAckTimer();
  }
}
