/** The class suites with Linux's own drivers, built by `airlock build`: simulated hardware and QEMU's, in threads. */
import path from "node:path";
import { afterAll, beforeAll, describe } from "vitest";
import { realClock } from "../../../runtime/api/clock.ts";
import type { OpenInterface } from "../../../runtime/classes/net/interface.ts";
import type { RtcClient } from "../../../runtime/classes/rtc/client.ts";
import type { WatchdogClient } from "../../../runtime/classes/watchdog/client.ts";
import { type LinuxDriver, LinuxPackages, type PlatformName, buildMs, linuxAvailable } from "../../fixtures/linux-drivers.ts";
import { qemuAvailable } from "../qemu-available.ts";
import { type MachineBench, openMachine } from "./machine-bench.ts";
import { netSuite } from "./net.suite.ts";
import { rtcSuite } from "./rtc.suite.ts";
import { watchdogSuite } from "./watchdog.suite.ts";

const qemu = await qemuAvailable();
const examples = path.join(import.meta.dirname, "../../../runtime/machine/examples");

describe.skipIf(!linuxAvailable())("Linux drivers", () => {
  let packages: LinuxPackages;
  beforeAll(() => { packages = new LinuxPackages(); });
  afterAll(() => packages[Symbol.dispose]());

  async function open<Client>(name: LinuxDriver, platform: PlatformName): Promise<MachineBench<Client>> {
    const { file, driver } = await packages.machine(name, platform);
    return openMachine<Client>(path.relative(examples, file), "wasm", driver);
  }

  function suites(platform: PlatformName): void {
    describe.each(["rtc-cmos", "i6300esb", "e1000", "8139too"] as const)("%s", (name) => {
      beforeAll(async () => void (await packages.build(name)), buildMs);
      const title = `${name} on ${platform}`;
      if (name === "rtc-cmos") rtcSuite({ name: title, open: () => open<RtcClient>(name, platform) });
      else if (name === "i6300esb") watchdogSuite({ name: title, open: () => open<WatchdogClient>(name, platform) });
      else netSuite({ name: title, open: async () => ({ ...(await open<OpenInterface>(name, platform)), clock: realClock }) });
    });
  }

  suites("sim");
  describe.skipIf(!qemu)("on QEMU", () => suites("qemu"));
});
