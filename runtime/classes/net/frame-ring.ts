/** Frames of the client on their way out: private copies, in order, each kept until its driver says that it was sent. */

/** Memory for frames that wait or are with a driver: 30 ms at 1 Gbit/s, in which a driver is usually back. */
const ringBytes = 4 * 1024 * 1024;
/** More frames than this at once are no backlog but a client that does not listen. */
const mostFrames = 2_048;

const Place = { waiting: 0, withDriver: 1, done: 2 } as const;

/**
 * A frame has a number, counted from 0 for ever. Those from `head` to `next` were given to the driver, those from `next`
 * to `tail` wait. A driver may complete out of order; memory is given back in order.
 */
export class FrameRing {
  readonly slots: number;
  readonly #slotBytes: number;
  readonly #bytes: Uint8Array;
  readonly #sizes: Uint16Array;
  readonly #places: Uint8Array;
  #head = 0;
  #next = 0;
  #tail = 0;

  constructor(slotBytes: number) {
    this.#slotBytes = slotBytes;
    this.slots = Math.min(mostFrames, Math.floor(ringBytes / slotBytes));
    this.#bytes = new Uint8Array(this.slots * slotBytes);
    this.#sizes = new Uint16Array(this.slots);
    this.#places = new Uint8Array(this.slots);
  }

  /** Frames that a driver does not have. */
  get waiting(): number {
    return this.#tail - this.#next;
  }

  /** Frames from the oldest that is not completed to the last one given to the driver: those it completed in between count. */
  get span(): number {
    return this.#next - this.#head;
  }

  /** Number after the last frame given to the driver. */
  get given(): number {
    return this.#next;
  }

  get room(): number {
    return this.slots - (this.#tail - this.#head);
  }

  /** Copies a frame in; only while there is room. */
  push(frame: Uint8Array): void {
    const slot = this.#tail % this.slots;
    this.#bytes.set(frame, slot * this.#slotBytes);
    this.#sizes[slot] = frame.length;
    this.#places[slot] = Place.waiting;
    this.#tail++;
  }

  /** Moves past frames that an earlier driver had completed; then the number of the next frame to give, or -1. */
  peek(): number {
    while (this.#next < this.#tail && this.#places[this.#next % this.slots] === Place.done) this.#next++;
    return this.#next < this.#tail ? this.#next : -1;
  }

  /** The bytes of a frame: valid until it is completed. */
  frame(number: number): Uint8Array {
    const slot = number % this.slots;
    const at = slot * this.#slotBytes;
    return this.#bytes.subarray(at, at + this.#sizes[slot]!);
  }

  /** The frame that `peek` gave is with the driver now. */
  give(): void {
    this.#places[this.#next % this.slots] = Place.withDriver;
    this.#next++;
  }

  /** The driver is done with that frame. */
  complete(number: number): void {
    this.#places[number % this.slots] = Place.done;
    while (this.#head < this.#next && this.#places[this.#head % this.slots] === Place.done) this.#head++;
  }

  /** The driver is gone: what it had waits again, in its old order. Returns how many frames that are. */
  takeBack(): number {
    let count = 0;
    for (let number = this.#head; number < this.#next; number++) {
      const slot = number % this.slots;
      if (this.#places[slot] !== Place.withDriver) continue;
      this.#places[slot] = Place.waiting;
      count++;
    }
    this.#next = this.#head;
    return count;
  }

  /** Drops what the driver had when it died, and keeps the rest. Returns how many frames that are. */
  forsake(): number {
    const before = this.#next;
    const count = this.takeBack();
    this.#next = this.#head = before;
    return count;
  }

  /** Drops what no driver has; returns how many frames that are. */
  discard(): number {
    let count = 0;
    for (let number = this.#next; number < this.#tail; number++) if (this.#places[number % this.slots] === Place.waiting) count++;
    this.#tail = this.#next;
    return count;
  }
}
