/** The deterministic world: the lab machine in one thread under a virtual clock, twice the same, and an hour in seconds. */
import path from "node:path";
import { describe, expect, test } from "vitest";
import type { RtcClient } from "../../runtime/classes/rtc/client.ts";
import type { SerialPort } from "../../runtime/classes/serial/port.ts";
import { World } from "../../runtime/cli/world.ts";
import { findFaults } from "../../runtime/faults/find-faults.ts";

const file = path.join(import.meta.dirname, "../../runtime/machine/examples/lab.yaml");
const second = 1e6;
/** Loops that no interrupt check ends would hang the world itself: they are for machines with threads. */
const endless = new Set(["hang-builtin"]);
const unlimited = () => ({ policy: "permanent", intensity: Infinity, periodMs: 10_000, escalation: "hold" }) as const;
const seed = Number(process.env.AIRLOCK_SEED ?? Math.floor(Math.random() * 2 ** 31));
const repeat = `repeat with AIRLOCK_SEED=${seed} npx vitest run --project system test/system/world.test.ts`;

/** Crashes both drivers at random moments in random ways while clients work; returns what happened. */
async function trial(worldSeed: number, crashes: number): Promise<{ hash: string; failures: number; restarts: number; seen: string }> {
  const world = await World.open({ file, seed: worldSeed, restart: unlimited });
  const faults = [...(await findFaults()).values()].filter(({ name, needsQueue, tiers }) => !endless.has(name) && needsQueue !== true && (tiers?.includes("quickjs") ?? true));
  await world.run(0.1 * second);
  const clock = world.machine.client("clock") as RtcClient;
  const port = world.machine.client("console") as SerialPort;
  await world.until(clock.setPeriodic(64));
  await world.until(port.configure({ baudRate: 115_200 }));
  const writer = port.writable.getWriter();
  const received: number[] = [];
  const reading = (async () => { for await (const chunk of port.readable) received.push(...chunk); })();
  const times: number[] = [];
  for (let crash = 0; crash < crashes; crash++) {
    const fault = faults[Math.floor(world.random() * faults.length)]!;
    world.machine.inject(world.random() < 0.5 ? "clock" : "console", fault);
    void writer.write(Uint8Array.from({ length: 1 + Math.floor(world.random() * 40) }, () => Math.floor(world.random() * 256)));
    times.push((await world.until(clock.readTime())).getTime());
    await world.run(world.random() * 0.5 * second);
  }
  await world.run(2 * second);
  const statuses = world.machine.supervisor.statuses;
  expect(statuses.map(({ state }) => state), repeat).toEqual(["running", "running"]);
  await world.until(port.close());
  await world.until(reading);
  clock.close();
  const failures = statuses.flatMap((status) => Object.values(status.failures)).reduce((sum, count) => sum + count, 0);
  const restarts = statuses.reduce((sum, status) => sum + status.restarts, 0);
  const hash = world.traceHash();
  await world.close();
  return { hash, failures, restarts, seen: JSON.stringify({ received, times }) };
}

describe("deterministic world", () => {
  test("the same seed gives the same trace, crashes included; another seed gives another", async () => {
    const first = await trial(seed, 30);
    const again = await trial(seed, 30);
    expect(again, repeat).toEqual(first);
    expect(first.failures, repeat).toBeGreaterThan(10);
    expect(first.restarts, repeat).toBe(first.failures);
    expect((await trial(seed + 1, 30)).hash, repeat).not.toBe(first.hash);
  });

  test("an hour of machine time passes, with a crash every minute, and the clock is right at its end", async () => {
    const world = await World.open({ file, seed, epochMs: Date.UTC(2026, 1, 28, 23, 30), restart: unlimited });
    const faults = [...(await findFaults()).values()].filter(({ name, needsQueue, tiers }) => !endless.has(name) && needsQueue !== true && (tiers?.includes("quickjs") ?? true));
    await world.run(0.1 * second);
    const clock = world.machine.client("clock") as RtcClient;
    await world.until(clock.setUpdateEvents(true));
    let updates = 0;
    clock.on((event) => { if (event.kind === "update") updates++; });
    for (let minute = 0; minute < 60; minute++) {
      world.machine.inject("clock", faults[Math.floor(world.random() * faults.length)]!);
      await world.until(clock.readTime());
      await world.run((minute + 1) * 60 * second - world.clock.nowMicros());
    }
    const time = await world.until(clock.readTime());
    expect(Math.abs(time.getTime() - Date.UTC(2026, 2, 1, 0, 30)), repeat).toBeLessThanOrEqual(1_000);
    expect(updates, repeat).toBeGreaterThan(3_400);
    expect(world.machine.driver("clock").supervisor.status.restarts, repeat).toBeGreaterThanOrEqual(50);
    clock.close();
    await world.close();
  });
});
