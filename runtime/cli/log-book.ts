/** What drivers and the runtime said lately, per driver, in bounded memory; and whoever follows it. */
import { LogLevel } from "../api/bridge.ts";
import type { Clock } from "../api/clock.ts";

/** Lines kept per driver: a screenful of history many times over, a few hundred KiB at the most. */
const linesKept = 1_000;

export interface LogLine {
  readonly micros: number;
  readonly driver: string;
  readonly generation: bigint;
  /** "driver": the driver's own words, hostile. "runtime": ours about it. */
  readonly source: "driver" | "runtime";
  readonly level: LogLevel;
  readonly text: string;
}

export class LogBook {
  readonly #clock: Clock;
  readonly #lines = new Map<string, LogLine[]>();
  readonly #listeners = new Set<(line: LogLine) => void>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(line: Omit<LogLine, "micros">): void {
    const full = { ...line, micros: this.#clock.nowMicros() };
    let lines = this.#lines.get(line.driver);
    if (lines === undefined) this.#lines.set(line.driver, (lines = []));
    lines.push(full);
    if (lines.length > linesKept) lines.splice(0, lines.length - linesKept);
    for (const listener of this.#listeners) listener(full);
  }

  /** The runtime's own remark about a driver. */
  note(driver: string, generation: bigint, text: string, level: LogLevel = LogLevel.warn): void {
    this.add({ driver, generation, source: "runtime", level, text });
  }

  lines(driver: string): readonly LogLine[] {
    return this.#lines.get(driver) ?? [];
  }

  /** Calls back for every later line; returns a function that stops that. */
  follow(listener: (line: LogLine) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
