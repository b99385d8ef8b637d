import { describe, expect, test } from "vitest";
import type { Failure } from "../api/failure.ts";
import { controlStepMs } from "../bus/platform.ts";
import { DriverSupervisor } from "./driver-supervisor.ts";
import type { DriverStatus } from "./driver-status.ts";
import type { RestartOptions } from "./restart-policy.ts";
import { advance, limits, settle, TestWorld, type WorldOptions } from "./test-world.ts";

const always: RestartOptions = { policy: "permanent", intensity: Infinity, periodMs: 10_000, escalation: "hold" };
const thrown: Failure = { kind: "exception", message: "thrown" };
const ms = 1000;
const second = 1_000_000;

function world(options: Partial<WorldOptions> = {}): TestWorld {
  return new TestWorld({ restart: always, ...options });
}

async function running(options: Partial<WorldOptions> = {}): Promise<TestWorld> {
  const made = world(options);
  made.supervisor.start();
  await advance(made.clock, 10 * ms);
  expect(made.supervisor.status.state).toBe("running");
  made.trail.length = 0;
  return made;
}

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

describe("a failure", () => {
  test("is torn down in order, then the next generation comes up", async () => {
    const made = await running();
    made.host!.events.failed(thrown);
    expect(steps(made)).toEqual(["detach 1", "gate 1"]);
    expect(made.supervisor.status).toMatchObject({ state: "tearing-down", target: "running", generation: 1n });
    await advance(made.clock, 10 * ms);
    expect(steps(made)).toEqual([
      "detach 1", "gate 1", "mask 1", "quiesce 1", "stopDma 1", "unmap 1", "forceAck 1", "close 1", "dump 1", "terminate 1", "connect 2", "start 2", "attach 2",
    ]);
    expect(made.supervisor.status).toMatchObject({ state: "running", generation: 2n, restarts: 1, failures: { exception: 1 } });
    expect(made.supervisor.status.hosts).toEqual({ started: 2, ended: 1, overdue: 0 });
    await finish(made);
  });

  test.each(["report", "failed"] as const)("is seen through %s", async (what) => {
    const made = await running();
    made.send(made.host!, what);
    expect(made.supervisor.status.state).toBe("tearing-down");
    await finish(made);
  });

  test("is a message that breaks the contract, and what follows it is not looked at", async () => {
    const made = await running();
    made.shadow.rejectNext = true;
    const record = { kind: 18, id: 0, tag: 1, payload: new Uint8Array(0) };
    made.host!.events.records([record, record]);
    expect(made.shadow.received).toBe(1);
    expect(made.supervisor.status.failures).toEqual({ "protocol-violation": 1 });
    await finish(made);
  });

  test("seen by the shadow counts only while the shadow is attached", async () => {
    const made = await running();
    made.supervisor.fail({ kind: "deadline", message: "late" });
    made.supervisor.fail({ kind: "deadline", message: "late" });
    expect(made.supervisor.status.failures).toEqual({ deadline: 1 });
    await finish(made);
  });

  test("of an init that does not finish is a deadline", async () => {
    const made = world();
    made.plan("init", "hang");
    made.supervisor.start();
    await advance(made.clock, limits.initMs * ms + 5 * ms);
    expect(made.supervisor.status).toMatchObject({ state: "running", generation: 2n, failures: { deadline: 1 } });
    expect(made.supervisor.status.lastFailure?.failure.phase).toBe("init");
    await finish(made);
  });

  test.each(["connect", "start"] as const)("of %s is one of kind start", async (call) => {
    const made = world();
    made.plan(call, "throw");
    made.supervisor.start();
    await advance(made.clock, 10 * ms);
    expect(made.supervisor.status).toMatchObject({ state: "running", generation: 2n, failures: { start: 1 } });
    await finish(made);
  });

  test.each([["hang", "deadline"], ["throw", "start"]] as const)("of the attach that %ss is one of kind %s", async (how, kind) => {
    const made = world();
    made.plan("attach", how);
    made.supervisor.start();
    await advance(made.clock, 6 * second);
    expect(made.supervisor.status).toMatchObject({ state: "running", generation: 2n, failures: { [kind]: 1 } });
    await finish(made);
  });

  test("during recovery goes the same way and counts", async () => {
    const made = await running({ restart: { ...always, intensity: 3 } });
    for (const call of ["init", "attach", "start"] as const) made.plan(call, "throw");
    made.host!.events.failed(thrown);
    await advance(made.clock, second);
    expect(made.supervisor.status).toMatchObject({ state: "held", restarts: 3, escalation: "hold" });
    expect(made.supervisor.status.reason).toContain("3 restarts within 10000 ms");
    await finish(made);
  });

  test("that cannot even start does not spin, also without backoff", async () => {
    const made = world();
    for (let i = 0; i < 1000; i++) made.plan("connect", "throw");
    made.supervisor.start();
    await advance(made.clock, 100 * ms);
    expect(made.connectsAtMicros.length).toBeGreaterThan(50);
    expect(made.connectsAtMicros.length).toBeLessThanOrEqual(102);
    await finish(made);
  });
});

