/** Deadlines on what other parts promise: every wait of the supervisor ends, by its own limit if need be. */
import type { Clock } from "../api/clock.ts";

export type Outcome<T> =
  | { readonly kind: "done"; readonly value: T }
  | { readonly kind: "failed"; readonly error: unknown }
  | { readonly kind: "timeout" };

/**
 * Runs `work` and resolves with how it ended, at the latest after `limitMs`; never rejects. What `work` throws at once
 * counts as failed. A value that comes after the limit goes to `late`, so that a resource in it is not lost.
 */
export function within<T>(clock: Clock, limitMs: number, work: () => Promise<T>, late?: (value: T) => void): Promise<Outcome<T>> {
  return new Promise((resolve) => {
    let open = true;
    let cancel: () => void = () => undefined;
    const settle = (outcome: Outcome<T>): void => {
      open = false;
      cancel();
      resolve(outcome);
    };
    cancel = clock.setTimer(limitMs * 1000, () => settle({ kind: "timeout" }));
    const run = async (): Promise<void> => {
      let outcome: Outcome<T>;
      try {
        outcome = { kind: "done", value: await work() };
      } catch (error) {
        outcome = { kind: "failed", error };
      }
      if (open) settle(outcome);
      else if (outcome.kind === "done") late?.(outcome.value);
    };
    void run();
  });
}
