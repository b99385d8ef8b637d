/**
 * The channel: shared memory between a driver host's thread and the hardware's thread. One ring of commands with one
 * producer and one consumer, one completion slot for reads, one word of delivered interrupts, one gate.
 */

/** Commands in the ring. A burst longer than this waits for the hardware: far more than a driver posts between reads. */
export const ringEntries = 1024;

const entryWords = 4;

/** Words of the header, each on a cache line of its own because two threads write them. */
const stride = 16;
export const ChannelWord = {
  /** Bit n closes window n; bit (windows + n) closes line n; all ones closes everything. Written by the control plane. */
  gate: 0 * stride,
  /** Commands put, modulo 2^32. Written by the driver host. */
  head: 1 * stride,
  /** Commands performed, modulo 2^32. Written by the hardware. */
  tail: 2 * stride,
  /** Sequence number of the last completed read. Written by the hardware. */
  completed: 3 * stride,
  value: 4 * stride,
  status: 5 * stride,
  /** Bit n: line n was delivered. Set by the hardware, taken by the driver host. */
  irqs: 6 * stride,
  /** Changes whenever the driver host should look: at `irqs`, or at its message ring. */
  doorbell: 7 * stride,
  /** 1 while the driver host sleeps because the ring is full. */
  blocked: 8 * stride,
} as const;
const headerWords = 9 * stride;

export const ReadStatus = { ok: 0, revoked: 1, denied: 2, lost: 3 } as const;

export const CommandOp = { read: 1, write: 2, irq: 3 } as const;

/** Words of the hardware thread's own doorbell. */
export const DoorbellWord = {
  ring: 0,
  sleeping: stride,
  /** The processor that the hardware's thread woke up on, plus one; 0 where nobody knows. */
  processor: 2 * stride,
} as const;
const doorbellWords = 3 * stride;

/** Every capability of a grant at once. */
export const gateAll = -1;

/** Windows and lines of one driver together; the gate has one bit for each and its sign bit stays free. */
export const maxCapabilities = 31;

export function createChannel(): SharedArrayBuffer {
  return new SharedArrayBuffer((headerWords + ringEntries * entryWords) * 4);
}

export function createDoorbell(): SharedArrayBuffer {
  return new SharedArrayBuffer(doorbellWords * 4);
}

/** The ring's word index of command number `position`. */
export function entryIndex(position: number): number {
  return headerWords + (position & (ringEntries - 1)) * entryWords;
}

/** Wakes the hardware's thread if it sleeps; costs one load while it is awake. */
export function ringDoorbell(doorbell: Int32Array): void {
  if (Atomics.load(doorbell, DoorbellWord.sleeping) === 0) return;
  Atomics.add(doorbell, DoorbellWord.ring, 1);
  Atomics.notify(doorbell, DoorbellWord.ring);
}

/** Tells a driver host's thread to look. */
export function wakeHost(channel: Int32Array): void {
  Atomics.add(channel, ChannelWord.doorbell, 1);
  Atomics.notify(channel, ChannelWord.doorbell);
}
