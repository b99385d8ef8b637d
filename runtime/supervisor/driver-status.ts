/** What the supervisor publishes of one driver: its state, its failures, and how long each recovery took. */
import type { Failure, FailureKind } from "../api/failure.ts";
import type { LifecycleStep } from "../trace/entry.ts";
import type { Escalation } from "./restart-policy.ts";

export type DriverState =
  | "stopped"
  /** Connecting, starting its host, in init, or being attached. */
  | "starting"
  /** In service: its shadow is passive. */
  | "running"
  | "tearing-down"
  /** Torn down; restarts at `nextRestartAtMicros`. */
  | "backing-off"
  /** A driver it depends on is on its way back. */
  | "waiting"
  /** Given up, by policy, by an operator, or because a driver it depends on is held. */
  | "held";

/** What the supervisor is working towards. Only `running` means that waiting for the driver makes sense. */
export type DriverTarget = "running" | "stopped" | "held";

export interface DriverStatus {
  readonly driver: string;
  readonly state: DriverState;
  readonly target: DriverTarget;
  /** The latest generation that was started; the one given at construction when there is none. */
  readonly generation: bigint;
  /** Why it is not running, for people. */
  readonly reason: string | undefined;
  /** The driver it depends on that keeps it from running. */
  readonly blockedBy: string | undefined;
  /** What the policy names; only when it was held for its intensity. */
  readonly escalation: Escalation | undefined;
  /** It runs, or was held, as what it was escalated to. */
  readonly escalated: boolean;
  readonly sinceMicros: number;
  readonly nextRestartAtMicros: number | undefined;
  readonly failures: Readonly<Partial<Record<FailureKind, number>>>;
  /** Restarts that followed a failure. */
  readonly restarts: number;
  readonly lastFailure: FailureRecord | undefined;
  readonly hosts: HostCounts;
  /** Teardown steps, by name, that exceeded their limit or threw, and were skipped. */
  readonly skippedSteps: Readonly<Partial<Record<LifecycleStep, number>>>;
}

export interface FailureRecord {
  readonly failure: Failure;
  readonly generation: bigint;
  readonly atMicros: number;
}

export interface HostCounts {
  readonly started: number;
  /** Hosts that confirmed their end. */
  readonly ended: number;
  /** Hosts that did not confirm it within the limit. */
  readonly overdue: number;
}

/** One failure and the way back. Durations in microseconds since detection; undefined until it happened. */
export interface Recovery {
  readonly kind: FailureKind;
  /** The generation that failed. */
  readonly generation: bigint;
  readonly detectedAtMicros: number;
  readonly teardownMicros: number | undefined;
  /** Init of the next generation has finished. */
  readonly readyMicros: number | undefined;
  /** The shadow has replayed its configuration. */
  readonly passiveMicros: number | undefined;
  /** The first client call was answered: the recovery time. */
  readonly firstServedMicros: number | undefined;
}
