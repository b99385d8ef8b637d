/** The receive ring: the class's buffers in, frames out in the order of arrival. Source: manual 317453, section 3.2. */
import { type DmaMemory, type DriverQueue, type RegisterWindow, highWord, lowWord } from "airlock/driver";
import { headerBytes, net } from "airlock/driver/net";
import { Descriptor, Offset, Received, bufferSizes, descriptorBytes, descriptorWords } from "./registers.ts";

const { tag: atTag, capacityBytes: atCapacity, iovaLow: atIovaLow, iovaHigh: atIovaHigh } = net.queues.receive.request.at;
const requestWords = net.queues.receive.request.words;
const { addressLow, addressHigh, length: lengthWord, status: statusWord } = Descriptor;
const doneBit = Received.done;
/** What the status of a frame that lies in one buffer and has no error looks like under this mask. */
const goodMask = Received.endOfPacket | Received.errors;
const good = Received.endOfPacket;

/** Descriptors looked at between two syncs: few are copied for nothing where syncing copies. */
const lookAhead = 16;

export class ReceiveRing {
  /** Most buffers at once: with all descriptors the device's the ring would look empty (3.2.6). */
  readonly depth: number;
  /** Buffers the device has. */
  posted = 0;
  /** Frames thrown away here: with errors, too short or too long, or in pieces. */
  dropped = 0;
  readonly #memory: DmaMemory;
  readonly #regs: RegisterWindow;
  readonly #queue: DriverQueue;
  readonly #offset: number;
  readonly #entries: number;
  /** What was posted in each descriptor: the device may write over the descriptors themselves. */
  readonly #tags: Uint32Array;
  readonly #capacities: Uint32Array;
  readonly #lows: Uint32Array;
  readonly #highs: Uint32Array;
  #tail = 0;
  /** The oldest descriptor that the device has. */
  #next = 0;
  /** The frame at `#next` began in an earlier buffer. */
  #inPieces = false;
  /** What the device uses of each buffer, and the longest frame to pass on. */
  #bufferBytes: number = bufferSizes[0]![0];
  #frameLimit = 0;

  /** The ring has `entries` descriptors from `offset` of the memory. */
  constructor(memory: DmaMemory, offset: number, entries: number, regs: RegisterWindow, queue: DriverQueue) {
    this.#memory = memory;
    this.#offset = offset;
    this.#entries = entries;
    this.#regs = regs;
    this.#queue = queue;
    this.depth = entries - 1;
    this.#tags = new Uint32Array(entries);
    this.#capacities = new Uint32Array(entries);
    this.#lows = new Uint32Array(entries);
    this.#highs = new Uint32Array(entries);
  }

  /** Tells a device whose receiver is off where the ring is, empty. */
  program(): void {
    const iova = this.#memory.iova + this.#offset;
    this.#memory.bytes.fill(0, this.#offset, this.#offset + this.#entries * descriptorBytes);
    this.#memory.syncForDevice(this.#offset, this.#entries * descriptorBytes);
    this.#regs.write32(Offset.receiveBaseLow, lowWord(iova));
    this.#regs.write32(Offset.receiveBaseHigh, highWord(iova));
    this.#regs.write32(Offset.receiveLength, this.#entries * descriptorBytes);
    this.#regs.write32(Offset.receiveHead, 0);
    this.#regs.write32(Offset.receiveTail, 0);
  }

