/** The virtual clock: timers fire in order, at their time, once; cancelled ones never. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { TimerQueue, VirtualClock, realClock } from "./clock.ts";

describe("virtual clock", () => {
  test("fires every timer once, in order of deadline and then of setting, at exactly its time", () => {
    fc.assert(fc.property(fc.array(fc.record({ delay: fc.integer({ min: 0, max: 1000 }), cancelled: fc.boolean() }), { maxLength: 60 }), (timers) => {
      const clock = new VirtualClock();
      const fired: { index: number; at: number }[] = [];
      const cancels = timers.map(({ delay }, index) => clock.setTimer(delay, () => { fired.push({ index, at: clock.nowMicros() }); }));
      timers.forEach(({ cancelled }, index) => { if (cancelled) cancels[index]!(); });
      expect(clock.pending).toBe(timers.filter(({ cancelled }) => !cancelled).length);
      clock.advance(1000);
      const expected = timers.map(({ delay, cancelled }, index) => ({ index, at: delay, cancelled })).filter(({ cancelled }) => !cancelled)
        .toSorted((a, b) => a.at - b.at || a.index - b.index).map(({ index, at }) => ({ index, at }));
      expect(fired).toEqual(expected);
      expect(clock.nowMicros()).toBe(1000);
      expect(clock.pending).toBe(0);
    }));
  });

  test("a timer set by a timer fires in the same advance when it is due; cancelling late or twice does nothing", () => {
    const clock = new VirtualClock();
    const seen: number[] = [];
    const cancel = clock.setTimer(10, () => { clock.setTimer(5, () => { seen.push(clock.nowMicros()); }); });
    clock.setTimer(20, () => { cancel(); cancel(); });
    clock.advance(30);
    expect(seen).toEqual([15]);
    expect(clock.pending).toBe(0);
  });

  test("the next deadline ignores cancelled timers", () => {
    const clock = new VirtualClock();
    const cancel = clock.setTimer(5, () => undefined);
    clock.setTimer(9, () => undefined);
    cancel();
    expect(clock.nextDueMicros()).toBe(9);
    expect(clock.step(8)).toBe(false);
    expect(clock.step(9)).toBe(true);
  });
});

test("the real clock never goes back", () => {
  let last = realClock.nowMicros();
  for (let look = 0; look < 1000; look++) {
    const now = realClock.nowMicros();
    expect(now).toBeGreaterThanOrEqual(last);
    last = now;
  }
});

test("a delay longer than the event loop's longest does not fire at once", async () => {
  const fired: string[] = [];
  const cancels = [30 * 86_400e6, Infinity].map((delayMicros) => realClock.setTimer(delayMicros, () => { fired.push("early"); }));
  await new Promise((resolve) => { setTimeout(resolve, 20); });
  expect(fired).toEqual([]);
  for (const cancel of cancels) cancel();
});

test("timers that are set and cancelled all the time take no memory, and the others keep their order", () => {
  fc.assert(fc.property(fc.array(fc.nat(1000), { maxLength: 200 }), (delays) => {
    const queue = new TimerQueue();
    const fired: number[] = [];
    for (const [index, delay] of delays.entries()) {
      queue.add(delay, () => { fired.push(index); });
      for (let times = 0; times < 10; times++) queue.add((delay * 7 + times) % 1000, () => { fired.push(-1); })();
    }
    expect(queue.size).toBe(delays.length);
    expect(queue.stored).toBeLessThanOrEqual(2 * delays.length + 65);
    for (let timer = queue.takeDue(1000); timer !== undefined; timer = queue.takeDue(1000)) timer.callback();
    expect(fired).toEqual(delays.map((delay, index) => ({ delay, index })).toSorted((a, b) => a.delay - b.delay || a.index - b.index).map(({ index }) => index));
  }));
});
