/** Memory for requests' data, used again and again: fresh memory for each would cost more than moving the data. */
import { maxPayloadBytes } from "./protocol.ts";

/** Pieces are powers of two from this on. */
const leastBytes = 4_096;
/** Memory that waits for its next use, at most: what one busy connection has in flight, and no more than that after it has gone. */
const mostFreeBytes = 32 * 2 ** 20;

export class Payloads {
  /** By power of two. */
  readonly #free: ArrayBuffer[][] = Array.from({ length: Math.log2(maxPayloadBytes / leastBytes) + 1 }, () => []);
  #freeBytes = 0;
  /** What somebody has: memory that is given twice, or is not from here, would be two requests' at once. */
  readonly #lent = new WeakSet<ArrayBufferLike>();

  /** Bytes that wait for their next use. */
  get freeBytes(): number {
    return this.#freeBytes;
  }

  /** Memory of this size, up to `maxPayloadBytes`, with anything in it. It may be given back, or left to the garbage collector. */
  take(sizeBytes: number): Uint8Array {
    const order = orderOf(sizeBytes);
    let buffer = this.#free[order]!.pop();
    if (buffer === undefined) {
      // Takes memory of the system only as it is filled.
      buffer = Buffer.allocUnsafeSlow(leastBytes << order).buffer;
    } else this.#freeBytes -= buffer.byteLength;
    this.#lent.add(buffer);
    return new Uint8Array(buffer, 0, sizeBytes);
  }

  /** Nobody uses it any more. Memory that is not from here, or was given back before, is left alone. */
  give({ buffer }: Uint8Array): void {
    if (!this.#lent.delete(buffer)) return;
    if (this.#freeBytes + buffer.byteLength > mostFreeBytes) return;
    this.#freeBytes += buffer.byteLength;
    this.#free[orderOf(buffer.byteLength)]!.push(buffer as ArrayBuffer);
  }
}

function orderOf(sizeBytes: number): number {
  return sizeBytes <= leastBytes ? 0 : 32 - Math.clz32(Math.ceil(sizeBytes / leastBytes) - 1);
}
