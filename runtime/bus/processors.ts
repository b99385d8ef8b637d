/** Keeps a driver's thread off the processor of the hardware's thread, whose answers it waits for. */
import { DoorbellWord } from "./channel.ts";

/** Where the calling thread runs; what the native addon knows. */
export interface Processors {
  current(): number;
  /** Moves the calling thread to another one; false when it may use no other. */
  leave(): boolean;
}

/**
 * Sleeps in a row on the hardware's processor that are chance. The system puts a thread that is woken where the one that wakes it runs
 * if the other processors are busy, and leaves both there: each read is then two switches of threads.
 */
const sleepsByChance = 2;

/** One driver thread's. */
export class StayApart {
  readonly #doorbell: Int32Array;
  #processors: Processors | undefined;
  #together = 0;

  constructor(doorbell: Int32Array, processors: Processors | undefined) {
    this.#doorbell = doorbell;
    this.#processors = processors;
  }

  /** To be called before each sleep for an answer. */
  beforeSleep(): void {
    if (this.#processors === undefined) return;
    const isTogether = this.#processors.current() + 1 === Atomics.load(this.#doorbell, DoorbellWord.processor);
    this.#together = isTogether ? this.#together + 1 : 0;
    if (this.#together <= sleepsByChance) return;
    this.#together = 0;
    if (!this.#processors.leave()) this.#processors = undefined;
  }
}
