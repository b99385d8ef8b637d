/** A ring of records in shared memory between two threads: one producer, one consumer, batches copied out whole. */

const stride = 16;
const headWord = 0;
const tailWord = stride;
const dataOffset = 2 * stride * 4;

/**
 * Bytes of one direction. Holds four full mailboxes: a driver that is faster than its reader by more floods it.
 * Must be a power of two.
 */
export const messageRingBytes = 262_144;

export function createMessageRing(): SharedArrayBuffer {
  return new SharedArrayBuffer(dataOffset + messageRingBytes);
}

export class MessageRing {
  readonly #words: Int32Array;
  readonly #data: Uint8Array;
  /** This end's own index, which the other end can write to in shared memory but not here. */
  #head: number;
  #tail: number;

  constructor(buffer: SharedArrayBuffer) {
    this.#words = new Int32Array(buffer, 0, 2 * stride);
    this.#data = new Uint8Array(buffer, dataOffset, messageRingBytes);
    this.#head = Atomics.load(this.#words, headWord);
    this.#tail = Atomics.load(this.#words, tailWord);
  }

  /** Whether something waits for the consumer. */
  get hasData(): boolean {
    return Atomics.load(this.#words, headWord) !== this.#tail;
  }

  /** Puts one whole record or batch; false when it does not fit now. */
  put(bytes: Uint8Array): boolean {
    const head = this.#head;
    const used = (head - Atomics.load(this.#words, tailWord)) | 0;
    if (used < 0 || bytes.length > messageRingBytes - used) return false;
    const at = head & (messageRingBytes - 1);
    const first = Math.min(bytes.length, messageRingBytes - at);
    this.#data.set(bytes.subarray(0, first), at);
    this.#data.set(bytes.subarray(first), 0);
    this.#head = (head + bytes.length) | 0;
    Atomics.store(this.#words, headWord, this.#head);
    return true;
  }

  /** Wakes a consumer that waits in `waitAsync`. */
  notify(): void {
    Atomics.notify(this.#words, headWord);
  }

  /**
   * A private copy of everything that waits. Undefined when the producer wrote indices that cannot be: in the worker
   * tier the producer shares its thread with a driver.
   */
  take(): Uint8Array | undefined {
    const head = Atomics.load(this.#words, headWord);
    const tail = this.#tail;
    const length = (head - tail) | 0;
    if (length < 0 || length > messageRingBytes) return undefined;
    const out = new Uint8Array(length);
    const at = tail & (messageRingBytes - 1);
    const first = Math.min(length, messageRingBytes - at);
    out.set(this.#data.subarray(at, at + first));
    out.set(this.#data.subarray(0, length - first), first);
    this.#tail = head;
    Atomics.store(this.#words, tailWord, head);
    return out;
  }

  /** Resolves at the producer's next `notify`; at once when something waits already. Never rejects, may stay pending. */
  async waitAsync(): Promise<void> {
    const wait = Atomics.waitAsync(this.#words, headWord, this.#tail);
    if (wait.async) await wait.value;
  }
}
