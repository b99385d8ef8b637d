/** QEMU as a process: it starts or says why not, its end is noticed, and it leaves nothing behind. Needs QEMU. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { VirtualClock, realClock } from "../../runtime/api/clock.ts";
import type { DeviceDescription } from "../../runtime/bus/device.ts";
import type { HardwareBackend } from "../../runtime/bus/hardware-backend.ts";
import { threadEntry } from "../../runtime/bus/thread-entry.ts";
import { findQemu } from "../../runtime/platform/qemu/find-qemu.ts";
import { createQemuBackend } from "../../runtime/platform/qemu/qemu-backend.ts";
import { QemuPlatform } from "../../runtime/platform/qemu/qemu-platform.ts";
import { type QemuOptions, QemuProcess } from "../../runtime/platform/qemu/qemu-process.ts";
import { qemuAvailable } from "./qemu-available.ts";

const rtc: DeviceDescription = {
  name: "rtc", compatible: ["mc146818"], windows: { cmos: { kind: "port", base: 0x70, sizeBytes: 2, widths: [8] } }, irqs: { tick: 8 }, options: {},
};
const uart = (name: string, base: number, line: number, peer: string): DeviceDescription => ({
  name, compatible: ["uart-16550"], windows: { regs: { kind: "port", base, sizeBytes: 8, widths: [8] } }, irqs: { line }, options: { peer },
});
const devices = [rtc, uart("com1", 0x3f8, 4, "echo"), uart("com2", 0x2f8, 3, "none")];

/** QEMU is done with anything asked of it here in milliseconds; a test that waits this long has failed. */
const patienceMs = 10_000;

let folder = "";
let options: QemuOptions;
beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), "airlock-test-"));
  options = { devices, epochMs: Date.UTC(2026, 10, 3, 12, 34, 56), temporaryDirectory: folder };
});
afterAll(() => rm(folder, { recursive: true }));

const alive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

/** Polls until `done`; false when it never is. */
async function eventually(done: () => boolean | Promise<boolean>): Promise<boolean> {
  const deadline = performance.now() + patienceMs;
  while (!(await done())) {
    if (performance.now() > deadline) return false;
    await sleep(2);
  }
  return true;
}

/** Runs `body` on a started QEMU and its backend; whatever happens, nothing may be left. */
async function withQemu(body: (qemu: QemuProcess, backend: HardwareBackend) => Promise<void>): Promise<void> {
  const qemu = await QemuProcess.start(options);
  const backend = createQemuBackend({ fifos: qemu.fifos, devices: qemu.connectors.length > 0 ? devices : [], minStepMicros: 0 }, new VirtualClock());
  try {
    await body(qemu, backend);
  } finally {
    backend.close();
    await qemu.close();
  }
  expect(alive(qemu.pid!)).toBe(false);
  expect(await readdir(folder)).toEqual([]);
}

