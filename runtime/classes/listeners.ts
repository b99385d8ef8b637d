/** Listeners of a shadow's events: one that throws harms neither the shadow nor the other listeners. */
import { AirlockError, errorText } from "../api/errors.ts";

/** More subscriptions than this to one shadow is a client that forgets to unsubscribe. */
const maxListeners = 256;

export class Listeners<T> {
  readonly #listeners = new Set<{ readonly call: (value: T) => void }>();
  readonly #note: (text: string) => void;

  constructor(note: (text: string) => void) {
    this.#note = note;
  }

  get size(): number {
    return this.#listeners.size;
  }

  /** Subscribes; returns the unsubscribing function. @throws AirlockError QueueFull */
  add(listener: (value: T) => void): () => void {
    if (this.#listeners.size >= maxListeners) {
      throw new AirlockError("QueueFull", `there are ${maxListeners} listeners already; unsubscribe those that are not needed any more`);
    }
    const entry = { call: listener };
    this.#listeners.add(entry);
    return () => void this.#listeners.delete(entry);
  }

  emit(value: T): void {
    for (const entry of this.#listeners) {
      try {
        entry.call(value);
      } catch (error) {
        this.#note(`a client's listener threw: ${errorText(error)}`);
      }
    }
  }

  clear(): void {
    this.#listeners.clear();
  }
}
