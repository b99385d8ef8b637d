import { describe, expect, test } from "vitest";
import { VirtualClock } from "../api/clock.ts";
import { dependencyLevels } from "./dependency-order.ts";
import type { DriverSupervisor } from "./driver-supervisor.ts";
import { MachineSupervisor } from "./machine-supervisor.ts";
import type { RestartOptions } from "./restart-policy.ts";
import { advance, settle, TestWorld } from "./test-world.ts";

const always: RestartOptions = { policy: "permanent", intensity: Infinity, periodMs: 10_000, escalation: "hold" };
const ms = 1000;
const second = 1_000_000;

/** Drivers by name with what they depend on, one fake world each, on one clock. */
function machine(dependsOn: Record<string, string[]>, restart: Record<string, Partial<RestartOptions>> = {}) {
  const clock = new VirtualClock();
  const worlds = Object.fromEntries(Object.keys(dependsOn).map((name) => [name, new TestWorld({ clock, name, restart: { ...always, ...restart[name] } })]));
  const drivers = Object.entries(dependsOn).map(([name, names]) => ({ supervisor: worlds[name]!.supervisor as unknown as DriverSupervisor, dependsOn: names }));
  const supervisor = new MachineSupervisor({ clock, drivers });
  const states = (): Record<string, string> => Object.fromEntries(supervisor.statuses.map(({ driver, state }) => [driver, state]));
  const finish = async (): Promise<void> => {
    void supervisor.shutdown();
    await advance(clock, 60 * second);
    for (const world of Object.values(worlds)) {
      world.checkLeaks(0);
      expect(world.violations).toEqual([]);
    }
    expect(clock.pending).toBe(0);
  };
  return { clock, worlds, supervisor, states, finish };
}

const chain = { disk: ["usb"], usb: ["bus"], bus: [], other: [] };

async function started(dependsOn: Record<string, string[]> = chain, restart: Record<string, Partial<RestartOptions>> = {}) {
  const made = machine(dependsOn, restart);
  made.supervisor.start();
  await advance(made.clock, 100 * ms);
  expect(new Set(Object.values(made.states()))).toEqual(new Set(["running"]));
  return made;
}

describe("dependency order", () => {
  test("puts dependencies first", () => {
    expect(dependencyLevels(new Map(Object.entries(chain)))).toEqual([["bus", "other"], ["usb"], ["disk"]]);
  });

  test("refuses circles and names that don't exist, and says which", () => {
    expect(() => dependencyLevels(new Map([["x", ["a"]], ["a", ["b"]], ["b", ["c"]], ["c", ["a"]]]))).toThrow("a -> b -> c -> a");
    expect(() => dependencyLevels(new Map([["a", ["a"]]]))).toThrow("a -> a");
    expect(() => dependencyLevels(new Map([["a", ["nobody"]]]))).toThrow('"a" depends on "nobody"');
  });
});

describe("start", () => {
  test("brings drivers up in order, each when what it depends on is in service", async () => {
    const made = machine(chain);
    made.worlds["bus"]!.plan("init", "slow", 50 * ms);
    made.supervisor.start();
    await advance(made.clock, 10 * ms);
    expect(made.states()).toEqual({ bus: "starting", usb: "waiting", disk: "waiting", other: "running" });
    await advance(made.clock, 100 * ms);
    const [bus, usb, disk] = ["bus", "usb", "disk"].map((name) => made.worlds[name]!.connectsAtMicros[0]!);
    expect(bus! < usb! && usb! < disk!).toBe(true);
    await made.finish();
  });
});

