/** What every NVMe controller must do for I/O commands: data, its shapes in memory, ranges, errors, and what is safe when. */
import { expect, test } from "vitest";
import { type DmaBenchFactory, dmaDiffers } from "./dma-bench.ts";
import { type Nvme, type OnNvme, type QueuePair, differsAt, nvm, pageBytes, pattern, status } from "./nvme-rig.ts";

const forceUnitAccess = 0x4000_0000;

export function nvmeIoTests(factory: DmaBenchFactory, on: OnNvme): void {
  const onQueue = (body: (nvme: Nvme, queue: QueuePair) => Promise<void>): (() => Promise<void>) => on(async (nvme) => {
    await body(nvme, await nvme.createPair(1, 32));
  });
  shapeTests(onQueue);
  errorTests(onQueue);
  rangeTests(onQueue);
  safetyTests(factory, onQueue);
}

type OnQueue = (body: (nvme: Nvme, queue: QueuePair) => Promise<void>) => () => Promise<void>;

function shapeTests(onQueue: OnQueue): void {
  /** Writes from and reads to memory of that shape. Returns where what came back differs from what was sent, -1 for nowhere. */
  const roundTrip = async (nvme: Nvme, queue: QueuePair, sizeBytes: number, offset: number): Promise<number> => {
    const { bench } = nvme;
    const count = sizeBytes / nvme.blockBytes;
    const source = await bench.allocate(sizeBytes + offset);
    const target = await bench.allocate(sizeBytes + offset + pageBytes);
    const bytes = pattern(sizeBytes, sizeBytes + offset);
    await bench.writeMemory(source.iova + offset, bytes);
    expect((await queue.run(await nvme.transfer(nvm.write, 16, count, source.iova + offset))).status).toBe(status.success);
    expect((await queue.run(await nvme.transfer(nvm.read, 16, count, target.iova + offset))).status).toBe(status.success);
    const around = new Uint8Array(sizeBytes + offset + pageBytes);
    around.set(bytes, offset);
    const difference = differsAt(await bench.readMemory(target.iova, around.length), around);
    await bench.unmap(source);
    await bench.unmap(target);
    return difference;
  };

  test("data in one page, in two, in a list of pages (4.3)", onQueue(async (nvme, queue) => {
    for (const pages of [1, 2, 3, 8, 17]) expect(await roundTrip(nvme, queue, pages * pageBytes, 0)).toBe(-1);
    expect(await roundTrip(nvme, queue, nvme.blockBytes, 0)).toBe(-1);
  }));

  test("data that begins in the middle of a page, also in the middle of a block (4.3)", onQueue(async (nvme, queue) => {
    for (const offset of [512, 2048, 3584, 4, 516, 4092]) {
      for (const pages of [1, 2, 4]) expect(await roundTrip(nvme, queue, pages * pageBytes, offset)).toBe(-1);
    }
  }));

  test("the largest transfer identify allows (5.15.2.2, MDTS)", onQueue(async (nvme, queue) => {
    const shift = nvme.controller.getUint8(77);
    expect(await roundTrip(nvme, queue, shift === 0 ? 1_048_576 : Math.min(1_048_576, pageBytes << shift), 0)).toBe(-1);
  }));

  test("pages in any order, in lists that begin anywhere and are chained (4.3)", onQueue(async (nvme, queue) => {
    const { bench } = nvme;
    const pages = 8;
    const count = (pages * pageBytes) / nvme.blockBytes;
    const bytes = pattern(pages * pageBytes, 9);
    const memory = await bench.allocate(pages * pageBytes);
    const order = [5, 0, 7, 2, 6, 1, 4, 3];
    for (const [index, page] of order.entries()) {
      await bench.writeMemory(memory.iova + page * pageBytes, bytes.slice(index * pageBytes, (index + 1) * pageBytes));
    }
    const addresses = order.map((page) => memory.iova + page * pageBytes);
    for (const at of [0, 2048, pageBytes - 56, pageBytes - 48, pageBytes - 16, pageBytes - 8]) {
      const list = await nvme.prpList(addresses.slice(1), at);
      const command = { namespace: 1, prp1: addresses[0]!, prp2: list, dwords: [at, 0, count - 1] };
      expect([at, (await queue.run({ ...command, opcode: nvm.write })).status]).toEqual([at, status.success]);
      expect(differsAt(await nvme.readBlocks(queue, at, count), bytes)).toBe(-1);
      const target = await bench.allocate(pages * pageBytes);
      const back = order.map((page) => target.iova + page * pageBytes);
      const prp2 = await nvme.prpList(back.slice(1), at);
      expect((await queue.run({ ...command, opcode: nvm.read, prp1: back[0]!, prp2 })).status).toBe(status.success);
      expect(differsAt(await bench.readMemory(target.iova, target.sizeBytes), await bench.readMemory(memory.iova, memory.sizeBytes))).toBe(-1);
    }
  }));
}

