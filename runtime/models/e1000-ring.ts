/** A descriptor ring of the 82540EM in memory, and the descriptors fetched from it. Source: 317453, 3.2.6 and 3.4. */
import type { DmaPort } from "../bus/device.ts";
import { descriptorBytes } from "./e1000-registers.ts";

/** Descriptors fetched at once: what the chip holds of a ring (3.2.4). */
export const ringCacheDescriptors = 64;

/** Words of a descriptor. */
const wordsEach = descriptorBytes / 4;

/**
 * Base, length, head and tail as the registers have them. A ring whose head or tail is outside of it has no descriptors:
 * the manual leaves that open, and so nothing a driver writes can make the device run round without end.
 */
export class DescriptorRing {
  readonly #dma: DmaPort;
  readonly #bytes = new Uint8Array(ringCacheDescriptors * descriptorBytes);
  /** The fetched descriptors. Both sides are little endian, as every machine this runs on. */
  readonly words = new Uint32Array(this.#bytes.buffer);
  #baseLow = 0;
  #baseHigh = 0;
  #base = 0;
  #count = 0;
  #head = 0;
  #tail = 0;
  /** Fetched descriptors not yet passed, of which the first is the head's. */
  #cached = 0;
  /** Where the head's is in `words`, in descriptors. */
  #at = 0;
  /** Counts the times that the ring was laid elsewhere. */
  #layout = 0;

  constructor(dma: DmaPort) {
    this.#dma = dma;
  }

  get baseLow(): number { return this.#baseLow; }
  get baseHigh(): number { return this.#baseHigh; }
  get lengthBytes(): number { return this.#count * descriptorBytes; }
  get head(): number { return this.#head; }
  get tail(): number { return this.#tail; }
  /** Descriptors in the ring, the device's or not. */
  get count(): number { return this.#count; }
  /** Another number once the ring was laid elsewhere: what is known of its descriptors then holds no more. */
  get layout(): number { return this.#layout; }

  setBaseLow(value: number): void {
    this.#baseLow = (value & ~0xf) >>> 0;
    this.#changed();
  }

  setBaseHigh(value: number): void {
    this.#baseHigh = value;
    this.#changed();
  }

  /** Bits 19 to 7: multiples of 128 bytes. */
  setLength(value: number): void {
    this.#count = (value & 0xf_ff80) / descriptorBytes;
    this.#changed();
  }

  setHead(value: number): void {
    this.#head = value & 0xffff;
    this.#changed();
  }

  setTail(value: number): void {
    this.#tail = value & 0xffff;
    if (this.pending() < this.#cached) this.#cached = 0;
  }

  reset(): void {
    this.#baseLow = 0;
    this.#baseHigh = 0;
    this.#count = 0;
    this.#head = 0;
    this.#tail = 0;
    this.#changed();
  }

  /** Forgets what was fetched. */
  drop(): void {
    this.#cached = 0;
  }

  /** How many descriptors are the device's: from head up to tail. */
  pending(): number {
    if (this.#head >= this.#count || this.#tail >= this.#count) return 0;
    const between = this.#tail - this.#head;
    return between < 0 ? between + this.#count : between;
  }

  /** Index in `words` of the descriptor at the head, fetching if need be; -1 when there is none, or its memory is blocked. */
  current(): number {
    if (this.#cached > 0) return this.#at * wordsEach;
    const count = Math.min(ringCacheDescriptors, this.pending(), this.#count - this.#head);
    if (count <= 0) return -1;
    const into = count === ringCacheDescriptors ? this.#bytes : this.#bytes.subarray(0, count * descriptorBytes);
    if (!this.#dma.read(this.#base + this.#head * descriptorBytes, into)) return -1;
    this.#cached = count;
    this.#at = 0;
    return 0;
  }

  /** Fetched descriptors from the head on: after `current`, how many can be passed without another fetch. */
  get cached(): number { return this.#cached; }

  /** Passes the descriptor at the head. */
  advance(): void {
    this.#head = this.#head + 1 === this.#count ? 0 : this.#head + 1;
    if (this.#cached === 0) return;
    this.#at++;
    this.#cached--;
  }

  /** Writes fetched descriptors back: `count` that end before the head, which must not have wrapped since they were fetched. */
  writeBack(firstWord: number, count: number, indexOfFirst: number): boolean {
    const from = firstWord * 4;
    return this.#dma.write(this.#base + indexOfFirst * descriptorBytes, this.#bytes.subarray(from, from + count * descriptorBytes));
  }

  /** Writes the second half of the descriptor at the head, where all status is. */
  writeStatus(half: Uint8Array): boolean {
    return this.#dma.write(this.#base + this.#head * descriptorBytes + descriptorBytes / 2, half);
  }

  #changed(): void {
    this.#base = this.#baseHigh * 2 ** 32 + this.#baseLow;
    this.#cached = 0;
    this.#layout++;
  }
}
