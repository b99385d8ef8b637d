/** The power of a machine's disk is cut while its driver is dead, coming back, or at work: what clients were told is safe is there afterwards. */
import { describe, expect, test } from "vitest";
import { findFaults } from "../../runtime/faults/find-faults.ts";
import { qemuAvailable } from "../conformance/qemu-available.ts";
import { MachineLab } from "./machine-lab.ts";
import { PowerClient } from "./machine-power.ts";

const long = process.env["AIRLOCK_LONG"] === "1";
const given = process.env["AIRLOCK_SEED"];
const firstSeed = Number(given ?? Math.floor(Math.random() * 2 ** 31));
const seeds = Array.from({ length: given !== undefined ? 1 : long ? 40 : 3 }, (_, index) => (firstSeed + index) % 2 ** 31);
const rounds = long ? 12 : 4;
const timeout = long ? 1_800_000 : 180_000;

/** What a driver may die of, beside being killed: faults that are detected at once when it is next asked for anything. */
const deaths = ["throw", "violation", "wrong-tag", "irq-throw"];

/** How long clients write before the crash, and how long after it the power fails: from before the teardown to well into service. */
const workMs = 60;
const delaysMs = [0, 0, 0, 3, 10, 30, 60];

const setups = [
  { journal: true, crash: true, keeps: "every acknowledged byte" },
  { journal: false, crash: true, keeps: "every byte acknowledged and flushed" },
  { journal: true, crash: false, keeps: "every acknowledged byte" },
];

describe.each(setups)("journal: $journal, the driver crashes first: $crash", ({ journal, crash, keeps }) => {
  test.each(seeds)(`a power cut leaves ${keeps}, seed %i`, { timeout }, async (seed) => {
    const repeat = `repeat with AIRLOCK_SEED=${seed} npx vitest run --project clients test/clients/disk-power.test.ts`;
    await using lab = await MachineLab.open({
      example: "disk.yaml",
      change: ({ devices, drivers }) => {
        devices["nvme0"]!.options["sizeBytes"] = 16 << 20;
        drivers["disk"]!["shadow"] = { journal };
      },
    });
    const { machine } = lab;
    await using client = await PowerClient.open(new URL(lab.address).searchParams.get("socket")!, seed);
    let unflushed = 0;
    for (let round = 0; round < rounds; round++) {
      client.resume();
      await sleep(client.pick(workMs));
      if (crash) await dies(lab, deaths[client.pick(2 * deaths.length)]);
      await sleep(delaysMs[client.pick(delaysMs.length)]!);
      client.cutting();
      await machine.platform.powerCut("nvme0");
      await sleep(client.pick(workMs));
      await client.pause();
      const losses = await client.check();
      expect([losses.wrong, round, repeat]).toEqual([[], round, repeat]);
      if (journal) expect([losses.unflushed, round, repeat]).toEqual([0, round, repeat]);
      unflushed += losses.unflushed;
    }
    const { lostBlocks } = await machine.platform.statistics("nvme0");
    console.info(`seed ${seed}, journal ${journal}, crash first ${crash}: ${lostBlocks} blocks of the device's cache were lost, ${unflushed} of them for good; ${repeat}`);
    expect(lostBlocks).toBeGreaterThan(0);
  });
});

test.skipIf(!(await qemuAvailable()))("QEMU says that it cannot cut a device's power", { timeout }, async () => {
  await using lab = await MachineLab.open({ example: "disk-qemu.yaml", change: ({ devices }) => { devices["nvme0"]!.options["sizeBytes"] = 16 << 20; } });
  await expect(lab.machine.platform.powerCut("nvme0")).rejects.toMatchObject({
    code: "Unsupported", message: 'device "nvme0": QEMU keeps what a device was told to keep; cut the power of a device on platform sim',
  });
});

/** Ends the driver, by that fault or without one; resolves in the turn in which it is known to be dead. */
async function dies({ machine, driver }: MachineLab, fault: string | undefined): Promise<void> {
  if (fault === undefined) return void driver.supervisor.kill();
  const known = await findFaults();
  await new Promise<void>((resolve) => {
    const stop = driver.supervisor.onChange(({ state }) => {
      if (state === "running") return;
      stop();
      resolve();
    });
    machine.inject(driver.name, known.get(fault)!);
  });
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => { setTimeout(resolve, ms); });
}