describe("teardown", () => {
  test.each(["mask", "quiesce", "stopDma", "unmap", "forceAck", "close", "dump"] as const)("goes on when %s hangs or throws, and says so", async (call) => {
    const made = await running();
    made.plan(call, "hang");
    made.host!.events.failed(thrown);
    await advance(made.clock, controlStepMs * ms + 10 * ms);
    expect(made.supervisor.status).toMatchObject({ state: "running", generation: 2n });
    made.plan(call, "throw");
    made.host!.events.failed(thrown);
    await advance(made.clock, 10 * ms);
    expect(made.supervisor.status).toMatchObject({ state: "running", generation: 3n });
    expect(Object.values(made.supervisor.status.skippedSteps)).toEqual([2]);
    expect(made.notes).toHaveLength(call === "close" ? 4 : 2);
    expect(steps(made).filter((step) => step.startsWith("abandon"))).toEqual(call === "close" ? ["abandon 1", "abandon 2"] : []);
    await finish(made);
  });

  test("never waits for the host's end, but counts one that is overdue", async () => {
    const made = await running();
    made.plan("terminate", "hang");
    made.host!.events.failed(thrown);
    await advance(made.clock, 10 * ms);
    expect(made.supervisor.status).toMatchObject({ state: "running", generation: 2n, hosts: { started: 2, ended: 0, overdue: 0 } });
    await advance(made.clock, second);
    expect(made.supervisor.status.hosts.overdue).toBe(1);
    await finish(made);
  });

  test("waits for the host's end when its gate could not be closed", async () => {
    const made = await running();
    const connection = made.connections[0]!;
    Object.defineProperty(connection, "gates", { get: () => 0, set: () => { throw new Error("no gate"); } });
    made.plan("terminate", "slow", 500 * ms);
    made.host!.events.failed(thrown);
    await advance(made.clock, 400 * ms);
    expect(made.supervisor.status.state).toBe("tearing-down");
    await advance(made.clock, 200 * ms);
    expect(made.supervisor.status.state).toBe("running");
    Object.defineProperty(connection, "gates", { value: 1 });
    made.violations.length = 0;
    await finish(made);
  });

  test("waits for a connection that is still being made, and closes one that comes too late", async () => {
    const made = world();
    made.plan("connect", "slow", 300 * ms);
    made.plan("connect", "slow", 1500 * ms);
    made.supervisor.start();
    await advance(made.clock, 10 * ms);
    made.supervisor.kill();
    await advance(made.clock, 200 * ms);
    expect(made.connectsAtMicros).toHaveLength(1);
    await advance(made.clock, 1300 * ms);
    expect(made.supervisor.status).toMatchObject({ state: "running", generation: 3n });
    await advance(made.clock, second);
    made.checkLeaks(1);
    await finish(made);
  });
});

describe("while connecting", () => {
  test("what the bus reports in the very call ends the generation after its connection has come and gone", async () => {
    const made = world();
    made.duringConnect = (report) => report({ kind: "irq-unacked", irq: "tick", afterMs: 5 });
    made.supervisor.start();
    await advance(made.clock, 10 * ms);
    expect(steps(made).slice(0, 9)).toEqual(["connect 1", "gate 1", "mask 1", "quiesce 1", "stopDma 1", "unmap 1", "forceAck 1", "close 1", "dump 1"]);
    expect(made.supervisor.status).toMatchObject({ state: "running", generation: 2n, failures: { "irq-unacked": 1 } });
    await finish(made);
  });
});

