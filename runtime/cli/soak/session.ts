/** A machine brought up to be made to fail: limits on restarts lifted, a workload per driver, everything gone afterwards. */
import { AirlockError } from "../../api/errors.ts";
import { type Workload, sleep } from "../../classes/workload.ts";
import type { TierName } from "../../sandbox/sandbox.ts";
import type { RestartOptions } from "../../supervisor/restart-policy.ts";
import { type BroughtUp, bringUp } from "../bring-up.ts";
import { closeOnSignal } from "../interrupt.ts";
import { uniform } from "../random.ts";
import { type TemporaryDirectory, makeTemporaryDirectory } from "../temporary-directory.ts";

export interface SessionOptions {
  readonly file: string;
  readonly sandbox?: TierName;
  /** Where crash dumps are kept; a temporary directory, removed at the end, when left out. */
  readonly state?: string;
  readonly seed: number;
}

/** Some 100 ms are usual; a machine of hundreds of drivers, or a busy one, takes longer. */
const settleMs = 20_000;
const settlePollMs = 5;

/** A driver that is made to fail all the time is never held, and each restart is immediate. */
const unlimited: RestartOptions = { policy: "permanent", intensity: Infinity, periodMs: 10_000, escalation: "hold" };

export class Session {
  readonly up: BroughtUp;
  readonly #temporary: TemporaryDirectory | undefined;
  readonly #random: () => number;
  readonly #workloads = new Map<string, Workload>();
  readonly #ignoreSignals: () => void;
  #closed: Promise<void> | undefined;

  private constructor(up: BroughtUp, temporary: TemporaryDirectory | undefined, seed: number) {
    this.up = up;
    this.#temporary = temporary;
    this.#random = uniform(seed);
    this.#ignoreSignals = closeOnSignal(() => this.close());
  }

  static async open(options: SessionOptions): Promise<Session> {
    const temporary = options.state === undefined ? makeTemporaryDirectory() : undefined;
    try {
      const up = await bringUp({ file: options.file, state: options.state ?? temporary?.path, sandbox: options.sandbox, restart: () => unlimited });
      const session = new Session(up, temporary, options.seed);
      await session.#settled();
      return session;
    } catch (error) {
      temporary?.remove();
      throw error;
    }
  }

  /** Waits, for a while, until the machine is as it is in service: drivers up, spares loaded. What is not by then shows in the results. */
  async #settled(): Promise<void> {
    const { machine } = this.up;
    const end = machine.clock.nowMicros() + settleMs * 1000;
    while (!machine.settled && machine.clock.nowMicros() < end) await sleep(machine.clock, settlePollMs);
  }

  /** The driver's workload, opened at the first call. */
  async workload(driver: string): Promise<Workload> {
    let workload = this.#workloads.get(driver);
    if (workload === undefined) {
      const { class: module, shadow } = this.up.machine.driver(driver);
      workload = await module.createWorkload(module.openClient(shadow), { clock: this.up.machine.clock, random: this.#random });
      this.#workloads.set(driver, workload);
    }
    return workload;
  }

  /** Idempotent; also while workloads are at work, whose calls then fail. */
  close(): Promise<void> {
    return (this.#closed ??= this.#close());
  }

  async #close(): Promise<void> {
    try {
      await Promise.allSettled([...this.#workloads.values()].map((workload) => workload.close()));
      await this.up.close();
    } finally {
      this.#temporary?.remove();
      this.#ignoreSignals();
    }
  }
}

/** A seed from the command line. @throws AirlockError InvalidArgument */
export function wholeNumber(given: unknown, option: string): number {
  const value = Number(given);
  if (Number.isInteger(value) && value >= 0) return value;
  throw new AirlockError("InvalidArgument", `${option}: "${String(given)}" is not a whole number; write one such as 42`, { option });
}
