/** The net workload: what it makes of frames that come back, twice, changed, or not at all, with and without a driver's death. */
import { describe, expect, test } from "vitest";
import { CableEnd } from "../../../test/fixtures/net-cable.ts";
import { settle } from "../../../test/fixtures/driver-port.ts";
import { VirtualClock } from "../../api/clock.ts";
import { AirlockError } from "../../api/errors.ts";
import type { Workload } from "../workload.ts";
import { createWorkload } from "./workload.ts";

/** Sends frames back, addresses swapped, as `change` says: several, others, or none. */
async function setup(change: (frame: Uint8Array, count: number) => Uint8Array[] = (frame) => [frame]) {
  const clock = new VirtualClock();
  let count = 0;
  const end = new CableEnd("52:54:00:12:34:56", (frames) => {
    end.arrive(frames.flatMap((frame) => change(Uint8Array.of(...frame.subarray(6, 12), ...frame.subarray(0, 6), ...frame.subarray(12)), count++)));
  });
  let state = 7;
  const random = (): number => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
    return state / 2 ** 31;
  };
  const workload = await createWorkload(await end.open(), { clock, random });
  const steps = async (number: number): Promise<Workload["totals"]> => {
    for (let step = 0; step < number; step++) {
      const done = workload.step();
      await settle();
      await settle();
      clock.advance(2_000);
      await done;
    }
    return workload.totals;
  };
  return { clock, end, workload, steps };
}

describe("the net workload", () => {
  test("counts every frame that comes back as it went out", async () => {
    const { steps, workload } = await setup();
    const totals = await steps(20);
    expect(totals.operations).toBeGreaterThan(300);
    expect(totals.bytesSent).toBeGreaterThan(60 * 300);
    expect([totals.clientErrors, totals.bytesLost, totals.bytesCorrupted, workload.errors]).toEqual([0, 0, 0, []]);
  });

  test("allows a frame to come twice", async () => {
    const { steps } = await setup((frame) => [frame, frame]);
    expect(await steps(20)).toMatchObject({ clientErrors: 0, bytesLost: 0, bytesCorrupted: 0 });
  });

  test("does not take the frames of others for its own", async () => {
    const { steps } = await setup((frame) => [frame, new Uint8Array(60), new Uint8Array(14)]);
    expect(await steps(5)).toMatchObject({ clientErrors: 0, bytesCorrupted: 0 });
  });

  test("sees a single byte that changed", async () => {
    const { steps, workload } = await setup((frame, count) => {
      if (count % 50 === 17) frame[20 + (count % 40)]! ^= 0x40;
      return [frame];
    });
    const totals = await steps(10);
    expect(totals.bytesCorrupted).toBeGreaterThan(0);
    expect(totals.clientErrors).toBeGreaterThan(0);
    expect(workload.errors[0]).toMatch(/came back damaged/);
  });

  test("calls a frame that is missing lost, and an error when no driver died", async () => {
    const { steps, workload, clock } = await setup((frame, count) => (count === 40 ? [] : [frame]));
    expect(await steps(20)).toMatchObject({ clientErrors: 0, bytesLost: 0 });
    clock.advance(6_000_000);
    const totals = await steps(2);
    expect(totals.bytesLost).toBeGreaterThan(0);
    expect(workload.errors).toEqual([expect.stringMatching(/frame 40 never came back, and no driver died/)]);
  });

  test("a frame that its driver lost and the next one sends again is neither", async () => {
    let kept: Uint8Array | undefined;
    const { steps, end, clock } = await setup((frame, count) => {
      if (count === 40) kept = frame;
      return count === 40 ? [] : [frame];
    });
    await steps(20);
    clock.advance(2_000_000);
    end.drivers = 2;
    end.arrive([kept!]);
    clock.advance(6_000_000);
    expect(await steps(20)).toMatchObject({ clientErrors: 0, bytesLost: 0 });
  });

  test("a frame that died with a driver is lost as soon as a later driver's comes back", async () => {
    const { steps, end } = await setup((frame, count) => (count === 40 ? [] : [frame]));
    await steps(10);
    end.drivers = 2;
    const totals = await steps(10);
    expect(totals.bytesLost).toBeGreaterThan(0);
    expect(totals.clientErrors).toBe(0);
  });

  test("a whole window that died with a driver is found out soon, and is no error", async () => {
    const { steps, end } = await setup((frame, count) => (count >= 96 && count < 128 ? [] : [frame]));
    await steps(4);
    end.drivers = 2;
    const before = (await steps(1)).operations;
    const totals = await steps(40);
    expect(totals.operations).toBeGreaterThan(before + 100);
    expect(totals.bytesLost).toBeGreaterThan(0);
    expect(totals.clientErrors).toBe(0);
  });

  test("silence without a restart is an error when patience ends, once for each frame", async () => {
    const { steps, workload, clock } = await setup((frame, count) => (count < 64 ? [frame] : []));
    await steps(10);
    clock.advance(11_000_000);
    const totals = await steps(10);
    expect(totals.clientErrors).toBe(32);
    expect(workload.errors).toHaveLength(5);
  });

  test("an interface that ends is an error at each step; closing is none", async () => {
    const { steps, end, workload, clock } = await setup();
    await steps(2);
    const closed = workload.close();
    clock.advance(2_000);
    await closed;
    expect(end.isOpen).toBe(false);
    expect(workload.totals.clientErrors).toBe(0);
    const other = await setup();
    other.end.end(new AirlockError("DriverUnavailable", "it is held"));
    expect(await other.steps(3)).toMatchObject({ clientErrors: 3 });
  });
});
