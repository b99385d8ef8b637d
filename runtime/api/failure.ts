/** Failures: the closed set of ways a driver fails, as detected, reported, counted and dumped. */
import type { Phase } from "./bridge.ts";

/** Kind -> what was detected. A failure has exactly one kind, that of the detector that saw it first. */
export const failureKinds = {
  "exception": "driver code threw or trapped, or a promise it returned was rejected",
  "turn-limit": "one turn used more CPU than its limit; seen inside the sandbox",
  "hang": "the sandbox's thread did not come back from a turn; seen by the watchdog outside",
  "memory": "the sandbox ran out of its memory limit",
  "stack": "the driver overflowed its stack",
  "capability-violation": "an access outside the grant",
  "capability-revoked": "an access through a revoked capability",
  "protocol-violation": "a message that breaks the class contract",
  "deadline": "an operation, or init, was not answered in time",
  "log-flood": "the driver logged faster than its limit",
  "message-flood": "the driver sent messages faster than they can be taken",
  "irq-unacked": "an interrupt was delivered and never acked",
  "irq-storm": "a line was delivered more often than its limit",
  "dma-fault": "its device accessed memory outside of the driver's IOMMU domain, which was blocked",
  "start": "the sandbox could not be made or the bundle could not be loaded",
  "exit": "the sandbox's thread ended without being told to",
  "killed": "an operator or a test killed the instance",
} as const;

export type FailureKind = keyof typeof failureKinds;

/** One failure of one generation of one driver: plain data. */
export interface Failure {
  readonly kind: FailureKind;
  readonly message: string;
  /** Where in the driver's life; absent when a detector outside the driver saw it. */
  readonly phase?: Phase;
  /** The driver author's stack, mapped to their own files and lines. */
  readonly stack?: string;
  /** The operation involved, by name. */
  readonly operation?: string;
  /** The capability involved, by name. */
  readonly capability?: string;
}
