/** Keeps a driver's thread off the processor of the hardware's thread, whose answers it waits for. */
import { realClock } from "../api/clock.ts";
import { DoorbellWord } from "./channel.ts";

/** Where the calling thread runs; what the native addon knows. */
export interface Processors {
  current(): number;
  /** Moves the calling thread to another one; false when it may use no other. */
  leave(): boolean;
}

/**
 * The system puts a thread that is woken where the one that wakes it runs if the other processors are busy, and leaves both there: each
 * read is then two switches of threads. So many sleeps within that time on the hardware's processor are no chance. A driver that sleeps
 * less often would gain less than it costs the thread that has the other processor.
 */
const sleepsInARow = 32;
const rowMicros = 1_300;
/** A driver that has just been started finds its device, with nobody else at work; it need not wait for a row. */
const startMicros = 100_000;
const sleepsAtStart = 3;

/** One driver thread's. */
export class StayApart {
  readonly #doorbell: Int32Array;
  readonly #nowMicros: () => number;
  #processors: Processors | undefined;
  readonly #startedMicros: number;
  #together = 0;
  #sinceMicros = 0;

  constructor(doorbell: Int32Array, processors: Processors | undefined, nowMicros: () => number = () => realClock.nowMicros()) {
    this.#doorbell = doorbell;
    this.#processors = processors;
    this.#nowMicros = nowMicros;
    this.#startedMicros = nowMicros();
  }

  /** To be called before each sleep for an answer. */
  beforeSleep(): void {
    if (this.#processors === undefined) return;
    const isTogether = this.#processors.current() + 1 === Atomics.load(this.#doorbell, DoorbellWord.processor);
    this.#together = isTogether ? this.#together + 1 : 0;
    if (this.#together === 1) this.#sinceMicros = this.#nowMicros();
    if (this.#together < sleepsAtStart || !this.#isRow()) return;
    this.#together = 0;
    if (!this.#processors.leave()) this.#processors = undefined;
  }

  #isRow(): boolean {
    const now = this.#nowMicros();
    if (now - this.#startedMicros < startMicros) return true;
    if (this.#together < sleepsInARow) return false;
    const isRow = now - this.#sinceMicros < rowMicros;
    this.#together = 0;
    return isRow;
  }
}
