/** A bounded first-in first-out buffer of bytes: what both directions of a serial port keep between client and driver. */

export class ByteRing {
  readonly #bytes: Uint8Array;
  #start = 0;
  #length = 0;

  constructor(capacityBytes: number) {
    this.#bytes = new Uint8Array(capacityBytes);
  }

  get length(): number {
    return this.#length;
  }

  get room(): number {
    return this.#bytes.length - this.#length;
  }

  /** Appends as much as fits; returns how many bytes that was. */
  push(data: Uint8Array): number {
    const count = Math.min(data.length, this.room);
    const at = (this.#start + this.#length) % this.#bytes.length;
    const first = Math.min(count, this.#bytes.length - at);
    this.#bytes.set(data.subarray(0, first), at);
    this.#bytes.set(data.subarray(first, count), 0);
    this.#length += count;
    return count;
  }

  /** Removes and returns the oldest bytes, at most `limit`. */
  take(limit: number): Uint8Array {
    const count = Math.min(limit, this.#length);
    const out = new Uint8Array(count);
    const first = Math.min(count, this.#bytes.length - this.#start);
    out.set(this.#bytes.subarray(this.#start, this.#start + first));
    out.set(this.#bytes.subarray(0, count - first), first);
    this.#start = (this.#start + count) % this.#bytes.length;
    this.#length -= count;
    return out;
  }

  clear(): void {
    this.#length = 0;
  }
}
