/** A driver's thread moves away from the hardware's processor when it sleeps there again and again, and only then. */
import { expect, test } from "vitest";
import { DoorbellWord, createDoorbell } from "./channel.ts";
import { StayApart } from "./processors.ts";

/** A thread on processor 1, which `leave` moves to 0 and back. */
function rig(hardware: number | undefined, mayLeave = true, ageMicros = 1_000_000) {
  const doorbell = new Int32Array(createDoorbell());
  if (hardware !== undefined) doorbell[DoorbellWord.processor] = hardware + 1;
  let current = 1;
  let asked = 0;
  let nowMicros = 0;
  const apart = new StayApart(doorbell, {
    current: () => current,
    leave: () => {
      asked++;
      if (mayLeave) current = 1 - current;
      return mayLeave;
    },
  }, () => nowMicros);
  nowMicros += ageMicros;
  const sleep = (times: number, eachMicros = 30): number => {
    for (let n = 0; n < times; n++) {
      apart.beforeSleep();
      nowMicros += eachMicros;
    }
    return asked;
  };
  return { doorbell, sleep };
}

test("sleeps on the hardware's processor end with a move, once", () => {
  const { sleep } = rig(1);
  expect(sleep(31)).toBe(0);
  expect(sleep(1)).toBe(1);
  expect(sleep(100)).toBe(1);
});

test("a hardware thread that follows is left again", () => {
  const { doorbell, sleep } = rig(1);
  expect(sleep(32)).toBe(1);
  doorbell[DoorbellWord.processor] = 1;
  expect(sleep(32)).toBe(2);
});

test("a sleep on another processor begins the count anew; an unknown one is another", () => {
  const { doorbell, sleep } = rig(1);
  sleep(31);
  doorbell[DoorbellWord.processor] = 1;
  sleep(1);
  doorbell[DoorbellWord.processor] = 2;
  expect(sleep(31)).toBe(0);
  expect(rig(undefined).sleep(100)).toBe(0);
});

test("sleeps with much time between them are left as they are", () => {
  expect(rig(1).sleep(1_000, 100)).toBe(0);
});

test("a driver that has just been started does not wait for a row", () => {
  expect(rig(1, true, 0).sleep(2)).toBe(0);
  expect(rig(1, true, 0).sleep(3)).toBe(1);
});

test("where there is no other processor it is asked for once", () => {
  expect(rig(1, false).sleep(100)).toBe(1);
});

test("without the addon nothing is done", () => {
  const apart = new StayApart(new Int32Array(createDoorbell()), undefined);
  expect(() => { for (let n = 0; n < 20; n++) apart.beforeSleep(); }).not.toThrow();
});
