/** A checksum of every block that was written, to catch a driver that returns wrong data and calls it success. */
import { crc32 } from "node:zlib";

/** Blocks that are watched at most; their checksums take 64 MiB then. */
export const maxCheckedBlocks = 16_777_216;

/** Nothing is known of a block: never written here, or its last change failed. */
const unknown = 0;

export class Checksums {
  readonly #blockBytes: number;
  readonly #sums: Uint32Array;
  readonly #zeroes: number;
  /** Blocks that their clients were told are lost; none until the first is. */
  #lost: Uint8Array | undefined;

  constructor(blocks: number, blockBytes: number) {
    if (blocks > maxCheckedBlocks) throw new RangeError(`${blocks} blocks are too many`);
    this.#blockBytes = blockBytes;
    this.#sums = new Uint32Array(blocks);
    this.#zeroes = sumOf(new Uint8Array(blockBytes));
  }

  /** These bytes were given to a driver for the blocks from `first` on. */
  written(first: number, data: Uint8Array): void {
    const size = this.#blockBytes;
    for (let at = 0, block = first; at < data.length; at += size, block++) this.#sums[block] = sumOf(data.subarray(at, at + size));
    this.#lost?.fill(0, first, first + data.length / size);
  }

  zeroed(first: number, blocks: number): void {
    this.#lost?.fill(0, first, first + blocks);
    this.#sums.fill(this.#zeroes, first, first + blocks);
  }

  /** What these blocks hold is not known any more. */
  forget(first: number, blocks: number): void {
    this.#lost?.fill(0, first, first + blocks);
    this.#sums.fill(unknown, first, first + blocks);
  }

  /** The first block from `from` on whose data is not what was written there last; -1 when there is none. `data` begins with block `first`. */
  firstWrong(first: number, data: Uint8Array, from = first): number {
    const size = this.#blockBytes;
    for (let at = (from - first) * size, block = from; at < data.length; at += size, block++) {
      const expected = this.#sums[block]!;
      if (expected !== unknown && expected !== sumOf(data.subarray(at, at + size))) return block;
    }
    return -1;
  }

  /** No driver is blamed any more for what of `data`, which begins with block `first`, is wrong: its client was told that it is lost. */
  giveUp(first: number, data: Uint8Array): void {
    this.#lost ??= new Uint8Array(this.#sums.length);
    for (let block = this.firstWrong(first, data); block >= 0; block = this.firstWrong(first, data, block + 1)) this.#lost[block] = 1;
  }

  /** Whether this block was given up and has not been written since. */
  isLost(block: number): boolean {
    return this.#lost?.[block] === 1;
  }
}

/** CRC-32; never the number that stands for an unknown block. */
function sumOf(bytes: Uint8Array): number {
  return crc32(bytes) || 1;
}
