/** The block workload: content with an honest driver through any number of restarts, and it notices what is wrong. */
import { expect, test } from "vitest";
import { openBlock } from "../../../test/fixtures/block-bench.ts";
import type { IoRequest, TestBlockDriver } from "../../../test/fixtures/block-driver.ts";
import { settle } from "../../../test/fixtures/driver-port.ts";
import { AirlockError } from "../../api/errors.ts";
import { BlockOp } from "./contract.ts";
import { createWorkload } from "./workload.ts";

function seeded(): () => number {
  let state = 7;
  return () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return state / 2 ** 32;
  };
}

/** A workload above a driver that is served by `serve` in every turn, and the number of steps it has made. */
async function working(serve: (driver: TestBlockDriver, requests: readonly IoRequest[], bench: ReturnType<typeof openBlock>) => void, steps: number) {
  const bench = openBlock({ blocks: 512 });
  let driver = await bench.attach();
  const workload = await createWorkload(bench.volume, { clock: bench.environment.clock, random: seeded() });
  let made = 0;
  const work = async (): Promise<void> => {
    for (; made < steps; made++) await workload.step();
    await workload.close();
  };
  let isDone = false;
  const done = work().then(() => { isDone = true; return isDone; });
  for (let turn = 0; !isDone; turn++) {
    await settle();
    bench.environment.clock.advance(1_000);
    if (turn % 50 === 49) {
      bench.shadow.detach();
      bench.disk.powerCut();
      driver = await bench.attach();
    }
    if (driver.open.length > 0) serve(driver, [...driver.open], bench);
  }
  await done;
  return { ...bench, workload, driver };
}

test("nothing is wrong with an honest driver, through crashes and power cuts", async () => {
  const { workload, environment } = await working((driver, _requests, { shadow }) => void shadow.receive(driver.serve()), 1_500);
  expect(workload.totals).toMatchObject({ operations: 1_500, clientErrors: 0, bytesLost: 0, bytesCorrupted: 0 });
  expect(workload.totals.bytesSent).toBeGreaterThan(1_000_000);
  expect(new Set(environment.servedOperations)).toEqual(new Set(["read", "write", "flush", "writeZeroes", "discard"]));
});

test("a byte that is wrong is found", async () => {
  let spoilt = 0;
  const { workload } = await working((driver, requests, { shadow, environment }) => {
    for (const request of requests) driver.perform(request);
    for (const { op, iova } of requests) {
      if (op !== BlockOp.read || spoilt++ % 10 > 0) continue;
      environment.buffers.bytes[iova - environment.buffers.iova]! ^= 0x80;
    }
    shadow.receive(driver.complete(requests));
  }, 600);
  expect(workload.totals.bytesCorrupted).toBeGreaterThan(0);
  expect(workload.totals.clientErrors).toBe(workload.totals.bytesCorrupted);
  expect(workload.errors[0]).toMatch(/1 bytes of block \d+ are not what was written there/);
});

test("calls that fail are counted, and do not spin", async () => {
  const { volume, environment, attach, shadow } = openBlock();
  await attach();
  const workload = await createWorkload(volume, { clock: environment.clock, random: seeded() });
  shadow.giveUp(new AirlockError("DriverUnavailable", "device: held"));
  let steps = 0;
  const work = (async () => { for (; steps < 12; steps++) await workload.step(); })();
  await settle();
  expect(steps).toBe(8);
  for (; steps < 12; await settle()) environment.clock.advance(1_000);
  await work;
  environment.clock.advance(1_000);
  await workload.close();
  expect(workload.totals).toMatchObject({ operations: 0, clientErrors: 12 });
});