describe("an old generation", () => {
  test("is not listened to", async () => {
    const made = await running();
    const old = made.host!;
    old.events.failed(thrown);
    await advance(made.clock, 10 * ms);
    const before = made.supervisor.status;
    for (const what of ["failed", "ready", "records", "log", "report"] as const) made.send(old, what);
    expect(made.shadow.received).toBe(0);
    expect(made.supervisor.status).toEqual(before);
    await finish(made);
  });

  test("cannot be sent to through the shadow's port", async () => {
    const made = await running();
    const port = made.shadow.port!;
    expect(port.send(2, 0, 0, new Uint8Array(0))).toBe(true);
    made.supervisor.kill();
    expect(port.send(2, 0, 0, new Uint8Array(0))).toBe(false);
    await finish(made);
  });

  test("number is never used again", async () => {
    const made = world({ supervisor: { lastGeneration: 2n ** 53n } });
    made.supervisor.start();
    await advance(made.clock, 10 * ms);
    made.supervisor.restart();
    await advance(made.clock, 10 * ms);
    expect(made.supervisor.status.generation).toBe(2n ** 53n + 2n);
    made.violations.length = 0; // Tags of the fake shadow are numbers.
    await finish(made);
  });
});

describe("before the first start", () => {
  test("clients wait; a stop or hold tells them", async () => {
    const made = world();
    made.supervisor.setBlock({ by: "bus", state: "stopped", reason: "bus is stopped" });
    expect(made.shadow.gaveUp).toEqual([]);
    await made.supervisor.stop();
    expect(made.shadow.gaveUp).toHaveLength(1);
    await finish(made);
  });
});

