/** A driver that fails in every way, in turn, while clients work; and what came of each failure. */
import { applicableFaults } from "../../runtime/cli/soak/applicable.ts";
import { type Trial, injectOnce, percentile } from "../../runtime/cli/soak/soak.ts";
import type { FaultDefinition } from "../../runtime/faults/fault.ts";
import { findFaults } from "../../runtime/faults/find-faults.ts";
import type { MachineLab } from "./machine-lab.ts";

export interface TroubleOptions {
  /** From one recovery to the next failure. */
  readonly pauseMs?: number;
  /** From the start of one failure to the start of the next, if it is over by then; instead of `pauseMs`. */
  readonly everyMs?: number;
}

export class Trouble {
  readonly trials: Trial[] = [];
  readonly #lab: MachineLab;
  readonly #faults: readonly FaultDefinition[];
  readonly #options: TroubleOptions;
  readonly #ended: Promise<void>;
  #going = true;
  #awayMs = 0;
  /** When the present failure was injected. */
  #since: number | undefined;
  /** Ends the present pause. */
  #wake: () => void = () => undefined;

  private constructor(lab: MachineLab, faults: readonly FaultDefinition[], options: TroubleOptions) {
    this.#lab = lab;
    this.#faults = faults;
    this.#options = options;
    this.#ended = this.#run();
    this.#ended.catch(() => undefined); // whoever stops it is told
  }

  static async begin(lab: MachineLab, options: TroubleOptions = {}): Promise<Trouble> {
    return new Trouble(lab, applicableFaults((await findFaults()).values(), lab.driver), options);
  }

  /** Whether every failure was had at least once. */
  get isComplete(): boolean {
    return this.trials.length >= this.#faults.length;
  }

  /** Lets the client's work be met by so many failures: does it again and again until they are over. */
  async meets(work: () => Promise<void>, failures: number): Promise<void> {
    const wanted = this.trials.length + failures;
    do await work(); while (this.trials.length < wanted);
  }

  /**
   * Lets the failure under way end; `work` is done meanwhile, since a driver that nobody asks for anything does not fail.
   * @throws Error naming what was not detected for what it is, or not recovered
   */
  async stop(work: () => Promise<void>): Promise<void> {
    this.#going = false;
    this.#wake();
    let over = false;
    const ended = this.#ended.finally(() => { over = true; });
    ended.catch(() => undefined); // told below
    while (!over) await work();
    await ended;
    const wrong = this.trials.filter(({ rightly, recoveryMs }) => !rightly || recoveryMs === undefined);
    if (wrong.length > 0) throw new Error(`${wrong.length} of ${this.trials.length} failures went wrong: ${JSON.stringify(wrong)}`);
  }

  /** For how long the driver may not have been there for its clients: from the injection of each failure to its recovery, also of the present one. */
  get awayMs(): number {
    return this.#awayMs + (this.#since === undefined ? 0 : performance.now() - this.#since);
  }

  /** One line for whoever reads the test's output. */
  get summary(): string {
    const times = this.trials.flatMap(({ recoveryMs }) => (recoveryMs === undefined ? [] : [recoveryMs]));
    const kinds = new Set(this.trials.map(({ fault }) => fault)).size;
    return `${this.trials.length} failures of ${kinds} kinds, ${times.length} recovered; recovery p50 ${percentile(times, 0.5)} ms, p99 ${percentile(times, 0.99)} ms`;
  }

  async #run(): Promise<void> {
    const { machine, driver } = this.#lab;
    for (let turn = 0; this.#going; turn++) {
      this.#since = performance.now();
      this.trials.push(await injectOnce(machine, driver, this.#faults[turn % this.#faults.length]!));
      const tookMs = performance.now() - this.#since;
      this.#awayMs += tookMs;
      this.#since = undefined;
      const { pauseMs = 100, everyMs } = this.#options;
      await this.#pause(everyMs === undefined ? pauseMs : Math.max(0, everyMs - tookMs));
    }
  }

  async #pause(ms: number): Promise<void> {
    if (!this.#going) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
