/** Requests for a reset: the first at once, a flood at its rate, and the last one never lost. */
import { expect, test } from "vitest";
import { ResetRequests } from "./reset-requests.ts";

function requests() {
  const told: string[] = [];
  const time = { ms: 1_000 };
  const requested = new ResetRequests(() => time.ms, (device) => told.push(device));
  return { told, time, requested };
}

test("a request is told at once, and others' are not held up by it", () => {
  const { told, requested } = requests();
  requested.add("one");
  requested.add("other");
  expect(told).toEqual(["one", "other"]);
});

test("of a flood one is told in each gap, and the last one when its time has come", () => {
  const { told, time, requested } = requests();
  for (let count = 0; count < 10_000; count++) {
    requested.add("wdt");
    time.ms += 0.05;
  }
  expect(told).toHaveLength(5);
  time.ms += 99;
  requested.tellDue();
  time.ms += 1;
  requested.tellDue();
  expect(told).toHaveLength(6);
  time.ms += 1_000;
  requested.tellDue();
  expect(told).toHaveLength(6);
});
