/** Whole machines with a disk behind NBD, by the programs people use, while the driver fails in every way: no byte lost, no client sees an error. */
import { existsSync } from "node:fs";
import { readFile, readdir } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { qemuAvailable } from "../conformance/qemu-available.ts";
import { requireClient } from "./client.ts";
import { MachineLab } from "./machine-lab.ts";
import { Trouble } from "./machine-trouble.ts";
import { checkFio, checkNbdcopy, checkQemuImg, checkQemuIo, type NbdDisk, nbdInfo, nbdProgramMissing } from "./nbd-checks.ts";
import { checkFileSystem, requireFileSystem } from "./nbd-file-system.ts";

const long = process.env["AIRLOCK_LONG"] === "1";
const sizeBytes = (long ? 256 : 24) << 20;
/** A client may meet failures that take seconds each, on a machine that others use. */
const timeout = long ? 600_000 : 180_000;
/** Failures that each client meets at least. */
const each = long ? 40 : 3;

const hasQemu = await qemuAvailable();

const setups = [
  { example: "disk.yaml", sandbox: "quickjs" },
  { example: "disk.yaml", sandbox: "worker" },
  { example: "disk-qemu.yaml", sandbox: "quickjs" },
] as const;

describe.each(setups)("$example in tier $sandbox", ({ example, sandbox }) => {
  describe.skipIf(example.includes("qemu") && !hasQemu)("while its driver fails in every way", () => {
    let lab: MachineLab;
    let trouble: Trouble;
    let disk: NbdDisk;

    beforeAll(async () => {
      lab = await MachineLab.open({ example, sandbox, change: ({ devices }) => { devices["nvme0"]!.options["sizeBytes"] = sizeBytes; } });
      disk = { uri: lab.address, scratch: lab.scratch };
      trouble = await Trouble.begin(lab);
    }, timeout);
    afterAll(async () => {
      await lab?.[Symbol.asyncDispose]();
    }, timeout);

    test("nbdinfo", { timeout }, async (context) => {
      requireClient(context, nbdProgramMissing("nbdinfo"));
      expect((await nbdInfo(disk.uri)).export).toMatchObject({ "export-size": sizeBytes, can_flush: true, can_fua: true, can_trim: true, can_zero: true });
    });

    test("nbdcopy both ways", { timeout }, async (context) => {
      requireClient(context, nbdProgramMissing("nbdcopy", "nbdinfo"));
      await expect(trouble.meets(() => checkNbdcopy(disk), each)).resolves.toBeUndefined();
    });

    test("qemu-img convert and compare", { timeout }, async (context) => {
      requireClient(context, nbdProgramMissing("qemu-img", "nbdinfo"));
      await expect(trouble.meets(() => checkQemuImg(disk), each)).resolves.toBeUndefined();
    });

    test("qemu-io", { timeout }, async (context) => {
      requireClient(context, nbdProgramMissing("qemu-io"));
      await expect(trouble.meets(() => checkQemuIo(disk), each)).resolves.toBeUndefined();
    });

    test("fio with verify: reads, writes and flushes", { timeout }, async (context) => {
      requireClient(context, nbdProgramMissing("fio"));
      await expect(trouble.meets(() => checkFio(disk, { sizeBytes: long ? sizeBytes : 8 << 20, mix: true }), each)).resolves.toBeUndefined();
    });

    test("an ext4 file system", { timeout }, async (context) => {
      await requireFileSystem(context);
      await expect(trouble.meets(() => checkFileSystem(disk), each)).resolves.toBeUndefined();
    });

    test("every failure was had and recovered, and nothing is left", { timeout }, async (context) => {
      requireClient(context, nbdProgramMissing("nbdcopy", "nbdinfo"));
      const copy = (): Promise<void> => checkNbdcopy(disk, 4 << 20);
      while (!trouble.isComplete) await copy();
      await trouble.stop(copy);
      console.info(`${example}, ${sandbox}: ${trouble.summary}`);
      await lab.settled();
      const { pathname } = new URL(disk.uri);
      const socket = new URL(disk.uri).searchParams.get("socket")!;
      expect([pathname, existsSync(socket)]).toEqual(["/nbd", true]);
      expect(await lab.close()).toEqual([]);
      expect(existsSync(socket)).toBe(false);
      expect(await systemNames()).not.toContain(path.dirname(socket));
      expect(await systemNames()).not.toContain(disk.scratch);
    });
  });
});

/** Every mount, file behind a loop device, and command line of a process; what ends meanwhile is left out. */
async function systemNames(): Promise<string> {
  const loops = (await readdir("/sys/block")).map((name) => `/sys/block/${name}/loop/backing_file`);
  const processes = (await readdir("/proc")).filter((name) => /^\d+$/.test(name)).map((name) => `/proc/${name}/cmdline`);
  const texts = await Promise.all(["/proc/self/mounts", ...loops, ...processes].map((file) => readFile(file, "utf8").catch(() => "")));
  return texts.join("\n");
}
