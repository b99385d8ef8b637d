/** The NVMe driver on the simulated controller: bringing it up, every kind of request, rings that wrap, what a predecessor left. */
import { BlockFlag, BlockOp, BlockStatus } from "airlock/driver/block";
import { describe, expect, test } from "vitest";
import { blockRequest, nvmeDisk } from "../../test/fixtures/nvme-disk.ts";
import { Offset } from "./registers.ts";

const pattern = (length: number, seed: number): Uint8Array => Uint8Array.from({ length }, (_, n) => (n * seed + (n >> 9)) & 0xff);
const upTo = (count: number): number[] => Array.from({ length: count }, (_, n) => n);

describe("bringing it up", () => {
  test("tells what the disk is", async () => {
    const running = await nvmeDisk().run();
    const { label, ...rest } = await running.call("identify", {});
    expect(rest).toEqual({
      blockBytes: 512, blocks: 32_768, maxTransferBytes: 1 << 20, queueDepth: 64, volatileCache: true, fua: true, writeZeroes: true, discard: true,
      readOnly: false,
    });
    expect(String.fromCharCode(...label)).toMatch(/AIRLOCK0001$/);
  });

  test.each([[64, 64], [1, 1], [200, 200], [256, 256]])("queueDepth %i gives %i", async (queueDepth, given) => {
    const running = await nvmeDisk({ driver: { queueDepth } }).run();
    expect(await running.call("identify", {})).toMatchObject({ queueDepth: given });
  });

  test("takes the namespace it is told, of the block size it has", async () => {
    const running = await nvmeDisk({ device: { namespaces: 2, blockBytes: 4096 }, driver: { namespace: 2 } }).run();
    expect(await running.call("identify", {})).toMatchObject({ blockBytes: 4096 });
  });

  test("says when there is no such namespace", async () => {
    await expect(nvmeDisk({ driver: { namespace: 9 } }).run()).rejects.toThrow(/namespace 9/);
  });

  test("works with doorbells farther apart", async () => {
    const { run, memory } = nvmeDisk({ device: { doorbellStride: 2 } });
    const running = await run();
    await running.submit("io", blockRequest(1, BlockOp.read, { blocks: 1, iova: memory.addBuffer(4096).iova }));
    await running.advance(1);
    expect(running.takeCompletions("io")).toEqual([[1, BlockStatus.ok, 0]]);
  });

  test("of a device without interrupts takes longer, but works", async () => {
    const { run, tampering } = nvmeDisk();
    tampering.silent = true;
    expect(await (await run()).call("identify", {})).toMatchObject({ blocks: 32_768 });
  });
});

