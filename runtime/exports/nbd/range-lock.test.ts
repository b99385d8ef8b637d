import * as fc from "fast-check";
import { expect, test } from "vitest";
import { type HeldRange, RangeLock } from "./range-lock.ts";

/** Takes ranges and notes who holds what. */
function lab() {
  const lock = new RangeLock();
  const held = new Map<string, HeldRange>();
  return {
    lock, held,
    take: (name: string, first: number, end: number, exclusive: boolean) => lock.hold(first, end, exclusive, (range) => held.set(name, range)),
    give: (name: string) => {
      const range = held.get(name)!;
      held.delete(name);
      lock.release(range);
    },
    holders: () => [...held.keys()].join(""),
  };
}

test("shared ranges do not wait for each other, exclusive ones for all that overlap", () => {
  const it = lab();
  it.take("a", 0, 10, false);
  it.take("b", 5, 15, false);
  it.take("c", 10, 20, true);
  it.take("d", 20, 30, true);
  expect(it.holders()).toBe("abd");
  it.give("a");
  expect(it.holders()).toBe("bd");
  it.give("b");
  expect(it.holders()).toBe("dc");
});

test("who came first goes first: a shared range waits behind an exclusive one that waits", () => {
  const it = lab();
  it.take("a", 0, 10, false);
  it.take("b", 0, 10, true);
  it.take("c", 0, 10, false);
  it.take("d", 10, 20, false);
  expect(it.holders()).toBe("ad");
  it.give("a");
  expect(it.holders()).toBe("db");
  it.give("b");
  expect(it.holders()).toBe("dc");
  it.give("c");
  it.give("d");
  expect(it.lock.size).toBe(0);
});

test("giving back twice changes nothing", () => {
  const it = lab();
  it.take("a", 0, 10, true);
  const range = it.held.get("a")!;
  it.give("a");
  it.take("b", 0, 10, true);
  it.lock.release(range);
  it.take("c", 0, 10, true);
  expect(it.holders()).toBe("b");
});

test("whatever comes and goes: no exclusive range is held with another over it, and all get their turn", () => {
  const range = fc.record({ first: fc.nat(20), length: fc.nat(8), exclusive: fc.boolean(), giveBefore: fc.nat(3) });
  fc.assert(fc.property(fc.array(range, { maxLength: 60 }), (ranges) => {
    const lock = new RangeLock();
    const held: HeldRange[] = [];
    let started = 0;
    for (const { first, length, exclusive, giveBefore } of ranges) {
      for (let count = 0; count < giveBefore && held.length > 0; count++) lock.release(held.shift()!);
      lock.hold(first, first + length, exclusive, (one) => {
        const over = held.filter((other) => one.first < other.end && other.first < one.end && (one.exclusive || other.exclusive));
        expect(over).toEqual([]);
        held.push(one);
        started++;
      });
    }
    while (held.length > 0) lock.release(held.shift()!);
    expect([started, lock.size]).toEqual([ranges.length, 0]);
  }));
});
