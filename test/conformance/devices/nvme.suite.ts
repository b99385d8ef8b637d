/** What every NVMe controller must do, simulated or QEMU's. Source: NVM Express Base Specification 1.4, sections named in the tests. */
import { describe, expect, test } from "vitest";
import { type DmaBenchFactory, dmaDiffers, withDmaBench } from "./dma-bench.ts";
import { nvmeAdminTests } from "./nvme-admin.suite.ts";
import { nvmeIoTests } from "./nvme-io.suite.ts";
import { Nvme, type OnNvme, admin, createCq, createSq, csts, differsAt, enabled, nvm, pageBytes, pattern, reg, startedOn, status } from "./nvme-rig.ts";

export function nvmeSuite(factory: DmaBenchFactory): void {
  const on = startedOn(factory);
  describe(`NVMe on ${factory.platform}`, () => {
    describe("controller", () => {
      stateTests(factory, on);
    });
    describe("queues", () => {
      queueErrorTests(on);
      queueTests(on);
    });
    describe("interrupts", () => {
      interruptTests(on);
    });
    describe("memory", () => {
      memoryTests(factory, on);
    });
    describe("admin commands", () => {
      nvmeAdminTests(factory, on);
    });
    describe("I/O commands", () => {
      nvmeIoTests(factory, on);
    });
  });
}

function stateTests(factory: DmaBenchFactory, on: OnNvme): void {
  const off = (body: (nvme: Nvme) => Promise<void>) => () => withDmaBench(factory, (bench) => body(new Nvme(bench)));

  test("says what it can: version, NVM command set, pages of 4 KiB, queues of two entries and more (3.1.1, 3.1.2)", off(async (nvme) => {
    expect(await nvme.get(reg.vs)).toBeGreaterThanOrEqual(0x0001_0300);
    const [low, high] = [await nvme.get(reg.cap), await nvme.get(reg.cap + 4)];
    expect(low & 0xffff).toBeGreaterThan(0);
    expect((high >>> 5) & 1).toBe(1);
    expect((high >>> 16) & 15).toBe(0);
    expect(await nvme.get(reg.csts)).toBe(0);
    expect(await nvme.get(reg.cc) & 1).toBe(0);
  }));

  test("becomes ready when enabled and not ready when disabled, as often as one likes (3.1.5)", off(async (nvme) => {
    for (let round = 0; round < 3; round++) {
      await nvme.enable();
      expect(await nvme.get(reg.csts)).toBe(csts.ready);
      await nvme.disable();
      expect(await nvme.get(reg.csts)).toBe(0);
    }
  }));

  test("keeps the admin queues' registers across a controller reset (7.3.2)", on(async (nvme) => {
    const before = [await nvme.get(reg.aqa), await nvme.get(reg.asq), await nvme.get(reg.acq)];
    await nvme.disable();
    expect([await nvme.get(reg.aqa), await nvme.get(reg.asq), await nvme.get(reg.acq)]).toEqual(before);
  }));

  test.each([
    ["admin queues have no size", 0, enabled], ["pages are larger than it can", 0x001f_001f, enabled | (15 << 7)],
  ])("fails instead of becoming ready when %s (3.1.6)", (_, aqa, cc) => withDmaBench(factory, async (bench) => {
    const nvme = new Nvme(bench);
    const memory = await bench.allocate(2 * pageBytes);
    await nvme.set(reg.aqa, aqa);
    await nvme.setAddress(reg.asq, memory.iova);
    await nvme.setAddress(reg.acq, memory.iova + pageBytes);
    await nvme.set(reg.cc, cc);
    await bench.until(async () => ((await nvme.get(reg.csts)) & csts.fatal) !== 0, "CSTS.CFS is set");
    expect(await nvme.get(reg.csts) & csts.ready).toBe(0);
    await nvme.start();
  }));

  test("shuts down and says when that is complete (7.6.2)", on(async (nvme, bench) => {
    await nvme.set(reg.cc, enabled | (1 << 14));
    await bench.until(async () => ((await nvme.get(reg.csts)) & csts.shutdownMask) === csts.shutdownComplete, "CSTS.SHST says complete");
    await nvme.start();
    expect(await nvme.get(reg.csts)).toBe(csts.ready);
  }));

  test("drops outstanding commands at a reset, and their queues (7.3.2)", on(async (nvme, bench) => {
    const queue = await nvme.createPair(1, 64);
    const data = await bench.allocate(pageBytes);
    const read = await nvme.transfer(nvm.read, 0, 1, data.iova);
    for (let index = 0; index < 60; index++) await queue.push(read);
    await queue.ring();
    await nvme.disable();
    const seen = await bench.readMemory(queue.completion.iova, 64 * 16);
    await nvme.start();
    await bench.advanceMicros(10_000);
    expect(differsAt(await bench.readMemory(queue.completion.iova, 64 * 16), seen)).toBe(-1);
    expect((await nvme.admin.run({ opcode: admin.deleteSq, dwords: [1] })).status).toBe(status.queueId);
    const again = await nvme.createPair(1, 64);
    expect((await again.run(read)).status).toBe(status.success);
  }));
}

