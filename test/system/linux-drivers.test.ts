/**
 * Linux's own drivers, built by `airlock build` from the Debian package's files as they are: each is probed, used, removed in order, probed
 * again, and crashed with its client unaware. What else their classes promise is in test/conformance/classes/linux-machines.test.ts.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { LinkState, NetInterface, OpenInterface } from "../../runtime/classes/net/interface.ts";
import type { RtcClient } from "../../runtime/classes/rtc/client.ts";
import type { WatchdogClient } from "../../runtime/classes/watchdog/client.ts";
import { type BroughtUp, bringUp } from "../../runtime/cli/bring-up.ts";
import type { QemuPlatform } from "../../runtime/platform/qemu/qemu-platform.ts";
import { debianArchive } from "../../shims/tools/kernel-source.ts";
import { kernelAvailable } from "../fixtures/kernel-available.ts";
import { qemuAvailable } from "../conformance/qemu-available.ts";
import { type LinuxDriver, LinuxPackages, type PlatformName, buildMs, linuxDrivers } from "../fixtures/linux-drivers.ts";

/** A machine of two cores runs other things too, and QEMU's port accesses are slow. */
const patienceMs = 30_000;
const pollMs = 5;
/** Frames that are not back by then were lost. */
const tryMs = 10_000;
const tries = 3;
const timeout = 120_000;
/** The name of the folder in Debian's archive. */
const archiveFolder = "linux-source-6.1";

const names = Object.keys(linuxDrivers) as LinuxDriver[];
const hasQemu = await qemuAvailable();

/** A machine with one driver, up. */
class Running implements AsyncDisposable {
  readonly up: BroughtUp;
  readonly driver: string;
  readonly device: string;
  readonly #state: string;

  private constructor(up: BroughtUp, driver: string, device: string, state: string) {
    this.up = up;
    this.driver = driver;
    this.device = device;
    this.#state = state;
  }

  static async open(packages: LinuxPackages, name: LinuxDriver, platform: PlatformName): Promise<Running> {
    const { file, driver, device } = await packages.machine(name, platform);
    const state = mkdtempSync(path.join(packages.directory, "state-"));
    const running = new Running(await bringUp({ file, state }), driver, device, state);
    await running.generation(1n);
    return running;
  }

  get supervisor() {
    return this.up.machine.driver(this.driver).supervisor;
  }

  get log(): string[] {
    return this.up.machine.logs.lines(this.driver).map(({ text }) => text);
  }

