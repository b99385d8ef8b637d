/** A whole machine with a network card behind the TAP export: ping to the host at the far end of its cable, while the driver fails. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { describe, expect, test, vi } from "vitest";
import { realClock } from "../../runtime/api/clock.ts";
import { type BroughtUp, bringUp } from "../../runtime/cli/bring-up.ts";
import { startExports } from "../../runtime/cli/exports-runner.ts";
import { findFaults } from "../../runtime/faults/find-faults.ts";
import { qemuAvailable } from "../conformance/qemu-available.ts";
import { programMissing, receiveMs, requireClient } from "./client.ts";
import { Namespace, pingAll, readPing, tapMissing, uniqueName } from "./net-lab.ts";

const driver = "nic";
const drivers = path.join(import.meta.dirname, "../../drivers");

/** The failures a driver is made to have, in turn: those that are detected at once. */
const faults = ["throw", "violation", "wrong-tag", "answer-twice", "malformed", "reject"];

const machineFile = (platform: string, tap: string): string => `machine: nic-lab
platform: { type: ${platform}${platform === "qemu" ? ", machine: q35" : ""} }
devices:
  eth0:
    compatible: [e1000]
    pci: { address: "00:05.0" }
    options: { peer: host, address: 10.77.0.2 }
drivers:
  ${driver}:
    package: ${path.join(drivers, "e1000")}
    match: { pci: { vendor: 0x8086, device: 0x100e } }
    sandbox: quickjs
    grants: [bar0, intx, queues, buffers]
    restart: { policy: permanent, intensity: 5, period: 10s }
    limits: { irqPerSecond: 200000 }
exports:
  tap: { type: tap, driver: ${driver}, interface: ${tap} }
`;

/** Brings the machine up with its interface in a namespace, and runs `body` there. */
async function withMachine(platform: string, body: (namespace: Namespace, machine: BroughtUp["machine"]) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(path.join(os.tmpdir(), "airlock-nic-"));
  const tap = uniqueName();
  const file = path.join(directory, "nic.yaml");
  await writeFile(file, machineFile(platform, tap));
  const restart = () => ({ policy: "permanent", intensity: Infinity, periodMs: 10_000, escalation: "hold" }) as const;
  const up = await bringUp({ file, state: path.join(directory, "state"), restart });
  try {
    const exports = await startExports(up.machine, up.state.path, realClock);
    await using namespace = await Namespace.make();
    await vi.waitFor(() => namespace.take(tap, "10.77.0.1/24"), { timeout: receiveMs, interval: 50 });
    await vi.waitUntil(() => up.machine.settled, { timeout: receiveMs, interval: 5 });
    // The link comes when the card has found it; until then the kernel does not send.
    await vi.waitFor(() => namespace.run("ping", "-c", "1", "-W", "1", "10.77.0.2"), { timeout: receiveMs, interval: 50 });
    await body(namespace, up.machine);
    await exports.close();
  } finally {
    await up.close();
    await rm(directory, { recursive: true, force: true });
  }
}

const platforms = ["sim", ...((await qemuAvailable()) ? ["qemu"] : [])];

describe.each(platforms)("a network card on %s", (platform) => {
  test("answers every ping, small and large", async (context) => {
    requireClient(context, await tapMissing(), programMissing("ping", "iputils-ping"));
    await withMachine(platform, async (namespace) => {
      for (const size of ["16", "1472"]) {
        expect(await pingAll(namespace, "10.77.0.2", 50, "-i", "0.01", "-s", size)).toBe(true);
      }
    });
  });

  test("keeps a flood of pings going while its driver fails all the time; what comes back is intact", async (context) => {
    requireClient(context, await tapMissing(), programMissing("ping", "iputils-ping"));
    const known = await findFaults();
    await withMachine(platform, async (namespace, machine) => {
      const { supervisor } = machine.driver(driver);
      const before = supervisor.recoveries.length;
      let over = false;
      const ping = namespace.run("ping", "-c", "600", "-i", "0.005", "-W", "2", "-s", "1400", "-p", "a5", "10.77.0.2");
      void ping.catch(() => undefined).then(() => { over = true; });
      for (let turn = 0; !over; turn++) {
        if (turn % 2 === 0) supervisor.kill();
        else {
          machine.inject(driver, known.get(faults[(turn >> 1) % faults.length]!)!);
          machine.driver(driver).shadow.probe().catch(() => undefined);
        }
        await new Promise((resolve) => { setTimeout(resolve, 100); });
      }
      const { sent, back, intact } = readPing(await ping);
      expect(intact).toBe(true);
      const deaths = supervisor.recoveries.length - before;
      expect(deaths).toBeGreaterThan(5);
      // What the card had received and its driver had not fetched is gone; what was sent is sent again.
      expect(sent - back).toBeLessThanOrEqual(deaths * 32);
      await vi.waitUntil(() => machine.settled, { timeout: receiveMs, interval: 5 });
    });
  });
});