function queueErrorTests(on: OnNvme): void {
  const creating = async (nvme: Nvme, kind: typeof createCq | typeof createSq, id: number, entries: number, address: number, last: number): Promise<number> =>
    (await nvme.admin.run(kind(id, entries, address, last))).status;

  test("a completion queue needs a free number, a size, an address and a vector that exist (5.3)", on(async (nvme, bench) => {
    const { iova } = await bench.allocate(pageBytes);
    expect(await creating(nvme, createCq, 0, 8, iova, 1)).toBe(status.queueId);
    expect(await creating(nvme, createCq, 0xffff, 8, iova, 1)).toBe(status.queueId);
    expect(await creating(nvme, createCq, 1, 1, iova, 1)).toBe(status.queueSize);
    if (nvme.maxEntries < 65_536) expect(await creating(nvme, createCq, 1, nvme.maxEntries + 1, iova, 1)).toBe(status.queueSize);
    expect(await creating(nvme, createCq, 1, 8, iova + 64, 1)).toBe(status.prpOffset);
    expect(await creating(nvme, createCq, 1, 8, iova, 0xfff0)).toBe(status.vector);
    expect(await creating(nvme, createCq, 1, 8, iova, 1)).toBe(status.success);
    expect(await creating(nvme, createCq, 1, 8, iova, 1)).toBe(status.queueId);
  }));

  test("a submission queue needs a free number, a size, an address and a completion queue (5.4)", on(async (nvme, bench) => {
    const { iova } = await bench.allocate(2 * pageBytes);
    expect(await creating(nvme, createSq, 1, 8, iova, 1)).toBe(status.completionQueue);
    expect(await creating(nvme, createCq, 1, 8, iova, 1)).toBe(status.success);
    expect(await creating(nvme, createSq, 0, 8, iova + pageBytes, 1)).toBe(status.queueId);
    expect(await creating(nvme, createSq, 0xffff, 8, iova + pageBytes, 1)).toBe(status.queueId);
    expect(await creating(nvme, createSq, 1, 1, iova + pageBytes, 1)).toBe(status.queueSize);
    if (nvme.maxEntries < 65_536) expect(await creating(nvme, createSq, 1, nvme.maxEntries + 1, iova + pageBytes, 1)).toBe(status.queueSize);
    expect(await creating(nvme, createSq, 1, 8, iova + pageBytes + 64, 1)).toBe(status.prpOffset);
    expect(await creating(nvme, createSq, 1, 8, iova + pageBytes, 1)).toBe(status.success);
    expect(await creating(nvme, createSq, 1, 8, iova + pageBytes, 1)).toBe(status.queueId);
  }));

  test("queues have to be contiguous where CAP.CQR says so (5.3, 5.4)", on(async (nvme, bench) => {
    const { iova } = await bench.allocate(pageBytes);
    if (((await nvme.get(reg.cap)) & (1 << 16)) === 0) return;
    expect((await nvme.admin.run({ opcode: admin.createCq, prp1: iova, dwords: [(7 << 16) | 1, 0] })).status).toBe(status.invalidField);
  }));

  test("deleting wants queues that exist, and submission queues first (5.5, 5.6)", on(async (nvme) => {
    const remove = async (opcode: number, id: number): Promise<number> => (await nvme.admin.run({ opcode, dwords: [id] })).status;
    expect(await remove(admin.deleteSq, 0)).toBe(status.queueId);
    expect(await remove(admin.deleteSq, 1)).toBe(status.queueId);
    await nvme.createPair(1, 8);
    expect(await remove(admin.deleteCq, 1)).toBe(status.queueDeletion);
    expect(await remove(admin.deleteSq, 1)).toBe(status.success);
    expect(await remove(admin.deleteSq, 1)).toBe(status.queueId);
    expect(await remove(admin.deleteCq, 1)).toBe(status.success);
    const again = await nvme.createPair(1, 8);
    expect((await again.run({ opcode: nvm.flush, namespace: 1 })).status).toBe(status.success);
  }));
}

