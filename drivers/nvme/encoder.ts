/** Turns one request of the block class into a submission queue entry. Source: NVM Express Base Specification 1.4, sections 4.2 to 4.4, 6. */
import type { DmaMemory } from "airlock/driver";
import { BlockFlag, BlockOp, BlockStatus, block } from "airlock/driver/block";
import { IoOpcode, Sqe, attributeDeallocate, deallocate, forceUnitAccess, maxCommandBlocks, rangeBytes } from "./commands.ts";
import type { Namespace } from "./identify.ts";
import { type Layout, listWindows, prpBytes, windowPages, windowShift } from "./layout.ts";
import { pageBytes, pageShift } from "./registers.ts";

/** Everything looked up once: an interpreter would look it up at every request. */
const request = block.queues.io.request.at;
const { op: atOp, flags: atFlags, blocks: atBlocks, lbaLow: atLbaLow, lbaHigh: atLbaHigh, iovaLow: atIovaLow, iovaHigh: atIovaHigh } = request;
const { command: sqeCommand, prp1Low, prp1High, prp2Low, prp2High, cdw10, cdw11, cdw12 } = Sqe;
const { read: opRead, write: opWrite, flush: opFlush, writeZeroes: opWriteZeroes, discard: opDiscard } = BlockOp;
const { ok, unsupported } = BlockStatus;
const { read: opcodeRead, write: opcodeWrite } = IoOpcode;
const fuaFlag = BlockFlag.fua;
const wordRange = 2 ** 32;
/** Upper half of a window that no device has addresses in. */
const noWindow = 0xffff_ffff;

export class Encoder {
  readonly #memory: DmaMemory;
  readonly #words: Uint32Array;
  readonly #lists: number;
  readonly #ranges: number;
  /** The window each list was written for: its number within 4 GiB, and the upper half of its addresses. */
  readonly #windowLows = new Uint32Array(listWindows);
  readonly #windowHighs = new Uint32Array(listWindows).fill(noWindow);
  #blockShift = 0;
  #maxBlocks = 0;
  #canWriteZeroes = false;
  #canDiscard = false;
  #mayDeallocate = false;

  constructor(memory: DmaMemory, layout: Layout) {
    this.#memory = memory;
    this.#words = memory.words;
    this.#lists = layout.lists;
    this.#ranges = layout.ranges;
  }

  /** What the namespace can do. */
  configure({ blockShift, maxTransferBytes, writeZeroes, discard, deallocateZeroes }: Namespace): void {
    this.#blockShift = blockShift;
    this.#maxBlocks = Math.min(maxTransferBytes >> blockShift, maxCommandBlocks);
    this.#canWriteZeroes = writeZeroes;
    this.#canDiscard = discard;
    this.#mayDeallocate = deallocateZeroes;
  }

