/** The watchdog class suite on whole machines over threads: simulated hardware and QEMU, each tier; in one thread; and what the machine says of an expiry. */
import path from "node:path";
import { describe, expect, test } from "vitest";
import type { WatchdogClient } from "../../../runtime/classes/watchdog/client.ts";
import { World } from "../../../runtime/cli/world.ts";
import type { TierName } from "../../../runtime/sandbox/sandbox.ts";
import { qemuAvailable } from "../qemu-available.ts";
import { type ClassBench, eventually } from "./bench.ts";
import { openMachine } from "./machine-bench.ts";
import { watchdogSuite } from "./watchdog.suite.ts";

/** Restarts of a suite are more than a policy allows. */
const unlimited = { policy: "permanent", intensity: Infinity, periodMs: 1_000, escalation: "hold" } as const;

/** In real time, of which each suite takes half a minute: each platform and each tier has its turn, not each pair. */
function suites(platform: string, file: string, tier: TierName): void {
  watchdogSuite({ name: `i6300esb on ${platform}, ${tier}`, open: () => openMachine<WatchdogClient>(file, tier, "watchdog") });

  test(`${platform} tells the machine that the watchdog ran out`, async () => {
    const bench = await openMachine<WatchdogClient>(file, "quickjs", "watchdog");
    const { client, machine } = bench;
    try {
      expect(machine.resetRequest).toBeUndefined();
      await client.start({ timeoutMs: 100 });
      expect(await eventually(bench, () => machine.resetRequest !== undefined, 10_000)).toBe(true);
      expect(machine.resetRequest).toMatchObject({ device: "wdt", count: 1 });
      expect(machine.logs.lines("watchdog").map(({ text }) => text)).toContain("device wdt asked for the machine's reset: the watchdog expired");
    } finally {
      await bench.close();
    }
  });
}

/** In one thread under a virtual clock. */
async function openWorld(): Promise<ClassBench<WatchdogClient>> {
  const world = await World.open({ file: path.join(import.meta.dirname, "../../../runtime/machine/examples/watchdog.yaml"), seed: 1, restart: () => unlimited });
  const { supervisor } = world.machine.driver("watchdog");
  const advance = (ms: number): Promise<void> => world.run(ms * 1_000);
  const back = async (generation: bigint): Promise<void> => {
    for (let ms = 0; ms < 5_000 && !(supervisor.status.state === "running" && supervisor.status.generation > generation); ms++) await advance(1);
    expect(supervisor.status.state).toBe("running");
  };
  await back(0n);
  return {
    client: stepping(world, world.machine.client("watchdog") as WatchdogClient), advance,
    crash: async () => {
      const { generation } = supervisor.status;
      expect(supervisor.kill()).toBe(true);
      await back(generation);
    },
    close: () => world.close(),
  };
}

/** The client whose calls let the world go on until they are answered: time stands still there by itself. */
function stepping(world: World, client: WatchdogClient): WatchdogClient {
  return {
    identify: (call) => world.until(client.identify(call)), start: (settings, call) => world.until(client.start(settings, call)),
    stop: (call) => world.until(client.stop(call)), ping: (call) => world.until(client.ping(call)), timeLeft: (call) => world.until(client.timeLeft(call)),
    on: (listener) => client.on(listener), close: () => client.close(), [Symbol.dispose]: () => client.close(),
  };
}

watchdogSuite({ name: "i6300esb in one thread", open: openWorld });

suites("sim", "watchdog.yaml", "quickjs");

describe.skipIf(!(await qemuAvailable()))("on QEMU", () => suites("QEMU", "watchdog-qemu.yaml", "worker"));
