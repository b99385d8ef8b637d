/**
 * The I/O queue pair: requests of the block class down, completions up, a batch at a time and without allocation.
 * Source: NVM Express Base Specification 1.4, sections 4.1 and 4.6.
 */
import type { DmaMemory, DriverQueue, RegisterWindow } from "airlock/driver";
import { BlockStatus, block } from "airlock/driver/block";
import { Cqe, Sqe, cqeBytes, cqeWords, phaseBit, sqeBytes, sqeWords, statusShift } from "./commands.ts";
import type { Controller } from "./controller.ts";
import { Encoder } from "./encoder.ts";
import type { Namespace } from "./identify.ts";
import type { Layout } from "./layout.ts";
import { blockStatus } from "./status.ts";

/** The controller's number of this queue pair; 0 is the admin queue. */
export const ioQueueId = 1;

const requestWords = block.queues.io.request.words;
const atTag = block.queues.io.request.at.tag;
const { head: cqeHead, status: cqeStatus } = Cqe;
const { ok, aborted } = BlockStatus;

/** A command id is its slot and, above, a number that changes with every use: a late or second completion fits no command. */
const slotMask = 0xff;
const idMask = 0x7fff;
const idStep = 0x100;

/** Completions looked at between two syncs: few are copied for nothing where syncing copies. */
const lookAhead = 16;

export class IoQueue {
  /** Commands the device has. */
  outstanding = 0;
  /** Counts up while commands are out; see Watch. */
  tick = 0;
  readonly #memory: DmaMemory;
  readonly #regs: RegisterWindow;
  readonly #queue: DriverQueue;
  readonly #layout: Layout;
  readonly #encoder: Encoder;
  readonly #tailDoorbell: number;
  readonly #headDoorbell: number;
  /** The command id outstanding in each slot, or its bitwise complement when none is. */
  readonly #ids = Int32Array.from({ length: slotMask + 1 }, (_, slot) => ~slot);
  readonly #tags: Uint32Array;
  readonly #sentTicks: Uint32Array;
  /** Slots; the first `depth - outstanding` are free. */
  readonly #free: Uint16Array;
  /** The command id in each slot that an abort was last asked for. */
  readonly #abortedIds: Int32Array;
  #tail = 0;
  #head = 0;
  #phase = phaseBit;

  constructor(memory: DmaMemory, regs: RegisterWindow, queue: DriverQueue, layout: Layout, controller: Controller) {
    this.#memory = memory;
    this.#regs = regs;
    this.#queue = queue;
    this.#layout = layout;
    this.#encoder = new Encoder(memory, layout);
    this.#tailDoorbell = controller.doorbell(ioQueueId, "tail");
    this.#headDoorbell = controller.doorbell(ioQueueId, "head");
    this.#tags = new Uint32Array(layout.depth);
    this.#sentTicks = new Uint32Array(layout.depth);
    this.#free = Uint16Array.from({ length: layout.depth }, (_, index) => layout.depth - 1 - index);
    this.#abortedIds = new Int32Array(layout.depth).fill(-1);
  }

