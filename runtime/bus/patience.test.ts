/** How long the hardware's thread looks for work follows from the sleeps that drivers waited for. */
import { expect, test } from "vitest";
import { Patience } from "./patience.ts";

/** A thread with its own time: sleeps, and is then found work that is a read or not. */
function thread(): { patience: Patience; waits(): number; sleeps(micros: number, isRead: boolean): void } {
  const patience = new Patience();
  let now = 1;
  let reads = 0;
  return {
    patience,
    waits() {
      const start = now;
      while (!patience.isOver(now)) now++;
      return now - start;
    },
    sleeps(micros, isRead) {
      patience.slept(micros, reads);
      if (isRead) reads++;
      patience.worked(() => reads);
    },
  };
}

test("it is short until a driver had to wait for a short sleep, and short again when sleeps are long or nobody waits", () => {
  const { waits, sleeps } = thread();
  expect(waits()).toBe(4);
  sleeps(30, false);
  expect(waits()).toBe(4);
  sleeps(30, true);
  expect(waits()).toBe(60);
  sleeps(30, false);
  expect(waits()).toBe(30);
  sleeps(Infinity, true);
  expect(waits()).toBe(15);
  for (let n = 0; n < 2; n++) sleeps(5_000, true);
  expect(waits()).toBe(4);
});

test("what it has learned stays while work comes before its end", () => {
  const { patience, waits, sleeps } = thread();
  sleeps(30, true);
  for (let n = 0; n < 1_000; n++) {
    patience.isOver(n * 50 + 1);
    patience.worked(() => 0);
  }
  expect(waits()).toBe(60);
});

test("where a long wait never helps it gives up for some time: others need the processor", () => {
  const { waits, sleeps } = thread();
  const all = Array.from({ length: 80 }, () => {
    const micros = waits();
    sleeps(30, true);
    return micros;
  });
  expect(all.slice(0, 6)).toEqual([4, 60, 60, 60, 60, 4]);
  expect(all.slice(5, 37).every((micros) => micros === 4)).toBe(true);
  expect(all.slice(37).some((micros) => micros === 60)).toBe(true);
});

test("a sleep without an end, and then one that a read ends, are one long sleep", () => {
  const { patience, waits, sleeps } = thread();
  patience.slept(Infinity, 0);
  sleeps(30, true);
  expect(waits()).toBe(4);
});
