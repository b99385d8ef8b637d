/** A soak: a client works on a driver while it is made to fail again and again; counts failures, recoveries and losses. */
import type { Clock } from "../../api/clock.ts";
import type { FaultDefinition } from "../../faults/fault.ts";
import type { Workload } from "../../classes/workload.ts";
import type { FailureKind } from "../../api/failure.ts";
import type { Recovery } from "../../supervisor/driver-status.ts";
import type { Machine, MachineDriver } from "../machine.ts";

/** A failure that is neither detected nor recovered within this time is missed. */
const recoveryLimitMs = 10_000;

/** Injections of one fault before it counts as not detected. */
const mostAttempts = 3;

/** How often the soak looks whether an injected fault was detected and recovered. */
const lookMs = 1;

export interface SoakOptions {
  readonly driver: string;
  /** Injected in turn. */
  readonly faults: readonly FaultDefinition[];
  /** From one recovery to the next injection. */
  readonly everyMs: number;
  readonly forMs: number;
  progress?(done: number, failures: number): void;
}

/** What became of one injection. */
export interface Trial {
  readonly fault: string;
  /** Injections until it was detected for what it is; more than one on a machine too busy for the drivers' limits. */
  readonly attempts: number;
  /** What detected it; undefined when nothing did. */
  readonly detectedAs: FailureKind | undefined;
  /** Whether that is a right detection of this fault. */
  readonly rightly: boolean;
  /** What the failure said. */
  readonly message: string | undefined;
  /** From the moment the fault began to act, as far as the runtime can tell, to its detection. */
  readonly detectMs: number | undefined;
  /** From detection to the first call the next generation served. */
  readonly recoveryMs: number | undefined;
}

export interface SoakResult {
  readonly trials: readonly Trial[];
  /** All failures meanwhile, also those that were not injected: a busy machine can make a driver miss a limit. */
  readonly failures: number;
  readonly recovered: number;
}

/** Runs until its time is over and the last injection is recovered or given up. */
export async function soak(machine: Machine, workload: Workload, options: SoakOptions): Promise<SoakResult> {
  const driver = machine.driver(options.driver);
  const { clock } = machine;
  const end = clock.nowMicros() + options.forMs * 1000;
  const before = new Set(driver.supervisor.recoveries);
  const seen = new Set<Recovery>();
  const look = (): void => { for (const recovery of driver.supervisor.recoveries) if (!before.has(recovery)) seen.add(recovery); };
  let working = true;
  const work = (async () => { while (working) await workload.step(); })();
  const trials: Trial[] = [];
  try {
    for (let turn = 0; clock.nowMicros() < end || turn < options.faults.length; turn++) {
      const fault = options.faults[turn % options.faults.length]!;
      trials.push(await injectOnce(machine, driver, fault));
      look();
      options.progress?.(Math.min(1, 1 - (end - clock.nowMicros()) / (options.forMs * 1000)), trials.length);
      await wait(clock, options.everyMs);
    }
    await until(clock, () => driver.supervisor.recoveries.every(isRecovered));
  } finally {
    working = false;
    await work;
  }
  look();
  return { trials, failures: seen.size, recovered: [...seen].filter(isRecovered).length };
}

/**
 * Injects a fault and waits until it was detected and recovered. On a busy machine a driver may miss another limit first,
 * and the armed fault goes with it: then it is injected again, a few times.
 */
export async function injectOnce(machine: Machine, driver: MachineDriver, fault: FaultDefinition): Promise<Trial> {
  let trial = await attempt(machine, driver, fault);
  for (let attempts = 2; !trial.rightly && trial.detectedAs !== undefined && attempts <= mostAttempts; attempts++) {
    trial = { ...(await attempt(machine, driver, fault)), attempts };
  }
  return trial;
}

async function attempt(machine: Machine, driver: MachineDriver, fault: FaultDefinition): Promise<Trial> {
  const { clock } = machine;
  const before = new Set(driver.supervisor.recoveries);
  const injectedMicros = clock.nowMicros();
  machine.inject(driver.name, fault);
  const added = (): readonly Recovery[] => driver.supervisor.recoveries.filter((recovery) => !before.has(recovery));
  const isMine = (recovery: Recovery): boolean => fault.detectedAs.includes(recovery.kind);
  await until(clock, () => added().length > 0 && added().every(isRecovered));
  const mine = added().find(isMine) ?? added()[0];
  return {
    fault: fault.name, attempts: 1, detectedAs: mine?.kind, rightly: mine !== undefined && isMine(mine),
    message: mine === undefined ? undefined : driver.supervisor.status.lastFailure?.failure.message,
    detectMs: mine === undefined ? undefined : (mine.detectedAtMicros - injectedMicros) / 1000,
    recoveryMs: mine?.firstServedMicros === undefined ? undefined : mine.firstServedMicros / 1000,
  };
}

export function isRecovered(recovery: Recovery): boolean {
  return recovery.firstServedMicros !== undefined;
}

async function until(clock: Clock, condition: () => boolean): Promise<void> {
  const end = clock.nowMicros() + recoveryLimitMs * 1000;
  while (!condition() && clock.nowMicros() < end) await wait(clock, lookMs);
}

function wait(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => { clock.setTimer(ms * 1000, resolve); });
}

/** The value below which this share of the values lies; undefined without values. */
export function percentile(values: readonly number[], share: number): number | undefined {
  const sorted = values.toSorted((a, b) => a - b);
  const value = sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
  return value === undefined ? undefined : Math.round(value * 1000) / 1000;
}
