/** Workloads: a client of each class that works all the time, checks every answer, and counts what went wrong. */
import type { Clock } from "../api/clock.ts";

/** What a client saw. A client error is a call that failed or an answer that was wrong; told losses are none. */
export interface WorkloadTotals {
  operations: number;
  clientErrors: number;
  bytesSent: number;
  /** Bytes that never arrived, each covered by a notice; one that is not counts as a client error too. */
  bytesLost: number;
  /** Bytes that arrived and were never sent. */
  bytesCorrupted: number;
}

export interface Workload {
  readonly totals: Readonly<WorkloadTotals>;
  /** What the client errors were: the first few, in words. */
  readonly errors: readonly string[];
  /** Does one operation and checks it. Never rejects: what fails is counted. */
  step(): Promise<void>;
  close(): Promise<void>;
}

export interface WorkloadEnvironment {
  readonly clock: Clock;
  /** Uniform in 0..1; seeded, so that a run can be repeated. */
  random(): number;
}

/** What each `classes/<class>/workload.ts` exports as `createWorkload`. */
export type CreateWorkload<Client = unknown> = (client: Client, environment: WorkloadEnvironment) => Promise<Workload>;

/** Errors kept in words; the rest is only counted. */
const errorsKept = 5;

/** The bookkeeping every workload shares. */
export class Tally {
  readonly totals: WorkloadTotals = { operations: 0, clientErrors: 0, bytesSent: 0, bytesLost: 0, bytesCorrupted: 0 };
  readonly errors: string[] = [];

  wrong(text: string): void {
    this.totals.clientErrors++;
    if (this.errors.length < errorsKept) this.errors.push(text);
  }
}

export function sleep(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => { clock.setTimer(ms * 1000, resolve); });
}
