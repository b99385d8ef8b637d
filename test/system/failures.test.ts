/** Every way a driver fails, in every tier, over threads: what it is detected as, what it leaves behind, that it comes back or is held. */
import { describe, expect, test } from "vitest";
import type { FailureKind } from "../../runtime/api/failure.ts";
import type { LedgerEntry } from "../../runtime/io-manager/ledger.ts";
import type { TierName } from "../../runtime/sandbox/sandbox.ts";
import { FailingMachine, type FailingOptions, fixtureNames, forever, intensity, lineOf, nothingLeft, resources, until } from "./failing-machine.ts";

interface Expected {
  /** The kinds that are a right detection in each tier: which one depends on who is first. */
  readonly quickjs?: readonly FailureKind[];
  readonly worker: readonly FailureKind[];
  /** Text of the line in the author's own file that the crash dump must name. */
  readonly at?: string;
  /** It fails before its code can ask how often it shall. */
  readonly always?: true;
  readonly limits?: string;
  readonly quickjsLimits?: string;
  /** In the worker tier its thread cannot be stopped, only left behind until the builtin comes back. */
  readonly lateEnd?: true;
}

const both = (...kinds: FailureKind[]): Pick<Required<Expected>, "quickjs" | "worker"> => ({ quickjs: kinds, worker: kinds });

/** So long that init's own deadline is not what ends a loop in it. */
const patient = "init: 60s";

const failures: Readonly<Record<string, Expected>> = {
  "throws-in-init": { ...both("exception"), at: "throw new Error" },
  "throws-in-irq": { ...both("exception"), at: "throw new Error" },
  "throws-in-operation": { ...both("exception"), at: "throw new Error" },
  "throws-in-timer": { ...both("exception"), at: "throw new Error" },
  "rejects": { ...both("exception"), at: "throw new Error" },
  "throws-at-load": { ...both("start"), at: "JSON.parse", always: true },
  "loops-at-load": { quickjs: ["turn-limit", "hang", "deadline"], worker: ["hang", "deadline"], always: true, limits: "init: 600ms" },
  "never-ready": { ...both("deadline"), limits: "init: 200ms" },
  "never-answers": both("deadline"),
  "no-operations": both("protocol-violation"),
  // The watchdog outside is the backstop: without it, it is the sandbox that sees it.
  "loops": { quickjs: ["turn-limit"], worker: ["hang"], limits: patient, quickjsLimits: `hang: 60s, ${patient}` },
  "loops-in-builtin": { ...both("hang"), limits: patient, lateEnd: true },
  "loops-in-regexp": { quickjs: ["turn-limit", "hang"], worker: ["hang"], limits: patient },
  // V8 collects garbage for so long before it gives up that the watchdog would often be first.
  "exhausts-memory": { ...both("memory"), limits: `turn: 5s, hang: 10s, ${patient}` },
  "overflows-stack": both("stack"),
  "outside-window": { ...both("capability-violation"), at: "read8(2)" },
  "ungranted-window": { ...both("capability-violation"), at: 'window("dma")' },
  "swallows-denial": { ...both("capability-violation"), at: "write8(0x1000" },
  "wrong-width": { ...both("capability-violation"), at: "read32(0)" },
  "wrong-tag": both("protocol-violation"),
  "answers-twice": both("protocol-violation"),
  "malformed-answer": both("protocol-violation"),
  "malformed-message": both("protocol-violation"),
  "unknown-message": both("protocol-violation"),
  "floods-log": both("log-flood"),
  "floods-timers": both("message-flood"),
  "floods-events": { ...both("message-flood"), limits: patient },
  // Which of its limits ends it depends on how fast the control plane takes what it sends.
  "floods-endlessly": { quickjs: ["message-flood", "turn-limit", "hang"], worker: ["message-flood", "hang"] },
  "never-acks": both("irq-unacked"),
  "storms": { ...both("irq-storm"), limits: "irqPerSecond: 500" },
  "exits": { worker: ["exit"] },
  "breaks-its-host": { worker: ["exit"] },
};

/** Fixtures that fail only on an event or under a limit of their own, and so have tests of their own. */
const special = ["polls-window", "taints-thread", "takes-memory"];

test("every fixture has its expectation", () => {
  expect(fixtureNames().sort()).toEqual([...Object.keys(failures), ...special].sort());
});