describe.each([false, true])("requests, memory separate: %s", (separate) => {
  test.each([1, 8, 9, 16, 17, 256, 1025, 2048])("%i blocks are read as they were written", async (blocks) => {
    const { run, memory } = nvmeDisk({ separate });
    const running = await run();
    const from = memory.addBuffer(blocks * 512);
    const into = memory.addBuffer(blocks * 512);
    from.bytes.set(pattern(from.bytes.length, 7));
    await running.submit("io", blockRequest(1, BlockOp.write, { lba: 8, blocks, iova: from.iova }));
    await running.advance(1);
    expect(running.takeCompletions("io")).toEqual([[1, BlockStatus.ok, 0]]);
    await running.submit("io", blockRequest(2, BlockOp.read, { lba: 8, blocks, iova: into.iova }));
    await running.advance(1);
    expect(running.takeCompletions("io")).toEqual([[2, BlockStatus.ok, 0]]);
    // Comparing element by element takes the test library seconds.
    expect(Buffer.compare(into.bytes.subarray(0, blocks * 512), from.bytes.subarray(0, blocks * 512))).toBe(0);
    expect(memory.faults).toEqual([]);
  });

  test("transfers anywhere in 8 MiB of buffers find their pages", async () => {
    const { run, memory } = nvmeDisk({ separate });
    const running = await run();
    const { iova, bytes } = memory.addBuffer(8 << 20);
    for (const [n, offset] of [0, 4096, 0xff000, 0x100000, 0x1ff000, 0x700000].entries()) {
      bytes.fill(n + 1, offset, offset + (1 << 20));
      await running.submit("io", blockRequest(n, BlockOp.write, { blocks: 2048, iova: iova + offset }));
      bytes.fill(0, offset, offset + (1 << 20));
      await running.submit("io", blockRequest(n, BlockOp.read, { blocks: 2048, iova: iova + offset }));
      await running.advance(1);
      expect(bytes.subarray(offset, offset + (1 << 20)).every((byte) => byte === n + 1)).toBe(true);
    }
    expect(memory.faults).toEqual([]);
  });

  test("rings wrap many times, with full batches and odd ones", async () => {
    const { run, memory } = nvmeDisk({ separate, driver: { queueDepth: 7 } });
    const running = await run();
    const { iova, bytes } = memory.addBuffer(7 * 4096);
    for (let round = 0; round < 60; round++) {
      const count = 1 + (round % 7);
      for (const n of upTo(count)) bytes.fill(round * 7 + n, n * 4096, n * 4096 + 512);
      await running.submit("io", ...upTo(count).map((n) => blockRequest(n, BlockOp.write, { lba: n, blocks: 1, iova: iova + n * 4096 })));
      bytes.fill(0);
      await running.submit("io", ...upTo(count).map((n) => blockRequest(n, BlockOp.read, { lba: n, blocks: 1, iova: iova + n * 4096 })));
      await running.advance(1);
      const completed = running.takeCompletions("io").map(([tag, status]) => [tag, status]);
      expect(completed).toEqual([...upTo(count), ...upTo(count)].map((n) => [n, BlockStatus.ok]));
      expect(upTo(count).map((n) => bytes[n * 4096])).toEqual(upTo(count).map((n) => (round * 7 + n) & 0xff));
    }
  });

  test("write zeroes and discard change their blocks and no others", async () => {
    const { run, memory } = nvmeDisk({ separate });
    const running = await run();
    const { iova, bytes } = memory.addBuffer(4096);
    bytes.fill(0x55);
    await running.submit("io", blockRequest(1, BlockOp.write, { blocks: 8, iova }));
    await running.submit("io", blockRequest(2, BlockOp.writeZeroes, { lba: 2, blocks: 3, flags: BlockFlag.fua | BlockFlag.mayDiscard }));
    await running.submit("io", blockRequest(3, BlockOp.discard, { lba: 7, blocks: 1 }));
    await running.submit("io", blockRequest(4, BlockOp.read, { blocks: 8, iova }));
    await running.advance(1);
    expect(running.takeCompletions("io").every(([, status]) => status === BlockStatus.ok)).toBe(true);
    expect(upTo(8).map((lba) => bytes[lba * 512])).toEqual([0x55, 0x55, 0, 0, 0, 0x55, 0x55, 0]);
  });
});

describe("what is safe from a power cut", () => {
  test.each([
    ["nothing that was only written", 0, false, 0],
    ["what was flushed", 0, true, 0x77],
    ["what was written with FUA", BlockFlag.fua, false, 0x77],
  ])("%s", async (_name, flags, flushed, expected) => {
    const { run, memory, live } = nvmeDisk();
    const first = await run();
    const { iova, bytes } = memory.addBuffer(4096);
    bytes.fill(0x77);
    await first.submit("io", blockRequest(1, BlockOp.write, { blocks: 8, iova, flags }));
    if (flushed) await first.submit("io", blockRequest(2, BlockOp.flush));
    await first.advance(1);
    live.powerCut!();
    const second = await run();
    await second.submit("io", blockRequest(3, BlockOp.read, { blocks: 8, iova }));
    await second.advance(1);
    expect(second.takeCompletions("io")).toEqual([[3, BlockStatus.ok, 0]]);
    expect(bytes[0]).toBe(expected);
  });
});

