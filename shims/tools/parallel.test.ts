import { expect, test } from "vitest";
import { mapParallel } from "./parallel.ts";
import { runProgram } from "./run-program.ts";

test("results are in the order of the items, and no more are under way than allowed", async () => {
  let now = 0;
  let most = 0;
  const results = await mapParallel([30, 1, 20, 2, 10], 2, async (item) => {
    most = Math.max(most, ++now);
    await new Promise((resolve) => { setTimeout(resolve, item); });
    now--;
    return item * 2;
  });
  expect(results).toEqual([60, 2, 40, 4, 20]);
  expect(most).toBe(2);
});

test("the first failure ends it, after what has begun", async () => {
  const begun: number[] = [];
  await expect(mapParallel([1, 2, 3, 4], 1, async (item) => {
    begun.push(item);
    if (item === 2) throw new Error("two");
  })).rejects.toThrow("two");
  expect(begun).toEqual([1, 2]);
});

test("programs: what they say, how they end, and one that is not there", async () => {
  expect(await runProgram("sh", ["-c", "echo out; echo err >&2; exit 3"])).toEqual({ code: 3, out: "out\n", err: "err\n" });
  expect(await runProgram("/nowhere/cc", [])).toMatchObject({ code: undefined, err: expect.stringContaining("ENOENT") as string });
  expect(await runProgram("sh", ["-c", "sleep 5"], { timeoutMs: 50 })).toMatchObject({ code: undefined, err: "ended by SIGKILL" });
});
