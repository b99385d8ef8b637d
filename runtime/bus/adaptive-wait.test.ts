/** A wait ends when the word changes, or at its time-out; how long it spins first is learned. */
import { Worker } from "node:worker_threads";
import { expect, test } from "vitest";
import { AdaptiveWait } from "./adaptive-wait.ts";

const words = (): Int32Array => new Int32Array(new SharedArrayBuffer(8));

test("a word that has changed already is not waited for", () => {
  const shared = words();
  shared[0] = 7;
  const wait = new AdaptiveWait();
  wait.wait(shared, 0, 6, 60_000);
  expect([wait.spun, wait.slept]).toEqual([1, 0]);
});

test("a wait in vain ends at its time-out", () => {
  const wait = new AdaptiveWait();
  for (let n = 0; n < 5; n++) wait.wait(words(), 0, 0, 1);
  expect([wait.spun, wait.slept]).toEqual([0, 5]);
});

test("after waits in vain it hardly spins, and finds out when it pays again", () => {
  const shared = words();
  const wait = new AdaptiveWait();
  for (let n = 0; n < 20; n++) wait.wait(shared, 0, 0, 0);
  shared[0] = 1;
  // What changed before the wait is seen without a sleep by the probe that comes within 32 waits; sleeping returns at once here.
  for (let n = 0; n < 64; n++) wait.wait(shared, 0, 0, 60_000);
  expect(wait.spun).toBeGreaterThan(30);
});

test("another thread's notify ends a sleep", async () => {
  const shared = words();
  const worker = new Worker(`const { workerData } = require("node:worker_threads");
    setTimeout(() => { Atomics.store(workerData, 0, 1); Atomics.notify(workerData, 0); }, 100);`, { eval: true, workerData: shared });
  new AdaptiveWait().wait(shared, 0, 0, 60_000);
  expect(Atomics.load(shared, 0)).toBe(1);
  await worker.terminate();
});