describe("commands", () => {
  test("stop is orderly: no dump, no failure, and clients are told", async () => {
    const made = await running();
    const stopping = made.supervisor.stop();
    expect(made.shadow.gaveUp).toEqual([expect.stringContaining('driver "d" is stopped: stopped by command')]);
    await advance(made.clock, 10 * ms);
    await stopping;
    expect(steps(made)).not.toContain("dump 1");
    expect(made.supervisor.status).toMatchObject({ state: "stopped", failures: {}, nextRestartAtMicros: undefined });
    made.supervisor.start();
    await advance(made.clock, 10 * ms);
    expect(made.supervisor.status).toMatchObject({ state: "running", generation: 2n, restarts: 0 });
    await finish(made);
  });

  test("stop leaves no timer behind, neither of init nor of a backoff", async () => {
    const made = await running({ restart: { ...always, backoff: { initialMs: 1000, factor: 1, maxMs: 1000, decayMs: 1e6 } } });
    made.supervisor.kill();
    made.plan("init", "hang");
    await advance(made.clock, 10 * ms);
    expect(made.supervisor.status.state).toBe("starting");
    made.supervisor.kill();
    await advance(made.clock, 10 * ms);
    expect(made.supervisor.status.state).toBe("backing-off");
    void made.supervisor.stop();
    await settle();
    expect(made.clock.pending).toBe(0);
    await finish(made);
  });

  test("stop during a recovery wins over it, and start over stop", async () => {
    const made = await running();
    made.host!.events.failed(thrown);
    void made.supervisor.stop();
    expect(made.supervisor.status).toMatchObject({ state: "tearing-down", target: "stopped" });
    await advance(made.clock, second);
    expect(made.supervisor.status.state).toBe("stopped");
    made.supervisor.start();
    await advance(made.clock, 10 * ms);
    void made.supervisor.stop();
    made.supervisor.start();
    await advance(made.clock, 10 * ms);
    expect(made.supervisor.status.state).toBe("running");
    await finish(made);
  });

  test("a held driver is neither started nor restarted, only released", async () => {
    const made = await running({ restart: { ...always, intensity: 0, escalation: "stricterTier" } });
    made.supervisor.kill();
    await advance(made.clock, 10 * ms);
    expect(made.supervisor.status).toMatchObject({ state: "held", escalation: "stricterTier" });
    expect(() => made.supervisor.start()).toThrow("release it first");
    expect(() => made.supervisor.restart()).toThrow("release it first");
    expect(made.supervisor.release()).toBe(true);
    expect(made.supervisor.release()).toBe(false);
    await advance(made.clock, 10 * ms);
    expect(made.supervisor.status.state).toBe("running");
    await finish(made);
  });

  test("restart does not count, and brings a backoff forward", async () => {
    const made = await running({ restart: { ...always, intensity: 2, backoff: { initialMs: 1000, factor: 1, maxMs: 1000, decayMs: 1e6 } } });
    for (let i = 0; i < 5; i++) {
      made.supervisor.restart();
      await advance(made.clock, 10 * ms);
    }
    expect(made.supervisor.status).toMatchObject({ state: "running", generation: 6n, restarts: 0 });
    made.supervisor.kill();
    await advance(made.clock, 10 * ms);
    made.supervisor.kill();
    await advance(made.clock, 10 * ms);
    expect(made.supervisor.status).toMatchObject({ state: "backing-off", nextRestartAtMicros: made.clock.nowMicros() + 990 * ms });
    made.supervisor.restart();
    await advance(made.clock, 10 * ms);
    expect(made.supervisor.status).toMatchObject({ state: "running", restarts: 2 });
    await finish(made);
  });

  test("kill fails the current generation once", async () => {
    const made = await running();
    expect(made.supervisor.kill({ kind: "killed", message: "by a test" })).toBe(true);
    expect(made.supervisor.kill()).toBe(false);
    expect(made.supervisor.status.failures).toEqual({ killed: 1 });
    await finish(made);
  });

  test("faults go to the running driver, those for init to the next start, once", async () => {
    const made = await running();
    expect(made.supervisor.inject("operation", "a")).toBe("armed");
    expect(made.supervisor.inject("init", "b")).toBe("next-start");
    expect(made.host!.injected).toEqual(["operation a"]);
    made.supervisor.restart();
    expect(made.supervisor.inject("now", "c")).toBe("next-start");
    await advance(made.clock, 10 * ms);
    expect(made.host!.faults).toEqual([{ where: "init", code: "b" }, { where: "now", code: "c" }]);
    made.supervisor.restart();
    await advance(made.clock, 10 * ms);
    expect(made.host!.faults).toEqual([]);
    for (let i = 0; i < 16; i++) made.supervisor.inject("init", "d");
    expect(() => made.supervisor.inject("init", "d")).toThrow("16 faults");
    await finish(made);
  });

  test("close at once waits for nothing and closes everything", async () => {
    const made = await running();
    for (const call of ["mask", "close", "terminate"] as const) made.plan(call, "hang");
    void made.supervisor.close();
    await settle();
    expect(steps(made)).toEqual(["detach 1", "gate 1", "mask 1"]);
    void made.supervisor.close("atOnce");
    await settle();
    expect(steps(made)).toEqual(["detach 1", "gate 1", "mask 1", "terminate 1", "close 1"]);
    expect(made.supervisor.status.state).toBe("stopped");
    expect(() => made.supervisor.start()).toThrow("shut down");
    await finish(made);
  });

  test("close at once while connecting closes the connection when it comes", async () => {
    const made = world();
    made.supervisor.start();
    await settle();
    void made.supervisor.close("atOnce");
    await finish(made);
    expect(made.connections).toHaveLength(1);
  });
});

describe("policies", () => {
  test("temporary never comes back", async () => {
    const made = await running({ restart: { ...always, policy: "temporary" } });
    made.supervisor.kill();
    await advance(made.clock, second);
    expect(made.supervisor.status).toMatchObject({ state: "stopped", target: "stopped" });
    expect(made.supervisor.status.reason).toContain("temporary");
    await finish(made);
  });

  test("transient comes back after a failure of what it depends on, not after its orderly stop", async () => {
    const made = await running({ restart: { ...always, policy: "transient" } });
    made.supervisor.setBlock({ by: "bus", state: "waiting", reason: "bus is away" });
    await advance(made.clock, second);
    expect(made.supervisor.status).toMatchObject({ state: "waiting", target: "running", blockedBy: "bus" });
    expect(made.shadow.gaveUp).toEqual([]);
    made.supervisor.setBlock(undefined);
    await advance(made.clock, second);
    expect(made.supervisor.status.state).toBe("running");
    made.supervisor.setBlock({ by: "bus", state: "stopped", reason: "bus is stopped" });
    made.supervisor.setBlock(undefined);
    await advance(made.clock, second);
    expect(made.supervisor.status).toMatchObject({ state: "stopped", reason: "bus is stopped" });
    await finish(made);
  });
});

