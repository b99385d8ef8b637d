/** What the environment of Linux's drivers promises them, tried by drivers: shims/selftest, built as any other and started on simulated hardware. */
import { mkdtempSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { stringify } from "yaml";
import { bringUp } from "../../runtime/cli/bring-up.ts";
import { airlock } from "../fixtures/cli.ts";
import { kernelAvailable } from "../fixtures/kernel-available.ts";
import { LinuxPackages, buildMs } from "../fixtures/linux-drivers.ts";

const sources = path.join(import.meta.dirname, "../../shims/selftest");
/** Each of the drivers, what it needs of the machine, and the options it is tried with. */
const drivers = [
  { name: "selftest", grants: ["bar0", "config", "intx", "heap"], options: [{}, { checking: true }, { delays: 0 }], leastChecks: 1_000 },
  { name: "subsystems", grants: ["config", "heap", "buffers"], options: [{}, { checking: true }], leastChecks: 20 },
] as const;
/** A machine of two cores runs other things too. */
const patienceMs = 30_000;
const pollMs = 5;
/** Its probe waits for half a second in all, and more where the machine is busy. */
const initLimit = "20s";

describe.skipIf(!(await kernelAvailable())).each(drivers)("the environment of Linux's drivers: $name", ({ name, grants, options, leastChecks }) => {
  let packages: LinuxPackages;
  let folder: string;

  beforeAll(async () => {
    packages = new LinuxPackages();
    folder = path.join(packages.directory, name);
    const { code, stderr, stdout } = await airlock(["build", path.join(sources, `${name}.c`), "--strict", "--out", folder], { limitMs: buildMs });
    if (code !== 0) throw new Error(`airlock build ${name}.c: ${stderr}${stdout}`);
  }, buildMs);

  afterAll(() => packages[Symbol.dispose]());

  function machineFile(given: Readonly<Record<string, unknown>>): string {
    const file = path.join(mkdtempSync(path.join(packages.directory, "machine-")), "machine.yaml");
    writeFileSync(file, stringify({
      machine: "selftest", platform: { type: "sim" },
      devices: { card: { compatible: ["e1000"], pci: { address: "00:05.0" } } },
      drivers: { tried: { package: folder, device: "card", sandbox: "wasm", grants, options: given, limits: { init: initLimit }, restart: { policy: "temporary" } } },
    }));
    return file;
  }

  test.each(options)("keeps what it promises, with options %o", async (given) => {
    const up = await bringUp({ file: machineFile(given), state: mkdtempSync(path.join(packages.directory, "state-")) });
    try {
      const log = (): string[] => up.machine.logs.lines("tried").map(({ text }) => text).filter((text) => text.startsWith(`${name}: `));
      await vi.waitUntil(() => log().some((text) => / checks, /.test(text)), { timeout: patienceMs, interval: pollMs });
      expect(log()).toEqual([expect.stringMatching(/^\w+: \d+ checks, 0 failures$/)]);
      expect(Number(/\d+/.exec(log()[0]!)![0])).toBeGreaterThanOrEqual(leastChecks);
      await vi.waitUntil(() => up.machine.driver("tried").supervisor.status.state === "running", { timeout: patienceMs, interval: pollMs });
    } finally {
      await up.close();
    }
  }, patienceMs * 2);
});
