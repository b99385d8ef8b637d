/** Restart policy, as pure functions: what follows a failure, after how long, and when a driver is held instead. */
import { AirlockError } from "../api/errors.ts";

/** `permanent` always comes back, `transient` only after a failure, `temporary` never. */
export type RestartKind = "permanent" | "transient" | "temporary";

/** What follows once the intensity is exceeded: hold it, or run it in another form until that exceeds it too. */
export type Escalation = "hold" | "stricterTier" | "alternative";

/** The first restart is immediate, the next waits `initialMs`, each further one `factor` times longer, up to `maxMs`. */
export interface Backoff {
  readonly initialMs: number;
  readonly factor: number;
  readonly maxMs: number;
  /** Every `decayMs` in service without a failure takes one step back. */
  readonly decayMs: number;
}

export interface RestartOptions {
  readonly policy: RestartKind;
  /** Restarts allowed within `periodMs`; the failure after them holds the driver. Infinity: never. */
  readonly intensity: number;
  readonly periodMs: number;
  /** Absent: every restart is immediate, but for `restartGapMs`. */
  readonly backoff?: Backoff;
  readonly escalation: Escalation;
}

/** What the policy remembers of one driver; plain data, replaced at each step. */
export interface RestartHistory {
  /** Times of the restarts that still count. */
  readonly restartsAtMicros: readonly number[];
  readonly lastRestartMicros: number | undefined;
  /** Steps up the backoff. */
  readonly level: number;
  /** Since when the driver has been well; undefined when it is not. */
  readonly wellSinceMicros: number | undefined;
}

export type Decision =
  | { readonly do: "restart"; readonly delayMs: number }
  | { readonly do: "hold"; readonly reason: string }
  | { readonly do: "stop"; readonly reason: string };

/**
 * Two restarts of one driver are never closer than this. Without it a driver that cannot even start, with unlimited
 * intensity and no backoff, would take the control plane's whole thread (or stop a virtual clock).
 */
export const restartGapMs = 1;

/** No backoff is longer: timers of the event loop end at 24.8 days, and nobody means that. */
export const longestBackoffMs = 86_400_000;

export const freshHistory: RestartHistory = { restartsAtMicros: [], lastRestartMicros: undefined, level: 0, wellSinceMicros: undefined };

/** Throws InvalidArgument when the options make no sense; the machine file's loader has better messages. */
export function checkRestartOptions(options: RestartOptions): void {
  const backoff = options.backoff;
  const wrong =
    !(options.intensity >= 0) ? "intensity must be 0 or more"
    : !(options.periodMs > 0) ? "periodMs must be more than 0"
    : backoff === undefined ? undefined
    : !(backoff.initialMs >= 0) ? "backoff.initialMs must be 0 or more"
    : !(backoff.factor >= 1) ? "backoff.factor must be 1 or more"
    : !(backoff.maxMs >= backoff.initialMs && backoff.maxMs <= longestBackoffMs) ? `backoff.maxMs must be between initialMs and ${longestBackoffMs}`
    : !(backoff.decayMs > 0) ? "backoff.decayMs must be more than 0"
    : undefined;
  if (wrong !== undefined) throw new AirlockError("InvalidArgument", `restart policy: ${wrong}`);
}

/** A generation went into service. */
export function wentWell(history: RestartHistory, nowMicros: number): RestartHistory {
  return { ...history, wellSinceMicros: nowMicros };
}

/** A restart that follows a failure happens now: it counts for the intensity. */
export function restarted(options: RestartOptions, history: RestartHistory, nowMicros: number): RestartHistory {
  // Unlimited intensity needs no list, and must not grow one.
  const kept = options.intensity === Infinity ? [] : [...counting(options, history, nowMicros), nowMicros];
  return { ...history, restartsAtMicros: kept, lastRestartMicros: nowMicros };
}

/** A generation failed: what now. */
export function afterFailure(options: RestartOptions, history: RestartHistory, nowMicros: number): { decision: Decision; history: RestartHistory } {
  const level = decayedLevel(options.backoff, history, nowMicros);
  const recent = counting(options, history, nowMicros);
  const next: RestartHistory = { ...history, restartsAtMicros: recent, level: cappedLevel(options.backoff, level + 1), wellSinceMicros: undefined };
  if (!returnsAfter(options.policy, "failure")) return { decision: { do: "stop", reason: `its restart policy is ${options.policy}` }, history: next };
  if (recent.length >= options.intensity) {
    const reason = `${recent.length} restarts within ${options.periodMs} ms, its intensity allows ${options.intensity}`;
    return { decision: { do: "hold", reason }, history: next };
  }
  const gapMs = history.lastRestartMicros === undefined ? 0 : restartGapMs - (nowMicros - history.lastRestartMicros) / 1000;
  return { decision: { do: "restart", delayMs: Math.max(0, gapMs, backoffMs(options.backoff, level)) }, history: next };
}

/** Whether a driver whose service ended for that reason comes back when it can. An operator's own stop is not asked here. */
export function returnsAfter(policy: RestartKind, ending: "failure" | "orderly"): boolean {
  return policy === "permanent" || (policy === "transient" && ending === "failure");
}

/** The wait before a restart `level` steps up. */
export function backoffMs(backoff: Backoff | undefined, level: number): number {
  if (backoff === undefined || level <= 0) return 0;
  return Math.min(backoff.maxMs, backoff.initialMs * backoff.factor ** (level - 1));
}

function decayedLevel(backoff: Backoff | undefined, history: RestartHistory, nowMicros: number): number {
  if (backoff === undefined || history.wellSinceMicros === undefined) return history.level;
  const steps = Math.floor((nowMicros - history.wellSinceMicros) / (backoff.decayMs * 1000));
  return Math.max(0, history.level - steps);
}

/** The level stops where the wait stops growing, so that decay shows at once. */
function cappedLevel(backoff: Backoff | undefined, level: number): number {
  return backoff === undefined ? 0 : Math.min(level, highestLevel(backoff));
}

function highestLevel(backoff: Backoff): number {
  if (backoff.factor === 1 || backoff.initialMs === 0) return 1;
  return 1 + Math.max(0, Math.ceil(Math.log(backoff.maxMs / backoff.initialMs) / Math.log(backoff.factor)));
}

/** Restarts in the period that ends now. */
function counting(options: RestartOptions, history: RestartHistory, nowMicros: number): number[] {
  return history.restartsAtMicros.filter((at) => at > nowMicros - options.periodMs * 1000);
}
