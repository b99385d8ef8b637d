/** A serial port's outgoing bytes: each is kept, with the driver, sent, uncertain or discarded, and never two of these. */
import { ByteRing } from "./byte-ring.ts";

/** Bytes kept for the driver: a third of a second at 115200 baud, so a writer that is woken at half of it never lets the line idle. */
export const transmitBufferBytes = 4096;

interface Waiter {
  /** Total of accounted-for bytes at which it is woken. */
  readonly atBytes: number;
  readonly resolve: () => void;
  readonly reject: (reason: unknown) => void;
}

export class TransmitQueue {
  readonly #kept = new ByteRing(transmitBufferBytes);
  #flying = 0;
  #sent = 0;
  #uncertain = 0;
  #discarded = 0;
  #roomWaiters: (() => void)[] = [];
  #drainWaiters: Waiter[] = [];
  #ended: { readonly reason: unknown } | undefined;

  /** Bytes waiting for their turn. */
  get kept(): number {
    return this.#kept.length;
  }

  /** Bytes the driver has and has not answered for. */
  get flying(): number {
    return this.#flying;
  }

  /** Bytes handed to the hardware. */
  get sent(): number {
    return this.#sent;
  }

  /** Bytes whose driver died before it answered for them. */
  get uncertain(): number {
    return this.#uncertain;
  }

  get discarded(): number {
    return this.#discarded;
  }

  /** Takes as many bytes as there is room for; returns how many. @throws the reason it was ended with */
  push(data: Uint8Array): number {
    if (this.#ended !== undefined) throw this.#ended.reason;
    return this.#kept.push(data);
  }

  /** The next bytes for the driver, at most `limit`; empty while it has some already. */
  take(limit: number): Uint8Array {
    if (this.#flying > 0) return new Uint8Array(0);
    const chunk = this.#kept.take(limit);
    this.#flying = chunk.length;
    if (this.#kept.length <= transmitBufferBytes / 2) this.#wakeWriters();
    return chunk;
  }

  /** What the driver has was handed to the hardware. */
  confirm(): void {
    this.#sent += this.#flying;
    this.#flying = 0;
    this.#wakeDrained();
  }

  /** What the driver had may or may not have been sent; returns how many bytes. */
  lose(): number {
    const count = this.#flying;
    this.#uncertain += count;
    this.#flying = 0;
    this.#wakeDrained();
    return count;
  }

  /** What was taken never reached a driver and never will: the port ended first. */
  forsake(): void {
    this.#discarded += this.#flying;
    this.#flying = 0;
    this.#wakeDrained();
  }

  /** Forgets what is kept: the writer aborted. Whoever waits for it to be sent is told so. */
  discard(reason: unknown): void {
    this.#discarded += this.#kept.length;
    this.#kept.clear();
    for (const waiter of this.#drainWaiters.splice(0)) waiter.reject(reason);
    this.#wakeWriters();
  }

  /** Ends the queue: discards what is kept, and every later push and wait fails with `reason`. Idempotent. */
  end(reason: unknown): void {
    this.#ended ??= { reason };
    this.discard(this.#ended.reason);
  }

  /** Resolves when there may be room again; the caller pushes and sees. */
  room(): Promise<void> {
    if (this.#ended !== undefined || this.#kept.room > 0) return Promise.resolve();
    return new Promise((resolve) => this.#roomWaiters.push(resolve));
  }

  /** Resolves when the first `bytes` of all that was ever pushed are sent or uncertain. Rejects when some are discarded meanwhile. */
  drained(bytes: number): Promise<void> {
    if (this.#done >= bytes) return Promise.resolve();
    if (this.#ended !== undefined) return Promise.reject(this.#ended.reason);
    return new Promise((resolve, reject) => this.#drainWaiters.push({ atBytes: bytes, resolve, reject }));
  }

  get #done(): number {
    return this.#sent + this.#uncertain + this.#discarded;
  }

  #wakeWriters(): void {
    for (const wake of this.#roomWaiters.splice(0)) wake();
  }

  #wakeDrained(): void {
    const done = this.#done;
    const ready = this.#drainWaiters.filter((waiter) => waiter.atBytes <= done);
    this.#drainWaiters = this.#drainWaiters.filter((waiter) => waiter.atBytes > done);
    for (const waiter of ready) waiter.resolve();
  }
}
