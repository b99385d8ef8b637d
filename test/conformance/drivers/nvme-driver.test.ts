/** The NVMe driver on our controller and on QEMU's: the same requests, the same answers. */
import { describe, expect, test } from "vitest";
import { startDriver } from "../../../runtime/api/testing.ts";
import { BlockFlag, BlockOp, BlockStatus } from "../../../runtime/classes/block/contract.ts";
import nvme from "../../../runtime/models/nvme.ts";
import driver from "../../../drivers/nvme/driver.ts";
import manifest from "../../../drivers/nvme/driver.json" with { type: "json" };
import { blockRequest } from "../../fixtures/nvme-disk.ts";
import { type DmaBenchFactory, type DmaDeviceBench, withDmaBench } from "../devices/dma-bench.ts";
import { differsAt, pattern } from "../devices/nvme-rig.ts";
import { qemuDmaBench } from "../devices/qemu-dma-bench.ts";
import { simDmaBench } from "../devices/sim-dma-bench.ts";
import { qemuAvailable } from "../qemu-available.ts";
import { driverHardware } from "./driver-bench.ts";

const windowBytes = manifest.needs.windows.bar0.sizeBytes;
const queuesBytes = 128 * 1_024;

async function start(bench: DmaDeviceBench) {
  const { hardware, look } = await driverHardware(bench, { windowBytes, queuesBytes, irq: "msix0" });
  const running = await startDriver(driver, hardware);
  /** Gives requests to the driver and waits for their completions, by tag. */
  const run = async (...requests: number[][]): Promise<Map<number, number>> => {
    await running.submit("io", ...requests);
    const statuses = new Map<number, number>();
    await bench.until(async () => {
      look();
      await running.advance(0.01);
      for (const [tag, status] of running.takeCompletions("io")) statuses.set(tag!, status!);
      return statuses.size === requests.length;
    }, "all requests are completed");
    return statuses;
  };
  return { running, run };
}

function suite(factory: DmaBenchFactory): void {
  describe(`on ${factory.platform}`, () => {
    test("transfers of all sizes are read as they were written", () => withDmaBench(factory, async (bench) => {
      const { running, run } = await start(bench);
      const { blockBytes, maxTransferBytes, volatileCache, fua } = await running.call("identify", {});
      expect([volatileCache, fua]).toEqual([true, true]);
      const buffer = await bench.allocate(2 * maxTransferBytes);
      for (const sizeBytes of [512, 4_096, 8_192, 12_288, 65_536, 131_072, maxTransferBytes]) {
        const blocks = sizeBytes / blockBytes;
        const data = pattern(sizeBytes, sizeBytes);
        await bench.writeMemory(buffer.iova, data);
        await run(blockRequest(1, BlockOp.write, { lba: 64, blocks, iova: buffer.iova, flags: BlockFlag.fua }));
        const read = blockRequest(2, BlockOp.read, { lba: 64, blocks, iova: buffer.iova + maxTransferBytes });
        expect(await run(read)).toEqual(new Map([[2, BlockStatus.ok]]));
        expect(differsAt(await bench.readMemory(buffer.iova + maxTransferBytes, sizeBytes), data)).toBe(-1);
      }
      expect(await bench.takeFaults()).toEqual([]);
    }, { sizeBytes: 16 << 20 }));

    test("a full queue again and again, past the end of the rings", () => withDmaBench(factory, async (bench) => {
      const { running, run } = await start(bench);
      const { queueDepth } = await running.call("identify", {});
      const buffer = await bench.allocate(queueDepth * 4_096);
      const tags = Array.from({ length: queueDepth }, (_, n) => n);
      for (let round = 0; round < 5; round++) {
        const data = pattern(queueDepth * 4_096, round);
        await bench.writeMemory(buffer.iova, data);
        await run(...tags.map((n) => blockRequest(n, BlockOp.write, { lba: n * 8, blocks: 8, iova: buffer.iova + n * 4_096 })));
        await bench.writeMemory(buffer.iova, new Uint8Array(data.length));
        const reads = tags.map((n) => blockRequest(n, BlockOp.read, { lba: n * 8, blocks: 8, iova: buffer.iova + n * 4_096 }));
        const statuses = await run(...reads);
        expect([...statuses.values()].every((status) => status === BlockStatus.ok)).toBe(true);
        expect(differsAt(await bench.readMemory(buffer.iova, data.length), data)).toBe(-1);
      }
    }, { sizeBytes: 16 << 20 }));

    test("flush, write zeroes, discard and what lies outside", () => withDmaBench(factory, async (bench) => {
      const { run } = await start(bench);
      const buffer = await bench.allocate(4_096);
      await bench.writeMemory(buffer.iova, new Uint8Array(4_096).fill(0x5a));
      await run(blockRequest(1, BlockOp.write, { blocks: 8, iova: buffer.iova }));
      const statuses = await run(
        blockRequest(1, BlockOp.flush), blockRequest(2, BlockOp.writeZeroes, { lba: 2, blocks: 4, flags: BlockFlag.mayDiscard }),
        blockRequest(3, BlockOp.discard, { lba: 1_000, blocks: 5_000 }),
        blockRequest(4, BlockOp.read, { lba: 2 ** 33, blocks: 1, iova: buffer.iova }),
      );
      expect(statuses).toEqual(new Map([[1, BlockStatus.ok], [2, BlockStatus.ok], [3, BlockStatus.ok], [4, BlockStatus.outOfRange]]));
      await run(blockRequest(1, BlockOp.read, { blocks: 8, iova: buffer.iova }));
      const bytes = await bench.readMemory(buffer.iova, 4_096);
      expect([0, 1, 2, 3, 4, 5, 6, 7].map((block) => bytes[block * 512])).toEqual([0x5a, 0x5a, 0, 0, 0, 0, 0x5a, 0x5a]);
    }, { sizeBytes: 16 << 20 }));

    test("a second driver takes the controller over from one that died in the middle", () => withDmaBench(factory, async (bench) => {
      const first = await start(bench);
      const buffer = await bench.allocate(1 << 18);
      await bench.writeMemory(buffer.iova, new Uint8Array(1 << 18).fill(0x17));
      await first.run(blockRequest(0, BlockOp.write, { blocks: 512, iova: buffer.iova }));
      const reads = Array.from({ length: 32 }, (_, n) => blockRequest(n, BlockOp.read, { lba: n, blocks: 256, iova: buffer.iova }));
      await first.running.submit("io", ...reads);
      for (let round = 0; round < 3; round++) {
        const { run } = await start(bench);
        expect(await run(blockRequest(1, BlockOp.read, { blocks: 512, iova: buffer.iova }))).toEqual(new Map([[1, BlockStatus.ok]]));
        expect((await bench.readMemory(buffer.iova, 1 << 18)).every((byte) => byte === 0x17)).toBe(true);
      }
    }, { sizeBytes: 16 << 20 }));
  });
}

suite(simDmaBench(nvme));
describe.skipIf(!(await qemuAvailable()))("QEMU's", () => suite(qemuDmaBench("nvme", [])));