describe("dependents", () => {
  test("are closed in the turn in which what they depend on fails, and come back after it", async () => {
    const made = await started();
    made.worlds["bus"]!.supervisor.kill();
    expect(made.states()).toEqual({ bus: "tearing-down", usb: "tearing-down", disk: "tearing-down", other: "running" });
    expect(made.worlds["disk"]!.connections[0]!.gates).toBe(1);
    await advance(made.clock, 100 * ms);
    expect(new Set(Object.values(made.states()))).toEqual(new Set(["running"]));
    const [bus, usb, disk] = ["bus", "usb", "disk"].map((name) => made.worlds[name]!.connectsAtMicros[1]!);
    expect(bus! < usb! && usb! < disk!).toBe(true);
    expect(made.worlds["disk"]!.supervisor.status).toMatchObject({ restarts: 0, failures: {} });
    expect(made.worlds["disk"]!.shadow.gaveUp).toEqual([]);
    expect(made.worlds["other"]!.connectsAtMicros).toHaveLength(1);
    await made.finish();
  });

  test("of a held driver are held, name the cause, and come back with it", async () => {
    const made = await started(chain, { bus: { intensity: 0 } });
    made.worlds["bus"]!.supervisor.kill();
    await advance(made.clock, 100 * ms);
    expect(made.states()).toEqual({ bus: "held", usb: "held", disk: "held", other: "running" });
    const status = made.supervisor.driver("disk").status;
    expect(status).toMatchObject({ blockedBy: "usb", target: "held", escalation: undefined });
    expect(status.reason).toMatch(/depends on "usb", which is held: it depends on "bus", which is held: 0 restarts/);
    expect(made.worlds["disk"]!.shadow.gaveUp).toHaveLength(1);
    made.supervisor.driver("bus").release();
    await advance(made.clock, 100 * ms);
    expect(new Set(Object.values(made.states()))).toEqual(new Set(["running"]));
    await made.finish();
  });

  test("of a stopped driver are stopped; a permanent one returns with it, a transient one does not", async () => {
    const made = await started({ bus: [], usb: ["bus"], net: ["bus"] }, { net: { policy: "transient" } });
    void made.supervisor.driver("bus").stop();
    await advance(made.clock, 100 * ms);
    expect(made.states()).toEqual({ bus: "stopped", usb: "stopped", net: "stopped" });
    made.supervisor.driver("bus").start();
    await advance(made.clock, 100 * ms);
    expect(made.states()).toEqual({ bus: "running", usb: "running", net: "stopped" });
    await made.finish();
  });

  test("that an operator held stay held when what they depend on comes back", async () => {
    const made = await started();
    void made.supervisor.driver("usb").hold();
    made.supervisor.driver("bus").restart();
    await advance(made.clock, 100 * ms);
    expect(made.states()).toEqual({ bus: "running", usb: "held", disk: "held", other: "running" });
    await made.finish();
  });
});

describe("shutdown", () => {
  test("stops dependents before what they depend on", async () => {
    const made = await started();
    const order: string[] = [];
    made.supervisor.onChange(({ driver, state }) => { if (state === "stopped") order.push(driver); });
    const done = made.supervisor.shutdown();
    await advance(made.clock, second);
    expect(await done).toEqual({ cutShort: [] });
    const first = ["disk", "usb", "bus"].map((name) => order.indexOf(name));
    expect(first).toEqual([...first].sort((a, b) => a - b));
    expect(new Set(Object.values(made.states()))).toEqual(new Set(["stopped"]));
    await made.finish();
  });

  test("has a limit", async () => {
    const made = await started();
    for (const call of ["mask", "quiesce", "stopDma", "unmap", "forceAck", "close", "terminate"] as const) made.worlds["disk"]!.plan(call, "hang");
    const done = made.supervisor.shutdown();
    await advance(made.clock, 20 * second);
    expect(await done).toEqual({ cutShort: ["disk"] });
    await made.finish();
  });

  test("asked for twice happens at once", async () => {
    const made = await started();
    made.worlds["disk"]!.plan("mask", "hang");
    made.worlds["usb"]!.plan("mask", "hang");
    void made.supervisor.shutdown();
    await settle();
    expect(made.worlds["bus"]!.supervisor.status.state).toBe("running");
    const done = made.supervisor.shutdown();
    for (const world of Object.values(made.worlds)) expect(world.connections[0]!.gates).toBe(1);
    await settle();
    expect((await done).cutShort).toContain("disk");
    for (const world of Object.values(made.worlds)) expect(world.host!.terminations).toBe(1);
    await made.finish();
  });

  test("a lost platform holds everything", async () => {
    const made = await started();
    made.supervisor.holdAll("hardware lost: QEMU exited");
    await advance(made.clock, second);
    expect(new Set(Object.values(made.states()))).toEqual(new Set(["held"]));
    expect(made.supervisor.driver("disk").status.reason).toContain("QEMU exited");
    await made.finish();
  });
});

test("an unknown driver is named, with those that exist", () => {
  expect(() => machine(chain).supervisor.driver("dsik")).toThrow('no driver "dsik" in this machine; there are: disk, usb, bus, other');
});
