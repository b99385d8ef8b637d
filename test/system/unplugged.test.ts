/** Devices that are pulled out while clients work: the driver fails and is held, its client is told and nothing hangs; put back in they serve again. */
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bringUp } from "../../runtime/cli/bring-up.ts";
import { World } from "../../runtime/cli/world.ts";
import { qemuAvailable } from "../conformance/qemu-available.ts";
import { kernelAvailable } from "../fixtures/kernel-available.ts";
import { type LinuxDriver, LinuxPackages, type PlatformName, buildMs } from "../fixtures/linux-drivers.ts";
import { type PlugBench, pullOutAndBack } from "./unplugged.ts";

const example = (name: string): string => path.join(import.meta.dirname, `../../runtime/machine/examples/${name}`);
const hasQemu = await qemuAvailable();
const hasKernel = await kernelAvailable();

async function openWorld(name: string, driver: string): Promise<PlugBench> {
  const world = await World.open({ file: example(name), seed: 1 });
  return { machine: world.machine, driver, run: (ms) => world.run(ms * 1_000), until: (promise) => world.until(promise), close: () => world.close() };
}

async function openThreads(file: string, driver: string): Promise<PlugBench> {
  const state = mkdtempSync(path.join(os.tmpdir(), "airlock-plug-"));
  const up = await bringUp({ file, state });
  return {
    machine: up.machine, driver, run: (ms) => new Promise((resolve) => { setTimeout(resolve, ms); }), until: (promise) => promise,
    close: async () => {
      await up.close();
      rmSync(state, { recursive: true });
    },
  };
}

/** Where the driver ended, and whether its client was told. */
async function outcome(open: () => Promise<PlugBench>, isNoticed = true): Promise<readonly [state: string, isTold: boolean]> {
  const bench = await open();
  try {
    const { state, errors } = await pullOutAndBack(bench, isNoticed);
    return [state, errors.length > 0];
  } finally {
    await bench.close();
  }
}

const held = ["held", true] as const;

describe.each([["disk", "disk"], ["nic", "nic"], ["watchdog", "watchdog"]])("the device of %s", (name, driver) => {
  test("on sim, in one thread", async () => expect(await outcome(() => openWorld(`${name}.yaml`, driver))).toEqual(held));
  test("on sim", async () => expect(await outcome(() => openThreads(example(`${name}.yaml`), driver))).toEqual(held));
  describe.skipIf(!hasQemu)("on QEMU", () => {
    test("in a process of its own", async () => expect(await outcome(() => openThreads(example(`${name}-qemu.yaml`), driver))).toEqual(held));
  });
});

describe.skipIf(!hasKernel)("the device of Linux's", () => {
  let packages: LinuxPackages;
  beforeAll(() => { packages = new LinuxPackages(); });
  afterAll(() => packages[Symbol.dispose]());
  const open = async (name: LinuxDriver, platform: PlatformName): Promise<PlugBench> => {
    const { file, driver } = await packages.machine(name, platform);
    return openThreads(file, driver);
  };

  test("8139too, on sim", async () => expect(await outcome(() => open("8139too", "sim"))).toEqual(held), buildMs);
  test("e1000, on sim", async () => expect(await outcome(() => open("e1000", "sim"))).toEqual(held), buildMs);
  // It only ever writes to its device.
  test("i6300esb, on sim, which does not notice before it is started anew", async () => expect(await outcome(() => open("i6300esb", "sim"), false)).toEqual(["running", false]), buildMs);

  describe.skipIf(!hasQemu)("on QEMU", () => {
    test("8139too", async () => expect(await outcome(() => open("8139too", "qemu"))).toEqual(held), buildMs);
    test("ne2k-pci", async () => expect(await outcome(() => open("ne2k-pci", "qemu"))).toEqual(held), buildMs);
  });
});

test("what is soldered on stays", async () => {
  const bench = await openWorld("lab.yaml", "clock");
  await expect(bench.machine.platform.plug("rtc", false)).rejects.toMatchObject({ code: "Unsupported" });
  await bench.close();
});
