/** QEMU as a process: it starts or says why not, its end is noticed, and it leaves nothing behind. Needs QEMU. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Clock, VirtualClock, realClock } from "../../runtime/api/clock.ts";
import type { DeviceDescription } from "../../runtime/bus/device.ts";
import type { HardwareBackend } from "../../runtime/bus/hardware-backend.ts";
import { type DmaFault, type DmaMapping, dmaPageBytes } from "../../runtime/bus/iommu.ts";
import { threadEntry } from "../../runtime/bus/thread-entry.ts";
import { openRam } from "../../runtime/native/ram.ts";
import { describeDevices } from "../../runtime/platform/qemu/describe.ts";
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

/** PCI devices without options: a disk and a card. */
const onPci = (name: string, compatible: string, address: string): DeviceDescription =>
  ({ name, compatible: [compatible], windows: {}, irqs: {}, options: {}, pci: { address } });
const pciDevices = [onPci("disk", "nvme", "00:04.0"), onPci("nic", "e1000", "00:18.0"), onPci("spare", "nvme", "00:05.0"), rtc];

/** An NVMe disk that is driven by hand as far as Identify. */
class Disk {
  readonly faults: DmaFault[] = [];
  readonly backend: HardwareBackend;
  readonly ram: Uint8Array;
  readonly #name: string;
  #tail = 0;

  /** `ram` are four pages: submission queue, completion queue, data, and one for the tests. */
  constructor(backend: HardwareBackend, ram: Uint8Array, name = "disk") {
    this.backend = backend;
    this.ram = ram;
    this.#name = name;
  }

  enable(queues: number): void {
    const regs: readonly (readonly [number, number])[] = [[0x24, 0x000f_000f], [0x28, queues], [0x2c, 0], [0x30, queues + dmaPageBytes], [0x34, 0], [0x14, 0x0046_0001]];
    this.ram.fill(0);
    this.#tail = 0;
    for (const [offset, value] of regs) this.space.write(offset, 32, value);
    // Ready, or fatal status where its queues cannot be reached.
    for (let poll = 0; poll < 1_000 && (this.space.read(0x1c, 32) & 3) === 0; poll++);
  }

