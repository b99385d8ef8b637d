/** The block suite on whole machines: the NVMe driver on simulated hardware and on QEMU's, each tier; and in one thread under a virtual clock. */
import path from "node:path";
import { describe, expect } from "vitest";
import { realClock } from "../../../runtime/api/clock.ts";
import type { Volume } from "../../../runtime/classes/block/volume.ts";
import { World } from "../../../runtime/cli/world.ts";
import type { TierName } from "../../../runtime/sandbox/sandbox.ts";
import { qemuAvailable } from "../qemu-available.ts";
import { blockSuite, type BlockBench } from "./block.suite.ts";
import { openMachine } from "./machine-bench.ts";

const driver = "disk";
const device = "nvme0";
const examples = path.join(import.meta.dirname, "../../../runtime/machine/examples");

/** Restarts of a suite are more than a policy allows. */
const unlimited = { policy: "permanent", intensity: Infinity, periodMs: 1_000, escalation: "hold" } as const;

async function openWorld(): Promise<BlockBench> {
  const world = await World.open({ file: path.join(examples, "disk.yaml"), seed: 1, restart: () => unlimited });
  const { supervisor } = world.machine.driver(driver);
  const advance = (ms: number): Promise<void> => world.run(ms * 1_000);
  const back = async (generation: bigint): Promise<void> => {
    for (let ms = 0; ms < 5_000 && !(supervisor.status.state === "running" && supervisor.status.generation > generation); ms++) await advance(1);
    expect(supervisor.status.state).toBe("running");
  };
  await back(0n);
  const crash = async (cut: () => Promise<void>): Promise<void> => {
    const { generation } = supervisor.status;
    expect(supervisor.kill()).toBe(true);
    await cut();
    await back(generation);
  };
  return {
    client: world.machine.client(driver) as Volume, clock: world.clock, advance,
    crash: () => crash(() => Promise.resolve()),
    crashWithPowerCut: () => crash(() => world.until(world.machine.platform.powerCut(device))),
    close: () => world.close(),
  };
}

blockSuite({ name: "nvme in one thread", open: openWorld });

async function open(file: string, tier: TierName): Promise<BlockBench> {
  const bench = await openMachine<Volume>(file, tier, driver);
  return {
    ...bench, clock: realClock,
    crashWithPowerCut: file === "disk.yaml" ? async () => {
      const crashed = bench.crash();
      // The driver is dead once this has had its turn.
      await bench.advance(0);
      await bench.machine.platform.powerCut(device);
      await crashed;
    } : undefined,
  };
}

for (const tier of ["quickjs", "worker"] as const) blockSuite({ name: `nvme on sim, ${tier}`, open: () => open("disk.yaml", tier) });

describe.skipIf(!(await qemuAvailable()))("on QEMU", () => {
  for (const tier of ["quickjs", "worker"] as const) blockSuite({ name: `nvme on QEMU, ${tier}`, open: () => open("disk-qemu.yaml", tier) });
});