describe.skipIf(!(await qemuAvailable()))("a QEMU process", () => {
  test("has the devices of the list and no others, and leaves nothing", () =>
    withQemu(async (_qemu, backend) => {
      backend.space("rtc", "cmos")!.write(0, 8, 4);
      expect(backend.space("rtc", "cmos")!.read(1, 8)).toBe(0x12);
      for (const name of ["com1", "com2"]) expect(backend.space(name, "regs")!.read(5, 8)).toBe(0x60);
      expect(backend.statistics("rtc")).toEqual({ reads: 1, writes: 1, interrupts: 0 });
      expect(backend.space("rtc", "toString")).toBeUndefined();
      expect(backend.space("com3", "regs")).toBeUndefined();
      expect(backend.irqNumber("com2", "line")).toBe(3);
      expect(backend.irqNumber("com2", "constructor")).toBeUndefined();
      expect(() => backend.statistics("com3")).toThrow(expect.objectContaining({ code: "NotFound" }));
    }));

  test("peer echo sends back everything, more than the port can hold; peer none nothing", () =>
    withQemu(async (_qemu, backend) => {
      const sent = Array.from({ length: 3_000 }, (_, at) => (at * 7) & 0xff);
      const got: number[] = [];
      const [com1, com2] = [backend.space("com1", "regs")!, backend.space("com2", "regs")!];
      let next = 0;
      // The peer runs in this thread: QEMU holds the transmitter back while it is not let run.
      expect(await eventually(() => {
        for (; next < sent.length && (com1.read(5, 8) & 0x20) !== 0; next++) com1.write(0, 8, sent[next]!);
        for (let turn = 0; turn < 200; turn++) if ((com1.read(5, 8) & 1) !== 0) got.push(com1.read(0, 8));
        return got.length >= sent.length;
      })).toBe(true);
      for (const byte of sent) com2.write(0, 8, byte);
      expect(got).toEqual(sent);
      expect(com2.read(5, 8) & 1).toBe(0);
    }));

  test("an interrupt that QEMU raises by itself reaches its line at the next advance", () =>
    withQemu(async (_qemu, backend) => {
      const com1 = backend.space("com1", "regs")!;
      com1.write(4, 8, 8);
      com1.write(1, 8, 1);
      com1.write(0, 8, 0x41);
      expect(await eventually(() => {
        backend.advance();
        return backend.line(4).asserted;
      })).toBe(true);
      expect(backend.statistics("com1")["interrupts"]).toBe(1);
      expect(backend.idleMicros()).toBeLessThanOrEqual(1_000);
      expect(com1.read(0, 8)).toBe(0x41);
      expect(backend.line(4).asserted).toBe(false);
    }));

  test("its surprise end is reported once with how it ended, and every use is HardwareLost", () =>
    withQemu(async (qemu, backend) => {
      const reasons: string[] = [];
      qemu.onLost((reason) => reasons.push(reason));
      backend.space("rtc", "cmos")!.write(0, 8, 4);
      process.kill(qemu.pid!, "SIGKILL");
      expect(await eventually(() => reasons.length > 0)).toBe(true);
      expect(reasons).toEqual(["QEMU was ended by SIGKILL"]);
      expect(qemu.lost).toBe("QEMU was ended by SIGKILL");
      const lost = expect.objectContaining({ code: "HardwareLost" }) as Error;
      expect(() => backend.flush()).toThrow(lost);
      expect(() => backend.advance()).toThrow(lost);
      expect(() => backend.space("rtc", "cmos")!.read(1, 8)).toThrow(lost);
      expect(() => backend.space("rtc", "cmos")!.write(1, 8, 0)).toThrow(lost);
      expect(() => createQemuBackend({ fifos: qemu.fifos, devices }, realClock)).toThrow(lost);
    }));

  test("closing a stopped one takes its deadline and not forever", () =>
    withQemu(async (qemu) => {
      process.kill(qemu.pid!, "SIGSTOP");
      await qemu.close();
      expect(qemu.lost).toBeUndefined();
    }));

  test("one that does not start says so in QEMU's own words, and leaves nothing", async () => {
    const twice = [uart("com1", 0x3f8, 4, "none"), uart("com2", 0x3f8, 4, "none")];
    const real = (await findQemu()).path;
    const wrapper = path.join(await mkdtemp(path.join(os.tmpdir(), "airlock-wrapper-")), "qemu");
    await writeFile(wrapper, `#!/bin/sh\ncase "$*" in *-qtest-log*) echo "qemu: no firmware" >&2; exit 1;; esac\nexec ${real} "$@"\n`);
    await chmod(wrapper, 0o755);
    const failure = QemuProcess.start({ ...options, devices: twice, environment: { AIRLOCK_QEMU: wrapper } });
    await expect(failure).rejects.toMatchObject({ code: "PlatformUnavailable", message: expect.stringContaining("qemu: no firmware") as string });
    await rm(path.dirname(wrapper), { recursive: true });
    expect(await readdir(folder)).toEqual([]);
  });

  test("a missing one, or a device it cannot have, is refused before anything is made", async () => {
    await expect(QemuProcess.start({ ...options, environment: { AIRLOCK_QEMU: "/nowhere/qemu" } })).rejects.toMatchObject({ code: "PlatformUnavailable" });
    await expect(QemuProcess.start({ ...options, devices: [{ ...rtc, irqs: { tick: 1 } }] })).rejects.toMatchObject({ code: "InvalidArgument" });
    expect(await readdir(folder)).toEqual([]);
  });

  test("it does not outlive a process that is killed, nor one that exits without closing", async () => {
    const module = JSON.stringify(threadEntry("platform/qemu/qemu-process"));
    const start = (then: string): string =>
      `import { QemuProcess } from ${module}; const q = await QemuProcess.start(${JSON.stringify(options)}); console.log(q.pid); ${then}`;
    for (const [then, left] of [["setInterval(() => {}, 1e6)", 1], ["process.exitCode = 0; setTimeout(() => process.exit(), 20)", 0]] as const) {
      const parent = spawn(process.execPath, ["--input-type=module", "-e", start(then)], { stdio: ["ignore", "pipe", "inherit"] });
      const closed = once(parent, "close");
      const [line] = (await once(parent.stdout, "data")) as [Buffer];
      const pid = Number(line.toString());
      expect(alive(pid)).toBe(true);
      if (left === 1) parent.kill("SIGKILL");
      await closed;
      expect(await eventually(() => !alive(pid))).toBe(true);
      expect(await readdir(folder)).toHaveLength(left);
      for (const name of await readdir(folder)) await rm(path.join(folder, name), { recursive: true });
    }
  });
});

describe.skipIf(!(await qemuAvailable()))("the QEMU platform", () => {
  test("answers for its devices, and closes everything", async () => {
    const platform = await QemuPlatform.start(options, realClock);
    expect(await platform.statistics("rtc")).toEqual({ reads: 0, writes: 0, interrupts: 0 });
    await platform.close();
    await platform.close();
    expect(alive(platform.pid!)).toBe(false);
    expect(await readdir(folder)).toEqual([]);
  });

  test.each([["SIGKILL", "QEMU"], ["SIGSTOP", "does not answer"]] as const)("a QEMU that gets %s is lost hardware", async (signal, reason) => {
    const platform = await QemuPlatform.start(options, realClock);
    const reasons: string[] = [];
    platform.watch({ lost: (text) => reasons.push(text) });
    process.kill(platform.pid!, signal);
    expect(await eventually(() => reasons.length > 0)).toBe(true);
    expect(reasons).toHaveLength(1);
    expect(reasons[0]).toContain(reason);
    await expect(platform.statistics("rtc")).rejects.toMatchObject({ code: "HardwareLost" });
    await platform.close();
    expect(alive(platform.pid!)).toBe(false);
    expect(await readdir(folder)).toEqual([]);
  });

  test("closes while QEMU is stopped and its thread waits for it", async () => {
    const platform = await QemuPlatform.start(options, realClock);
    process.kill(platform.pid!, "SIGSTOP");
    await platform.close();
    expect(alive(platform.pid!)).toBe(false);
  });
});
