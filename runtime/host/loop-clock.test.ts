/** Timers of a loop: nothing fires by itself, what is due fires once and in order, cancelled ones never. */
import { expect, test } from "vitest";
import { LoopClock } from "./loop-clock.ts";

test("timers fire when asked for, in order, once", () => {
  const clock = new LoopClock();
  const fired: string[] = [];
  clock.setTimer(0, () => fired.push("first"));
  clock.setTimer(3_600_000_000, () => fired.push("in an hour"));
  const cancel = clock.setTimer(0, () => fired.push("cancelled"));
  cancel();
  expect(fired).toEqual([]);
  while (clock.idleMs(1000) <= 0 && fired.length === 0) clock.runDue();
  clock.runDue();
  expect(fired).toEqual(["first"]);
  expect(clock.idleMs(50)).toBe(50);
});

test("a timer that sets itself anew does not keep the loop from going on", () => {
  const clock = new LoopClock();
  let count = 0;
  const again = (): void => { if (count++ < 1000) clock.setTimer(0, again); };
  again();
  clock.runDue();
  expect(count).toBeLessThan(1000);
});

test("without timers it may sleep as long as it likes", () => {
  expect(new LoopClock().idleMs(100)).toBe(100);
});
