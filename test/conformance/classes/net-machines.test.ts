/** The net suite on whole machines: the e1000 driver on simulated hardware and on QEMU's, each tier; and in one thread under a virtual clock. */
import path from "node:path";
import { describe, expect } from "vitest";
import { realClock } from "../../../runtime/api/clock.ts";
import type { OpenInterface } from "../../../runtime/classes/net/interface.ts";
import { World } from "../../../runtime/cli/world.ts";
import type { TierName } from "../../../runtime/sandbox/sandbox.ts";
import { qemuAvailable } from "../qemu-available.ts";
import { openMachine } from "./machine-bench.ts";
import { type NetBench, netSuite } from "./net.suite.ts";

const driver = "nic";

async function open(file: string, tier: TierName): Promise<NetBench> {
  return { ...(await openMachine<OpenInterface>(file, tier, driver)), clock: realClock };
}

/** Restarts of a suite are more than a policy allows. */
const unlimited = { policy: "permanent", intensity: Infinity, periodMs: 1_000, escalation: "hold" } as const;

async function openWorld(): Promise<NetBench> {
  const file = path.join(import.meta.dirname, "../../../runtime/machine/examples/nic.yaml");
  const world = await World.open({ file, seed: 1, restart: () => unlimited });
  const { supervisor } = world.machine.driver(driver);
  const advance = (ms: number): Promise<void> => world.run(ms * 1_000);
  const back = async (generation: bigint): Promise<void> => {
    for (let ms = 0; ms < 5_000 && !(supervisor.status.state === "running" && supervisor.status.generation > generation); ms++) await advance(1);
    expect(supervisor.status.state).toBe("running");
  };
  await back(0n);
  return {
    client: world.machine.client(driver) as OpenInterface, clock: world.clock, advance,
    crash: async () => {
      const { generation } = supervisor.status;
      expect(supervisor.kill()).toBe(true);
      await back(generation);
    },
    close: () => world.close(),
  };
}

netSuite({ name: "e1000 in one thread", open: openWorld });

for (const tier of ["quickjs", "worker"] as const) netSuite({ name: `e1000 on sim, ${tier}`, open: () => open("nic.yaml", tier) });

describe.skipIf(!(await qemuAvailable()))("on QEMU", () => {
  for (const tier of ["quickjs", "worker"] as const) netSuite({ name: `e1000 on QEMU, ${tier}`, open: () => open("nic-qemu.yaml", tier) });
});
