/** Progress for people: steps of a build, at most some lines per second. */
// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

/** Told what a build is doing. */
export interface Progress {
  /** A step has begun. */
  step(text: string): void;
  /** So many of so many things of the present step are done. */
  count(done: number, total: number): void;
}

/** Lines no closer than this while things are counted: a terminal is read by a person. */
const lineEveryMs = 5_000;

/** Writes steps, and now and then how far the present one is. */
export function lineProgress(write: (line: string) => void, nowMs: () => number): Progress {
  let title = "";
  let lastMs = 0;
  return {
    step(text) {
      title = text;
      lastMs = nowMs();
      write(text);
    },
    count(done, total) {
      if (nowMs() - lastMs < lineEveryMs) return;
      lastMs = nowMs();
      write(`${title}: ${done} of ${total}`);
    },
  };
}

/** For programs that are not watched. */
export const noProgress: Progress = { step: () => undefined, count: () => undefined };
