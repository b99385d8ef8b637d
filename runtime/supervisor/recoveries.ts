/** Recovery times: from the detection of a failure to the first client call served after it. */
import type { Failure } from "../api/failure.ts";
import type { Recovery } from "./driver-status.ts";

/** Recoveries kept per driver: what a soak of minutes makes, at some 100 bytes each. Older ones are dropped. */
export const recoveriesKept = 4096;

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/**
 * A recovery is open until a call is served by a generation that came after it. A failure during recovery opens one
 * of its own and leaves the earlier ones open: their clients are still waiting.
 */
export class Recoveries {
  readonly #all: Mutable<Recovery>[] = [];
  #open: Mutable<Recovery>[] = [];

  /** Oldest first. */
  get all(): readonly Recovery[] {
    return this.#all;
  }

  failed(failure: Failure, generation: bigint, nowMicros: number): void {
    for (const open of this.#open) open.readyMicros = open.passiveMicros = open.firstServedMicros = undefined;
    const recovery: Mutable<Recovery> = {
      kind: failure.kind, generation, detectedAtMicros: nowMicros,
      teardownMicros: undefined, readyMicros: undefined, passiveMicros: undefined, firstServedMicros: undefined,
    };
    this.#all.push(recovery);
    if (this.#all.length > recoveriesKept) this.#all.shift();
    this.#open.push(recovery);
    if (this.#open.length > recoveriesKept) this.#open.shift();
  }

  tornDown(generation: bigint, nowMicros: number): void {
    for (const recovery of this.#open) if (recovery.generation === generation) recovery.teardownMicros = nowMicros - recovery.detectedAtMicros;
  }

  ready(nowMicros: number): void {
    for (const recovery of this.#open) recovery.readyMicros = nowMicros - recovery.detectedAtMicros;
  }

  passive(nowMicros: number): readonly Recovery[] {
    for (const recovery of this.#open) recovery.passiveMicros = nowMicros - recovery.detectedAtMicros;
    return this.#close();
  }

  /** Returns the recoveries this call completes. A call that is answered while the shadow still replays completes them later. */
  served(nowMicros: number): readonly Recovery[] {
    for (const recovery of this.#open) recovery.firstServedMicros ??= nowMicros - recovery.detectedAtMicros;
    return this.#close();
  }

  #close(): readonly Recovery[] {
    const closed = this.#open.filter(complete);
    if (closed.length > 0) this.#open = this.#open.filter((recovery) => !complete(recovery));
    return closed;
  }
}

function complete(recovery: Recovery): boolean {
  return recovery.firstServedMicros !== undefined && recovery.passiveMicros !== undefined;
}
