/** Tests of stopping a driver that can let go of its device: it is told to, for a while, and loses it all the same. */
import { describe, expect, test } from "vitest";
import type { Failure } from "../api/failure.ts";
import type { RestartOptions } from "./restart-policy.ts";
import { advance, TestWorld } from "./test-world.ts";

const always: RestartOptions = { policy: "permanent", intensity: Infinity, periodMs: 10_000, escalation: "hold" };
const thrown: Failure = { kind: "exception", message: "thrown" };
const ms = 1000;
const second = 1_000_000;

/** Every test ends here: all ended once, nothing waits, nothing forbidden happened. */
async function finish(made: TestWorld): Promise<void> {
  const closing = made.supervisor.close();
  await advance(made.clock, 60 * second);
  await closing;
  made.checkLeaks(0);
  expect(made.violations).toEqual([]);
  expect(made.clock.pending).toBe(0);
}

const steps = (made: TestWorld): string[] => made.trail.map((entry) => entry.replace(/@.*/, ""));

describe("an orderly stop of a driver that can let go of its device", () => {
  const remove = 7;
  const inOrder = async (): Promise<TestWorld> => {
    const made: TestWorld = new TestWorld({ restart: always, canLeave: true, supervisor: { log: (_level, text) => { made.trail.push(`log ${text}`); } } });
    made.plan("remove", "hang");
    made.supervisor.start();
    await advance(made.clock, 10 * ms);
    made.trail.length = 0;
    return made;
  };

  test("tells it to, and takes nothing from it until it says that it has; clients wait meanwhile", async () => {
    const made = await inOrder();
    const stopped = made.supervisor.stop();
    expect(made.host!.sent).toEqual([remove]);
    made.host!.events.log(30, "bye");
    made.host!.events.records([{ kind: 18, id: 0, tag: 1, payload: new Uint8Array(0) }]);
    await advance(made.clock, 100 * ms);
    expect(steps(made)).toEqual(["detach 1", "log bye"]);
    expect([made.shadow.received, made.supervisor.status.state]).toEqual([0, "tearing-down"]);
    made.host!.events.removed();
    await advance(made.clock, 10 * ms);
    await stopped;
    expect(steps(made)).toEqual(["detach 1", "log bye", "gate 1", "mask 1", "quiesce 1", "stopDma 1", "unmap 1", "forceAck 1", "close 1", "terminate 1"]);
    expect(made.supervisor.status).toMatchObject({ state: "stopped", failures: {}, skippedSteps: {} });
    await finish(made);
  });

  test("a restart goes on to the next generation", async () => {
    const made = await inOrder();
    made.supervisor.restart();
    made.host!.events.removed();
    await advance(made.clock, 10 * ms);
    expect(made.supervisor.status).toMatchObject({ state: "running", generation: 2n, failures: {} });
    await finish(made);
  });

  test("one that never says so loses its device all the same", async () => {
    const made = await inOrder();
    void made.supervisor.stop();
    await advance(made.clock, 499 * ms);
    expect(steps(made)).toEqual(["detach 1"]);
    await advance(made.clock, 10 * ms);
    expect(steps(made).at(-1)).toBe("terminate 1");
    expect(made.supervisor.status).toMatchObject({ state: "stopped", skippedSteps: { remove: 1 } });
    await finish(made);
  });

  test("a failure on the way out is noted, and is no reason to come back", async () => {
    const made = await inOrder();
    void made.supervisor.stop();
    made.host!.events.failed(thrown);
    made.host!.events.removed();
    await advance(made.clock, 10 * ms);
    expect(made.notes).toContainEqual(expect.stringContaining("generation 1: it did not leave in order: exception: thrown"));
    expect(made.supervisor.status).toMatchObject({ state: "stopped", failures: {}, skippedSteps: { remove: 1 } });
    await finish(made);
  });

  test("after a failure, at once, or while it comes up, nobody asks it", async () => {
    const made = await inOrder();
    made.host!.events.failed(thrown);
    expect(steps(made)).toEqual(["detach 1", "gate 1"]);
    expect(made.host!.sent).toEqual([]);
    await advance(made.clock, 10 * ms);
    expect(made.supervisor.status).toMatchObject({ state: "running", generation: 2n });
    made.trail.length = 0;
    void made.supervisor.close("atOnce");
    expect(steps(made)).toEqual(["detach 2", "gate 2"]);
    await finish(made);
  });

  test("one that says so unasked breaks the protocol", async () => {
    const made = await inOrder();
    made.host!.events.removed();
    expect(made.supervisor.status.failures).toEqual({ "protocol-violation": 1 });
    await finish(made);
  });
});