for (const tier of ["quickjs", "worker"] as const) {
  describe.each(cases(tier))(`${tier}: $failure`, ({ failure, kinds, expected }) => {
    const options = (times: number): FailingOptions => ({ failure, tier, times, limits: (tier === "quickjs" ? expected.quickjsLimits : undefined) ?? expected.limits });

    if (expected.always !== true) test("is detected, and the driver comes back to its clients", () => checked(async () => {
      await using machine = await FailingMachine.bringUp(options(1));
      const answer = machine.client.readTime();
      await machine.recovered(1);
      expect(await answer).toBeInstanceOf(Date);
      expect(await machine.client.readTime()).toBeInstanceOf(Date);
      expectKinds(machine, kinds, 1);
      expect(machine.status).toMatchObject({ generation: 2n, restarts: 1 });
      expectLedger(machine.ledger, 2);
      const dumps = await machine.close();
      expect(dumps.map(({ generation }) => generation)).toEqual([1n]);
      expect(kinds).toContain(dumps[0]!.failure.kind);
      if (expected.at !== undefined) expect(dumps[0]!.failure.stack).toContain(`${failure}.ts:${lineOf(failure, expected.at)}`);
    }));

    test("for ever: it is held after its intensity, and clients are told", () => checked(async () => {
      await using machine = await FailingMachine.bringUp(options(forever));
      await machine.held();
      expectKinds(machine, kinds, intensity + 1);
      expect(machine.status).toMatchObject({ state: "held", target: "held", restarts: intensity, generation: BigInt(intensity + 1), escalation: "hold" });
      expect(machine.status.reason).toContain(`${intensity} restarts within 60000 ms, its intensity allows ${intensity}`);
      if (expected.lateEnd !== true || tier !== "worker") expect(machine.status.hosts.overdue).toBe(0);
      await expect(machine.client.readTime()).rejects.toMatchObject({ code: "DriverUnavailable" });
      expectLedger(machine.ledger, intensity + 1);
      const dumps = await machine.close();
      expect(dumps.map(({ generation }) => generation)).toEqual([1n, 2n, 3n]);
      for (const { failure: dumped } of dumps) {
        if (expected.at !== undefined) expect(dumped.stack).toContain(`${failure}.ts:${lineOf(failure, expected.at)}`);
      }
    }));
  });

  test(`${tier}: the use of a revoked capability is detected, and the next generation has it again`, () => checked(async () => {
    await using machine = await FailingMachine.bringUp({ failure: "polls-window", tier, times: 0 });
    await machine.running();
    machine.up.machine.io.revoke("clock", "cmos", "the test takes it away");
    await machine.recovered(1);
    expectKinds(machine, ["capability-revoked"], 1);
    expect(machine.status.lastFailure?.failure.message).toContain('capability "cmos" has been revoked');
    expectLedger(machine.ledger, 2, ["cmos"]);
    const [dump] = await machine.close();
    expect(dump!.failure.stack).toContain(`polls-window.ts:${lineOf("polls-window", "read8(1)")}`);
  }));

  test(`${tier}: a driver that sends faster than its clients listen does not keep the control plane from ending it`, () => checked(async () => {
    await using machine = await FailingMachine.bringUp({ failure: "floods-endlessly", tier, times: 1 });
    await machine.running();
    machine.client.on(() => { for (const end = performance.now() + 0.005; performance.now() < end;) continue; });
    const answer = machine.client.readTime();
    await machine.recovered(1);
    expect(await answer).toBeInstanceOf(Date);
  }));

  test.each(tier === "worker" ? ["taints-thread", "breaks-its-host"] : ["taints-thread"])(`${tier}: %s: no generation finds what an earlier one did to its thread`, (failure) => checked(async () => {
    await using machine = await FailingMachine.bringUp({ failure, tier, times: forever });
    for (let round = 0; round < 3; round++) {
      await machine.held();
      // Released, it starts with whatever threads the pool has by then.
      machine.up.machine.driver("clock").supervisor.release();
      await until(() => machine.failures > (round + 1) * (intensity + 1), () => `failure after release ${round}`);
    }
    await machine.held();
    expect(machine.up.machine.logs.lines("clock").filter(({ source }) => source === "driver").map(({ text }) => text)).toEqual([]);
  }));
}

function cases(tier: Exclude<TierName, "wasm">): { failure: string; kinds: readonly FailureKind[]; expected: Expected }[] {
  return Object.entries(failures).flatMap(([failure, expected]) => {
    const kinds = expected[tier];
    return kinds === undefined ? [] : [{ failure, kinds, expected }];
  });
}

/** Runs a test and waits until the threads it started are gone. */
async function checked(body: () => Promise<void>): Promise<void> {
  const before = resources();
  await body();
  await nothingLeft(before);
}

function expectKinds(machine: FailingMachine, kinds: readonly FailureKind[], count: number): void {
  const seen = machine.status.failures;
  expect(kinds, JSON.stringify(machine.status.lastFailure?.failure)).toEqual(expect.arrayContaining(Object.keys(seen)));
  expect(machine.failures, JSON.stringify(machine.status.lastFailure?.failure)).toBe(count);
}

/** Each capability of each generation: granted, closed, given back; and all closed before the next generation has any. */
function expectLedger(ledger: readonly LedgerEntry[], generations: number, revokedFirst: readonly string[] = []): void {
  const of = (generation: number): LedgerEntry[] => ledger.filter((entry) => entry.generation === BigInt(generation));
  for (let generation = 1; generation < generations; generation++) {
    for (const capability of ["cmos", "tick"]) {
      const actions = of(generation).filter((entry) => entry.capability === capability).map(({ action }) => action);
      expect(actions).toEqual(generation === 1 && revokedFirst.includes(capability) ? ["grant", "revoke"] : ["grant", "gate", "revoke"]);
    }
    const lastOfThis = Math.max(...of(generation).map(({ sequence }) => sequence));
    expect(Math.min(...of(generation + 1).map(({ sequence }) => sequence))).toBeGreaterThan(lastOfThis);
  }
}
