/** A disk, a network card and a watchdog in deterministic worlds: crashes, and for the disk power cuts, twice the same and without a loss. */
import path from "node:path";
import { describe, expect, test } from "vitest";
import type { Volume } from "../../runtime/classes/block/volume.ts";
import { sleep } from "../../runtime/classes/workload.ts";
import { applicableFaults } from "../../runtime/cli/soak/applicable.ts";
import { loadClass } from "../../runtime/cli/class-modules.ts";
import { World } from "../../runtime/cli/world.ts";
import { findFaults } from "../../runtime/faults/find-faults.ts";

const example = (name: string): string => path.join(import.meta.dirname, `../../runtime/machine/examples/${name}`);
const second = 1e6;
/** Loops that no interrupt check ends would hang the world itself: they are for machines with threads. */
const endless = new Set(["hang-builtin", "hang-regexp"]);
const restMs = 10;
const unlimited = () => ({ policy: "permanent", intensity: Infinity, periodMs: 10_000, escalation: "hold" }) as const;
const seed = Number(process.env.AIRLOCK_SEED ?? Math.floor(Math.random() * 2 ** 31));
const repeat = `repeat with AIRLOCK_SEED=${seed} npx vitest run --project system test/system/world-devices.test.ts`;

/** The class's own workload under random crashes; what its client saw, and the trace. */
async function soak(name: string, driver: string, worldSeed: number, crashes: number): Promise<{ hash: string; totals: unknown; errors: readonly string[] }> {
  const world = await World.open({ file: example(name), seed: worldSeed, restart: unlimited });
  const machineDriver = world.machine.driver(driver);
  const faults = applicableFaults((await findFaults()).values(), machineDriver).filter((fault) => !endless.has(fault.name));
  await world.run(0.1 * second);
  const { createWorkload, openClient } = await loadClass(machineDriver.assignment.package.manifest.class);
  const workload = await world.until(createWorkload(openClient(machineDriver.shadow), { clock: world.clock, random: world.random }));
  let working = true;
  // A client that rests now and then: machine time costs no more than what happens in it.
  const work = (async () => { while (working) { await workload.step(); await sleep(world.clock, restMs); } })();
  for (let crash = 0; crash < crashes; crash++) {
    world.machine.inject(driver, faults[Math.floor(world.random() * faults.length)]!);
    await world.run(world.random() * 0.2 * second);
  }
  await world.run(3.5 * second);
  working = false;
  await world.until(work);
  await world.until(workload.close());
  const result = { hash: world.traceHash(), totals: { ...workload.totals }, errors: workload.errors };
  await world.close();
  return result;
}

describe.each([["disk.yaml", "disk"], ["nic.yaml", "nic"], ["watchdog.yaml", "watchdog"]])("%s in a deterministic world", (name, driver) => {
  test("crashes of every kind cost its client no error and no corrupted byte, and the same seed gives the same trace", async () => {
    const first = await soak(name, driver, seed, 10);
    expect(first.errors, repeat).toEqual([]);
    expect(first.totals, repeat).toMatchObject({ clientErrors: 0, bytesCorrupted: 0 });
    expect(await soak(name, driver, seed, 10), repeat).toEqual(first);
  });
});

test("a power cut right after a crash loses nothing that was acknowledged", async () => {
  const world = await World.open({ file: example("disk.yaml"), seed, restart: unlimited });
  await world.run(0.1 * second);
  const volume = world.machine.client("disk") as Volume;
  await world.until(volume.info());
  const blocks = new Map<number, number>();
  for (let round = 0; round < 25; round++) {
    for (let write = 0; write < 8; write++) {
      const block = Math.floor(world.random() * 64);
      const value = Math.floor(world.random() * 255) + 1;
      await world.until(volume.write(block * 4096, new Uint8Array(4096).fill(value)));
      blocks.set(block, value);
    }
    if (world.random() < 0.2) await world.until(volume.flush());
    world.machine.driver("disk").supervisor.kill();
    await world.run(world.random() * 2000);
    await world.machine.platform.powerCut("nvme0");
    for (const [block, value] of blocks) {
      const found = await world.until(volume.read(block * 4096, 4096));
      expect(found.every((byte) => byte === value), `block ${block} in round ${round}; ${repeat}`).toBe(true);
    }
  }
  const { lostBlocks } = await world.machine.platform.statistics("nvme0");
  expect(lostBlocks, "the cuts did lose something, or this test shows nothing").toBeGreaterThan(0);
  volume.close();
  await world.close();
});
