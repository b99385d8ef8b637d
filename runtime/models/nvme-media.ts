/** An NVMe namespace's medium: its store behind a volatile write cache that a power cut empties. */
import type { NvmeStore } from "./nvme-store.ts";

/** The cache keeps lines of this size, each with the blocks that were written. */
const lineBytes = 4_096;

const noSlot = -1;

/**
 * Written blocks stay in the cache until a flush, until the cache needs their place (the oldest line goes first), or until
 * it is turned off. Reads see cached blocks. Offsets and sizes are multiples of the block size and within the store.
 */
export class NvmeMedia {
  readonly store: NvmeStore;
  readonly #blockBytes: number;
  /** Where in the cache a line is, by its number on the medium. */
  readonly #slots = new Map<number, number>();
  /** Memory of each slot, made when it is first used. */
  readonly #memory: Uint8Array[] = [];
  readonly #slotCount: number;
  /** Which line a slot holds, and which of its blocks, one bit each. */
  readonly #lineOf: Float64Array;
  readonly #blocks: Uint8Array;
  readonly #allBlocks: number;
  /** The slot that is used next, and so the one that was filled longest ago. */
  #hand = 0;
  #enabled: boolean;
  #cachedBlocks = 0;
  #lostBlocks = 0;
  /** What the last `writable` gave out: a slot and a place in it, or `noSlot` for the store's own. */
  #writeSlot = noSlot;
  #writeAt = 0;

  /** `cacheBytes` 0: there is no cache. */
  constructor(store: NvmeStore, blockBytes: number, cacheBytes: number) {
    this.store = store;
    this.#blockBytes = blockBytes;
    this.#slotCount = Math.floor(cacheBytes / lineBytes);
    this.#lineOf = new Float64Array(this.#slotCount);
    this.#blocks = new Uint8Array(this.#slotCount);
    this.#allBlocks = (1 << (lineBytes / blockBytes)) - 1;
    this.#enabled = this.#slotCount > 0;
  }

  /** Blocks that a power cut now would lose, and those that power cuts have lost. */
  get cachedBlocks(): number {
    return this.#cachedBlocks;
  }

  get lostBlocks(): number {
    return this.#lostBlocks;
  }

  /** Turns the cache on or off; what it holds is written first. False: that failed, and it stays as it is. */
  enableCache(on: boolean): boolean {
    if (!on && !this.flush()) return false;
    this.#enabled = on && this.#slotCount > 0;
    return true;
  }