describe("requests that cannot be", () => {
  test("are told by their status", async () => {
    const { run, memory } = nvmeDisk();
    const running = await run();
    const { iova } = memory.addBuffer(4096);
    await running.submit("io",
      blockRequest(1, BlockOp.read, { lba: 32_768, blocks: 1, iova }),
      blockRequest(2, BlockOp.read, { lba: 0, blocks: 0, iova }),
      blockRequest(3, BlockOp.read, { lba: 0, blocks: 2049, iova }),
      blockRequest(4, BlockOp.writeZeroes, { blocks: 65_537 }),
      blockRequest(5, BlockOp.discard, { blocks: 0 }),
      blockRequest(6, 77, { blocks: 1 }),
      blockRequest(7, BlockOp.read, { lba: 2 ** 40, blocks: 1, iova }));
    await running.advance(1);
    const statuses = Object.fromEntries(running.takeCompletions("io").map(([tag, status]) => [tag, status]));
    expect(statuses).toEqual({
      1: BlockStatus.outOfRange, 2: BlockStatus.unsupported, 3: BlockStatus.unsupported, 4: BlockStatus.unsupported, 5: BlockStatus.unsupported,
      6: BlockStatus.unsupported, 7: BlockStatus.outOfRange,
    });
  });

  test("beyond the depth are a failure", async () => {
    const { run, tampering } = nvmeDisk({ driver: { queueDepth: 4 } });
    const running = await run();
    tampering.write = (offset, value) => (offset === Offset.doorbells + 8 ? undefined : value);
    await running.submit("io", ...upTo(4).map((tag) => blockRequest(tag, BlockOp.flush)));
    await expect(running.submit("io", blockRequest(5, BlockOp.flush))).rejects.toThrow(/beyond the 4/);
  });
});

describe("register accesses", () => {
  test("a batch costs one doorbell, its completions another, and no read", async () => {
    const { run, memory } = nvmeDisk();
    const running = await run();
    const { iova } = memory.addBuffer(16 * 4096);
    const { reads, writes } = running.accesses;
    await running.submit("io", ...upTo(16).map((tag) => blockRequest(tag, BlockOp.read, { lba: tag, blocks: 8, iova: iova + tag * 4096 })));
    await running.advance(1);
    expect(running.takeCompletions("io")).toHaveLength(16);
    expect([running.accesses.reads - reads, running.accesses.writes - writes]).toEqual([0, 2]);
  });

  test("an idle driver has no timer", async () => {
    const { run } = nvmeDisk();
    const running = await run();
    await running.submit("io", blockRequest(1, BlockOp.flush));
    await running.advance(1_000);
    const { reads } = running.accesses;
    await running.advance(60_000);
    expect(running.accesses.reads).toBe(reads);
  });
});

describe("a predecessor that died", () => {
  test("leaves commands in its queues, which end with it", async () => {
    const { run, memory, tampering } = nvmeDisk({ device: { latencyMicros: 100 } });
    const { iova, bytes } = memory.addBuffer(4096);
    const first = await run();
    await first.submit("io", ...upTo(40).map((tag) => blockRequest(tag, BlockOp.read, { blocks: 8, iova })));
    const second = await run();
    await second.advance(1_000);
    expect(second.takeCompletions("io")).toEqual([]);
    bytes.fill(0x31);
    await second.submit("io", blockRequest(1, BlockOp.write, { blocks: 8, iova }));
    await second.advance(1);
    expect(second.takeCompletions("io")).toEqual([[1, BlockStatus.ok, 0]]);
    expect(tampering).toEqual({});
  });

  test("in the middle of its start does not matter", async () => {
    const { run, registers } = nvmeDisk();
    registers.write(Offset.adminQueueAttributes, 32, 0x001f_001f);
    registers.write(Offset.adminSubmissionLow, 32, 0x1000);
    registers.write(Offset.adminCompletionLow, 32, 0x2000);
    registers.write(Offset.configuration, 32, 0x0046_0001);
    expect(await (await run()).call("identify", {})).toMatchObject({ blocks: 32_768 });
  });
});
