/** The link state clients see: the device's, but for a driver's absence that is over before anybody needs to know. */
import type { Clock } from "../../api/clock.ts";
import type { LinkState } from "./interface.ts";

const linkDown: LinkState = { up: false, speedMbps: 0, fullDuplex: false };

/**
 * While a link that was shown up is away, and also while the next driver's device is still looking for its link, nothing is
 * shown until the limit has passed.
 */
export class Carrier {
  readonly #clock: Clock;
  readonly #lossMs: number;
  readonly #changed: (shown: LinkState | undefined) => void;
  #shown: LinkState = linkDown;
  /** What the current driver said last. */
  #reported: LinkState | undefined;
  #cancelLoss: (() => void) | undefined;

  /** `changed` is called after each report and loss; with the state when what is shown has changed. */
  constructor(clock: Clock, lossMs: number, changed: (shown: LinkState | undefined) => void) {
    this.#clock = clock;
    this.#lossMs = lossMs;
    this.#changed = changed;
  }

  get shown(): LinkState {
    return this.#shown;
  }

  /** Whether frames can be sent: "unknown" while there is no driver, or its device may yet find the link that was there. */
  get link(): "up" | "down" | "unknown" {
    if (this.#reported === undefined || (!this.#reported.up && this.#cancelLoss !== undefined)) return "unknown";
    return this.#reported.up ? "up" : "down";
  }

  /** The driver says what the link is. */
  report({ up, speedMbps, fullDuplex }: LinkState): void {
    // A link that is down has no speed; drivers may say what they like.
    this.#reported = up ? { up, speedMbps, fullDuplex } : linkDown;
    if (!up && this.#cancelLoss !== undefined) return;
    this.#show(this.#reported);
  }

  /** Nobody knows the link any more. A second absence before the link was back adds to the first. */
  away(): void {
    this.#reported = undefined;
    if (this.#shown.up) {
      this.#cancelLoss ??= this.#clock.setTimer(this.#lossMs * 1000, () => this.#show(this.#reported ?? linkDown));
    }
    this.#changed(undefined);
  }

  /** There will be no driver for now. */
  lose(): void {
    this.#reported = undefined;
    this.#show(linkDown);
  }

  #show(state: LinkState): void {
    this.#cancelLoss?.();
    this.#cancelLoss = undefined;
    const before = this.#shown;
    const same = before.up === state.up && before.speedMbps === state.speedMbps && before.fullDuplex === state.fullDuplex;
    this.#shown = state;
    this.#changed(same ? undefined : state);
  }
}
