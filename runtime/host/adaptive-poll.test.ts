/** Polling ends with data or with the sleep that follows it, and stops being tried where it does not pay. */
import { expect, test } from "vitest";
import { AdaptivePoll } from "./adaptive-poll.ts";

function rig() {
  let now = 0;
  let sleeps = 0;
  let looks = 0;
  const poll = new AdaptivePoll(() => (now += 5));
  const wait = (dataAfterLooks: number): Promise<void> => {
    let left = dataAfterLooks;
    return poll.wait(() => { looks++; return --left < 0; }, async () => { sleeps++; });
  };
  return { wait, counts: () => ({ sleeps, looks }) };
}

test("data that is there is found without a sleep", async () => {
  const { wait, counts } = rig();
  for (let n = 0; n < 10; n++) await wait(0);
  expect(counts()).toEqual({ sleeps: 0, looks: 10 });
});

test("data that never comes ends in a sleep, and soon nobody looks any more but for a probe now and then", async () => {
  const { wait, counts } = rig();
  for (let n = 0; n < 10; n++) await wait(Infinity);
  const { looks } = counts();
  expect(counts().sleeps).toBe(10);
  for (let n = 0; n < 64; n++) await wait(Infinity);
  expect(counts().sleeps).toBe(74);
  expect(counts().looks - looks).toBeLessThan(64);
  expect(counts().looks - looks).toBeGreaterThan(0);
});

test("once a probe finds data, it is looked for again", async () => {
  const { wait, counts } = rig();
  for (let n = 0; n < 10; n++) await wait(Infinity);
  for (let n = 0; n < 32; n++) await wait(0);
  const before = counts().sleeps;
  for (let n = 0; n < 10; n++) await wait(2);
  expect(counts().sleeps).toBe(before);
});
