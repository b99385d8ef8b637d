/** A machine whose device is pulled out while a client works, and put back in: what becomes of its driver, and of its client. */
import assert from "node:assert/strict";
import { loadClass } from "../../runtime/cli/class-modules.ts";
import type { Machine } from "../../runtime/cli/machine.ts";
import type { Workload } from "../../runtime/classes/workload.ts";

/** A machine in this thread or over threads. */
export interface PlugBench {
  readonly machine: Machine;
  readonly driver: string;
  /** Lets machine time pass. */
  run(ms: number): Promise<void>;
  /** Waits for a promise while machine time passes. */
  until<T>(promise: Promise<T>): Promise<T>;
  close(): Promise<void>;
}

export interface Unplugged {
  /** Where its driver was after its device had been away for some time. */
  readonly state: string;
  /** What the client was told meanwhile: the first few errors, in words. */
  readonly errors: readonly string[];
}

/** All deadlines, resets and restarts of a driver that is held in the end. */
const awayMs = 30_000;
const stepMs = 50;
/** Steps of a workload that are enough to see that its device works. */
const steps = 60;

/**
 * @param isNoticed false for a driver that may live on without its device: one that only ever writes to it
 * @throws AssertionError when a call hangs, or the client is not served before, and after its device is back and the driver was started anew
 */
export async function pullOutAndBack(bench: PlugBench, isNoticed: boolean): Promise<Unplugged> {
  const { machine, driver } = bench;
  const { supervisor, assignment, shadow } = machine.driver(driver);
  const device = assignment.device.name;
  const settled = async (): Promise<void> => {
    for (let ms = 0; ms < awayMs && supervisor.status.state !== "running"; ms += stepMs) await bench.run(stepMs);
    assert.equal(supervisor.status.state, "running", supervisor.status.lastFailure?.failure.message ?? "it has not failed");
  };
  const { createWorkload, openClient } = await loadClass(assignment.package.manifest.class);
  const open = (): Promise<Workload> => bench.until(createWorkload(openClient(shadow), { clock: machine.clock, random: () => 0.5 }));
  const isServed = async (): Promise<void> => {
    const workload = await open();
    for (let step = 0; step < steps; step++) await bench.until(workload.step());
    assert.deepEqual(workload.errors, []);
    await bench.until(workload.close());
  };
  await settled();
  await isServed();

  const workload = await open();
  for (let step = 0; step < steps / 2; step++) await bench.until(workload.step());
  await machine.platform.plug(device, false);
  const isOver = (): boolean => supervisor.status.state === "held";
  // Each call settles, whatever it is told.
  for (let ms = 0; ms < (isNoticed ? awayMs : 1_000) && !isOver(); ms += stepMs) {
    await bench.until(workload.step());
    await bench.run(stepMs);
  }
  const away = { state: supervisor.status.state, errors: [...workload.errors] };
  await bench.until(workload.close().catch((error: unknown) => assert.ok(error instanceof Error)));
  // Its last calls may be what it notices by.
  for (let ms = 0; ms < awayMs && !isOver() && supervisor.status.state !== "running"; ms += stepMs) await bench.run(stepMs);

  await machine.platform.plug(device, true);
  if (supervisor.status.state === "held") assert.equal(supervisor.release(), true);
  else {
    const { generation } = supervisor.status;
    supervisor.restart();
    for (let ms = 0; ms < awayMs && supervisor.status.generation === generation; ms += stepMs) await bench.run(stepMs);
  }
  await settled();
  await isServed();
  return away;
}
