/**
 * The class suites with Linux's own drivers, built by `airlock build`: on simulated hardware in one thread, where time costs nothing;
 * with AIRLOCK_LONG=1 also in threads, and on QEMU's hardware.
 */
import path from "node:path";
import { afterAll, beforeAll, describe, expect } from "vitest";
import { realClock } from "../../../runtime/api/clock.ts";
import type { OpenInterface } from "../../../runtime/classes/net/interface.ts";
import type { RtcClient } from "../../../runtime/classes/rtc/client.ts";
import type { WatchdogClient } from "../../../runtime/classes/watchdog/client.ts";
import { World } from "../../../runtime/cli/world.ts";
import { kernelAvailable } from "../../fixtures/kernel-available.ts";
import { type LinuxDriver, LinuxPackages, type PlatformName, buildMs } from "../../fixtures/linux-drivers.ts";
import { qemuAvailable } from "../qemu-available.ts";
import { openMachine } from "./machine-bench.ts";
import { type NetBench, netSuite } from "./net.suite.ts";
import { rtcSuite } from "./rtc.suite.ts";
import { watchdogSuite } from "./watchdog.suite.ts";

const examples = path.join(import.meta.dirname, "../../../runtime/machine/examples");
const isLong = process.env["AIRLOCK_LONG"] === "1";
const qemu = await qemuAvailable();
const names = ["rtc-cmos", "i6300esb", "e1000", "8139too"] as const;

/** A class's bench, and the clock that the net class's also has. */
type Bench<Client> = Omit<NetBench, "client"> & { readonly client: Client };

/** Restarts of a suite are more than a policy allows. */
const unlimited = { policy: "permanent", intensity: Infinity, periodMs: 1_000, escalation: "hold" } as const;

/** The client whose calls let the world go on until they are answered: time stands still there by itself. */
function stepping<Client extends object>(world: World, client: Client): Client {
  return new Proxy(client, {
    get: (target, key): unknown => {
      const found: unknown = Reflect.get(target, key);
      if (typeof found !== "function") return found;
      return (...args: unknown[]): unknown => {
        const result: unknown = Reflect.apply(found, target, args);
        return result instanceof Promise ? world.until(result) : result;
      };
    },
  });
}

async function openWorld<Client>(file: string, driver: string): Promise<Bench<Client>> {
  const world = await World.open({ file, seed: 1, restart: () => unlimited });
  const { supervisor } = world.machine.driver(driver);
  const advance = (ms: number): Promise<void> => world.run(ms * 1_000);
  const back = async (generation: bigint): Promise<void> => {
    for (let ms = 0; ms < 5_000 && !(supervisor.status.state === "running" && supervisor.status.generation > generation); ms++) await advance(1);
    expect(supervisor.status.state).toBe("running");
  };
  await back(0n);
  const client = world.machine.client(driver);
  return {
    // The function that opens an interface is called as it is.
    client: (typeof client === "function" ? client : stepping(world, client as object)) as Client, clock: world.clock, advance,
    crash: async () => {
      const { generation } = supervisor.status;
      expect(supervisor.kill()).toBe(true);
      await back(generation);
    },
    close: () => world.close(),
  };
}

describe.skipIf(!(await kernelAvailable()))("Linux drivers", () => {
  let packages: LinuxPackages;
  beforeAll(() => { packages = new LinuxPackages(); });
  afterAll(() => packages[Symbol.dispose]());

  function suites(where: string, platform: PlatformName, open: <Client>(file: string, driver: string) => Promise<Bench<Client>>): void {
    const bench = async <Client>(name: LinuxDriver): Promise<Bench<Client>> => {
      const { file, driver } = await packages.machine(name, platform);
      return open<Client>(file, driver);
    };
    describe.each(names)("%s", (name) => {
      beforeAll(async () => void (await packages.build(name)), buildMs);
      const title = `${name} ${where}`;
      if (name === "rtc-cmos") rtcSuite({ name: title, open: () => bench<RtcClient>(name) });
      else if (name === "i6300esb") watchdogSuite({ name: title, open: () => bench<WatchdogClient>(name) });
      else netSuite({ name: title, open: () => bench<OpenInterface>(name) });
    });
  }

  suites("in one thread", "sim", openWorld);
  describe.skipIf(!isLong)("in threads", () => {
    const openThreads = async <Client>(file: string, driver: string): Promise<Bench<Client>> =>
      ({ ...(await openMachine<Client>(path.relative(examples, file), "wasm", driver)), clock: realClock });
    suites("on sim", "sim", openThreads);
    describe.skipIf(!qemu)("", () => suites("on QEMU", "qemu", openThreads));
  });
});