function errorTests(onQueue: OnQueue): void {
  test("blocks beyond the end are refused, and none is touched (6.9, 6.15)", onQueue(async (nvme, queue) => {
    const data = await nvme.bench.allocate(4 * pageBytes);
    const last = pattern(nvme.blockBytes, 5);
    await nvme.writeBlocks(queue, nvme.blocks - 1, last);
    const firsts: [number, number][] = [[nvme.blocks, 1], [nvme.blocks - 1, 2], [2 ** 40, 1], [2 ** 52, 1]];
    for (const [first, count] of firsts) {
      for (const opcode of [nvm.write, nvm.read]) {
        const completion = await queue.run(await nvme.transfer(opcode, first, count, data.iova));
        expect([first, completion.status]).toEqual([first, status.lbaRange]);
      }
      expect((await queue.run({ opcode: nvm.writeZeroes, namespace: 1, dwords: [first % 2 ** 32, Math.floor(first / 2 ** 32), count - 1] })).status).toBe(status.lbaRange);
    }
    // The first block's number alone has all bits set: with the count it must not wrap round to the beginning.
    expect((await queue.run({ opcode: nvm.write, namespace: 1, prp1: data.iova, dwords: [0xffff_ffff, 0xffff_ffff, 1] })).status).toBe(status.lbaRange);
    expect(differsAt(await nvme.readBlocks(queue, nvme.blocks - 1, 1), last)).toBe(-1);
  }));

  test("unknown commands and namespaces are refused (4.6.1.2)", onQueue(async (nvme, queue) => {
    const data = await nvme.bench.allocate(pageBytes);
    expect(await queue.run({ opcode: 0x7f, namespace: 1 })).toMatchObject({ status: status.invalidOpcode, doNotRetry: true });
    for (const namespace of [0, nvme.controller.getUint32(516, true) + 1]) {
      for (const opcode of [nvm.read, nvm.write, nvm.writeZeroes]) {
        expect((await queue.run({ opcode, namespace, prp1: data.iova, dwords: [0, 0, 0] })).status).toBe(status.invalidNamespace);
      }
    }
  }));

  test("transfers beyond MDTS are refused (5.15.2.2)", onQueue(async (nvme, queue) => {
    const shift = nvme.controller.getUint8(77);
    const tooMany = (pageBytes << shift) / nvme.blockBytes + 1;
    if (shift === 0 || tooMany > 65_536) return;
    const data = await nvme.bench.allocate(pageBytes);
    const command = { opcode: nvm.read, namespace: 1, prp1: data.iova, prp2: data.iova, dwords: [0, 0, tooMany - 1] };
    expect((await queue.run(command)).status).toBe(status.invalidField);
  }));

  test("a second entry must be a whole page's address (4.3)", onQueue(async (nvme, queue) => {
    const data = await nvme.bench.allocate(3 * pageBytes);
    const command = { opcode: nvm.read, namespace: 1, prp1: data.iova, prp2: data.iova + pageBytes + 512, dwords: [0, 0, (2 * pageBytes) / nvme.blockBytes - 1] };
    expect((await queue.run(command)).status).toBe(status.prpOffset);
    const prp2 = await nvme.prpList([data.iova + pageBytes, data.iova + 64]);
    expect((await queue.run({ ...command, prp2, dwords: [0, 0, (3 * pageBytes) / nvme.blockBytes - 1] })).status).toBe(status.prpOffset);
  }));

  test("an error of one command does not concern the next (4.6)", onQueue(async (_, queue) => {
    for (let round = 0; round < 40; round++) {
      await queue.push({ opcode: 0x7f, namespace: 1 });
      await queue.push({ opcode: nvm.flush, namespace: 1 });
      await queue.ring();
      expect((await queue.reap(2)).map((completion) => completion.status).toSorted((a, b) => a - b)).toEqual([status.success, status.invalidOpcode]);
    }
  }));
}

