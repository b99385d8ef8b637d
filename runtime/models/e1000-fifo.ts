/** The 82540EM's receive packet buffer: frames that wait for descriptors, in a fixed piece of memory. Source: 317453, 13.4.46 (PBA). */

/** The chip's default share of its 64 KiB for reception. */
export const receiveFifoBytes = 48 * 1_024;
/** What each frame takes besides its bytes, rounded up to this: size and status. */
const granuleBytes = 16;

export class ReceiveFifo {
  readonly #bytes = new Uint8Array(receiveFifoBytes);
  /** Start, size and status bits of each frame, oldest first. */
  #frames: { start: number; sizeBytes: number; status: number }[] = [];
  /** Where in `#frames` the oldest is: shifting an array of hundreds for each frame would show. */
  #first = 0;
  #end = 0;
  #usedBytes = 0;

  get isEmpty(): boolean { return this.#first === this.#frames.length; }

  /** Whether a frame of this size would be taken. */
  hasRoomFor(sizeBytes: number): boolean {
    return this.#usedBytes + occupied(sizeBytes) <= receiveFifoBytes;
  }

  /** False when there is no room: the frame is lost. */
  push(frame: Uint8Array, status: number): boolean {
    if (!this.hasRoomFor(frame.length)) return false;
    const taken = occupied(frame.length);
    const start = this.#end;
    const split = receiveFifoBytes - start;
    if (frame.length <= split) this.#bytes.set(frame, start);
    else {
      this.#bytes.set(frame.subarray(0, split), start);
      this.#bytes.set(frame.subarray(split), 0);
    }
    this.#frames.push({ start, sizeBytes: frame.length, status });
    this.#end = (start + taken) % receiveFifoBytes;
    this.#usedBytes += taken;
    return true;
  }

  /** Size of the oldest frame. */
  get firstBytes(): number { return this.#frames[this.#first]!.sizeBytes; }
  get firstStatus(): number { return this.#frames[this.#first]!.status; }

  /** Copies part of the oldest frame to the start of `into`. */
  copyFirst(offset: number, sizeBytes: number, into: Uint8Array): void {
    const from = (this.#frames[this.#first]!.start + offset) % receiveFifoBytes;
    const split = Math.min(sizeBytes, receiveFifoBytes - from);
    into.set(this.#bytes.subarray(from, from + split), 0);
    if (split < sizeBytes) into.set(this.#bytes.subarray(0, sizeBytes - split), split);
  }

  /** Lets go of the oldest frame. */
  pop(): void {
    this.#usedBytes -= occupied(this.#frames[this.#first++]!.sizeBytes);
    if (this.isEmpty) this.clear();
    else if (this.#first > compactAfter) {
      this.#frames = this.#frames.slice(this.#first);
      this.#first = 0;
    }
  }

  clear(): void {
    this.#frames.length = 0;
    this.#first = 0;
    this.#end = 0;
    this.#usedBytes = 0;
  }
}

/** Passed entries that may lie about; more than the buffer holds of the smallest frames. */
const compactAfter = 1_024;

function occupied(sizeBytes: number): number {
  return Math.ceil(sizeBytes / granuleBytes) * granuleBytes + granuleBytes;
}
