/** Lines about clients, at a limited rate: a hostile one makes as many as it likes. */
import type { Clock } from "../../api/clock.ts";
import type { ExportLog } from "../export.ts";

/** One line of each kind in this time; the next says how many were left out. */
const periodMicros = 10_000_000;

export class LogGate {
  readonly #log: ExportLog;
  readonly #clock: Clock;
  readonly #kinds = new Map<string, { nextMicros: number; leftOut: number }>();

  constructor(log: ExportLog, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
  }

  /** `kind` is one of a few words of ours, never a client's. */
  warn(kind: string, text: string): void {
    const now = this.#clock.nowMicros();
    const known = this.#kinds.get(kind);
    if (known !== undefined && now < known.nextMicros) {
      known.leftOut++;
      return;
    }
    this.#kinds.set(kind, { nextMicros: now + periodMicros, leftOut: 0 });
    const more = known === undefined || known.leftOut === 0 ? "" : ` (and ${known.leftOut} more like this before)`;
    this.#log.warn(`${text}${more}`);
  }
}
