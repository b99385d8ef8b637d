/** Takes what nobody caught in a driver's own thread as that driver's failure. Only for threads that run one driver. */
import type { WorkerSandbox } from "./tier.ts";

/**
 * Installs the process-wide handlers of this thread for `sandbox`; returns what removes them.
 * Without them an unhandled rejection ends the thread, and the driver's own stack is lost.
 */
export function watchStrayErrors(sandbox: WorkerSandbox): () => void {
  const stray = (error: unknown): void => sandbox.stray(error);
  process.on("unhandledRejection", stray);
  process.on("uncaughtException", stray);
  return () => {
    process.off("unhandledRejection", stray);
    process.off("uncaughtException", stray);
  };
}