  get space(): NonNullable<ReturnType<HardwareBackend["space"]>> {
    return this.backend.space(this.#name, "bar0")!;
  }

  /** Has Identify Controller written to `data`; whether its completion arrived. */
  async identify(data: number): Promise<boolean> {
    const command = new DataView(this.ram.buffer, this.ram.byteOffset + this.#tail * 64, 64);
    command.setUint32(0, 0x0001_0006, true);
    command.setUint32(24, data, true);
    command.setUint32(40, 1, true);
    const completion = dmaPageBytes + this.#tail * 16 + 14;
    this.#tail++;
    this.space.write(0x1000, 32, this.#tail);
    const deadline = performance.now() + quietMs;
    while (this.ram[completion] === 0 && performance.now() < deadline) {
      this.backend.advance();
      await sleep(1);
    }
    this.backend.advance();
    return this.ram[completion] !== 0;
  }
}

/** Long enough for what QEMU does in a millisecond not to come any more. */
const quietMs = 300;
const firstIova = 0x10_0000;
const pages = (ramOffset: number, change: Partial<DmaMapping> = {}): DmaMapping =>
  ({ name: "memory", iova: firstIova, ramOffset, sizeBytes: 3 * dmaPageBytes, rights: "readwrite", guest: true, ...change });

/** Runs `body` with a disk behind the IOMMU; RAM is from `firstFreeOffset` on. */
async function withDisk(
  body: (disk: Disk, base: number, qemu: QemuProcess) => Promise<void>, { open = openRam, clock = realClock }: { open?: typeof openRam; clock?: Clock } = {},
): Promise<void> {
  const described = await describeDevices(pciDevices);
  const qemu = await QemuProcess.start({ ...options, devices: described });
  const { ram } = qemu.setup;
  const access = openRam(ram!);
  // By default the backend follows the real time, so that faults are looked for; a step of no time is still one.
  const backend = createQemuBackend({ ...qemu.setup, minStepMicros: 0 }, clock, open);
  try {
    const view = access.view(ram!.firstFreeOffset, 4 * dmaPageBytes);
    if (view === undefined) throw new Error("this test needs the native addon");
    await body(new Disk(backend, view), ram!.firstFreeOffset, qemu);
  } finally {
    backend.close();
    access.close();
    await qemu.close();
  }
  expect(alive(qemu.pid!)).toBe(false);
  expect(await readdir(folder)).toEqual([]);
}

describe.skipIf(!(await qemuAvailable()))("PCI devices of QEMU", () => {
  test("a device reaches what its domain maps, while it may master the bus, and its messages become a line", () =>
    withDisk(async (disk, base) => {
      const domain = disk.backend.openDomain("disk", (fault) => disk.faults.push(fault))!;
      let raised = 0;
      const line = disk.backend.line(disk.backend.irqNumber("disk", "msix0")!);
      const binding = line.attach({ raise: () => raised++, storm: () => undefined, unacked: () => undefined }, { stormPerSecond: 1e6, ackMs: 60_000 });
      binding.unmask();
      domain.map(pages(base));
      disk.enable(firstIova);
      expect(await disk.identify(firstIova + 2 * dmaPageBytes)).toBe(false);
      disk.backend.setBusMaster("disk", true);
      disk.backend.resetDevice("disk");
      disk.enable(firstIova);
      expect(await disk.identify(firstIova + 2 * dmaPageBytes)).toBe(false);
      disk.backend.setBusMaster("disk", true);
      disk.enable(firstIova);
      expect(await disk.identify(firstIova + 2 * dmaPageBytes)).toBe(true);
      expect([disk.ram[2 * dmaPageBytes], disk.ram[2 * dmaPageBytes + 1]]).toEqual([0x36, 0x1b]);
      expect(raised).toBe(1);
      expect(disk.backend.statistics("disk")["interrupts"]).toBe(1);
      expect(disk.faults).toEqual([]);
    }));

  test("nothing is reached outside, after unmap, or after the domain's end; what was tried is reported to its domain alone", () =>
    withDisk(async (disk, base) => {
      const others: DmaFault[] = [];
      disk.backend.openDomain("spare", (fault) => others.push(fault))!.map(pages(base + 3 * dmaPageBytes, { sizeBytes: dmaPageBytes }));
      const domain = disk.backend.openDomain("disk", (fault) => disk.faults.push(fault))!;
      expect(disk.backend.openDomain("rtc", () => undefined)).toBeUndefined();
      domain.map(pages(base, { sizeBytes: 2 * dmaPageBytes }));
      domain.map(pages(base + 2 * dmaPageBytes, { iova: firstIova + 2 * dmaPageBytes, sizeBytes: dmaPageBytes }));
      disk.backend.setBusMaster("disk", true);
      disk.enable(firstIova);
      const data = firstIova + 2 * dmaPageBytes;
      await disk.identify(firstIova + 3 * dmaPageBytes);
      expect(disk.faults).toEqual([{ device: "disk", iova: firstIova + 3 * dmaPageBytes, direction: "write", sizeBytes: 0 }]);
      expect(await disk.identify(data)).toBe(true);
      domain.unmap(data, dmaPageBytes);
      disk.ram.fill(0, 2 * dmaPageBytes);
      await disk.identify(data);
      expect(disk.faults.at(-1)).toMatchObject({ iova: data, direction: "write" });
      domain.close();
      await disk.identify(data);
      expect(disk.ram.subarray(2 * dmaPageBytes).every((byte) => byte === 0)).toBe(true);
      expect(others).toEqual([]);
      expect(disk.faults.length).toBe(2);
    }));

  test("a blocked transfer is told before the message that it is done, also while no time passes", () =>
    withDisk(async (disk, base) => {
      const told: string[] = [];
      disk.backend.openDomain("disk", ({ iova }) => told.push(`fault ${iova - firstIova}`))!.map(pages(base));
      const binding = disk.backend.line(disk.backend.irqNumber("disk", "msix0")!)
        .attach({ raise: () => told.push("message"), storm: () => undefined, unacked: () => undefined }, { stormPerSecond: 1e6, ackMs: 60_000 });
      binding.unmask();
      disk.backend.setBusMaster("disk", true);
      disk.enable(firstIova);
      await disk.identify(firstIova + 2 * dmaPageBytes);
      binding.ack();
      await disk.identify(firstIova + 3 * dmaPageBytes);
      expect(told).toEqual(["message", `fault ${3 * dmaPageBytes}`, "message"]);
    }, { clock: new VirtualClock() }));

  test("the backend needs no addon: tables and messages go through the file", () =>
    withDisk(async (disk, base) => {
      disk.backend.openDomain("disk", (fault) => disk.faults.push(fault))!.map(pages(base));
      disk.backend.setBusMaster("disk", true);
      disk.enable(firstIova);
      expect(await disk.identify(firstIova + 2 * dmaPageBytes)).toBe(true);
      expect(disk.backend.statistics("disk")["interrupts"]).toBe(1);
      await disk.identify(firstIova + 3 * dmaPageBytes);
      expect(disk.faults.map(({ iova }) => iova)).toEqual([firstIova + 3 * dmaPageBytes]);
    }, { open: (ram) => openRam(ram, false) }));

  test("a reset device is as after power-on, where it was, and works again in another domain", () =>
    withDisk(async (disk, base) => {
      for (let round = 0; round < 3; round++) {
        const domain = disk.backend.openDomain("disk", (fault) => disk.faults.push(fault))!;
        domain.map(pages(base));
        disk.backend.setBusMaster("disk", true);
        disk.enable(firstIova);
        expect(await disk.identify(firstIova + 2 * dmaPageBytes)).toBe(true);
        disk.backend.setBusMaster("disk", false);
        disk.backend.resetDevice("disk");
        expect(disk.space.read(0x14, 32)).toBe(0);
        domain.close();
      }
      expect(disk.faults).toEqual([]);
    }));

  test("a card without a reset of its own is brought to rest: off, its interrupts masked, its line low", () =>
    withDisk(async (disk) => {
      const nic = disk.backend.space("nic", "bar0")!;
      const line = disk.backend.line(disk.backend.irqNumber("nic", "intx")!);
      for (const [offset, value] of [[0x100, 2], [0x400, 2], [0xd0, 4], [0xc8, 4]] as const) nic.write(offset, 32, value);
      disk.backend.advance();
      expect(line.asserted).toBe(true);
      disk.backend.resetDevice("nic");
      disk.backend.advance();
      expect(line.asserted).toBe(false);
      expect([0x100, 0x400, 0xd0].map((offset) => nic.read(offset, 32))).toEqual([0, 0, 0]);
      expect(nic.read(8, 32) & 2).toBe(2);
    }));

  test("configuration space is filtered, ports of a BAR are reached, and a cable can be pulled", () =>
    withDisk(async (disk, _base, qemu) => {
      const config = disk.backend.space("nic", "config")!;
      expect(config.read(0, 32)).toBe(0x100e_8086);
      config.write(4, 16, 0x0007);
      expect(config.read(0x10, 32) & 0xf).toBe(0);
      expect(disk.backend.space("nic", "bar1")!.read(0, 32)).toBe(0);
      const nic = disk.backend.space("nic", "bar0")!;
      expect(nic.read(8, 32) & 2).toBe(2);
      await qemu.setLink("nic", false);
      expect(nic.read(8, 32) & 2).toBe(0);
      await expect(qemu.setLink("disk", false)).rejects.toMatchObject({ code: "InvalidArgument" });
      await expect(qemu.setLink("none", false)).rejects.toMatchObject({ code: "NotFound" });
      expect(() => disk.backend.powerCut("disk")).toThrow(expect.objectContaining({ code: "Unsupported" }));
      expect(() => disk.backend.powerCut("none")).toThrow(expect.objectContaining({ code: "NotFound" }));
    }));

  test("a device that is another than described is not used, and the message says what differs", async () => {
    const [disk] = await describeDevices(pciDevices);
    const identity = { ...disk!.pci!.identity!, revision: 9, bars: [{ index: 0, kind: "mmio", sizeBytes: 0x8000, is64Bit: true }] } as const;
    const other = { ...disk!, pci: { ...disk!.pci!, identity } };
    const qemu = await QemuProcess.start({ ...options, devices: [disk!] });
    expect(() => createQemuBackend({ ...qemu.setup, devices: [other] }, realClock)).toThrow(
      expect.objectContaining({ code: "PlatformUnavailable", message: expect.stringMatching(/revision is 0x2, not 0x9; bars is .*0x4000, not .*0x8000/) as string }),
    );
    const elsewhere = { ...disk!, pci: { ...disk!.pci!, address: "00:07.0" } };
    expect(() => createQemuBackend({ ...qemu.setup, devices: [elsewhere] }, realClock)).toThrow(expect.objectContaining({ code: "PlatformUnavailable" }));
    await qemu.close();
    expect(await readdir(folder)).toEqual([]);
  });

  test("need a machine that has an IOMMU", async () => {
    const failure = QemuProcess.start({ ...options, machine: "pc", devices: await describeDevices([pciDevices[0]!]) });
    await expect(failure).rejects.toMatchObject({ code: "InvalidArgument", message: expect.stringContaining("IOMMU") as string });
  });

  test("the platform describes them, gives out their RAM while it lives, and closes it", async () => {
    const before = (await readdir("/proc/self/fd")).length;
    const platform = await QemuPlatform.start({ ...options, devices: pciDevices }, realClock);
    expect(platform.devices[0]!.windows["bar0"]!.sizeBytes).toBe(0x2000);
    expect(platform.ram!.sizeBytes).toBeGreaterThan(platform.ram!.firstFreeOffset);
    await expect(platform.powerCut("disk")).rejects.toMatchObject({ code: "Unsupported" });
    await platform.setLink("nic", false);
    await platform.close();
    expect(await eventually(async () => (await readdir("/proc/self/fd")).length <= before)).toBe(true);
    expect(await readdir(folder)).toEqual([]);
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