  /** The driver with this number is in service. */
  async generation(number: bigint): Promise<void> {
    await until(() => this.supervisor.status.state === "running" && this.supervisor.status.generation === number);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.up.close();
    rmSync(this.#state, { recursive: true, force: true });
  }
}

function until(condition: () => boolean): Promise<unknown> {
  return vi.waitUntil(condition, { timeout: patienceMs, interval: pollMs });
}

/** Uses a device as its clients do; each may be called again after whatever happened to its driver. */
interface User {
  use(): Promise<void>;
}

/** Time set and read, and an alarm. */
function rtcUser({ up, driver }: Running): User {
  const client = up.machine.client(driver) as RtcClient;
  let alarms = 0;
  client.on(({ kind }) => { if (kind === "alarm") alarms++; });
  return {
    use: async () => {
      const before = alarms;
      const start = Date.UTC(2031, 11, 31, 23, 59, 58);
      await client.setTime(new Date(start));
      await client.setAlarm({ hour: 0, minute: 0, second: 0 });
      await until(() => alarms > before);
      expect((await client.readTime()).getTime() - start).toBeGreaterThanOrEqual(2_000);
      await client.clearAlarm();
    },
  };
}

/** Started, pinged, stopped; then left to run out, which the machine sees. */
function watchdogUser({ up, driver }: Running): User {
  const client = up.machine.client(driver) as WatchdogClient;
  let expired = 0;
  client.on(({ kind }) => { if (kind === "expired") expired++; });
  return {
    use: async () => {
      const [told, requests] = [expired, up.machine.resetRequest?.count ?? 0];
      expect(await client.start({ timeoutMs: 30_000 })).toBe(30_000);
      await client.ping();
      await client.stop();
      // Rounded up: Linux has whole seconds.
      expect(await client.start({ timeoutMs: 500 })).toBe(1_000);
      await until(() => expired > told);
      expect(up.machine.resetRequest?.count).toBe(requests + 1);
    },
  };
}

/** An interface, and what comes to it. */
interface NetUser extends User {
  readonly net: NetInterface;
  readonly came: string[];
  readonly links: LinkState[];
  /** Frames in the air when something happens may be lost: sends until one is back. */
  reaches(): Promise<void>;
}

/** Frames there and back, of every size. */
async function netUser({ up, driver }: Running): Promise<NetUser> {
  const came: string[] = [];
  const links: LinkState[] = [];
  const net = (up.machine.client(driver) as OpenInterface)({
    received: (frames) => { for (const frame of frames) if (frame[12] === 0x88 && frame[13] === 0xb5) came.push(Buffer.from(frame).toString("hex")); },
    room: () => undefined, link: (state) => void links.push(state), ended: () => undefined,
  });
  const own = Buffer.from((await net.identity()).mac.replaceAll(":", ""), "hex");
  const reaches = async (): Promise<void> => {
    came.length = 0;
    await vi.waitUntil(() => {
      net.send([reflectable(own, 1, 64)]);
      return came.length > 0;
    }, { timeout: patienceMs, interval: 50 });
  };
  let serial = 1;
  /** Whether frames of every size come back, in order; each try has frames of its own. */
  const echoes = async (): Promise<boolean> => {
    const sent = [60, 61, 64, 500, 1_514].map((sizeBytes) => reflectable(own, ++serial, sizeBytes));
    const back = sent.map((frame) => Buffer.concat([own, frame.subarray(0, 6), frame.subarray(12)]).toString("hex"));
    expect(net.send(sent)).toBe(sent.length);
    const isBack = await vi.waitUntil(() => back.every((frame) => came.includes(frame)), { timeout: tryMs, interval: pollMs }).catch(() => false);
    if (isBack) expect(came.filter((frame) => back.includes(frame))).toEqual(back);
    return isBack;
  };
  const use = async (): Promise<void> => {
    await until(() => net.link.up);
    // Some drivers say that they are up before their card takes frames: what is sent then may be lost.
    for (let left = tries; !(await echoes()); left--) expect(left).toBeGreaterThan(1);
  };
  return { net, came, links, use, reaches };
}

/** A frame that the far end sends back to its source. */
function reflectable(source: Buffer, number: number, sizeBytes: number): Buffer {
  const frame = Buffer.alloc(sizeBytes, number + 1);
  Buffer.from([0x02, 0, 0, 0, 0x88, 0xb5, ...source, 0x88, 0xb5]).copy(frame);
  return frame;
}

async function userOf(name: LinuxDriver, running: Running): Promise<User> {
  switch (linuxDrivers[name].className) {
    case "rtc": return rtcUser(running);
    case "watchdog": return watchdogUser(running);
    case "net": return netUser(running);
  }
}

describe.skipIf(!(await kernelAvailable()))("Linux's drivers", () => {
  let packages: LinuxPackages;
  beforeAll(async () => {
    packages = new LinuxPackages();
    for (const name of names) await packages.build(name);
  }, buildMs);
  afterAll(() => packages[Symbol.dispose]());

  test("are compiled from the files of Debian's package, unchanged", { timeout: buildMs }, async () => {
    const compiled = new Map<string, string>();
    for (const name of names) {
      const { driver, missing } = JSON.parse(readFileSync(path.join(await packages.build(name), "sources.json"), "utf8")) as { driver: Record<string, string>; missing: string[] };
      expect({ name, missing, files: Object.keys(driver).some((file) => file.endsWith(".c")) }).toEqual({ name, missing: [], files: true });
      for (const [file, sum] of Object.entries(driver)) compiled.set(file, sum);
    }
    const folder = mkdtempSync(path.join(packages.directory, "source-"));
    execFileSync("tar", ["-xJf", debianArchive, "-C", folder, "--strip-components=1", ...[...compiled.keys()].map((file) => `${archiveFolder}/${file}`)]);
    for (const [file, sum] of compiled) expect({ file, sum: createHash("sha256").update(readFileSync(path.join(folder, file))).digest("hex") }).toEqual({ file, sum });
  });

  const places = names.flatMap((name) => (["sim", "qemu"] as const).filter((platform) => linuxDrivers[name][platform] !== undefined).map((platform) => [name, platform] as const));

  describe.each(places)("%s on %s", (name, platform) => {
    test.skipIf(platform === "qemu" && !hasQemu)("is used, removed in order, probed again, crashed and restarted, with one client all the time", { timeout }, async () => {
      await using running = await Running.open(packages, name, platform);
      const user = await userOf(name, running);
      await user.use();
      running.supervisor.restart();
      await running.generation(2n);
      await user.use();
      // The driver's own exit functions ran to their end, and none of the host's steps was skipped.
      expect(running.supervisor.status).toMatchObject({ failures: {}, skippedSteps: {}, restarts: 0 });
      expect(running.log.filter((text) => text.includes("did not leave in order"))).toEqual([]);
      expect(running.supervisor.kill()).toBe(true);
      await running.generation(3n);
      await user.use();
      expect(running.supervisor.status).toMatchObject({ failures: { killed: 1 }, restarts: 1 });
    });
  });

  describe.skipIf(!hasQemu)("on QEMU", () => {
    test.each(["e1000", "8139too"] as const)("%s tells that its cable is pulled and plugged in again", { timeout }, async (name) => {
      await using running = await Running.open(packages, name, "qemu");
      const user = await netUser(running);
      await user.use();
      const platform = running.up.machine.platform as unknown as QemuPlatform;
      await platform.setLink(running.device, false);
      await until(() => !user.net.link.up);
      await platform.setLink(running.device, true);
      await until(() => user.net.link.up);
      await user.reaches();
      expect(user.links.map(({ up }) => up)).toEqual([true, false, true]);
      expect(running.supervisor.status).toMatchObject({ failures: {} });
    });

    test("ne2k-pci takes groups that it was told, and all frames when it is promiscuous", { timeout }, async () => {
      await using running = await Running.open(packages, "ne2k-pci", "qemu");
      const user = await netUser(running);
      await user.use();
      const elsewhere = Buffer.from([0x02, 0x10, 0x20, 0x30, 0x40, 0x50]);
      const comes = async (): Promise<boolean> => {
        user.came.length = 0;
        user.net.send([reflectable(elsewhere, 1, 64)]);
        await vi.waitUntil(() => user.came.length > 0, { timeout: 1_000, interval: pollMs }).catch(() => undefined);
        return user.came.length > 0;
      };
      expect(await comes()).toBe(false);
      await user.net.configure({ promiscuous: true });
      expect(await comes()).toBe(true);
      await user.net.configure({ promiscuous: false, multicast: ["01:00:5e:00:00:01"] });
      expect(await comes()).toBe(false);
    });
  });
});
