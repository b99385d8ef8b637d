/** The way in: keeps the driver supplied with empty buffers, and takes frames out of them. */
import { highWord, lowWord } from "../../api/words.ts";
import { QueueLink, type QueueUser } from "../queue-link.ts";
import type { DriverPort, ShadowEnvironment } from "../shadow.ts";
import { headerBytes, net } from "./contract.ts";
import { type Geometry, frameLimit } from "./geometry.ts";

const { request, completion } = net.queues.receive;
const atCapacity = request.at.capacityBytes;
const atLow = request.at.iovaLow;
const atHigh = request.at.iovaHigh;
const atSize = completion.at.sizeBytes;

/** Buffers are given back when this share of the depth is free: a batch, and early enough that a burst finds the rest. */
const refillShare = 4;
/**
 * A buffer for which no frame came may wait for ever, but one that so many times the depth of later ones have overtaken was
 * lost by its driver, which would end without any.
 */
const overtakenDepths = 4;
/** Memory for frames is taken in pieces of this size and cut up: one allocation for some forty full frames. */
const pieceBytes = 64 * 1024;

export class Receiver implements QueueUser<number> {
  readonly link: QueueLink<number>;
  received = 0;
  refused = 0;
  /** Of the configuration the driver has. */
  mtu: number;
  readonly #environment: ShadowEnvironment;
  readonly #geometry: Geometry;
  /** Slots no driver has: a ring, so that each rests as long as possible. */
  readonly #free: Uint16Array;
  #freeAt = 0;
  #freeCount: number;
  #depth = 0;
  /** Frames completed so far; and how many had been when each slot was posted, Infinity for one that is free. */
  #completions = 0;
  readonly #postedAt: Float64Array;
  /** A lost buffer was reported: once per generation. */
  #blamed = false;
  #frames: Uint8Array[] = [];
  #piece = new Uint8Array(0);
  #pieceUsed = 0;

  constructor(environment: ShadowEnvironment, geometry: Geometry, mtu: number) {
    this.#environment = environment;
    this.#geometry = geometry;
    this.mtu = mtu;
    this.#postedAt = new Float64Array(geometry.receiveSlots).fill(Infinity);
    this.#free = Uint16Array.from({ length: geometry.receiveSlots }, (_, slot) => slot);
    this.#freeCount = geometry.receiveSlots;
    this.link = new QueueLink(net.queues.receive, environment, this);
  }

  /** A driver that keeps up to `depth` buffers: it is given them all. */
  open(port: DriverPort, depth: number): void {
    this.#depth = Math.min(depth, this.#geometry.receiveSlots);
    this.#blamed = false;
    this.link.open(port, this.#depth);
    this.#post();
  }

  /** The driver is gone and its device is quiet: the buffers are free again. */
  close(): void {
    for (const slot of this.link.close()) this.#release(slot);
    this.#frames = [];
  }

  /** The frames of the completions just received, in order; gives the driver new buffers when it is time. */
  take(): Uint8Array[] {
    const frames = this.#frames;
    if (frames.length > 0) this.#frames = [];
    if (this.link.room * refillShare >= this.#depth) {
      this.#findLost();
      this.#post();
    }
    return frames;
  }

  /** See QueueUser. The driver's device can write to the slot at any time: the bytes are copied before anybody looks at them. */
  completed(slot: number, words: Uint32Array, at: number): string | undefined {
    const sizeBytes = words[at + atSize]!;
    this.#completions++;
    this.#release(slot);
    const { buffers, slotBytes } = this.#geometry;
    if (sizeBytes > slotBytes) return `a frame of ${sizeBytes} bytes in a buffer of ${slotBytes}`;
    if (sizeBytes < headerBytes || sizeBytes > frameLimit(this.mtu)) {
      this.refused++;
      return undefined;
    }
    if (this.#pieceUsed + sizeBytes > this.#piece.length) {
      this.#piece = new Uint8Array(pieceBytes);
      this.#pieceUsed = 0;
    }
    const frame = this.#piece.subarray(this.#pieceUsed, this.#pieceUsed + sizeBytes);
    this.#pieceUsed += sizeBytes;
    buffers.read(slot * slotBytes, frame);
    this.#frames.push(frame);
    this.received++;
    return undefined;
  }

  #release(slot: number): void {
    this.#postedAt[slot] = Infinity;
    this.#free[(this.#freeAt + this.#freeCount++) % this.#free.length] = slot;
  }

  #findLost(): void {
    const limit = this.#completions - overtakenDepths * this.#depth;
    if (this.#blamed || !this.#postedAt.some((posted) => posted < limit)) return;
    this.#blamed = true;
    const { driver } = this.#environment;
    const message = `${driver}: a buffer of queue receive was overtaken by ${overtakenDepths * this.#depth} others: it was lost`;
    this.#environment.fail({ kind: "deadline", operation: "receive", message });
  }

  /**
   * In several batches when all are free, as after a burst: a driver that loses one batch still has others, whose frames show
   * what it lost. One without any buffer would look like one to which nobody sends.
   */
  #post(): void {
    const { buffers, slotBytes } = this.#geometry;
    const { words } = this.link;
    const batch = Math.ceil(this.#depth / refillShare);
    for (let added = 0; this.link.room > 0; added++) {
      if (added > 0 && added % batch === 0) this.link.flush();
      const slot = this.#free[this.#freeAt]!;
      this.#freeAt = (this.#freeAt + 1) % this.#free.length;
      this.#freeCount--;
      this.#postedAt[slot] = this.#completions;
      const iova = buffers.iova + slot * slotBytes;
      const at = this.link.add(slot);
      words[at + atCapacity] = slotBytes;
      words[at + atLow] = lowWord(iova);
      words[at + atHigh] = highWord(iova);
    }
    this.link.flush();
  }
}
