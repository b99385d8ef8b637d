/** The watchdog: finds host threads that do not come back from a turn, from outside of them. */
import type { Clock } from "../api/clock.ts";
import { HostStatus } from "./thread-messages.ts";
import { threadCpuMs } from "./thread-cpu.ts";

/** How often it looks. A hang is noticed at most this much later than its limit. */
const lookMs = 5;

/** Time between two looks counts at most this much, so that a control plane that was late itself accuses nobody. */
const mostPerLookMs = 3 * lookMs;

/**
 * A turn that used less than this share of the limit as CPU time was not scheduled, or waits for slow hardware, and gets
 * more time: up to `blockedFactor` limits, after which a thread that only waits counts as hung too.
 */
const cpuShare = 0.4;
const blockedFactor = 20;

export interface Watched {
  readonly status: SharedArrayBuffer;
  /** The limit for the turn that runs now. */
  hangMs(): number;
  /** Called at most once, when the thread hangs. */
  hung(afterMs: number): void;
}

interface Entry {
  readonly watched: Watched;
  readonly words: Int32Array;
  turn: number;
  elapsedMs: number;
  cpuMsAtStart: number | undefined;
}

export class Watchdog {
  readonly #clock: Clock;
  readonly #entries = new Set<Entry>();
  #lastMicros = 0;
  #cancel: (() => void) | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Watches a host until the returned function is called. */
  watch(watched: Watched): () => void {
    const entry: Entry = { watched, words: new Int32Array(watched.status), turn: -1, elapsedMs: 0, cpuMsAtStart: undefined };
    this.#entries.add(entry);
    if (this.#cancel === undefined) {
      this.#lastMicros = this.#clock.nowMicros();
      this.#arm();
    }
    return () => {
      this.#entries.delete(entry);
      if (this.#entries.size === 0) this.#disarm();
    };
  }

  #arm(): void {
    this.#cancel = this.#clock.setTimer(lookMs * 1000, () => this.#look());
  }

  #disarm(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #look(): void {
    const now = this.#clock.nowMicros();
    const elapsedMs = Math.min(mostPerLookMs, (now - this.#lastMicros) / 1000);
    this.#lastMicros = now;
    for (const entry of [...this.#entries]) {
      const turn = Atomics.load(entry.words, HostStatus.turn);
      if ((turn & 1) === 0 || turn !== entry.turn) {
        entry.turn = turn;
        entry.elapsedMs = 0;
        entry.cpuMsAtStart = (turn & 1) === 0 ? undefined : threadCpuMs(threadId(entry.words));
        continue;
      }
      entry.elapsedMs += elapsedMs;
      if (!isHung(entry)) continue;
      this.#entries.delete(entry);
      entry.watched.hung(Math.max(Math.round(entry.elapsedMs), entry.watched.hangMs()));
    }
    if (this.#entries.size > 0) this.#arm();
    else this.#cancel = undefined;
  }
}

function isHung({ watched, words, elapsedMs, cpuMsAtStart }: Entry): boolean {
  const hangMs = watched.hangMs();
  if (elapsedMs < hangMs - lookMs) return false;
  if (elapsedMs >= hangMs * blockedFactor || cpuMsAtStart === undefined) return true;
  const cpuMs = threadCpuMs(threadId(words));
  return cpuMs === undefined || cpuMs - cpuMsAtStart >= hangMs * cpuShare;
}

function threadId(words: Int32Array): number {
  return Atomics.load(words, HostStatus.threadId);
}