  /** From now on, with the receiver off, the device uses `bufferBytes` of each buffer. @throws Error when posted ones are smaller */
  setSizes(bufferBytes: number, frameLimit: number): void {
    for (let at = this.#next; at !== this.#tail; at = (at + 1) % this.#entries) checkCapacity(this.#capacities[at]!, bufferBytes);
    this.#bufferBytes = bufferBytes;
    this.#frameLimit = frameLimit;
  }

  /** Hands `count` empty buffers to the device with one write of the tail. @throws Error for more than `depth`, or too small ones */
  post(requests: Uint32Array, count: number): void {
    if (this.posted + count > this.depth) throw new Error(`a buffer beyond the ${this.depth} that this driver takes at once`);
    const start = this.#tail;
    for (let at = 0, end = count * requestWords; at < end; at += requestWords) {
      checkCapacity(requests[at + atCapacity]!, this.#bufferBytes);
      this.#put(requests[at + atTag]!, requests[at + atCapacity]!, requests[at + atIovaLow]!, requests[at + atIovaHigh]!);
    }
    this.posted += count;
    this.#handOver(start);
  }

  /**
   * Completes the buffers that frames are in, at most as many as were posted, so that a device that receives without end does
   * not keep the driver. @throws Error when a length cannot be
   */
  drain(): void {
    let look = this.posted;
    const { words } = this.#memory;
    const entries = this.#entries;
    const first = this.#offset >> 2;
    const bufferBytes = this.#bufferBytes;
    const frameLimit = this.#frameLimit;
    const tags = this.#tags;
    const start = this.#tail;
    let next = this.#next;
    while (look > 0) {
      let chunk = entries - next;
      if (chunk > lookAhead) chunk = lookAhead;
      if (chunk > look) chunk = look;
      look -= chunk;
      this.#memory.syncForCpu(this.#offset + next * descriptorBytes, chunk * descriptorBytes);
      for (; chunk > 0; chunk--) {
        const descriptor = first + next * descriptorWords;
        // One read each, then checks of the copies: the device may write them at any time.
        const status = words[descriptor + statusWord]!;
        if ((status & doneBit) === 0) {
          look = 0;
          break;
        }
        const length = words[descriptor + lengthWord]! & 0xffff;
        if (length > bufferBytes) throw new Error(`the device lies: ${length} bytes in a buffer of which it uses ${bufferBytes}`);
        this.posted--;
        if ((status & goodMask) === good && !this.#inPieces && length >= headerBytes && length <= frameLimit) {
          this.#queue.complete(tags[next]!, length);
        } else {
          this.#drop(next, status);
        }
        if (++next === entries) next = 0;
      }
    }
    this.#next = next;
    if (this.#tail !== start) this.#handOver(start);
  }

  /** The buffer goes back to the device; a frame in several pieces counts once, at its end. */
  #drop(descriptor: number, status: number): void {
    this.#inPieces = (status & Received.endOfPacket) === 0;
    if (!this.#inPieces) this.dropped++;
    this.posted++;
    this.#put(this.#tags[descriptor]!, this.#capacities[descriptor]!, this.#lows[descriptor]!, this.#highs[descriptor]!);
  }

  #put(tag: number, capacityBytes: number, iovaLow: number, iovaHigh: number): void {
    const { words } = this.#memory;
    const tail = this.#tail;
    const descriptor = (this.#offset >> 2) + tail * descriptorWords;
    words[descriptor + addressLow] = iovaLow;
    words[descriptor + addressHigh] = iovaHigh;
    words[descriptor + lengthWord] = 0;
    words[descriptor + statusWord] = 0;
    this.#tags[tail] = tag;
    this.#capacities[tail] = capacityBytes;
    this.#lows[tail] = iovaLow;
    this.#highs[tail] = iovaHigh;
    this.#tail = tail + 1 === this.#entries ? 0 : tail + 1;
  }

  /** Shows the device the descriptors from `start` to the tail. */
  #handOver(start: number): void {
    const tail = this.#tail;
    if (tail === start) return;
    if (tail > start) {
      this.#memory.syncForDevice(this.#offset + start * descriptorBytes, (tail - start) * descriptorBytes);
    } else {
      this.#memory.syncForDevice(this.#offset + start * descriptorBytes, (this.#entries - start) * descriptorBytes);
      this.#memory.syncForDevice(this.#offset, tail * descriptorBytes);
    }
    this.#regs.write32(Offset.receiveTail, tail);
  }
}

/** The device does not know how large a buffer is: it uses what RCTL says of each. */
function checkCapacity(capacityBytes: number, bufferBytes: number): void {
  if (capacityBytes < bufferBytes) throw new Error(`a receive buffer of ${capacityBytes} bytes; this MTU needs ${bufferBytes}`);
}
