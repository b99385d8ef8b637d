import { expect, test } from "vitest";
import { Budget, SharedBudget } from "./budget.ts";

const mebibyte = 2 ** 20;

function connection(shared: SharedBudget) {
  const it = { woken: 0, budget: undefined as unknown as Budget };
  it.budget = new Budget(shared, () => { it.woken++; });
  return it;
}

test("a connection has at most 64 MiB and 256 requests, and is woken when some is given back", () => {
  const it = connection(new SharedBudget());
  expect([it.budget.take(32 * mebibyte), it.budget.take(32 * mebibyte), it.budget.take(1)]).toEqual([true, true, false]);
  it.budget.give(1, 32 * mebibyte);
  expect([it.woken, it.budget.take(1)]).toEqual([1, true]);
  it.budget.give(2, 32 * mebibyte + 1);
  for (let count = 0; count < 256; count++) expect(it.budget.take(28)).toBe(true);
  expect([it.budget.take(28), it.budget.requests]).toEqual([false, 256]);
});

test("all together have 128 MiB; one request of each is never refused", () => {
  const shared = new SharedBudget();
  const full = Array.from({ length: 2 }, () => connection(shared));
  for (const { budget } of full) expect([budget.take(32 * mebibyte), budget.take(32 * mebibyte)]).toEqual([true, true]);
  const late = connection(shared);
  expect([late.budget.take(32 * mebibyte), late.budget.take(1)]).toEqual([true, false]);
  full[0]!.budget.give(2, 64 * mebibyte);
  expect([late.woken, late.budget.take(1)]).toEqual([1, true]);
});

test("a connection that is closed is not woken", () => {
  const shared = new SharedBudget();
  const full = Array.from({ length: 2 }, () => connection(shared));
  for (const { budget } of full) expect([budget.take(32 * mebibyte), budget.take(32 * mebibyte)]).toEqual([true, true]);
  const late = connection(shared);
  expect([late.budget.take(28), late.budget.take(28)]).toEqual([true, false]);
  late.budget.close();
  full[0]!.budget.give(2, 64 * mebibyte);
  expect(late.woken).toBe(0);
  for (const { budget } of full.slice(1)) budget.give(2, 64 * mebibyte);
  late.budget.give(1, 28);
  expect(shared.bytes).toBe(0);
});
