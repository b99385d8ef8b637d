/** Keeps changes of blocks apart where one of them reads a block, changes a part of it and writes it back. */

/** A change under way or waiting, from `first` up to `end` in bytes. */
export interface HeldRange {
  readonly first: number;
  readonly end: number;
  readonly exclusive: boolean;
}

interface Entry extends HeldRange {
  /** Earlier entries that must go first. */
  ahead: number;
  /** Later entries that wait for this one. */
  readonly behind: Entry[];
  start: (() => void) | undefined;
}

/**
 * Changes of whole blocks are shared: NBD leaves the order of overlapping writes open. A change of a part of a block is
 * exclusive: a write that came between its read and its write would be undone. Who came first goes first. Few requests
 * are exclusive, so the cost without one is that of a set's `add` and `delete`.
 */
export class RangeLock {
  readonly #entries = new Set<Entry>();
  #exclusive = 0;

  /** Ranges held or waited for. */
  get size(): number {
    return this.#entries.size;
  }

  /** Calls `start` when the range is held: at once if nothing stands against it, else within a later `release`. */
  hold(first: number, end: number, exclusive: boolean, start: (held: HeldRange) => void): void {
    const entry: Entry = { first, end, exclusive, ahead: 0, behind: [], start: undefined };
    if (exclusive || this.#exclusive > 0) {
      for (const other of this.#entries) {
        if (first >= other.end || end <= other.first || !(exclusive || other.exclusive)) continue;
        other.behind.push(entry);
        entry.ahead++;
      }
    }
    this.#entries.add(entry);
    if (exclusive) this.#exclusive++;
    if (entry.ahead === 0) start(entry);
    else entry.start = () => start(entry);
  }

  /** Gives the range back, once. */
  release(held: HeldRange): void {
    const entry = held as Entry;
    if (!this.#entries.delete(entry)) return;
    if (entry.exclusive) this.#exclusive--;
    for (const next of entry.behind) {
      if (--next.ahead === 0) next.start?.();
    }
  }
}