function queueTests(on: OnNvme): void {
  test("entries go round and the phase changes with each round (4.1, 4.6)", on(async (nvme) => {
    const queue = await nvme.createPair(1, 4);
    for (let index = 0; index < 19; index++) {
      const completion = await queue.run({ opcode: nvm.flush, namespace: 1 });
      expect(completion).toMatchObject({ status: status.success, queue: 1, head: (index + 1) % 4 });
    }
  }));

  test("a full completion queue holds completions back until there is room (4.1.2)", on(async (nvme, bench) => {
    const queue = await nvme.createPair(1, 4);
    const flush = { opcode: nvm.flush, namespace: 1 };
    for (let index = 0; index < 3; index++) await queue.push(flush);
    await queue.ring();
    const ids = (await queue.reap(3, false)).map(({ id }) => id);
    for (let index = 0; index < 3; index++) await queue.push(flush);
    await queue.ring();
    await bench.advanceMicros(20_000);
    expect(await queue.poll()).toBeUndefined();
    await queue.release();
    for (const { id } of await queue.reap(3)) ids.push(id);
    expect(ids.toSorted((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6]);
  }));

  test("64 commands at once each complete once and move their own data", on(async (nvme, bench) => {
    const queue = await nvme.createPair(1, 128);
    const per = pageBytes / nvme.blockBytes;
    const data = await bench.allocate(64 * pageBytes);
    const bytes = pattern(64 * pageBytes, 7);
    await bench.writeMemory(data.iova, bytes);
    for (const opcode of [nvm.write, nvm.read]) {
      const ids = new Set<number>();
      for (let index = 0; index < 64; index++) {
        // Written in one order, read back into the pages the other way round.
        const page = opcode === nvm.write ? index : 63 - index;
        ids.add(await queue.push(await nvme.transfer(opcode, index * per, per, data.iova + page * pageBytes)));
      }
      await queue.ring();
      const completions = await queue.reap(64);
      expect(completions.every((completion) => completion.status === status.success)).toBe(true);
      expect(new Set(completions.map(({ id }) => id))).toEqual(ids);
    }
    const back = await bench.readMemory(data.iova, 64 * pageBytes);
    for (let page = 0; page < 64; page++) {
      const written = bytes.subarray((63 - page) * pageBytes, (64 - page) * pageBytes);
      expect([page, differsAt(back.subarray(page * pageBytes, (page + 1) * pageBytes), written)]).toEqual([page, -1]);
    }
  }));

  test("several queues work side by side and do not mix (4.13)", on(async (nvme, bench) => {
    const queues = [await nvme.createPair(1, 16), await nvme.createPair(2, 16), await nvme.createPair(3, 16)];
    const data = await bench.allocate(3 * pageBytes);
    for (const [index, queue] of queues.entries()) {
      for (let count = 0; count < 10; count++) await queue.push(await nvme.transfer(nvm.read, index, 1, data.iova + index * pageBytes));
    }
    for (const queue of queues) await queue.ring();
    for (const queue of queues) {
      const completions = await queue.reap(10);
      expect(completions.map(({ queue: number, status: code }) => [number, code])).toEqual(new Array(10).fill([queue.id, status.success]));
    }
  }));

  test("two submission queues can share a completion queue (4.1)", on(async (nvme, bench) => {
    const first = await nvme.createPair(1, 16);
    const { iova } = await bench.allocate(pageBytes);
    expect((await nvme.admin.run(createSq(2, 16, iova, 1))).status).toBe(status.success);
    await bench.writeMemory(iova, Uint8Array.of(nvm.flush, 0, 0x34, 0x12, 1));
    await nvme.doorbell(4, 1);
    expect(await first.reap(1)).toMatchObject([{ id: 0x1234, queue: 2, head: 1, status: status.success }]);
    expect((await nvme.admin.run({ opcode: admin.deleteSq, dwords: [1] })).status).toBe(status.success);
    expect((await nvme.admin.run({ opcode: admin.deleteCq, dwords: [1] })).status).toBe(status.queueDeletion);
  }));
}

function interruptTests(on: OnNvme): void {
  test("a queue's completions send its own vector's message (7.5.1.2)", on(async (nvme, bench) => {
    const queue = await nvme.createPair(1, 8, 1);
    const before = await bench.messages("msix1");
    await queue.run({ opcode: nvm.flush, namespace: 1 });
    await bench.until(async () => (await bench.messages("msix1")) > before, "a message of vector 1");
    const between = await bench.messages("msix1");
    await queue.run({ opcode: nvm.flush, namespace: 1 });
    await bench.until(async () => (await bench.messages("msix1")) > between, "another message of vector 1");
    expect(await bench.irqLevel("intx")).toBe(false);
  }));

  test("admin completions send vector 0 (3.1.5)", on(async (nvme, bench) => {
    const before = await bench.messages("msix0");
    await nvme.identify(1);
    await bench.until(async () => (await bench.messages("msix0")) > before, "a message of vector 0");
    expect(await bench.messages("msix1")).toBe(0);
  }));

  test("a queue without interrupts sends none (5.3)", on(async (nvme, bench) => {
    const queue = await nvme.createPair(1, 8);
    await bench.until(async () => (await bench.messages("msix0")) > 0, "the admin queue's messages");
    const before = [await bench.messages("msix0"), await bench.messages("msix1")];
    for (let index = 0; index < 5; index++) await queue.run({ opcode: nvm.flush, namespace: 1 });
    await bench.advanceMicros(10_000);
    // Platforms may deliver the admin queue's last message late.
    expect((await bench.messages("msix0")) - before[0]!).toBeLessThanOrEqual(1);
    expect(await bench.messages("msix1")).toBe(before[1]);
  }));
}

function memoryTests(factory: DmaBenchFactory, on: OnNvme): void {
  const ignores = factory.differences.has("nvme-ignores-dma-faults");
  const name = dmaDiffers(factory, "nvme-ignores-dma-faults");

  test(`data for memory that is not the device's to write does not land${name}`, on(async (nvme, bench) => {
    const queue = await nvme.createPair(1, 8);
    await nvme.writeBlocks(queue, 0, pattern(pageBytes, 3));
    const block = await bench.allocate(pageBytes, "read");
    const bytes = pattern(pageBytes, 4);
    await bench.writeMemory(block.iova, bytes);
    await bench.takeFaults();
    const { status: code } = await queue.run(await nvme.transfer(nvm.read, 0, pageBytes / nvme.blockBytes, block.iova));
    expect(code).toBe(ignores ? status.success : status.dataTransferError);
    const faults = await bench.takeFaults();
    expect(faults.length).toBeGreaterThan(0);
    for (const { direction, iova } of faults) expect([direction, iova - (iova % pageBytes)]).toEqual(["write", block.iova]);
    expect(differsAt(await bench.readMemory(block.iova, pageBytes), bytes)).toBe(-1);
  }));

  test(`data from memory that was taken from the device is not read${name}`, on(async (nvme, bench) => {
    const queue = await nvme.createPair(1, 8);
    const block = await bench.allocate(pageBytes);
    await bench.unmap(block);
    await bench.takeFaults();
    const { status: code } = await queue.run(await nvme.transfer(nvm.write, 0, pageBytes / nvme.blockBytes, block.iova));
    expect(code).toBe(ignores ? status.success : status.dataTransferError);
    const faults = await bench.takeFaults();
    expect(faults.length).toBeGreaterThan(0);
    for (const { direction, iova } of faults) expect([direction, iova - (iova % pageBytes)]).toEqual(["read", block.iova]);
    expect((await queue.run({ opcode: nvm.flush, namespace: 1 })).status).toBe(status.success);
  }));

  test(`a submission queue that was taken from the device is a fatal error (9.5)${name}`, on(async (nvme, bench) => {
    const queue = await nvme.createPair(1, 8);
    await queue.push({ opcode: nvm.flush, namespace: 1 });
    await bench.unmap(queue.submission);
    await bench.takeFaults();
    await queue.ring();
    const faults: unknown[] = [];
    await bench.until(async () => faults.push(...(await bench.takeFaults())) > 0, "a fault");
    expect(faults[0]).toMatchObject({ direction: "read" });
    if (!ignores) expect(await nvme.get(reg.csts) & csts.fatal).toBe(csts.fatal);
    await nvme.start();
  }));
}
