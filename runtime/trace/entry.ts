/** Trace entries: what the flight recorder keeps. Fixed size, numbers only, so that recording never allocates. */

export const TraceKind = {
  /** a=window, b=offset, c=value, d=width. */
  read: 1,
  write: 2,
  /** a=line. */
  irq: 3,
  /** a=line, b=IrqOp. */
  irqOp: 4,
  /** a=operation, b=tag, c=payload bytes. */
  request: 5,
  reply: 6,
  /** a=event, c=payload bytes. */
  event: 7,
  /** a=timer id, b=delay in microseconds (set only). */
  timerSet: 8,
  timer: 9,
  /** a=level, c=text bytes. */
  log: 10,
  /** a=LifecycleStep. */
  lifecycle: 11,
  /** a=index of the failure kind. */
  failure: 12,
  /** a=window or line that denied, b=offset, d=width. */
  denied: 13,
  /** A batch of a queue. a=queue, b=entries, c=payload bytes. */
  requests: 14,
  completions: 15,
  /** A read whose value nobody waited for: a=window, b=offset, d=width. */
  postedRead: 16,
} as const;
export type TraceKind = (typeof TraceKind)[keyof typeof TraceKind];

export const lifecycleSteps = [
  "starting", "ready", "passive", "gate", "mask", "quiesce", "stop-dma", "unmap", "force-ack", "release", "terminate", "dump", "held", "released", "stopped", "remove",
] as const;
export type LifecycleStep = (typeof lifecycleSteps)[number];

export interface TraceEntry {
  readonly micros: number;
  readonly kind: TraceKind;
  readonly a: number;
  readonly b: number;
  readonly c: number;
  readonly d: number;
}

/** Whatever keeps entries: the flight recorder, or a hash in a deterministic world. Must not throw. */
export interface TraceSink {
  record(kind: TraceKind, a: number, b: number, c: number, d: number): void;
}