function rangeTests(onQueue: OnQueue): void {
  const supports = (nvme: Nvme, bit: number): boolean => (nvme.controller.getUint16(520, true) & (1 << bit)) !== 0;

  test("write zeroes clears exactly its blocks (6.16)", onQueue(async (nvme, queue) => {
    if (!supports(nvme, 3)) return;
    const bytes = pattern(64 * nvme.blockBytes, 11);
    for (const deallocate of [0, 1 << 25]) {
      await nvme.writeBlocks(queue, 100, bytes);
      expect((await queue.run({ opcode: nvm.writeZeroes, namespace: 1, dwords: [110, 0, deallocate | 19] })).status).toBe(status.success);
      const expected = bytes.slice().fill(0, 10 * nvme.blockBytes, 30 * nvme.blockBytes);
      expect(differsAt(await nvme.readBlocks(queue, 100, 64), expected)).toBe(-1);
    }
  }));

  test("write zeroes is not limited by MDTS (6.16)", onQueue(async (nvme, queue) => {
    const count = Math.min(65_536, nvme.blocks - 1);
    if (!supports(nvme, 3)) return;
    const mark = pattern(nvme.blockBytes, 12);
    await nvme.writeBlocks(queue, count, mark);
    await nvme.writeBlocks(queue, count - 1, mark);
    expect((await queue.run({ opcode: nvm.writeZeroes, namespace: 1, dwords: [0, 0, count - 1] })).status).toBe(status.success);
    expect((await nvme.readBlocks(queue, count - 1, 1)).every((byte) => byte === 0)).toBe(true);
    expect(differsAt(await nvme.readBlocks(queue, count, 1), mark)).toBe(-1);
  }));

  test("deallocated blocks read as zeros or as before, others as before (6.7)", onQueue(async (nvme, queue) => {
    if (!supports(nvme, 2)) return;
    const bytes = pattern(64 * nvme.blockBytes, 13);
    await nvme.writeBlocks(queue, 0, bytes);
    const ranges = await nvme.bench.allocate(pageBytes);
    const view = new DataView(new ArrayBuffer(48));
    for (const [index, [first, count]] of [[8, 16], [40, 8], [60, 0]].entries()) {
      view.setUint32(index * 16 + 4, count!, true);
      view.setBigUint64(index * 16 + 8, BigInt(first!), true);
    }
    await nvme.bench.writeMemory(ranges.iova, new Uint8Array(view.buffer));
    expect((await queue.run({ opcode: nvm.datasetManagement, namespace: 1, prp1: ranges.iova, dwords: [2, 4] })).status).toBe(status.success);
    const back = await nvme.readBlocks(queue, 0, 64);
    for (let block = 0; block < 64; block++) {
      const part = (from: Uint8Array): string => Buffer.from(from.slice(block * nvme.blockBytes, (block + 1) * nvme.blockBytes)).toString("hex");
      const inRange = (block >= 8 && block < 24) || (block >= 40 && block < 48);
      expect(inRange ? [part(bytes), part(new Uint8Array(bytes.length))] : [part(bytes)]).toContain(part(back));
    }
  }));

  test("compare says whether they are the same (6.6)", onQueue(async (nvme, queue) => {
    if (!supports(nvme, 0)) return;
    const bytes = pattern(3 * pageBytes, 14);
    await nvme.writeBlocks(queue, 4, bytes);
    const data = await nvme.bench.allocate(3 * pageBytes);
    await nvme.bench.writeMemory(data.iova, bytes);
    const command = await nvme.transfer(nvm.compare, 4, bytes.length / nvme.blockBytes, data.iova);
    expect((await queue.run(command)).status).toBe(status.success);
    await nvme.bench.writeMemory(data.iova + 2 * pageBytes + 77, Uint8Array.of(bytes[2 * pageBytes + 77]! ^ 1));
    expect((await queue.run(command)).status).toBe(status.compareFailure);
  }));
}