describe("escalation", () => {
  test("runs the other form once the intensity is exceeded, holds when that exceeds it too, and release goes back", async () => {
    const started: string[] = [];
    const restart = { ...always, intensity: 1, escalation: "stricterTier" } as const;
    const plain = world();
    const { bus, hosts, spec } = plain.surroundings;
    const watched = { ...hosts, start: (...call: Parameters<typeof hosts.start>) => { started.push(call[0].tier); return hosts.start(...call); } };
    const made = Object.assign(plain, {
      supervisor: new DriverSupervisor<bigint>({
        clock: plain.clock, shadow: plain.shadow, trace: { record: () => undefined }, spec, restart, bus, hosts: watched, escalated: { spec: { ...spec, tier: "quickjs" }, bus },
      }),
    });
    const fail = async (): Promise<void> => { made.supervisor.kill(); await advance(made.clock, 10 * ms); };
    made.supervisor.start();
    await advance(made.clock, 10 * ms);
    await fail();
    expect(made.supervisor.status.escalated).toBe(false);
    await fail();
    expect(made.supervisor.status).toMatchObject({ state: "running", escalated: true });
    await fail();
    expect(made.supervisor.status).toMatchObject({ state: "held", escalated: true, escalation: "stricterTier" });
    made.supervisor.release();
    await advance(made.clock, 10 * ms);
    expect(made.supervisor.status).toMatchObject({ state: "running", escalated: false });
    expect(started).toEqual(["worker", "worker", "quickjs", "worker"]);
    await finish(made);
  });
});

describe("what is published", () => {
  test("each change, in order, with listeners that throw or command", async () => {
    const made = world();
    const seen: DriverStatus["state"][] = [];
    made.supervisor.onChange(() => { throw new Error("listener"); });
    made.supervisor.onChange(({ state }) => {
      seen.push(state);
      if (state === "starting" && seen.length < 3) made.supervisor.kill();
    });
    made.supervisor.start();
    await advance(made.clock, 10 * ms);
    expect(seen).toEqual(["starting", "tearing-down", "starting", "running"]);
    expect(made.supervisor.status.restarts).toBe(1);
    await finish(made);
  });

  test("recovery runs from detection to the first served call; calls answered from the log end none", async () => {
    const made = await running();
    const told: (number | undefined)[] = [];
    made.supervisor.onRecovery(({ firstServedMicros }) => told.push(firstServedMicros));
    made.plan("init", "slow", 3 * ms);
    made.supervisor.kill();
    made.supervisor.served("getTime");
    await advance(made.clock, 10 * ms);
    expect(told).toEqual([]);
    made.supervisor.served("getTime");
    made.supervisor.served("getTime");
    expect(told).toEqual([10 * ms]);
    // Seven teardown steps, connect, init, attach; each fake takes 100 us where nothing else is said.
    expect(made.supervisor.recoveries).toEqual([{
      kind: "killed", generation: 1n, detectedAtMicros: 10 * ms, teardownMicros: 700, readyMicros: 3800, passiveMicros: 3900, firstServedMicros: 10 * ms,
    }]);
    await finish(made);
  });

  test("a failure during recovery leaves both recoveries open until a call is served", async () => {
    const made = await running();
    made.plan("init", "throw");
    made.supervisor.kill();
    await advance(made.clock, 10 * ms);
    expect(made.supervisor.recoveries.map(({ firstServedMicros }) => firstServedMicros)).toEqual([undefined, undefined]);
    made.supervisor.served("getTime");
    expect(made.supervisor.recoveries.map(({ kind, firstServedMicros }) => [kind, firstServedMicros !== undefined])).toEqual([["killed", true], ["exception", true]]);
    await finish(made);
  });

  test("events in init reach the shadow when it is attached; a flood of them is a failure", async () => {
    const made = world();
    made.plan("init", "slow", 50 * ms);
    made.supervisor.start();
    await advance(made.clock, 10 * ms);
    made.send(made.host!, "records");
    expect(made.shadow.received).toBe(0);
    await advance(made.clock, 60 * ms);
    expect(made.shadow.received).toBe(1);
    made.plan("init", "hang");
    made.supervisor.restart();
    await advance(made.clock, 10 * ms);
    for (let i = 0; i < 65; i++) made.send(made.host!, "records");
    expect(made.supervisor.status.failures).toEqual({ "message-flood": 1 });
    await finish(made);
  });
});
