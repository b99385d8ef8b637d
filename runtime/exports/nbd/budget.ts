/** How much may be in flight: requests and bytes of one connection and of all, from a request's header until its reply is taken. */

/** Most requests of one connection at once; fio and QEMU keep up to 128. */
const maxRequests = 256;
/** Most bytes of one connection: two of the longest requests, so that one is read while the other is performed. */
const maxBytes = 64 * 2 ** 20;
/**
 * Most requests and bytes of all connections, half of what the block class takes from all its clients; each connection may
 * have one request beyond that, so that none can starve another.
 */
const maxAllRequests = 2_048;
const maxAllBytes = 128 * 2 ** 20;

/** The part all connections share. */
export class SharedBudget {
  #requests = 0;
  #bytes = 0;
  readonly #waiting = new Set<() => void>();

  /** Bytes taken by all connections. */
  get bytes(): number {
    return this.#bytes;
  }

  take(sizeBytes: number, guaranteed: boolean): boolean {
    if (!guaranteed && (this.#requests >= maxAllRequests || this.#bytes + sizeBytes > maxAllBytes)) return false;
    this.#requests++;
    this.#bytes += sizeBytes;
    return true;
  }

  give(requests: number, sizeBytes: number): void {
    this.#requests -= requests;
    this.#bytes -= sizeBytes;
    if (this.#waiting.size === 0) return;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const wake of waiting) wake();
  }

  /** Calls `wake` once when something was given back. */
  wait(wake: () => void): void {
    this.#waiting.add(wake);
  }

  forget(wake: () => void): void {
    this.#waiting.delete(wake);
  }
}

/** One connection's part. */
export class Budget {
  readonly #shared: SharedBudget;
  readonly #wake: () => void;
  #requests = 0;
  #bytes = 0;

  /** `wake` is called when a request that was refused may be tried again. */
  constructor(shared: SharedBudget, wake: () => void) {
    this.#shared = shared;
    this.#wake = wake;
  }

  get requests(): number {
    return this.#requests;
  }

  /** Takes one request with this many bytes; when it refuses, `wake` follows. The first of a connection is never refused. */
  take(sizeBytes: number): boolean {
    if (this.#requests > 0) {
      // Its own limit: `give` wakes it, as requests are in flight.
      if (this.#requests >= maxRequests || this.#bytes + sizeBytes > maxBytes) return false;
      if (!this.#shared.take(sizeBytes, false)) {
        this.#shared.wait(this.#wake);
        return false;
      }
    } else this.#shared.take(sizeBytes, true);
    this.#requests++;
    this.#bytes += sizeBytes;
    return true;
  }

  give(requests: number, sizeBytes: number): void {
    this.#requests -= requests;
    this.#bytes -= sizeBytes;
    this.#shared.give(requests, sizeBytes);
    this.#wake();
  }

  /** The connection is gone: nobody is woken any more. */
  close(): void {
    this.#shared.forget(this.#wake);
  }
}