  get iovas(): { readonly submission: number; readonly completion: number } {
    return { submission: this.#memory.iova + this.#layout.ioSubmission, completion: this.#memory.iova + this.#layout.ioCompletion };
  }

  configure(namespace: Namespace): void {
    this.#encoder.configure(namespace);
  }

  /** Empties the rings for a disabled controller; what was outstanding is completed as aborted, which sends it again. */
  clear(namespaceId: number): void {
    const { ioSubmission, ioCompletion, ioEntries, depth } = this.#layout;
    for (let slot = 0; slot < depth; slot++) {
      if (this.#ids[slot]! >= 0) this.#finish(slot, aborted, 0);
    }
    this.#memory.bytes.fill(0, ioSubmission, ioSubmission + ioEntries * sqeBytes);
    this.#memory.bytes.fill(0, ioCompletion, ioCompletion + ioEntries * cqeBytes);
    // The same in every command, so it is written once.
    for (let entry = 0; entry < ioEntries; entry++) this.#memory.words[(ioSubmission >> 2) + entry * sqeWords + Sqe.namespace] = namespaceId;
    this.#memory.syncForDevice(ioSubmission, ioEntries * sqeBytes);
    this.#memory.syncForDevice(ioCompletion, ioEntries * cqeBytes);
    this.#tail = 0;
    this.#head = 0;
    this.#phase = phaseBit;
  }

  /** Hands `count` requests to the device with one doorbell. @throws Error when there are more than `depth` at once */
  submit(requests: Uint32Array, count: number): void {
    const { words } = this.#memory;
    const { depth, ioEntries, ioSubmission } = this.#layout;
    const first = ioSubmission >> 2;
    const ids = this.#ids;
    const start = this.#tail;
    let tail = start;
    for (let at = 0, end = count * requestWords; at < end; at += requestWords) {
      if (this.outstanding === depth) throw new Error(`a request beyond the ${depth} that this driver takes at once`);
      const slot = this.#free[depth - 1 - this.outstanding]!;
      const sqe = first + tail * sqeWords;
      const refusal = this.#encoder.encode(requests, at, sqe, slot);
      if (refusal !== ok) {
        this.#queue.complete(requests[at + atTag]!, refusal);
        continue;
      }
      const id = (~ids[slot]! + idStep) & idMask;
      words[sqe] = words[sqe]! | (id << 16);
      ids[slot] = id;
      this.#tags[slot] = requests[at + atTag]!;
      this.#sentTicks[slot] = this.tick;
      this.outstanding++;
      tail = (tail + 1) & (ioEntries - 1);
    }
    if (tail === start) return;
    this.#tail = tail;
    if (tail > start) {
      this.#memory.syncForDevice(ioSubmission + start * sqeBytes, (tail - start) * sqeBytes);
    } else {
      this.#memory.syncForDevice(ioSubmission + start * sqeBytes, (ioEntries - start) * sqeBytes);
      this.#memory.syncForDevice(ioSubmission, tail * sqeBytes);
    }
    this.#regs.write32(this.#tailDoorbell, tail);
  }

  /**
   * Takes what the device has completed, at most as much as is outstanding, so that a device that completes without end does
   * not keep the driver. @throws Error when a completion is nobody's or says what cannot be
   */
  reap(): void {
    let look = this.outstanding;
    if (look === 0) return;
    const { words } = this.#memory;
    const { depth, ioCompletion, ioEntries } = this.#layout;
    const first = ioCompletion >> 2;
    const ids = this.#ids;
    const free = this.#free;
    const start = this.#head;
    let outstanding = look;
    let head = start;
    let phase = this.#phase;
    let lastHead = 0;
    while (look > 0) {
      let chunk = ioEntries - head;
      if (chunk > lookAhead) chunk = lookAhead;
      if (chunk > look) chunk = look;
      look -= chunk;
      this.#memory.syncForCpu(ioCompletion + head * cqeBytes, chunk * cqeBytes);
      for (; chunk > 0; chunk--) {
        const cqe = first + head * cqeWords;
        // One read, then checks of the copy: the device may write the entry at any time.
        const status = words[cqe + cqeStatus]!;
        if ((status & phaseBit) !== phase) {
          look = 0;
          break;
        }
        const id = status & 0xffff;
        const slot = id & slotMask;
        if (ids[slot] !== id) throw new Error(`the device lies: it completed command ${id}, which is not outstanding`);
        ids[slot] = ~id;
        free[depth - outstanding] = slot;
        outstanding--;
        const field = status >>> statusShift;
        this.#queue.complete(this.#tags[slot]!, field === 0 ? ok : blockStatus(field), field);
        lastHead = words[cqe + cqeHead]!;
        if (++head === ioEntries) {
          head = 0;
          phase ^= phaseBit;
        }
      }
    }
    if (outstanding === this.outstanding) return;
    this.outstanding = outstanding;
    this.#head = head;
    this.#phase = phase;
    this.#checkSubmissionHead(lastHead);
    this.#regs.write32(this.#headDoorbell, head);
  }

  /** Age in ticks of the oldest command; 0 when there is none. */
  oldestTicks(): number {
    let oldest = 0;
    for (let slot = 0; slot < this.#layout.depth; slot++) {
      if (this.#ids[slot]! >= 0) oldest = Math.max(oldest, this.tick - this.#sentTicks[slot]!);
    }
    return oldest;
  }

  /** The id of a command that has been out for `limitTicks` and was not returned by this before; -1 when there is none. */
  nextToAbort(limitTicks: number): number {
    for (let slot = 0; slot < this.#layout.depth; slot++) {
      const id = this.#ids[slot]!;
      if (id < 0 || this.tick - this.#sentTicks[slot]! < limitTicks || this.#abortedIds[slot] === id) continue;
      this.#abortedIds[slot] = id;
      return id;
    }
    return -1;
  }

  #finish(slot: number, status: BlockStatus, detail: number): void {
    this.#ids[slot] = ~this.#ids[slot]!;
    this.#free[this.#layout.depth - this.outstanding] = slot;
    this.outstanding--;
    this.#queue.complete(this.#tags[slot]!, status, detail);
  }

  /** Commands that the device has not fetched yet cannot have been completed (4.6: SQ head pointer, SQ identifier). */
  #checkSubmissionHead(word: number): void {
    const { ioEntries } = this.#layout;
    const head = word & 0xffff;
    const unfetched = (this.#tail - head) & (ioEntries - 1);
    if (word >>> 16 !== ioQueueId || head >= ioEntries || unfetched > this.outstanding) {
      const state = `while the tail is ${this.#tail} and ${this.outstanding} commands are out`;
      throw new Error(`the device lies: submission queue ${word >>> 16}, head ${head}, ${state}`);
    }
  }
}
