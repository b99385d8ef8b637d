/** Time as a parameter: the clock interface everything is given, the machine's real clock, and a virtual one. */

export interface Clock {
  /** Microseconds since an arbitrary start; never goes back. May have a fraction. */
  nowMicros(): number;
  /** Calls `callback` once, never inside this call; returns a function that cancels it. */
  setTimer(delayMicros: number, callback: () => void): () => void;
}

/** `performance.now` starts at zero in each thread; this makes it the process's one monotonic time. */
const threadOffsetMicros = typeof process === "undefined" ? 0 : Number(process.hrtime.bigint()) / 1000 - performance.now() * 1000;

/** The process's monotonic clock, the same in every thread; timers have the event loop's millisecond resolution. */
export const realClock: Clock = {
  nowMicros: () => performance.now() * 1000 + threadOffsetMicros,
  setTimer: (delayMicros, callback) => {
    let timer: ReturnType<typeof setTimeout>;
    const arm = (delayMs: number): void => {
      timer = delayMs > longestTimeoutMs ? setTimeout(() => arm(delayMs - longestTimeoutMs), longestTimeoutMs) : setTimeout(callback, delayMs);
    };
    arm(delayMicros / 1000);
    return () => clearTimeout(timer);
  },
};

/** Node fires a longer timeout after 1 ms and prints a warning, and drivers choose their delays themselves. */
const longestTimeoutMs = 2 ** 31 - 1;

/** Cancelled timers that may lie about before the queue is cleared of them. */
const cancelledKept = 64;

interface Timer {
  readonly dueMicros: number;
  readonly order: number;
  readonly callback: () => void;
}

/**
 * Timers in deadline order on a clock somebody else moves: the heart of virtual time and of a hardware thread's loop.
 * Equal deadlines run in the order they were set.
 */
export class TimerQueue {
  #heap: Timer[] = [];
  readonly #cancelled = new Set<Timer>();
  #order = 0;

  /** Timers in memory, cancelled ones included. */
  get stored(): number {
    return this.#heap.length;
  }

  /** Number of timers that will still fire. */
  get size(): number {
    return this.#heap.length - this.#cancelled.size;
  }

  add(dueMicros: number, callback: () => void): () => void {
    let live = true;
    const timer: Timer = { dueMicros, order: this.#order++, callback: () => { live = false; callback(); } };
    let at = this.#heap.push(timer) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!earlier(timer, this.#heap[parent]!)) break;
      this.#heap[at] = this.#heap[parent]!;
      at = parent;
    }
    this.#heap[at] = timer;
    return () => {
      if (live) this.#cancelled.add(timer);
      live = false;
      if (this.#cancelled.size > cancelledKept && this.#cancelled.size * 2 > this.#heap.length) this.#clear();
    };
  }

  /** Drops what was cancelled: a driver that makes its device set a timer anew all the time must not fill the memory. */
  #clear(): void {
    const live = this.#heap.filter((timer) => !this.#cancelled.has(timer));
    this.#cancelled.clear();
    // A sorted array is a heap.
    this.#heap = live.toSorted((a, b) => (earlier(a, b) ? -1 : 1));
  }

  /** Deadline of the next timer that will fire. */
  nextDueMicros(): number | undefined {
    while (this.#heap.length > 0 && this.#cancelled.delete(this.#heap[0]!)) this.#pop();
    return this.#heap[0]?.dueMicros;
  }

  /** Removes and returns the first timer due at or before `micros`. */
  takeDue(micros: number): { dueMicros: number; callback: () => void } | undefined {
    const due = this.nextDueMicros();
    return due !== undefined && due <= micros ? this.#pop() : undefined;
  }

  #pop(): Timer {
    const first = this.#heap[0]!;
    const last = this.#heap.pop()!;
    if (this.#heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= this.#heap.length) break;
      if (child + 1 < this.#heap.length && earlier(this.#heap[child + 1]!, this.#heap[child]!)) child++;
      if (!earlier(this.#heap[child]!, last)) break;
      this.#heap[at] = this.#heap[child]!;
      at = child;
    }
    this.#heap[at] = last;
    return first;
  }
}

/** A clock that moves only when told: timers fire in order, at exactly their time. */
export class VirtualClock implements Clock {
  readonly #timers = new TimerQueue();
  #nowMicros = 0;

  nowMicros(): number {
    return this.#nowMicros;
  }

  setTimer(delayMicros: number, callback: () => void): () => void {
    return this.#timers.add(this.#nowMicros + Math.max(0, delayMicros), callback);
  }

  /** Number of timers that will still fire. */
  get pending(): number {
    return this.#timers.size;
  }

  nextDueMicros(): number | undefined {
    return this.#timers.nextDueMicros();
  }

  /** Fires every timer due within the next `micros`, then stands exactly there. */
  advance(micros: number): void {
    const end = this.#nowMicros + micros;
    while (this.step(end)) continue;
    this.#nowMicros = end;
  }

  /** Fires the next timer due at or before `untilMicros`; false when there is none. */
  step(untilMicros = Infinity): boolean {
    const timer = this.#timers.takeDue(untilMicros);
    if (timer === undefined) return false;
    this.#nowMicros = Math.max(this.#nowMicros, timer.dueMicros);
    timer.callback();
    return true;
  }
}

function earlier(a: Timer, b: Timer): boolean {
  return a.dueMicros < b.dueMicros || (a.dueMicros === b.dueMicros && a.order < b.order);
}