  /**
   * Writes the request at `from` of `requests` into the entry at word `sqe`, with 0 as its command id. What it needs besides
   * the entry lies in the memory of `slot`. Anything but `ok`: no such command can be made, and the entry is not to be used.
   */
  encode(requests: Uint32Array, from: number, sqe: number, slot: number): BlockStatus {
    const op = requests[from + atOp]!;
    if (op > opWrite) return this.#encodeOther(requests, from, sqe, slot, op);
    const blocks = requests[from + atBlocks]!;
    if (blocks === 0 || blocks > this.#maxBlocks) return unsupported;
    const words = this.#words;
    words[sqe + sqeCommand] = op === opRead ? opcodeRead : opcodeWrite;
    words[sqe + cdw10] = requests[from + atLbaLow]!;
    words[sqe + cdw11] = requests[from + atLbaHigh]!;
    words[sqe + cdw12] = (requests[from + atFlags]! & fuaFlag) === 0 ? blocks - 1 : (blocks - 1) | forceUnitAccess;
    const iovaLow = requests[from + atIovaLow]!;
    const iovaHigh = requests[from + atIovaHigh]!;
    words[sqe + prp1Low] = iovaLow;
    words[sqe + prp1High] = iovaHigh;
    const sizeBytes = blocks << this.#blockShift;
    if (sizeBytes <= pageBytes) {
      words[sqe + prp2Low] = 0;
      words[sqe + prp2High] = 0;
    } else {
      this.#encodePages(sqe, iovaLow, iovaHigh, (sizeBytes - 1) >> pageShift);
    }
    return ok;
  }

  /** PRP 2 for `pages` pages after the first: the second page, or a list that begins with it (4.3). */
  #encodePages(sqe: number, iovaLow: number, iovaHigh: number, pages: number): void {
    const words = this.#words;
    let low = iovaLow + pageBytes;
    let high = iovaHigh;
    if (low === wordRange) {
      low = 0;
      high++;
    }
    if (pages === 1) {
      words[sqe + prp2Low] = low;
      words[sqe + prp2High] = high;
      return;
    }
    const window = low >>> windowShift;
    const list = window % listWindows;
    if (this.#windowLows[list] !== window || this.#windowHighs[list] !== high) this.#writeList(list, window, high);
    this.#point(sqe + prp2Low, this.#lists + list * pageBytes + ((low >>> pageShift) % windowPages) * prpBytes);
  }

  /** Lists are the same for every request: written once, when the first buffer in their window of addresses comes. */
  #writeList(list: number, window: number, highOfWindow: number): void {
    if (this.#windowHighs[list] !== noWindow) throw new Error(`the buffers of these requests are more than ${listWindows} MiB apart`);
    const words = this.#words;
    const offset = this.#lists + list * pageBytes;
    let low = window * 2 ** windowShift;
    let high = highOfWindow;
    for (let at = offset >> 2, end = (offset + pageBytes) >> 2; at < end; at += 2) {
      words[at] = low;
      words[at + 1] = high;
      low += pageBytes;
      if (low === wordRange) {
        low = 0;
        high++;
      }
    }
    this.#memory.syncForDevice(offset, pageBytes);
    this.#windowLows[list] = window;
    this.#windowHighs[list] = highOfWindow;
  }

  #encodeOther(requests: Uint32Array, from: number, sqe: number, slot: number, op: number): BlockStatus {
    const words = this.#words;
    words.fill(0, sqe + prp1Low, sqe + cdw12 + 1);
    const lbaLow = requests[from + atLbaLow]!;
    const lbaHigh = requests[from + atLbaHigh]!;
    const blocks = requests[from + atBlocks]!;
    const flags = requests[from + atFlags]!;
    if (op === opFlush) {
      words[sqe + sqeCommand] = IoOpcode.flush;
      return ok;
    }
    if (blocks === 0) return unsupported;
    if (op === opWriteZeroes) {
      if (!this.#canWriteZeroes || blocks > maxCommandBlocks) return unsupported;
      words[sqe + sqeCommand] = IoOpcode.writeZeroes;
      words[sqe + cdw10] = lbaLow;
      words[sqe + cdw11] = lbaHigh;
      words[sqe + cdw12] = (blocks - 1) | ((flags & fuaFlag) === 0 ? 0 : forceUnitAccess)
        | (this.#mayDeallocate && (flags & BlockFlag.mayDiscard) !== 0 ? deallocate : 0);
      return ok;
    }
    if (op !== opDiscard || !this.#canDiscard) return unsupported;
    const offset = this.#ranges + slot * rangeBytes;
    const range = offset >> 2;
    words[range] = 0;
    words[range + 1] = blocks;
    words[range + 2] = lbaLow;
    words[range + 3] = lbaHigh;
    this.#memory.syncForDevice(offset, rangeBytes);
    words[sqe + sqeCommand] = IoOpcode.datasetManagement;
    this.#point(sqe + prp1Low, offset);
    // Word 10 is the number of ranges, one less than there are.
    words[sqe + cdw11] = attributeDeallocate;
    return ok;
  }

  /** Puts the device's address of `offset` in this memory into two words. */
  #point(at: number, offset: number): void {
    const iova = this.#memory.iova + offset;
    this.#words[at] = iova % wordRange;
    this.#words[at + 1] = Math.floor(iova / wordRange);
  }
}
