/**
 * Keeps calls that touch the same blocks in their order: of two that overlap, and of which one changes something, the later waits
 * for the earlier. Who waits once is passed by nobody that overlaps with it, so everyone's turn comes.
 */
import type { BlockCall } from "./block-call.ts";

export class RangeOrder {
  /** In no order; a call knows its place. */
  readonly #unfinished: BlockCall[] = [];
  #changing = 0;
  #arrivals = 0;

  get size(): number {
    return this.#unfinished.length;
  }

  /** Takes a call in; true when it need not wait. */
  enter(call: BlockCall): boolean {
    const calls = this.#unfinished;
    const changes = call.changes;
    if (changes || this.#changing > 0) {
      const { first, end } = call;
      for (let index = 0; index < calls.length; index++) {
        const other = calls[index]!;
        if (other.first < end && first < other.end && (changes || other.changes)) {
          (other.dependents ??= []).push(call);
          call.blockers++;
        }
      }
    }
    if (changes) this.#changing++;
    call.order = this.#arrivals++;
    call.place = calls.length;
    calls.push(call);
    return call.blockers === 0;
  }

  /** A call is finished: calls `ready` with each that waited for nothing else. */
  leave(call: BlockCall, ready: (call: BlockCall) => void): void {
    const last = this.#unfinished.pop()!;
    if (last !== call) {
      this.#unfinished[call.place] = last;
      last.place = call.place;
    }
    call.place = -1;
    if (call.changes) this.#changing--;
    if (call.dependents === undefined) return;
    for (const dependent of call.dependents) if (--dependent.blockers === 0) ready(dependent);
    call.dependents = undefined;
  }

  /** All unfinished calls in order of arrival. */
  inOrder(): BlockCall[] {
    return this.#unfinished.toSorted((a, b) => a.order - b.order);
  }

  /** Empties it; what was in it, in order of arrival. */
  takeAll(): BlockCall[] {
    const calls = this.inOrder();
    this.#unfinished.length = 0;
    this.#changing = 0;
    for (const call of calls) call.place = -1;
    return calls;
  }
}
