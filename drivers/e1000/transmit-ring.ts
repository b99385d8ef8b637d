/** The transmit ring: frames out in order, completed in order. Source: manual 317453, sections 3.3 and 3.4. */
import { type DmaMemory, type DriverQueue, type RegisterWindow, highWord, lowWord } from "airlock/driver";
import { TransmitStatus, net } from "airlock/driver/net";
import { Command, Descriptor, Offset, descriptorBytes, descriptorWords, transmitDone } from "./registers.ts";

const { tag: atTag, sizeBytes: atSize, iovaLow: atIovaLow, iovaHigh: atIovaHigh } = net.queues.transmit.request.at;
const requestWords = net.queues.transmit.request.words;
const { addressLow, addressHigh, length: lengthWord, status: statusWord } = Descriptor;
const { ok } = TransmitStatus;
const whole = Command.endOfPacket | Command.insertCheck;
const wholeReported = whole | Command.reportStatus;

/**
 * In a long batch every so many frames report, besides the last: a report costs the device a write, and a frame is completed
 * only with the next one that reports.
 */
const reportEvery = 32;

export class TransmitRing {
  /** Most frames at once: a full ring would look empty (3.4). */
  readonly depth: number;
  /** Frames the device has. */
  used = 0;
  readonly #memory: DmaMemory;
  readonly #regs: RegisterWindow;
  readonly #queue: DriverQueue;
  readonly #offset: number;
  readonly #entries: number;
  readonly #tags: Uint32Array;
  /** Descriptors that report, in order: a ring of their numbers. */
  readonly #reports: Uint16Array;
  #firstReport = 0;
  #reportCount = 0;
  #tail = 0;
  /** The oldest descriptor that is not completed. */
  #clean = 0;

  /** The ring has `entries` descriptors from `offset` of the memory. */
  constructor(memory: DmaMemory, offset: number, entries: number, regs: RegisterWindow, queue: DriverQueue) {
    this.#memory = memory;
    this.#offset = offset;
    this.#entries = entries;
    this.#regs = regs;
    this.#queue = queue;
    this.depth = entries - 1;
    this.#tags = new Uint32Array(entries);
    this.#reports = new Uint16Array(entries);
  }

  /** Tells a device whose transmitter is off where the ring is, empty. */
  program(): void {
    const iova = this.#memory.iova + this.#offset;
    this.#memory.bytes.fill(0, this.#offset, this.#offset + this.#entries * descriptorBytes);
    this.#memory.syncForDevice(this.#offset, this.#entries * descriptorBytes);
    this.#regs.write32(Offset.transmitBaseLow, lowWord(iova));
    this.#regs.write32(Offset.transmitBaseHigh, highWord(iova));
    this.#regs.write32(Offset.transmitLength, this.#entries * descriptorBytes);
    this.#regs.write32(Offset.transmitHead, 0);
    this.#regs.write32(Offset.transmitTail, 0);
    this.#tail = 0;
    this.#clean = 0;
    this.#firstReport = 0;
    this.#reportCount = 0;
  }

  /** Hands `count` frames to the device with one write of the tail. @throws Error when there are more than `depth` at once */
  send(requests: Uint32Array, count: number): void {
    if (this.used + count > this.depth) throw new Error(`a frame beyond the ${this.depth} that this driver takes at once`);
    const { words } = this.#memory;
    const entries = this.#entries;
    const tags = this.#tags;
    const first = this.#offset >> 2;
    const start = this.#tail;
    let tail = start;
    let at = 0;
    for (let n = 1; n <= count; n++) {
      const descriptor = first + tail * descriptorWords;
      words[descriptor + addressLow] = requests[at + atIovaLow]!;
      words[descriptor + addressHigh] = requests[at + atIovaHigh]!;
      if (n === count || n % reportEvery === 0) {
        words[descriptor + lengthWord] = requests[at + atSize]! | wholeReported;
        this.#reports[(this.#firstReport + this.#reportCount++) % entries] = tail;
      } else {
        words[descriptor + lengthWord] = requests[at + atSize]! | whole;
      }
      words[descriptor + statusWord] = 0;
      tags[tail] = requests[at + atTag]!;
      if (++tail === entries) tail = 0;
      at += requestWords;
    }
    if (tail === start) return;
    this.used += count;
    this.#tail = tail;
    if (tail > start) {
      this.#memory.syncForDevice(this.#offset + start * descriptorBytes, (tail - start) * descriptorBytes);
    } else {
      this.#memory.syncForDevice(this.#offset + start * descriptorBytes, (entries - start) * descriptorBytes);
      this.#memory.syncForDevice(this.#offset, tail * descriptorBytes);
    }
    this.#regs.write32(Offset.transmitTail, tail);
  }

  /** Completes the frames whose report is there; returns how many. There are never more reports than descriptors. */
  reclaim(): number {
    const { words } = this.#memory;
    const before = this.used;
    while (this.#reportCount > 0) {
      const last = this.#reports[this.#firstReport]!;
      const offset = this.#offset + last * descriptorBytes;
      this.#memory.syncForCpu(offset, descriptorBytes);
      if ((words[(offset >> 2) + statusWord]! & transmitDone) === 0) break;
      this.#firstReport = (this.#firstReport + 1) % this.#entries;
      this.#reportCount--;
      this.#finish((last + 1) % this.#entries, ok);
    }
    return before - this.used;
  }

  /** Completes all frames with `status`; only for a device whose transmitter is off. */
  abandon(status: number): void {
    this.#finish(this.#tail, status);
    this.program();
  }

  /** Completes the frames before descriptor `end`. */
  #finish(end: number, status: number): void {
    const tags = this.#tags;
    let clean = this.#clean;
    for (; clean !== end; this.used--) {
      this.#queue.complete(tags[clean]!, status);
      if (++clean === this.#entries) clean = 0;
    }
    this.#clean = clean;
  }
}
