/** Moves a command's data between host memory and the medium, as its PRP entries say (NVMe 1.4, 4.3). */
import type { DmaPort } from "../bus/device.ts";
import { Status, Word, maxPageShift, maxTransferBytes, minPageBytes } from "./nvme-registers.ts";

/** A transfer that begins in the middle of a page touches one page more. */
const maxSegments = maxTransferBytes / minPageBytes + 1;
const entryBytes = 8;

/** One transfer at a time: segments of contiguous memory and a place in them. Everything is allocated once. */
export class NvmeTransfer {
  readonly #dma: DmaPort;
  readonly #addresses = new Float64Array(maxSegments);
  readonly #sizes = new Uint32Array(maxSegments);
  readonly #list = new Uint8Array(minPageBytes << maxPageShift);
  /** As the hardware of every platform of Node, controllers are little endian. */
  readonly #entries = new Uint32Array(this.#list.buffer);
  #bounce: Uint8Array | undefined;
  #count = 0;
  #segment = 0;
  #within = 0;
  pageBytes = minPageBytes;

  constructor(dma: DmaPort) {
    this.#dma = dma;
  }

  /** Takes `sizeBytes` of memory from a command's PRP1 and PRP2. Returns a status. */
  load(command: Uint32Array, sizeBytes: number): number {
    this.#count = 0;
    this.#segment = 0;
    this.#within = 0;
    if (sizeBytes > maxTransferBytes) return Status.invalidField;
    const low = command[Word.prp1Low]!;
    // Bits 1:0 of an offset are reserved and taken as zero (4.3).
    const first = Math.min(sizeBytes, this.pageBytes - ((low & ~3) & (this.pageBytes - 1)));
    this.#add(command[Word.prp1High]! * 2 ** 32 + (low - (low & 3)), first);
    if (first === sizeBytes) return Status.success;
    const left = sizeBytes - first;
    if (left > this.pageBytes) return this.#loadList(command[Word.prp2Low]!, command[Word.prp2High]!, left);
    return this.#addPage(command[Word.prp2Low]!, command[Word.prp2High]!, left);
  }

  /** Whether every segment but the last ends where a block ends: pieces of whole blocks can be moved as they are. */
  aligned(blockBytes: number): boolean {
    for (let index = 0; index < this.#count - 1; index++) if (this.#sizes[index]! % blockBytes !== 0) return false;
    return true;
  }

  /** Writes bytes to memory, from where the last call ended. False: memory is out of reach. */
  put(from: Uint8Array): boolean {
    return this.#move(from, true) === from.length;
  }

  /** Fills `into` from memory, from where the last call ended. Returns how many bytes were in reach. */
  get(into: Uint8Array): number {
    return this.#move(into, false);
  }

  /** A buffer for what must not be moved piece by piece; the same memory each time. */
  buffer(sizeBytes: number): Uint8Array {
    return (this.#bounce ??= new Uint8Array(maxTransferBytes)).subarray(0, sizeBytes);
  }

  #move(bytes: Uint8Array, toMemory: boolean): number {
    let done = 0;
    while (done < bytes.length) {
      const part = Math.min(bytes.length - done, this.#sizes[this.#segment]! - this.#within);
      const view = part === bytes.length ? bytes : bytes.subarray(done, done + part);
      const address = this.#addresses[this.#segment]! + this.#within;
      if (!(toMemory ? this.#dma.write(address, view) : this.#dma.read(address, view))) return done;
      done += part;
      this.#within += part;
      if (this.#within < this.#sizes[this.#segment]!) continue;
      this.#segment++;
      this.#within = 0;
    }
    return done;
  }

  /** The last entry of a list's page points to the next list when more than one entry is left (4.3). */
  #loadList(low: number, high: number, left: number): number {
    // The first list may begin anywhere in its page, but on a whole entry; further ones begin where their page does.
    let offset = low & (this.pageBytes - 1);
    if (offset % entryBytes !== 0) return Status.invalidPrpOffset;
    while (left > 0) {
      const room = (this.pageBytes - offset) / entryBytes;
      const needed = Math.ceil(left / this.pageBytes);
      const entries = Math.min(room, needed);
      const list = this.#list.subarray(0, entries * entryBytes);
      if (!this.#dma.read(high * 2 ** 32 + low, list)) return Status.dataTransferError;
      const pages = needed > room ? entries - 1 : entries;
      for (let index = 0; index < pages; index++) {
        const part = Math.min(left, this.pageBytes);
        const status = this.#addPage(this.#entries[index * 2]!, this.#entries[index * 2 + 1]!, part);
        if (status !== Status.success) return status;
        left -= part;
      }
      if (left === 0) break;
      low = this.#entries[pages * 2]!;
      high = this.#entries[pages * 2 + 1]!;
      offset = 0;
      if ((low & (this.pageBytes - 1)) !== 0) return Status.invalidPrpOffset;
    }
    return Status.success;
  }

  #addPage(low: number, high: number, sizeBytes: number): number {
    if ((low & (this.pageBytes - 1)) !== 0) return Status.invalidPrpOffset;
    this.#add(high * 2 ** 32 + low, sizeBytes);
    return Status.success;
  }

  /** Pages that follow each other are one segment. */
  #add(address: number, sizeBytes: number): void {
    const last = this.#count - 1;
    const follows = last >= 0 && address === this.#addresses[last]! + this.#sizes[last]!;
    if (follows) {
      this.#sizes[last]! += sizeBytes;
      return;
    }
    this.#addresses[this.#count] = address;
    this.#sizes[this.#count++] = sizeBytes;
  }
}
