/**
 * Linux's own network drivers behind TAP: pings, and streams of bytes while they are killed again and again. On simulated hardware, and
 * 8139too on QEMU's; with AIRLOCK_LONG=1 all on QEMU's.
 */
import path from "node:path";
import { type TestContext, afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { kernelAvailable } from "../fixtures/kernel-available.ts";
import { qemuAvailable } from "../conformance/qemu-available.ts";
import { type LinuxDriver, LinuxPackages, type PlatformName, buildMs } from "../fixtures/linux-drivers.ts";
import { programMissing, requireClient } from "./client.ts";
import { MachineLab } from "./machine-lab.ts";
import { Namespace, tapMissing, uniqueName } from "./net-lab.ts";
import { checksumErrors, identityOf, ping, stream } from "./tap-traffic.ts";

const timeout = 180_000;
const nearAddress = "10.77.0.1";
const farAddress = "10.77.0.2";
const isLong = process.env["AIRLOCK_LONG"] === "1";
const pings = isLong ? 200 : 50;
const streamSeconds = isLong ? 10 : 2;
/** A kill every so often, while bytes stream. */
const killMs = 700;
/** What a stream carries at least on a busy machine: through a card at 100 Mbit/s, and one of QEMU's, where each register read is 12 us or more. */
const leastBytes = { sim: 1 << 20, qemu: 1 << 18 } as const;

const examples = path.join(import.meta.dirname, "../../runtime/machine/examples");
const hasQemu = await qemuAvailable();
const missing = (await tapMissing()) ?? programMissing("ping", "iputils-ping") ?? programMissing("iperf3", "iperf3");

function requireNet(context: TestContext): void {
  requireClient(context, missing);
}

/** A machine whose card has a namespace at each end: this side's is the export's interface. */
interface Cable {
  readonly lab: MachineLab;
  readonly near: Namespace;
  readonly far: Namespace;
  readonly nearName: string;
}

async function lay(packages: LinuxPackages, name: LinuxDriver, platform: PlatformName): Promise<Cable> {
  const [nearName, farName] = [uniqueName(), uniqueName()];
  const { file } = await packages.machine(name, platform, (driver, device, machine) => {
    device.options = { peer: "tap", interface: farName };
    // How long a recovery may take is another test's affair.
    driver.shadow = { carrierLossMs: 60_000 };
    machine.exports = { tap: { type: "tap", driver: Object.keys(machine.drivers)[0]!, interface: nearName } };
  });
  const lab = await MachineLab.open({ example: path.relative(examples, file) });
  const [near, far] = [await Namespace.make(), await Namespace.make()];
  await near.take(nearName, `${nearAddress}/24`);
  await far.take(farName, `${farAddress}/24`);
  await vi.waitFor(async () => expect((await ping(near, farAddress, "-c", "1", "-W", "1")).back).toBe(1), { timeout: 30_000, interval: 100 });
  return { lab, near, far, nearName };
}

/** Kills the driver again and again until it is told to stop; how often it did. */
async function killUntil(lab: MachineLab, done: Promise<unknown>): Promise<number> {
  let kills = 0;
  let isOver = false;
  void done.then(() => { isOver = true; }, () => { isOver = true; });
  for (;;) {
    await Promise.race([done, new Promise((resolve) => { setTimeout(resolve, killMs); })]);
    if (isOver) return kills;
    if (lab.driver.supervisor.status.state === "running" && lab.driver.supervisor.kill()) kills++;
  }
}

describe.skipIf(!(await kernelAvailable()))("Linux's network drivers behind TAP", () => {
  let packages: LinuxPackages;
  beforeAll(() => { packages = new LinuxPackages(); });
  afterAll(() => packages[Symbol.dispose]());

  function cards(platform: PlatformName, names: readonly LinuxDriver[]): void {
    describe.each(names)(`%s on ${platform}`, (name) => {
      let cable: Cable | undefined;
      beforeEach(async () => {
        if (missing === undefined) cable = await lay(packages, name, platform);
      }, buildMs);
      afterEach(async () => {
        if (cable === undefined) return;
        try {
          await cable.lab[Symbol.asyncDispose]();
        } finally {
          for (const namespace of [cable.near, cable.far]) await namespace[Symbol.asyncDispose]();
        }
      }, timeout);

      test("every ping of every size is answered", { timeout }, async (context) => {
        requireNet(context);
        for (const sizeBytes of [0, 1_472]) {
          const result = await ping(cable!.near, farAddress, "-i", "0.01", "-c", String(pings), "-s", String(sizeBytes), "-p", "a55a", "-W", "3");
          expect({ sizeBytes, ...result }).toMatchObject({ sent: pings, back: pings, duplicates: 0, damaged: 0 });
        }
      });

      // Not ne2k-pci: every byte goes through a port, each a command to QEMU.
      test.skipIf(name === "ne2k-pci")("iperf3 goes on while the driver is killed", { timeout }, async (context) => {
        requireNet(context);
        const { lab, near, far, nearName } = cable!;
        const before = await identityOf(near, nearName);
        for (const reverse of [false, true]) {
          const streaming = stream(near, far, farAddress, streamSeconds, reverse);
          const kills = await killUntil(lab, streaming);
          const result = await streaming;
          console.info(`${name} on ${platform}${reverse ? ", to here" : ""}, through ${kills} kills: ${JSON.stringify(result)}`);
          expect(result.receivedBytes).toBeGreaterThan(leastBytes[platform]);
          expect(kills).toBeGreaterThan(0);
        }
        expect([await checksumErrors(near), await checksumErrors(far)]).toEqual([0, 0]);
        expect(await identityOf(near, nearName)).toEqual(before);
      });
    });
  }

  cards("sim", ["e1000", "8139too"]);
  describe.skipIf(!hasQemu)("", () => cards("qemu", isLong ? ["e1000", "8139too", "ne2k-pci"] : ["8139too"]));
});
