/** The teardown sequence of one generation: a list of steps, each with a time limit, none of which can stop the next. */
import type { Clock } from "../api/clock.ts";
import type { Failure } from "../api/failure.ts";
import { controlStepMs } from "../bus/platform.ts";
import type { LifecycleStep } from "../trace/entry.ts";
import { within } from "./deadline.ts";
import type { DriverConnection } from "./driver-bus.ts";

/** What a step works on. The capabilities are gated already. */
export interface TeardownContext {
  readonly driver: string;
  readonly generation: bigint;
  /** Absent in an orderly stop. */
  readonly failure: Failure | undefined;
  /** Absent when the generation never got one. */
  readonly connection: DriverConnection | undefined;
}

/** One step. `run` returns undefined when there is nothing to do; what it throws or exceeds is recorded, then skipped. */
export interface TeardownStep {
  readonly step: LifecycleStep;
  readonly limitMs: number;
  run(context: TeardownContext): Promise<void> | undefined;
}

export interface StepReport {
  readonly step: LifecycleStep;
  readonly outcome: "done" | "failed" | "timeout";
  readonly micros: number;
}

/**
 * Dumps the flight recorder of a failed generation. Must take its copy of the recorder before it first waits, because the
 * next generation records over it. The restart waits for the promise, so one that writes may as well resolve at the copy.
 */
export type Dump = (failure: Failure, generation: bigint) => Promise<void>;

/** A dump that takes longer goes on by itself: half of what a recovery may take is the most a file is worth. */
export const dumpLimitMs = 5;

/**
 * DESIGN.md's order: (gate,) mask, quiesce, bus-master off and reset, unmap the IOMMU domain, force-ack, give back, dump. A
 * step's limit is the platform's own for one control step.
 */
export function standardTeardown(dump?: Dump): readonly TeardownStep[] {
  return [
    { step: "mask", limitMs: controlStepMs, run: ({ connection }) => connection?.mask() },
    { step: "quiesce", limitMs: controlStepMs, run: ({ connection }) => connection?.quiesce() },
    { step: "stop-dma", limitMs: controlStepMs, run: ({ connection }) => connection?.stopDma() },
    { step: "unmap", limitMs: controlStepMs, run: ({ connection }) => connection?.unmap() },
    { step: "force-ack", limitMs: controlStepMs, run: ({ connection }) => connection?.forceAck() },
    { step: "release", limitMs: controlStepMs, run: ({ connection }) => connection?.close() },
    { step: "dump", limitMs: dumpLimitMs, run: ({ failure, generation }) => (failure === undefined ? undefined : dump?.(failure, generation)) },
  ];
}

/**
 * Runs every step in order; resolves after the last, at the latest after the sum of their limits. When `hurry` resolves,
 * the step in progress is waited for no longer and the rest is left out.
 */
export async function runTeardown(
  clock: Clock, steps: readonly TeardownStep[], context: TeardownContext, hurry: Promise<void>, report: (report: StepReport) => void,
): Promise<void> {
  let hurried = false;
  const hurrying = hurry.then(() => { hurried = true; return undefined; });
  for (const teardownStep of steps) {
    if (hurried) return;
    const { step, limitMs } = teardownStep;
    const beginMicros = clock.nowMicros();
    let idle = false;
    const work = async (): Promise<void> => {
      const running = teardownStep.run(context);
      idle = running === undefined;
      await running;
    };
    const outcome = await Promise.race([within(clock, limitMs, work), hurrying]);
    if (!idle) report({ step, outcome: outcome?.kind ?? "timeout", micros: clock.nowMicros() - beginMicros });
  }
}
