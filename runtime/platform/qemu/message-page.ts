/** Where a device's MSI-X messages arrive: words of the platform's RAM, one per vector, looked at and cleared. */
import { dmaPageBytes } from "../../bus/iommu.ts";
import type { RamAccess } from "../../bus/ram.ts";

const wordBytes = 4;

/** What the device writes: anything but what a cleared word holds. */
export const messageToken = 1;

export class MessagePage {
  readonly #ram: RamAccess;
  readonly #offset: number;
  readonly #words: Int32Array;
  /** Where the RAM cannot be seen as memory: whether `#words` is a copy. */
  readonly #isCopy: boolean;

  /** @param vectors at most a page's words, 1024 */
  constructor(ram: RamAccess, offset: number, vectors: number) {
    if (vectors * wordBytes > dmaPageBytes) throw new RangeError(`${vectors} vectors do not fit into a page`);
    this.#ram = ram;
    this.#offset = offset;
    const view = ram.view(offset, vectors * wordBytes);
    this.#isCopy = view === undefined;
    this.#words = view === undefined ? new Int32Array(vectors) : new Int32Array(view.buffer, view.byteOffset, vectors);
  }

  /** Offset in the page that vector's messages are aimed at. */
  static offsetOf(vector: number): number {
    return vector * wordBytes;
  }

  /** Vectors that sent since the last time. Several messages of one are one; a message is cleared before it is told, so none is lost. */
  take(): number[] {
    if (this.#isCopy) return this.#takeCopied();
    const words = this.#words;
    let taken: number[] | undefined;
    for (let vector = 0; vector < words.length; vector++) {
      // The exchange is for the one that comes between; the plain read before it keeps polling cheap.
      if (words[vector] !== 0 && Atomics.exchange(words, vector, 0) !== 0) (taken ??= []).push(vector);
    }
    return taken ?? none;
  }

  /**
   * One that comes after the read and before the write is cleared with the one that was read. It is told by that: whoever
   * is told looks at the device afterwards, and finds what both were about.
   */
  #takeCopied(): number[] {
    const words = this.#words;
    this.#ram.read(this.#offset, new Uint8Array(words.buffer));
    const taken: number[] = [];
    for (let vector = 0; vector < words.length; vector++) {
      if (words[vector] === 0) continue;
      this.#ram.write(this.#offset + vector * wordBytes, cleared);
      taken.push(vector);
    }
    return taken;
  }
}

const cleared = new Uint8Array(wordBytes);
const none: number[] = [];
