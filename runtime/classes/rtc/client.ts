/** The rtc client: a device's clock as promises, events and async iterations, whatever happens to the driver below. */
import { setMaxListeners } from "node:events";
import type { Args } from "../../api/contract.ts";
import { AirlockError } from "../../api/errors.ts";
import type { CallOptions, ShadowCallOptions } from "../calls.ts";
import { fromEpochSeconds, toEpochSeconds } from "./calendar.ts";
import { type rtc, firstYear, lastYear } from "./contract.ts";
import type { RtcEvent, RtcShadow } from "./shadow.ts";

export type TimeOfDay = Args<typeof rtc, "setAlarm">;

/** An open clock. Dates are UTC; the device holds whole seconds. Every call takes an AbortSignal. */
export interface RtcClient extends Disposable {
  /** The device's time; from the shadow's log while the driver is away, then up to a second behind. */
  readTime(call?: CallOptions): Promise<Date>;
  /** Sets whole seconds. @throws AirlockError InvalidArgument outside 1970..2069 */
  setTime(date: Date, call?: CallOptions): Promise<void>;
  /** Raises an alarm every day at this time. One per device: replaces the one another client set. */
  setAlarm(time: TimeOfDay, call?: CallOptions): Promise<void>;
  clearAlarm(call?: CallOptions): Promise<void>;
  /** Ticks per second, 0 for none or a power of two in 2..8192. One per device. */
  setPeriodic(rateHz: number, call?: CallOptions): Promise<void>;
  /** Whether the device tells of each second. One per device. */
  setUpdateEvents(on: boolean, call?: CallOptions): Promise<void>;
  /** Subscribes to events; returns the unsubscribing function. */
  on(listener: (event: RtcEvent) => void): () => void;
  /** Turns ticks on and yields how many there were since the last turn of the loop; leaving the loop turns them off. */
  periodic(rateHz: number, call?: CallOptions): AsyncGenerator<number, void, undefined>;
  /** Yields once per alarm; alarms that pass during one turn of the loop are yielded as one. */
  alarms(call?: CallOptions): AsyncGenerator<void, void, undefined>;
  /** Rejects this client's pending calls with Closed and ends its iterations; idempotent. The device stays as it is. */
  close(): void;
}

/** Opens the clock behind a shadow. Any number of clients may have one open. */
export function openClient(shadow: RtcShadow): RtcClient {
  return new OpenRtc(shadow);
}

class OpenRtc implements RtcClient {
  readonly #shadow: RtcShadow;
  readonly #closing = new AbortController();
  readonly #unsubscribe = new Set<() => void>();

  constructor(shadow: RtcShadow) {
    this.#shadow = shadow;
    // Every pending call listens; their number is bounded by the shadow's queue.
    setMaxListeners(0, this.#closing.signal);
  }

  async readTime(call?: CallOptions): Promise<Date> {
    const calendar = await this.#shadow.call("readTime", {}, this.#options(call));
    return new Date(toEpochSeconds(calendar)! * 1000);
  }

  async setTime(date: Date, call?: CallOptions): Promise<void> {
    const calendar = fromEpochSeconds(date.getTime() / 1000);
    if (calendar === undefined) {
      const shown = Number.isNaN(date.getTime()) ? "an invalid date" : date.toISOString();
      throw new AirlockError("InvalidArgument", `setTime: ${shown} is outside the years ${firstYear}..${lastYear} the clock can hold`);
    }
    await this.#shadow.call("setTime", calendar, this.#options(call));
  }

  async setAlarm(time: TimeOfDay, call?: CallOptions): Promise<void> {
    await this.#shadow.call("setAlarm", time, this.#options(call));
  }

  async clearAlarm(call?: CallOptions): Promise<void> {
    await this.#shadow.call("clearAlarm", {}, this.#options(call));
  }

  async setPeriodic(rateHz: number, call?: CallOptions): Promise<void> {
    await this.#shadow.call("setPeriodic", { rateHz }, this.#options(call));
  }

  async setUpdateEvents(on: boolean, call?: CallOptions): Promise<void> {
    await this.#shadow.call("setUpdateEvents", { on }, this.#options(call));
  }

  on(listener: (event: RtcEvent) => void): () => void {
    this.#closing.signal.throwIfAborted();
    const stop = this.#shadow.on(listener);
    this.#unsubscribe.add(stop);
    return () => {
      stop();
      this.#unsubscribe.delete(stop);
    };
  }

  async *periodic(rateHz: number, call?: CallOptions): AsyncGenerator<number, void, undefined> {
    const counts = this.#counts((event) => (event.kind === "periodic" ? event.count : 0), call);
    try {
      await this.setPeriodic(rateHz, call);
      yield* counts;
    } finally {
      await counts.return();
      const reachable = this.#shadow.state === "passive" || this.#shadow.state === "active";
      if (reachable && !this.#closing.signal.aborted) await this.setPeriodic(0);
    }
  }

  async *alarms(call?: CallOptions): AsyncGenerator<void, void, undefined> {
    for await (const _count of this.#counts((event) => (event.kind === "alarm" ? 1 : 0), call)) yield;
  }

  close(): void {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort(new AirlockError("Closed", "the clock was closed by its client"));
    for (const stop of this.#unsubscribe) stop();
    this.#unsubscribe.clear();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Yields what `measure` added up since the last turn: one number, however far the reader is behind. */
  async *#counts(measure: (event: RtcEvent) => number, call?: CallOptions): AsyncGenerator<number, void, undefined> {
    const signals = [this.#closing.signal, ...(call?.signal === undefined ? [] : [call.signal])];
    let count = 0;
    let ended = false;
    let wake: () => void = () => undefined;
    const stop = this.on((event) => {
      count += measure(event);
      ended ||= event.kind === "closed";
      if (count > 0 || ended) wake();
    });
    const abort = (): void => wake();
    for (const signal of signals) signal.addEventListener("abort", abort);
    try {
      for (;;) {
        if (count === 0 && !ended && !signals.some((signal) => signal.aborted)) await new Promise<void>((resolve) => { wake = resolve; });
        if (call?.signal?.aborted === true) throw call.signal.reason;
        if (count === 0) return;
        const taken = count;
        count = 0;
        yield taken;
      }
    } finally {
      stop();
      for (const signal of signals) signal.removeEventListener("abort", abort);
    }
  }

  #options(call: CallOptions | undefined): ShadowCallOptions {
    return { ...call, closing: this.#closing.signal };
  }
}
