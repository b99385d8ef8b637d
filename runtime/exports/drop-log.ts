/** Counts what an export had to drop, and says so in the log now and then instead of once per frame. */
import type { Clock } from "../api/clock.ts";
import type { ExportLog } from "./export.ts";

/** Drops are added up this long before they are logged: under overload there are thousands a second. */
const tellMicros = 1_000_000;

export class DropLog {
  readonly #log: ExportLog;
  readonly #clock: Clock;
  readonly #what: string;
  #untold = 0;
  #cancel: (() => void) | undefined;

  /** `what` follows the number: "frames from the interface were dropped". */
  constructor({ log, clock }: { readonly log: ExportLog; readonly clock: Clock }, what: string) {
    this.#log = log;
    this.#clock = clock;
    this.#what = what;
  }

  add(count: number): void {
    if (count === 0) return;
    this.#untold += count;
    this.#cancel ??= this.#clock.setTimer(tellMicros, () => this.close());
  }

  /** Says what has not been said yet. */
  close(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    if (this.#untold > 0) this.#log.warn(`${this.#untold} ${this.#what}`);
    this.#untold = 0;
  }
}
