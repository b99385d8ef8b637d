/** Does many independent things a few at a time. */
// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
import os from "node:os";

/** More compilers at once than this only take each other's memory. */
const mostAtOnce = 16;

/** How many compilers and linkers run at once here. */
export function programsAtOnce(): number {
  return Math.max(1, Math.min(os.availableParallelism(), mostAtOnce));
}

let running = 0;
const waiting: (() => void)[] = [];

/** Does `work` when fewer than so many compilers and linkers run, whoever asks for them. */
export async function inTurn<R>(work: () => Promise<R>): Promise<R> {
  if (running < programsAtOnce()) running++;
  // Whoever ends hands its place over.
  else await new Promise<void>((resolve) => { waiting.push(resolve); });
  try {
    return await work();
  } finally {
    const next = waiting.shift();
    if (next === undefined) running--;
    else next();
  }
}

/** The results in the order of `items`. The first rejection ends it once what has begun is done. */
export async function mapParallel<T, R>(items: readonly T[], atOnce: number, work: (item: T, index: number) => Promise<R>): Promise<R[]> {
  const results = Array.from<R>({ length: items.length });
  let next = 0;
  let failed = false;
  const lane = async (): Promise<void> => {
    while (next < items.length && !failed) {
      const index = next++;
      try {
        results[index] = await work(items[index]!, index);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  const ended = await Promise.allSettled(Array.from({ length: Math.min(atOnce, items.length) }, lane));
  for (const one of ended) if (one.status === "rejected") throw one.reason;
  return results;
}
