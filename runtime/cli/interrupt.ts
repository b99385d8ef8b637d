/** What SIGINT and SIGTERM do to a command that has something running: close it in order, and at the second signal end at once. */
import { exitCodes } from "./exit-codes.ts";

const signals = ["SIGINT", "SIGTERM"] as const;

/** Orderly closing may take this long; then it ends at once. */
const closeMs = 10_000;

/** Exit code of a program ended by a signal, by the shells' convention: 128 + its number. */
const exitCodeOf = { SIGINT: exitCodes.interrupted.code, SIGTERM: 143 } as const;

/** Handles the signals until the returned function is called. `close` must bear being called while work goes on. */
export function closeOnSignal(close: () => Promise<void>): () => void {
  let closing = false;
  const onSignal = (signal: (typeof signals)[number]): void => {
    const end = (): void => process.exit(exitCodeOf[signal]);
    if (closing) return end();
    closing = true;
    setTimeout(end, closeMs).unref();
    close().then(end, (error: unknown) => {
      process.stderr.write(`airlock: closing failed: ${error instanceof Error ? error.message : String(error)}\n`);
      end();
    });
  };
  for (const signal of signals) process.on(signal, onSignal);
  return () => { for (const signal of signals) process.off(signal, onSignal); };
}
