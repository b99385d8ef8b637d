/** Random lives of a machine: dependents run only on what is in service, and everything wanted comes back. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { VirtualClock } from "../api/clock.ts";
import type { DriverSupervisor } from "./driver-supervisor.ts";
import { MachineSupervisor } from "./machine-supervisor.ts";
import type { RestartOptions } from "./restart-policy.ts";
import { advance, calls, propertyParameters, repeatCommand, settle, TestWorld } from "./test-world.ts";

const always: RestartOptions = { policy: "permanent", intensity: Infinity, periodMs: 10_000, escalation: "hold" };
const size = 5;

/** For each driver, which of the drivers before it it depends on: every graph without circles. */
const graph = fc.tuple(...Array.from({ length: size }, (_unused, index) => fc.subarray([...Array(index).keys()])));
const driver = fc.nat(size - 1);
const micros = fc.oneof(fc.integer({ min: 0, max: 1_000 }), fc.integer({ min: 0, max: 2_000_000 }));
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant("kill" as const), driver }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom("start" as const, "stop" as const, "hold" as const, "release" as const, "restart" as const), driver }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("plan" as const), driver, call: fc.constantFrom(...calls), how: fc.constantFrom("throw" as const, "hang" as const) }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant("time" as const), micros }) },
);

type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

/** With `unlinked`, the machine is not told of the dependencies, and the check must see that. */
async function live(edges: readonly (readonly number[])[], steps: readonly Step[], unlinked = false): Promise<readonly string[]> {
  const clock = new VirtualClock();
  const worlds = edges.map((_unused, index) => new TestWorld({ clock, name: String(index), restart: always }));
  const supervisors = worlds.map((world) => world.supervisor as unknown as DriverSupervisor);
  const machine = new MachineSupervisor({
    clock, drivers: supervisors.map((supervisor, index) => ({ supervisor, dependsOn: unlinked ? [] : edges[index]!.map(String) })),
  });
  const violations: string[] = [];
  const down = new Set<number>();
  const check = (): void => {
    for (const [index, supervisor] of supervisors.entries()) {
      if (supervisor.status.state !== "running" && supervisor.status.state !== "starting") continue;
      for (const on of edges[index]!) if (supervisors[on]!.status.state !== "running") violations.push(`${index} runs while ${on} is ${supervisors[on]!.status.state}`);
    }
  };
  machine.start();
  for (const next of steps) {
    if (next.do === "time") await advance(clock, next.micros);
    else if (next.do === "plan") worlds[next.driver]!.plan(next.call, next.how);
    else command(supervisors[next.driver]!, next.do, down, next.driver);
    // Already in the turn of the command, before anything else could run.
    check();
    await settle();
    check();
  }
  for (const world of worlds) for (const planned of world.script.values()) planned.length = 0;
  await advance(clock, 60_000_000);
  const up = edges.map(() => false);
  for (const [index, on] of edges.entries()) {
    up[index] = !down.has(index) && on.every((one) => up[one]!);
    const { state, reason } = supervisors[index]!.status;
    if ((state === "running") !== up[index]) violations.push(`${index} ends ${state} (${reason})`);
    if (state !== "running" && state !== "stopped" && state !== "held") violations.push(`${index} ends ${state}`);
  }
  void machine.shutdown();
  await advance(clock, 60_000_000);
  for (const world of worlds) {
    world.checkLeaks(0);
    violations.push(...world.violations);
  }
  if (clock.pending > 0) violations.push(`${clock.pending} timers left`);
  return violations;
}

function command(supervisor: DriverSupervisor, verb: "kill" | "start" | "stop" | "hold" | "release" | "restart", down: Set<number>, index: number): void {
  const held = supervisor.status.target === "held" && supervisor.status.blockedBy === undefined;
  switch (verb) {
    case "kill": return void supervisor.kill();
    case "stop": down.add(index); return void supervisor.stop();
    case "hold": down.add(index); return void supervisor.hold();
    case "release": if (supervisor.release()) down.delete(index); return;
    case "start":
    case "restart":
      if (held) return;
      down.delete(index);
      return supervisor[verb]();
  }
}

const lives = fc.tuple(graph, fc.array(step, { maxLength: 40, size: "max" }));

describe("a machine", () => {
  test("runs dependents only on what is in service, and brings back all that is wanted", async () => {
    const found = await fc.check(fc.asyncProperty(lives, async ([edges, steps]) => {
      expect(await live(edges, steps)).toEqual([]);
    }), propertyParameters(500));
    expect(found.failed, `${await fc.asyncDefaultReportMessage(found)}\nRepeat: ${repeatCommand(found, "runtime/supervisor/machine-supervisor.property.test.ts")}`).toBe(false);
  });

  test("that does not know the dependencies is seen", async () => {
    const found = await fc.check(fc.asyncProperty(lives, async ([edges, steps]) => (await live(edges, steps, true)).length === 0), { numRuns: 500, endOnFailure: true });
    expect(found.failed).toBe(true);
  });
});
