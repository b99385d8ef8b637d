/** Finer points of the NVMe model; what every controller must do is in test/conformance/devices/nvme.suite.ts. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { Nvme, type QueuePair, admin, createCq, differsAt, nvm, pageBytes, pattern, reg, status } from "../../test/conformance/devices/nvme-rig.ts";
import { type SimDmaSettings, type SimDmaWorld, openSimDma } from "../../test/conformance/devices/sim-dma-bench.ts";
import { NvmeIo } from "./nvme-io.ts";
import { NvmeMedia } from "./nvme-media.ts";
import { NvmeRamStore } from "./nvme-store.ts";
import { NvmeTransfer } from "./nvme-transfer.ts";
import nvmeModel from "./nvme.ts";

const folders: string[] = [];
const worlds: SimDmaWorld[] = [];

afterEach(async () => {
  for (const world of worlds.splice(0)) await world.bench.close();
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

interface Disk extends SimDmaWorld {
  readonly nvme: Nvme;
  readonly queue: QueuePair;
}

async function disk(options: NonNullable<SimDmaSettings["options"]> = {}, settings: SimDmaSettings = {}, entries = 256): Promise<Disk> {
  const world = openSimDma(nvmeModel, { ...settings, options });
  worlds.push(world);
  const nvme = new Nvme(world.bench);
  await nvme.start();
  return { ...world, nvme, queue: await nvme.createPair(1, entries, settings.msix === false ? 0 : 1) };
}

function folder(): string {
  const made = mkdtempSync(join(tmpdir(), "airlock-nvme-"));
  folders.push(made);
  return made;
}

const filled = (sizeBytes: number, value: number): Uint8Array => new Uint8Array(sizeBytes).fill(value);

describe("options", () => {
  test.each([
    ["blockBytes", 1024], ["sizeBytes", 1000], ["sizeBytes", -512], ["namespaces", 5], ["cacheBytes", 2 ** 31], ["latencyMicros", -1],
    ["doorbellStride", 9], ["serial", ""], ["serial", "x".repeat(21)], ["file", ""], ["volatileCache", "yes"],
  ])("%s %s is refused and named", (key, value) => {
    expect(() => openSimDma(nvmeModel, { options: { [key]: value } })).toThrow(new RegExp(`device "device": option ${key} is .*; write `));
  });

  test("a file that cannot be used is refused", () => {
    const directory = folder();
    expect(() => openSimDma(nvmeModel, { directory, options: { file: "." } })).toThrow(/cannot be used/);
    expect(() => openSimDma(nvmeModel, { directory, options: { file: "missing.img" } })).toThrow(/there is no file .*missing\.img; say with sizeBytes/);
    expect(readdirSync(directory)).toEqual([]);
    writeFileSync(join(directory, "empty.img"), "");
    expect(() => openSimDma(nvmeModel, { directory, options: { file: "empty.img" } })).toThrow(/is empty/);
  });

  test("namespaces are disks of their own", async () => {
    const { nvme, queue, bench } = await disk({ namespaces: 3, sizeBytes: 1_048_576 });
    expect(nvme.controller.getUint32(516, true)).toBe(3);
    const data = await bench.allocate(pageBytes);
    for (const namespace of [1, 2, 3]) {
      await bench.writeMemory(data.iova, filled(512, namespace));
      expect((await queue.run(await nvme.transfer(nvm.write, 5, 1, data.iova, { namespace }))).status).toBe(status.success);
    }
    for (const namespace of [1, 2, 3]) {
      expect((await queue.run(await nvme.transfer(nvm.read, 5, 1, data.iova, { namespace }))).status).toBe(status.success);
      expect(differsAt(await bench.readMemory(data.iova, 512), filled(512, namespace))).toBe(-1);
    }
  });
});

describe("registers", () => {
  test("can be read and written by bytes and halves; doorbells take whole words only", async () => {
    const { bench, nvme } = await disk();
    expect(await bench.read("bar0", reg.vs + 2, 8)).toBe(1);
    expect(await bench.read("bar0", reg.vs, 16)).toBe(0x0400);
    await bench.write("bar0", reg.asq + 2, 16, 0x1234);
    await bench.write("bar0", reg.asq + 1, 8, 0x50);
    expect(await nvme.get(reg.asq) & 0xffff_f000).toBe(0x1234_5000);
    await bench.write("bar0", reg.doorbells + 12, 16, 0x7fff);
    expect(await nvme.get(reg.doorbells)).toBe(0);
    expect(await nvme.get(reg.csts)).toBe(1);
  });

  test("the window's rest reads as zero and ignores writes", async () => {
    const { nvme } = await disk();
    for (const offset of [0x20, 0x38, 0xffc, 0x1ffc, 0x2000, 0x3000, 0x3ffc]) {
      await nvme.set(offset, 0xffff_ffff);
      expect(await nvme.get(offset)).toBe(0);
    }
  });
});

describe("INTx", () => {
  test("is high while completions are not consumed, and can be masked", async () => {
    const { bench, nvme, queue } = await disk({}, { msix: false });
    expect(await bench.irqLevel("intx")).toBe(false);
    await queue.push({ opcode: nvm.flush, namespace: 1 });
    await queue.ring();
    expect(await bench.irqLevel("intx")).toBe(true);
    await nvme.set(reg.intms, 1);
    expect([await bench.irqLevel("intx"), await nvme.get(reg.intms), await nvme.get(reg.intmc)]).toEqual([false, 1, 1]);
    await nvme.set(reg.intmc, 1);
    expect(await bench.irqLevel("intx")).toBe(true);
    await queue.reap(1);
    expect(await bench.irqLevel("intx")).toBe(false);
    await queue.push({ opcode: nvm.flush, namespace: 1 });
    await queue.ring();
    await nvme.set(reg.cc, 0);
    expect(await bench.irqLevel("intx")).toBe(false);
    expect(await bench.messages("msix0")).toBe(0);
  });
});

describe("work", () => {
  test("a doorbell gets 64 commands done; the rest have their turn afterwards", async () => {
    const { model, clock, queue } = await disk();
    const before = model.statistics()["completed"]!;
    for (let index = 0; index < 200; index++) await queue.push({ opcode: nvm.flush, namespace: 1 });
    await queue.ring();
    expect([model.statistics()["completed"]! - before, clock.pending]).toEqual([64, 1]);
    clock.advance(0);
    expect([model.statistics()["completed"]! - before, clock.pending]).toEqual([200, 0]);
    await queue.reap(200);
  });

  test("many bytes are as good as many commands", async () => {
    const { bench, nvme, model, clock, queue } = await disk();
    const data = await bench.allocate(1_048_576);
    for (let index = 0; index < 20; index++) await queue.push(await nvme.transfer(nvm.write, 0, 2048, data.iova));
    await queue.ring();
    expect(model.statistics()["writes"]).toBeLessThan(20);
    clock.advance(0);
    expect(model.statistics()["writes"]).toBe(20);
    await queue.reap(20);
  });

  test("with latency nothing happens before its time", async () => {
    const { model, clock, queue } = await disk({ latencyMicros: 100 });
    await queue.push({ opcode: nvm.flush, namespace: 1 });
    await queue.ring();
    clock.advance(99);
    expect(model.statistics()["flushes"]).toBe(0);
    clock.advance(1);
    expect(model.statistics()["flushes"]).toBe(1);
    await queue.reap(1);
  });

  test("a command that waits to be fetched can be aborted", async () => {
    const { nvme, model, queue } = await disk({ latencyMicros: 100 });
    const [kept, unwanted] = [await queue.push({ opcode: nvm.flush, namespace: 1 }), await queue.push({ opcode: nvm.flush, namespace: 1 })];
    // Commands reach the queue, but the controller only hears of them together with the abort.
    await nvme.admin.push({ opcode: admin.abort, dwords: [((unwanted << 16) | queue.id) >>> 0] });
    await queue.ring();
    await nvme.admin.ring();
    expect(await nvme.admin.reap(1)).toMatchObject([{ status: status.success, result: 0 }]);
    expect(await queue.reap(2)).toMatchObject([{ id: kept, status: status.success }, { id: unwanted, status: status.aborted }]);
    expect(model.statistics()["flushes"]).toBe(1);
  });

  test("one message tells of all that a doorbell has brought", async () => {
    const { bench, queue } = await disk();
    for (let index = 0; index < 16; index++) await queue.push({ opcode: nvm.flush, namespace: 1 });
    await queue.ring();
    await queue.reap(16);
    expect(await bench.messages("msix1")).toBe(1);
  });

  test("a vector beyond the table is refused, the last of the table is not", async () => {
    const { bench, nvme } = await disk();
    const { iova } = await bench.allocate(pageBytes);
    expect((await nvme.admin.run(createCq(2, 8, iova, 32))).status).toBe(status.vector);
    expect((await nvme.admin.run(createCq(2, 8, iova, 31))).status).toBe(status.success);
  });
});

describe("errors", () => {
  test("are in the error log, newest first, with queue, command and block", async () => {
    const { bench, nvme, queue, model } = await disk();
    await queue.run({ opcode: nvm.read, namespace: 1, dwords: [0x77, 0xffff, 0] });
    const last = await queue.run({ opcode: 0x7f, namespace: 1 });
    const block = await bench.allocate(pageBytes);
    await nvme.admin.run({ opcode: admin.getLog, prp1: block.iova, dwords: [(47 << 16) | 1] });
    const log = new DataView((await bench.readMemory(block.iova, 192)).slice().buffer);
    expect([log.getUint32(0, true), log.getUint32(64, true), log.getUint32(128, true)]).toEqual([2, 1, 0]);
    expect([log.getUint16(8, true), log.getUint16(10, true), (log.getUint16(12, true) >> 1) & 0x7ff]).toEqual([1, last.id, status.invalidOpcode]);
    expect([log.getUint32(64 + 16, true), log.getUint32(64 + 20, true), log.getUint32(64 + 24, true)]).toEqual([0x77, 0xffff, 1]);
    expect(model.statistics()["errors"]).toBe(2);
  });

  test("an admin queue out of reach is fatal, and a reset helps", async () => {
    const { bench, nvme, model } = await disk();
    await nvme.disable();
    await nvme.setAddress(reg.asq, 2 ** 40);
    await nvme.set(reg.cc, (6 << 16) | (4 << 20) | 1);
    await nvme.doorbell(0, 1);
    expect(await nvme.get(reg.csts) & 2).toBe(2);
    await nvme.doorbell(0, 2);
    expect(model.statistics()["fatalErrors"]).toBe(1);
    expect(await bench.takeFaults()).toMatchObject([{ iova: 2 ** 40, direction: "read", sizeBytes: 64 }]);
    await nvme.start();
  });

  test("a completion queue out of reach is fatal", async () => {
    const { bench, nvme, queue } = await disk();
    await bench.unmap(queue.completion);
    await queue.push({ opcode: nvm.flush, namespace: 1 });
    await queue.ring();
    expect(await nvme.get(reg.csts) & 2).toBe(2);
    expect(await bench.takeFaults()).toMatchObject([{ iova: queue.completion.iova, direction: "write", sizeBytes: 16 }]);
  });

  test("a list of pages out of reach, and SGLs and fused commands, which are not supported", async () => {
    const { bench, nvme, queue } = await disk();
    const data = await bench.allocate(pageBytes);
    const read = { opcode: nvm.read, namespace: 1, prp1: data.iova, dwords: [0, 0, 63] };
    expect((await queue.run({ ...read, prp2: 2 ** 40 })).status).toBe(status.dataTransferError);
    expect((await queue.run({ ...read, prp2: data.iova + 4 })).status).toBe(status.prpOffset);
    for (const flags of [0x4000, 0x8000, 0x0100, 0x0200]) {
      expect((await queue.run({ ...read, flags, dwords: [0, 0, 0] })).status).toBe(status.invalidField);
      expect((await nvme.admin.run({ opcode: admin.identify, flags, prp1: data.iova, dwords: [1] })).status).toBe(status.invalidField);
    }
  });

  test("a write of which memory gives only a part leaves old and new blocks, none mixed", async () => {
    const { bench, nvme, queue } = await disk();
    for (const offset of [0, 4]) {
      await nvme.writeBlocks(queue, 0, filled(2 * pageBytes, 1));
      const data = await bench.allocate(pageBytes);
      await bench.writeMemory(data.iova, filled(pageBytes, 2));
      // The second page is nobody's, and does not follow the first: what the first has is moved by itself.
      const command = { opcode: nvm.write, namespace: 1, prp1: data.iova + offset, prp2: 2 ** 40, dwords: [0, 0, offset === 0 ? 15 : 7] };
      expect((await queue.run(command)).status).toBe(status.dataTransferError);
      const found = await nvme.readBlocks(queue, 0, 16);
      for (let block = 0; block < 16; block++) expect(new Set(found.subarray(block * 512, (block + 1) * 512)).size).toBe(1);
      await bench.takeFaults();
    }
  });

  test("an address's two lowest bits are taken as zero", async () => {
    const { bench, nvme, queue } = await disk();
    await nvme.writeBlocks(queue, 0, filled(512, 1));
    const data = await bench.allocate(pageBytes);
    expect((await queue.run({ opcode: nvm.read, namespace: 1, prp1: data.iova + 3, dwords: [0, 0, 0] })).status).toBe(status.success);
    expect(differsAt(await bench.readMemory(data.iova, 513), Uint8Array.of(...filled(512, 1), 0))).toBe(-1);
  });

  test("pages larger than CAP.MPSMAX are fatal, the largest are not", async () => {
    const { nvme } = await disk();
    const shifts: [number, number][] = [[4, 1], [5, 2], [0, 1]];
    for (const [shift, expected] of shifts) {
      await nvme.disable();
      await nvme.setAddress(reg.asq, 0);
      await nvme.setAddress(reg.acq, 0x10_0000);
      await nvme.set(reg.cc, ((6 << 16) | (4 << 20) | 1) + (shift << 7));
      expect(await nvme.get(reg.csts)).toBe(expected);
    }
  });

  test("a write past the cache fails when the store cannot make it safe", () => {
    class UnsafeStore extends NvmeRamStore {
      override sync(): boolean {
        return false;
      }
    }
    const media = new NvmeMedia(new UnsafeStore(65_536), 512, 4096);
    const transfer = new NvmeTransfer({ read: () => true, write: () => true });
    const counters = { reads: 0, writes: 0, bytesRead: 0, bytesWritten: 0, flushes: 0, zeroed: 0, deallocations: 0, mediaErrors: 0, powerCuts: 0 };
    const io = new NvmeIo([{ id: 1, media, blockShift: 9, blockBytes: 512, blocks: 128 }], transfer, counters);
    const command = (opcode: number, control: number): Uint32Array => Uint32Array.of(opcode, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, control, 0, 0, 0);
    expect([io.execute(command(nvm.write, 0)), io.execute(command(nvm.write, 0x4000_0000)), io.execute(command(nvm.flush, 0))]).toEqual([0, 0x280, 0x280]);
    expect(counters).toMatchObject({ writes: 1, mediaErrors: 2 });
  });
});

describe("contents", () => {
  test("what was read with force unit access is safe", async () => {
    const { bench, nvme, queue } = await disk();
    await nvme.writeBlocks(queue, 0, filled(pageBytes, 1));
    await nvme.readBlocks(queue, 0, 1, 0x4000_0000);
    await bench.powerCut!();
    await nvme.start();
    expect(differsAt(await nvme.readBlocks(await nvme.createPair(1, 8), 0, 1), filled(512, 1))).toBe(-1);
  });

  test("what was not flushed is lost with the power, what a function reset or a controller reset finds is not", async () => {
    const { bench, nvme, queue, model } = await disk({ sizeBytes: 2 ** 30 });
    await nvme.writeBlocks(queue, 0, filled(pageBytes, 1));
    await queue.run({ opcode: nvm.flush, namespace: 1 });
    await nvme.writeBlocks(queue, 0, filled(1024, 2));
    expect(model.statistics()).toMatchObject({ cachedBlocks: 2, lostBlocks: 0, flushes: 1, writes: 2 });
    await nvme.start();
    model.reset();
    await nvme.start();
    expect(differsAt(await nvme.readBlocks(await nvme.createPair(1, 8), 0, 2), filled(1024, 2))).toBe(-1);
    await bench.powerCut!();
    await nvme.start();
    expect(differsAt(await nvme.readBlocks(await nvme.createPair(1, 8), 0, 8), filled(pageBytes, 1))).toBe(-1);
    expect(model.statistics()).toMatchObject({ cachedBlocks: 0, lostBlocks: 2, powerCuts: 1 });
  });

  test("turning the cache off makes everything safe, and writes after it", async () => {
    const { bench, nvme, queue, model } = await disk();
    await nvme.writeBlocks(queue, 0, filled(512, 1));
    await nvme.admin.run({ opcode: admin.setFeatures, dwords: [6, 0] });
    await nvme.writeBlocks(queue, 1, filled(512, 2));
    expect(model.statistics()["cachedBlocks"]).toBe(0);
    await bench.powerCut!();
    await nvme.start();
    const found = await nvme.readBlocks(await nvme.createPair(1, 8), 0, 2);
    expect([found[0], found[512]]).toEqual([1, 2]);
  });

  test("deallocated blocks in memory read as zeros, to the end of the disk", async () => {
    const { bench, nvme, queue } = await disk({ sizeBytes: 300 * 512 });
    await nvme.writeBlocks(queue, 0, pattern(300 * 512, 1));
    await queue.run({ opcode: nvm.flush, namespace: 1 });
    const range = await bench.allocate(pageBytes);
    await bench.writeMemory(range.iova, Uint8Array.of(0, 0, 0, 0, 200, 0, 0, 0, 100, 0, 0, 0, 0, 0, 0, 0));
    expect((await queue.run({ opcode: nvm.datasetManagement, namespace: 1, prp1: range.iova, dwords: [0, 4] })).status).toBe(status.success);
    const expected = pattern(300 * 512, 1).fill(0, 100 * 512);
    expect(differsAt(await nvme.readBlocks(queue, 0, 300), expected)).toBe(-1);
    await bench.writeMemory(range.iova + 8, Uint8Array.of(101));
    expect((await queue.run({ opcode: nvm.datasetManagement, namespace: 1, prp1: range.iova, dwords: [0, 4] })).status).toBe(status.lbaRange);
  });

  test("a file keeps them from one machine to the next, and says how large the disk is", async () => {
    const directory = folder();
    writeFileSync(join(directory, "disk.img"), filled(1_048_576 + 100, 3));
    const first = await disk({ file: "disk.img", namespaces: 1 }, { directory });
    expect(first.nvme.blocks).toBe(2048);
    expect(differsAt(await first.nvme.readBlocks(first.queue, 0, 2048), filled(1_048_576, 3))).toBe(-1);
    await first.nvme.writeBlocks(first.queue, 100, pattern(8192, 1));
    await first.queue.run({ opcode: nvm.flush, namespace: 1 });
    const second = await disk({ file: "disk.img" }, { directory });
    expect(differsAt(await second.nvme.readBlocks(second.queue, 100, 16), pattern(8192, 1))).toBe(-1);
  });

  test("a file that fails is a medium that fails", async () => {
    const directory = folder();
    const path = join(directory, "disk.img");
    const { bench, nvme, queue, model } = await disk({ file: "disk.img", sizeBytes: 1_048_576 }, { directory });
    const data = await bench.allocate(pageBytes);
    truncateSync(path, 4096);
    expect((await queue.run(await nvme.transfer(nvm.read, 7, 2, data.iova))).status).toBe(0x281);
    await nvme.writeBlocks(queue, 0, filled(512, 1));
    model.reset();
    rmSync(path);
    mkdirSync(path);
    await nvme.start();
    const again = await nvme.createPair(1, 8);
    expect((await again.run({ opcode: nvm.flush, namespace: 1 })).status).toBe(0x280);
    expect((await again.run(await nvme.transfer(nvm.write, 1, 1, data.iova, { control: 0x4000_0000 }))).status).toBe(0x280);
    expect((await again.run(await nvme.transfer(nvm.read, 100, 1, data.iova))).status).toBe(0x281);
    expect((await again.run({ opcode: nvm.writeZeroes, namespace: 1, dwords: [0, 0, 7] })).status).toBe(0x280);
    // What the cache has is still there to be read.
    expect(differsAt(await nvme.readBlocks(again, 0, 1), filled(512, 1))).toBe(-1);
    expect(model.statistics()).toMatchObject({ mediaErrors: 5, cachedBlocks: 1 });
  });
});

test("a driver that rings from within an interrupt has its turn afterwards", async () => {
  let ring: (() => void) | undefined;
  const { model, clock, queue, nvme } = await disk({}, { onMessage: () => ring?.() });
  const count = (): number => model.statistics()["flushes"]!;
  const tail = (value: number): void => model.spaces["bar0"]!.write(reg.doorbells + queue.id * 2 * nvme.stride, 32, value);
  for (let index = 0; index < 2; index++) await queue.push({ opcode: nvm.flush, namespace: 1 });
  ring = () => {
    ring = undefined;
    tail(2);
  };
  tail(1);
  expect([count(), clock.pending]).toEqual([1, 1]);
  clock.advance(0);
  expect([count(), clock.pending]).toEqual([2, 0]);
  await queue.reap(2);
});
