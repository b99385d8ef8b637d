/** The flight recorder: the last entries of one thread's events in shared memory, readable while its writer hangs. */
import { type TraceEntry, TraceKind, type TraceSink } from "./entry.ts";

/*
 * Header (32 bytes): u32 magic, u32 slots, f64 count of entries ever recorded, 16 bytes reserved.
 * Slot (32 bytes):   u32 check, u32 kind, u32 a, b, c, d, f64 micros.
 *
 * The check word mixes the entry's sequence number (its count, mod 2^32) with all its other words. A reader knows which
 * number a slot must hold, so an entry that is half written, or half overwritten by a later one, does not fit its check
 * and is dropped. This needs no ordering between plain stores, so recording needs no atomic operation: on the machine
 * that this was written on, one Atomics.store costs 8 ns, as much as the check of a whole entry.
 */
const headerBytes = 32;
const slotBytes = 32;
const slotWords = slotBytes / 4;
/** "AFR1" in ASCII: an attach to a buffer that is not a recorder, or of another layout, is refused. */
const magic = 0x3152_4641;
const countIndex = 1;

/** Fewest slots: less than one turn's accesses explains nothing. */
const minSlots = 16;
/** Most slots, 32 MiB: recorders are always on and there may be hundreds of drivers. */
const maxSlots = 1 << 20;

/** Slots that hold some tenths of a second of a busy driver in 128 KiB. */
export const defaultRecorderSlots = 4096;

const highestKind = Math.max(...Object.values(TraceKind));

export interface Snapshot {
  /** Oldest first, every one exactly as it was recorded. */
  readonly entries: readonly TraceEntry[];
  /** Entries recorded and no longer there: overwritten by later ones, or being written at this moment. */
  readonly dropped: number;
}

/**
 * A ring of fixed-size entries with one writer in any thread and readers in others. `record` takes numbers only, never
 * throws and never allocates; values are kept as unsigned 32-bit integers, larger ones saturate, fractions are cut, and
 * what is not a number (a hostile argument on its way to a denial) is kept as 0.
 *
 * `nowMicros` is in the machine's time: performance.now() has one origin in all threads of a process, so entries of
 * several recorders merge. It costs 40 ns here, five times the rest of `record`; `TurnClock` spares most of that.
 */
export class FlightRecorder implements TraceSink {
  readonly buffer: SharedArrayBuffer;
  readonly #nowMicros: () => number;
  readonly #words: Uint32Array;
  readonly #doubles: Float64Array;
  readonly #mask: number;

  private constructor(buffer: SharedArrayBuffer, nowMicros: () => number) {
    this.buffer = buffer;
    this.#nowMicros = nowMicros;
    this.#words = new Uint32Array(buffer);
    this.#doubles = new Float64Array(buffer);
    this.#mask = this.#words[1]! - 1;
  }

  /** A recorder of at least `entries` slots (a power of two, 16..1,048,576). @throws RangeError outside of that */
  static create(entries: number, nowMicros: () => number): FlightRecorder {
    if (!Number.isInteger(entries) || entries < 1 || entries > maxSlots) {
      throw new RangeError(`a flight recorder holds 1..${maxSlots} entries, not ${entries}`);
    }
    const slots = 2 ** Math.ceil(Math.log2(Math.max(entries, minSlots)));
    const buffer = new SharedArrayBuffer(headerBytes + slots * slotBytes);
    new Uint32Array(buffer).set([magic, slots]);
    return new FlightRecorder(buffer, nowMicros);
  }

  /** The other end of a recorder: its writer, or a reader. @throws RangeError when the buffer is not a recorder's */
  static attach(buffer: SharedArrayBuffer, nowMicros: () => number): FlightRecorder {
    const words = buffer.byteLength >= headerBytes && buffer.byteLength % 8 === 0 ? new Uint32Array(buffer) : new Uint32Array(2);
    const slots = words[1]!;
    const fits = slots >= minSlots && slots <= maxSlots && (slots & (slots - 1)) === 0;
    if (words[0] !== magic || !fits || buffer.byteLength !== headerBytes + slots * slotBytes) {
      throw new RangeError(`${buffer.byteLength} bytes that are not a flight recorder of this version`);
    }
    return new FlightRecorder(buffer, nowMicros);
  }

  /** Number of entries the ring holds. */
  get slots(): number {
    return this.#mask + 1;
  }

  /** Number of entries ever recorded. */
  get recorded(): number {
    return this.#doubles[countIndex]!;
  }

  record(kind: TraceKind, a: number, b: number, c: number, d: number): void {
    const words = this.#words;
    const doubles = this.#doubles;
    const count = doubles[countIndex]!;
    const at = headerBytes / 4 + ((count >>> 0) & this.#mask) * slotWords;
    words[at + 1] = kind;
    words[at + 2] = word(a);
    words[at + 3] = word(b);
    words[at + 4] = word(c);
    words[at + 5] = word(d);
    doubles[(at + 6) >> 1] = this.#nowMicros();
    words[at] = check(words, at, count >>> 0);
    doubles[countIndex] = count + 1;
  }

  /** Copies what is there, from any thread, also while the writer writes or hangs. */
  snapshot(): Snapshot {
    const copy = new Uint32Array(slotWords);
    const micros = new Float64Array(copy.buffer);
    // What is no count was not written by a recorder: in the worker tier a driver shares the thread that writes.
    const told = this.recorded;
    const count = Number.isSafeInteger(told) ? told : 0;
    const entries: TraceEntry[] = [];
    for (let number = Math.max(0, count - this.slots); number < count; number++) {
      const at = headerBytes / 4 + ((number >>> 0) & this.#mask) * slotWords;
      for (let i = 0; i < slotWords; i++) copy[i] = this.#words[at + i]!;
      const kind = copy[1]!;
      if (copy[0] !== check(copy, 0, number >>> 0) || kind < 1 || kind > highestKind) continue;
      entries.push({ micros: micros[3]!, kind: kind as TraceKind, a: copy[2]!, b: copy[3]!, c: copy[4]!, d: copy[5]! });
    }
    return { entries, dropped: count - entries.length };
  }
}

function word(value: number): number {
  return typeof value === "number" ? (value > 0xffff_ffff ? 0xffff_ffff : value) : 0;
}

/** Multiply-and-rotate over the slot's words, keyed with the sequence number. Never 0, so that an empty slot never fits. */
function check(words: Uint32Array, at: number, sequence: number): number {
  let hash = Math.imul(sequence ^ 0x9e37_79b9, 0x85eb_ca6b);
  for (let i = 1; i < slotWords; i++) {
    hash = Math.imul(hash ^ words[at + i]!, 0xc2b2_ae35);
    hash ^= hash >>> 15;
  }
  return (hash | 1) >>> 0;
}
