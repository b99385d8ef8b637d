/** What the environment of Linux's drivers promises them, tried by a driver: shims/selftest, built as any other and started on simulated hardware. */
import { mkdtempSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { stringify } from "yaml";
import { bringUp } from "../../runtime/cli/bring-up.ts";
import { airlock } from "../fixtures/cli.ts";
import { kernelAvailable } from "../fixtures/kernel-available.ts";
import { LinuxPackages, buildMs } from "../fixtures/linux-drivers.ts";

const source = path.join(import.meta.dirname, "../../shims/selftest/selftest.c");
/** A machine of two cores runs other things too. */
const patienceMs = 30_000;
const pollMs = 5;
/** Its probe waits for half a second in all, and more where the machine is busy. */
const initLimit = "20s";

describe.skipIf(!(await kernelAvailable()))("the environment of Linux's drivers", () => {
  let packages: LinuxPackages;
  let folder: string;

  beforeAll(async () => {
    packages = new LinuxPackages();
    folder = path.join(packages.directory, "selftest");
    const { code, stderr, stdout } = await airlock(["build", source, "--strict", "--out", folder], { limitMs: buildMs });
    if (code !== 0) throw new Error(`airlock build ${source}: ${stderr}${stdout}`);
  }, buildMs);

  afterAll(() => packages[Symbol.dispose]());

  function machineFile(options: Readonly<Record<string, unknown>>): string {
    const file = path.join(mkdtempSync(path.join(packages.directory, "machine-")), "machine.yaml");
    writeFileSync(file, stringify({
      machine: "selftest", platform: { type: "sim" },
      devices: { card: { compatible: ["e1000"], pci: { address: "00:05.0" } } },
      drivers: {
        selftest: {
          package: folder, device: "card", sandbox: "wasm", grants: ["bar0", "config", "intx", "heap"], options,
          limits: { init: initLimit }, restart: { policy: "temporary" },
        },
      },
    }));
    return file;
  }

  test.each([{}, { checking: true }, { delays: 0 }])("keeps what it promises, with options %o", async (options) => {
    const up = await bringUp({ file: machineFile(options), state: mkdtempSync(path.join(packages.directory, "state-")) });
    try {
      const log = (): string[] => up.machine.logs.lines("selftest").map(({ text }) => text).filter((text) => text.startsWith("selftest: "));
      await vi.waitUntil(() => log().some((text) => / checks, /.test(text)), { timeout: patienceMs, interval: pollMs });
      expect(log()).toEqual([expect.stringMatching(/^selftest: \d{4,} checks, 0 failures$/)]);
      await vi.waitUntil(() => up.machine.driver("selftest").supervisor.status.state === "running", { timeout: patienceMs, interval: pollMs });
    } finally {
      await up.close();
    }
  }, patienceMs * 2);
});
