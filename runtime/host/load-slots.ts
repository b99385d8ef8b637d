/** Bounds how many sandboxes load at once: more than the cores can run only makes each of them late. */

/** Loads in progress at once. Two per core of a small machine: one computes while another waits for its file. */
const slots = 4;

/** A turn to load; called once, when the load is over. */
export type Release = () => void;

export class LoadSlots {
  readonly #urgent: (() => void)[] = [];
  readonly #ordinary: (() => void)[] = [];
  #free = slots;

  /** Resolves when it is this load's turn. A start that a client waits for goes before spares. */
  async acquire(isUrgent: boolean): Promise<Release> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => { (isUrgent ? this.#urgent : this.#ordinary).push(resolve); });
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      const next = this.#urgent.shift() ?? this.#ordinary.shift();
      if (next === undefined) this.#free++;
      else next();
    };
  }
}
