/** Whole machines with a network card behind TAP: floods of pings and streams of bytes go on while the driver fails every second. */
import { mkdtemp, readdir, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { type TestContext, afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { qemuAvailable } from "../conformance/qemu-available.ts";
import { programMissing, requireClient } from "./client.ts";
import { MachineLab, type MachineText } from "./machine-lab.ts";
import { Trouble } from "./machine-trouble.ts";
import { Namespace, tapMissing, uniqueName } from "./net-lab.ts";
import { type PingResult, checksumErrors, identityOf, ping, stream } from "./tap-traffic.ts";

const long = process.env["AIRLOCK_LONG"] === "1";
const timeout = long ? 600_000 : 180_000;
/** Failures that each client meets at least. */
const each = long ? 40 : 5;
const streamSeconds = long ? 60 : 5;

const nearAddress = "10.77.0.1";
const farAddress = "10.77.0.2";

/** A flood sends this often while no reply comes (ping's manual, -f): what a driver that is away costs at most. */
const floodPerSecond = 100;
/** Frames that may be lost at one blow with a driver: what its card had received and it had not fetched. A flood has few under way. */
const lostAtOnce = 32;
/** A ping of the paced kind every so often: too few to fill a ring, enough for a driver that loses a buffer to be found out (see Receiver). */
const pacedSeconds = 0.004;

const hasQemu = await qemuAvailable();
const missing = (await tapMissing()) ?? programMissing("ping", "iputils-ping") ?? programMissing("iperf3", "iperf3");

function requireNet(context: TestContext): void {
  requireClient(context, missing);
}

/** The export's interface, and a carrier that outlasts any recovery: what is tested here is not how long one takes. */
function changed(text: MachineText, near: string, options: Record<string, unknown>): void {
  text.devices["eth0"]!.options = options;
  text.drivers["nic"]!["shadow"] = { carrierLossMs: 60_000 };
  text.exports["tap"]!["interface"] = near;
}

/** Waits until a ping comes back: the link of a card that was just brought up takes a while. */
async function connected(from: Namespace, to: string): Promise<void> {
  await vi.waitFor(async () => expect((await ping(from, to, "-c", "1", "-W", "1")).back).toBe(1), { timeout: 30_000, interval: 100 });
}

/** Floods until so many failures were met. */
async function floodThrough(troubles: readonly Trouble[], from: Namespace, to: string): Promise<PingResult> {
  let [sent, back, duplicates, seconds] = [0, 0, 0, 0];
  await troubles[0]!.meets(async () => {
    const result = await ping(from, to, "-f", "-q", "-c", "1000", "-s", "1400", "-W", "3");
    sent += result.sent;
    back += result.back;
    duplicates += result.duplicates;
    seconds += result.seconds;
    expect(result.damaged).toBe(0);
  }, each);
  return { sent, back, duplicates, seconds, damaged: 0 };
}

describe.each(["nic.yaml", "nic-qemu.yaml"])("%s, at a cable to another network namespace, while its driver fails every second", (example) => {
  describe.skipIf(example.includes("qemu") && !hasQemu)("", () => {
    const [nearName, farName] = [uniqueName(), uniqueName()];
    let lab: MachineLab;
    let near: Namespace;
    let far: Namespace;
    let trouble: Trouble;
    let before: unknown;

    beforeAll(async () => {
      if (missing !== undefined) return;
      lab = await MachineLab.open({ example, change: (text) => changed(text, nearName, { peer: "tap", interface: farName }) });
      [near, far] = [await Namespace.make(), await Namespace.make()];
      await near.take(nearName, `${nearAddress}/24`);
      await far.take(farName, `${farAddress}/24`);
      await connected(near, farAddress);
      before = await identityOf(near, nearName);
      trouble = await Trouble.begin(lab, { everyMs: 1_000 });
    }, timeout);
    afterAll(async () => {
      await lab?.[Symbol.asyncDispose]();
      for (const namespace of [near, far]) await namespace?.[Symbol.asyncDispose]();
    }, timeout);

    test("ping -f", { timeout }, async (context) => {
      requireNet(context);
      const [awayMs, failures] = [trouble.awayMs, trouble.trials.length];
      const { sent, back, duplicates, seconds } = await floodThrough([trouble], near, farAddress);
      const [away, deaths] = [trouble.awayMs - awayMs, trouble.trials.length - failures + 1];
      const most = Math.ceil(away / 1000 * floodPerSecond) + deaths * lostAtOnce;
      console.info(`${example}: ${sent} pings in ${seconds.toFixed(1)} s through ${deaths} failures (away ${Math.round(away)} ms): ${sent - back} lost, ${most} explained; ${duplicates} twice`);
      expect(sent - back).toBeLessThanOrEqual(most);
      expect(back).toBeGreaterThan(sent / 2);
    });

    test("ping, evenly paced, with a pattern", { timeout }, async (context) => {
      requireNet(context);
      const [awayMs, failures] = [trouble.awayMs, trouble.trials.length];
      const { sent, back, damaged } = await ping(near, farAddress, "-i", String(pacedSeconds), "-c", String(Math.ceil(each / pacedSeconds)), "-s", "1472", "-p", "a55a", "-W", "3");
      const [away, deaths] = [trouble.awayMs - awayMs, trouble.trials.length - failures + 1];
      console.info(`${example}: ${sent} paced pings through ${deaths} failures (away ${Math.round(away)} ms): ${sent - back} lost`);
      expect(damaged).toBe(0);
      expect(sent - back).toBeLessThanOrEqual(Math.ceil(away / 1000 / pacedSeconds) + deaths * 2);
    });

    test.for([["from here", false], ["to here", true]] as const)("iperf3, %s", { timeout }, async ([, reverse], context) => {
      requireNet(context);
      const failures = trouble.trials.length;
      const result = await stream(near, far, farAddress, streamSeconds, reverse);
      console.info(`${example}: iperf3${reverse ? " --reverse" : ""} through ${trouble.trials.length - failures} failures: ${JSON.stringify(result)}`);
      expect(result.receivedBytes).toBeGreaterThan(1 << 20);
    });

    test("every failure was had and recovered, no frame was damaged, interface and carrier stayed, nothing is left", { timeout }, async (context) => {
      requireNet(context);
      const alive = async (): Promise<void> => void (await ping(near, farAddress, "-c", "50", "-i", String(pacedSeconds), "-W", "1"));
      while (!trouble.isComplete) await alive();
      await trouble.stop(alive);
      console.info(`${example}: ${trouble.summary}`);
      await lab.settled();
      await connected(near, farAddress);
      expect([await checksumErrors(near), await checksumErrors(far)]).toEqual([0, 0]);
      expect(await identityOf(near, nearName)).toEqual(before);
      expect(before).toMatchObject({ flags: expect.arrayContaining(["UP", "LOWER_UP"]) });
      await lab.close();
      for (const namespace of [near, far]) expect(await namespace.run("ls", "/sys/class/net")).not.toMatch(/alt\d/);
    });
  });
});

describe.skipIf(!hasQemu)("two QEMUs with a cable between their cards, while both drivers fail every second", () => {
  const names = [uniqueName(), uniqueName()] as const;
  const addresses = [nearAddress, farAddress] as const;

  /** Undone after the test, last first. */
  const cleanups: (() => Promise<unknown>)[] = [];
  afterEach(async () => {
    while (cleanups.length > 0) await cleanups.pop()!();
  }, timeout);

  test("ping -f from one TAP interface to the other, both ways", { timeout }, async (context) => {
    requireNet(context);
    const directory = await mkdtemp(path.join(os.tmpdir(), "airlock-cable-"));
    const cable = path.join(directory, "cable.sock");
    cleanups.push(() => rm(directory, { recursive: true }));
    const ends: { readonly lab: MachineLab; readonly namespace: Namespace }[] = [];
    for (const [index, name] of names.entries()) {
      const options = { peer: "stream", path: cable, server: index === 0, mac: `52:54:00:a1:01:0${index}` };
      const lab = await MachineLab.open({ example: "nic-qemu.yaml", change: (text) => changed(text, name, options) });
      cleanups.push(() => lab[Symbol.asyncDispose]());
      const namespace = await Namespace.make();
      cleanups.push(() => namespace[Symbol.asyncDispose]());
      await namespace.take(name, `${addresses[index]!}/24`);
      ends.push({ lab, namespace });
    }
    const [one, other] = ends as [typeof ends[0], typeof ends[0]];
    await connected(one.namespace, farAddress);
    const before = [await identityOf(one.namespace, names[0]), await identityOf(other.namespace, names[1])];
    const troubles = [await Trouble.begin(one.lab, { everyMs: 1_000 }), await Trouble.begin(other.lab, { everyMs: 1_000 })];
    const results = await Promise.all([floodThrough(troubles, one.namespace, farAddress), floodThrough(troubles, other.namespace, nearAddress)]);
    const away = troubles.reduce((sum, { awayMs }) => sum + awayMs, 0);
    const deaths = troubles.reduce((sum, { trials }) => sum + trials.length + 1, 0);
    const most = Math.ceil(away / 1000 * floodPerSecond) + deaths * lostAtOnce;
    for (const { sent, back, duplicates, seconds } of results) {
      console.info(`two machines: ${sent} pings in ${seconds.toFixed(1)} s through ${deaths} failures (away ${Math.round(away)} ms): ${sent - back} lost, ${most} explained; ${duplicates} twice`);
      expect(sent - back).toBeLessThanOrEqual(most);
    }
    const alive = async (): Promise<void> => void (await ping(one.namespace, farAddress, "-c", "10", "-i", "0.01", "-W", "1"));
    await Promise.all(troubles.map((trouble) => trouble.stop(alive)));
    await connected(one.namespace, farAddress);
    expect([await checksumErrors(one.namespace), await checksumErrors(other.namespace)]).toEqual([0, 0]);
    expect([await identityOf(one.namespace, names[0]), await identityOf(other.namespace, names[1])]).toEqual(before);
    for (const { lab } of ends) await lab.close();
    expect(await readdir(directory)).toEqual([]);
  });
});