function safetyTests(factory: DmaBenchFactory, onQueue: OnQueue): void {
  test("flush of one namespace, and of all where identify says so (6.8)", onQueue(async (nvme, queue) => {
    expect((await queue.run({ opcode: nvm.flush, namespace: 1 })).status).toBe(status.success);
    if (((nvme.controller.getUint8(525) >> 1) & 3) === 3) expect((await queue.run({ opcode: nvm.flush, namespace: 0xffff_ffff })).status).toBe(status.success);
  }));

  test("a later write wins, whether it goes through the cache or past it (6.15)", onQueue(async (nvme, queue) => {
    const [a, b, c] = [pattern(pageBytes, 20), pattern(nvme.blockBytes, 21), pattern(pageBytes, 22)];
    await nvme.writeBlocks(queue, 0, a);
    await nvme.writeBlocks(queue, 0, b, forceUnitAccess);
    expect(differsAt(await nvme.readBlocks(queue, 0, 1), b)).toBe(-1);
    expect(differsAt(await nvme.readBlocks(queue, 0, 1, forceUnitAccess), b)).toBe(-1);
    expect(differsAt((await nvme.readBlocks(queue, 0, pageBytes / nvme.blockBytes)).slice(b.length), a.slice(b.length))).toBe(-1);
    await nvme.writeBlocks(queue, 0, c);
    expect(differsAt(await nvme.readBlocks(queue, 0, pageBytes / nvme.blockBytes, forceUnitAccess), c)).toBe(-1);
  }));

  test("a controller reset loses nothing that was acknowledged (7.3.2)", onQueue(async (nvme, queue) => {
    const bytes = pattern(16 * pageBytes, 23);
    await nvme.writeBlocks(queue, 32, bytes);
    await nvme.start();
    expect(differsAt(await nvme.readBlocks(await nvme.createPair(1, 8), 32, bytes.length / nvme.blockBytes), bytes)).toBe(-1);
  }));

  test(`a power cut loses nothing that was flushed, written past the cache, or cleared (6.8, 6.15)${dmaDiffers(factory, "nvme-keeps-cache-on-reset")}`, onQueue(async (nvme, queue) => {
    const { bench } = nvme;
    expect(bench.powerCut === undefined).toBe(factory.differences.has("nvme-keeps-cache-on-reset"));
    if (bench.powerCut === undefined) return;
    const [flushed, forced, lost] = [pattern(pageBytes, 24), pattern(pageBytes, 25), pattern(pageBytes, 26)];
    const per = pageBytes / nvme.blockBytes;
    await nvme.writeBlocks(queue, 0, flushed);
    await nvme.writeBlocks(queue, 4 * per, lost);
    expect((await queue.run({ opcode: nvm.flush, namespace: 1 })).status).toBe(status.success);
    await nvme.writeBlocks(queue, per, forced, forceUnitAccess);
    await nvme.writeBlocks(queue, 2 * per, lost);
    await nvme.writeBlocks(queue, 3 * per, lost);
    expect((await queue.run({ opcode: nvm.writeZeroes, namespace: 1, dwords: [4 * per, 0, per - 1] })).status).toBe(status.success);
    await bench.powerCut();
    expect(await nvme.get(0x1c)).toBe(0);
    await nvme.start();
    const again = await nvme.createPair(1, 8);
    expect(differsAt(await nvme.readBlocks(again, 0, per), flushed)).toBe(-1);
    expect(differsAt(await nvme.readBlocks(again, per, per), forced)).toBe(-1);
    const rest = await nvme.readBlocks(again, 2 * per, per);
    expect([differsAt(rest, lost), differsAt(rest, new Uint8Array(pageBytes))]).toContain(-1);
    expect((await nvme.readBlocks(again, 4 * per, per)).every((byte) => byte === 0)).toBe(true);
  }));

  test("a shutdown makes everything safe (7.6.2)", onQueue(async (nvme, queue) => {
    const bytes = pattern(pageBytes, 27);
    await nvme.writeBlocks(queue, 0, bytes);
    await nvme.set(0x14, (await nvme.get(0x14)) | (1 << 14));
    await nvme.bench.until(async () => ((await nvme.get(0x1c)) & 0x0c) === 0x08, "CSTS.SHST says complete");
    await nvme.bench.powerCut?.();
    await nvme.start();
    expect(differsAt(await nvme.readBlocks(await nvme.createPair(1, 8), 0, pageBytes / nvme.blockBytes), bytes)).toBe(-1);
  }));
}