  /** What is at `offset`, at most `limitBytes`, at least a block; valid until the next call. Undefined: unreadable. */
  readable(offset: number, limitBytes: number): Uint8Array | undefined {
    if (this.#slots.size === 0) return this.store.readable(offset, limitBytes);
    const line = Math.floor(offset / lineBytes);
    const at = offset % lineBytes;
    const slot = this.#slots.get(line) ?? noSlot;
    if (slot === noSlot) return this.store.readable(offset, this.#uncachedBytes(line, at, limitBytes));
    const first = at / this.#blockBytes;
    const end = Math.min(lineBytes, at + limitBytes);
    const cached = (this.#blocks[slot]! >> first) & 1;
    let to = at + this.#blockBytes;
    while (to < end && ((this.#blocks[slot]! >> (to / this.#blockBytes)) & 1) === cached) to += this.#blockBytes;
    if (cached === 0) return this.store.readable(offset, to - at);
    return at === 0 && to === lineBytes ? this.#memory[slot]! : this.#memory[slot]!.subarray(at, to);
  }

  /**
   * Where to put what is to be at `offset`, at most `limitBytes`; `written` follows. `through`: past the cache.
   * Undefined: the cache was full and could not be emptied.
   */
  writable(offset: number, limitBytes: number, through: boolean): Uint8Array | undefined {
    this.#writeSlot = noSlot;
    this.#writeAt = offset;
    if (through || !this.#enabled) return this.store.writable(offset, limitBytes);
    const line = Math.floor(offset / lineBytes);
    const slot = this.#slots.get(line) ?? this.#takeSlot(line);
    if (slot === noSlot) return undefined;
    const at = offset % lineBytes;
    this.#writeSlot = slot;
    return at === 0 && limitBytes >= lineBytes ? this.#memory[slot]! : this.#memory[slot]!.subarray(at, Math.min(lineBytes, at + limitBytes));
  }

  /** The first `bytes` of the last `writable` are there, whole blocks. False: they could not be written. */
  written(bytes: number): boolean {
    const slot = this.#writeSlot;
    if (slot === noSlot) {
      if (bytes === 0) return true;
      // What was written past the cache is newer than what the cache may hold.
      if (!this.store.written(bytes)) return false;
      this.forget(this.#writeAt, bytes);
      return true;
    }
    this.#setBlocks(slot, this.#blocks[slot]! | this.#mask(this.#writeAt % lineBytes, bytes));
    if (this.#blocks[slot] === 0) this.#slots.delete(this.#lineOf[slot]!);
    return true;
  }

  /** Writes what the cache holds and makes it safe. False: some of it is not, and stays in the cache. */
  flush(): boolean {
    return this.writeBack() && this.store.sync();
  }

  /** Writes back the cached lines that touch a range; everything by default. */
  writeBack(offset = 0, sizeBytes = this.store.sizeBytes): boolean {
    if (this.#slots.size === 0) return true;
    const first = Math.floor(offset / lineBytes);
    const last = Math.floor((offset + sizeBytes - 1) / lineBytes);
    if (last - first < this.#slots.size) {
      for (let line = first; line <= last; line++) if (!this.#evict(this.#slots.get(line) ?? noSlot)) return false;
      return true;
    }
    for (const [line, slot] of this.#slots) if (line >= first && line <= last && !this.#evict(slot)) return false;
    return true;
  }

  /** Makes the range read as zeros, at once and safely against a power cut. */
  zero(offset: number, sizeBytes: number): boolean {
    if (!this.store.zero(offset, sizeBytes)) return false;
    this.forget(offset, sizeBytes);
    return true;
  }

  discard(offset: number, sizeBytes: number): void {
    if (!this.store.discardsToZeros) return;
    this.store.discard(offset, sizeBytes);
    this.forget(offset, sizeBytes);
  }

  /** Drops cached blocks of a range: the store holds what counts. */
  forget(offset: number, sizeBytes: number): void {
    if (this.#slots.size === 0) return;
    const first = Math.floor(offset / lineBytes);
    const end = offset + sizeBytes;
    if (Math.ceil(end / lineBytes) - first <= this.#slots.size) {
      for (let line = first; line * lineBytes < end; line++) this.#forgetLine(line, this.#slots.get(line) ?? noSlot, offset, end);
      return;
    }
    for (const [line, slot] of this.#slots) this.#forgetLine(line, slot, offset, end);
  }

  /** The power fails: what only the cache held is gone. */
  powerCut(): void {
    this.#lostBlocks += this.#cachedBlocks;
    this.#cachedBlocks = 0;
    this.#blocks.fill(0);
    this.#slots.clear();
    this.#enabled = this.#slotCount > 0;
  }

  #forgetLine(line: number, slot: number, offset: number, end: number): void {
    if (slot === noSlot) return;
    const from = Math.max(0, offset - line * lineBytes);
    const to = Math.min(lineBytes, end - line * lineBytes);
    if (to <= from) return;
    this.#setBlocks(slot, this.#blocks[slot]! & ~this.#mask(from, to - from));
    if (this.#blocks[slot] === 0) this.#slots.delete(line);
  }

  /** How far from a place that is not cached the next cached line is. */
  #uncachedBytes(line: number, at: number, limitBytes: number): number {
    let bytes = lineBytes - at;
    while (bytes < limitBytes && !this.#slots.has(++line)) bytes += lineBytes;
    return Math.min(bytes, limitBytes);
  }

  /** An empty slot for a line, made free by writing back the line that has been there longest. */
  #takeSlot(line: number): number {
    const slot = this.#hand;
    if (this.#blocks[slot] !== 0 && !this.#evict(slot)) return noSlot;
    this.#hand = slot + 1 === this.#slotCount ? 0 : slot + 1;
    this.#memory[slot] ??= new Uint8Array(lineBytes);
    this.#lineOf[slot] = line;
    this.#slots.set(line, slot);
    return slot;
  }

  /** Writes a line's blocks to the store, run by run, and frees its slot. */
  #evict(slot: number): boolean {
    if (slot === noSlot) return true;
    const line = this.#lineOf[slot]!;
    const blocks = this.#blocks[slot]!;
    for (let from = 0; from < lineBytes;) {
      if (((blocks >> (from / this.#blockBytes)) & 1) === 0) {
        from += this.#blockBytes;
        continue;
      }
      let to = from + this.#blockBytes;
      while (to < lineBytes && ((blocks >> (to / this.#blockBytes)) & 1) !== 0) to += this.#blockBytes;
      this.store.writable(line * lineBytes + from, to - from).set(from === 0 && to === lineBytes ? this.#memory[slot]! : this.#memory[slot]!.subarray(from, to));
      if (!this.store.written(to - from)) return false;
      from = to;
    }
    this.#setBlocks(slot, 0);
    this.#slots.delete(line);
    return true;
  }

  #mask(at: number, bytes: number): number {
    return bytes === lineBytes ? this.#allBlocks : ((1 << (bytes / this.#blockBytes)) - 1) << (at / this.#blockBytes);
  }

  #setBlocks(slot: number, blocks: number): void {
    this.#cachedBlocks += bitCount(blocks) - bitCount(this.#blocks[slot]!);
    this.#blocks[slot] = blocks;
  }
}

function bitCount(byte: number): number {
  const pairs = byte - ((byte >> 1) & 0x55);
  const fours = (pairs & 0x33) + ((pairs >> 2) & 0x33);
  return (fours + (fours >> 4)) & 0x0f;
}
