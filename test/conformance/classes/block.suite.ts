/** The block class's conformance suite: any driver of the class on a disk with a volatile cache, with crashes and power cuts. */
import { describe, expect, test } from "vitest";
import type { Clock } from "../../../runtime/api/clock.ts";
import type { Volume, VolumeInfo } from "../../../runtime/classes/block/volume.ts";
import { createWorkload } from "../../../runtime/classes/block/workload.ts";
import { type ClassBench, withBench } from "./bench.ts";

/** A machine with a disk of at least 16 MiB, whose contents do not matter; the workload needs its clock. */
export interface BlockBench extends ClassBench<Volume> {
  readonly clock: Clock;
  /** Kills the driver and cuts the disk's power before the next one has it; resolves when that is passive. Undefined where nobody can. */
  readonly crashWithPowerCut: (() => Promise<void>) | undefined;
}

export interface BlockBenchFactory {
  readonly name: string;
  open(): Promise<BlockBench>;
}

/** Longest machine time for what a test waits for. */
const waitMs = 30_000;

const pattern = (length: number, seed: number): Uint8Array =>
  Uint8Array.from({ length }, (_, index) => (index * 7 + (index >> 9) * 13 + seed * 31) & 0xff);

/** Waits while machine time passes. */
async function done<T>(bench: BlockBench, promise: Promise<T>): Promise<T> {
  let isSettled = false;
  const mark = (): void => { isSettled = true; };
  promise.then(mark, mark);
  for (let ms = 0; !isSettled; ms++) {
    if (ms > waitMs) throw new Error(`a call is not answered within ${waitMs} ms`);
    await bench.advance(1);
  }
  return promise;
}

const all = (bench: BlockBench, promises: readonly Promise<unknown>[]): Promise<unknown> => done(bench, Promise.all(promises));

/** Whether the volume holds this data there. Comparing element by element takes the test library seconds. */
async function holds(bench: BlockBench, offset: number, data: Uint8Array): Promise<boolean> {
  return Buffer.compare(await done(bench, bench.client.read(offset, data.length)), data) === 0;
}

/** The same choices in every run. */
function seeded(): () => number {
  let state = 7;
  return () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return state / 2 ** 32;
  };
}

export function blockSuite(factory: BlockBenchFactory): void {
  const run = (body: (bench: BlockBench, info: VolumeInfo) => Promise<void>) => async (): Promise<void> => {
    await withBench({ name: factory.name, open: () => factory.open() }, async (opened) => {
      const bench = opened as BlockBench;
      await body(bench, await done(bench, bench.client.info()));
    });
  };

  describe(`block class: ${factory.name}`, () => {
    test("says what the disk is", run(async (_bench, info) => {
      expect(info.blockBytes).toBeGreaterThanOrEqual(512);
      expect(info.sizeBytes % info.blockBytes).toBe(0);
      expect(info.sizeBytes).toBeGreaterThanOrEqual(16 << 20);
      expect(info.readOnly).toBe(false);
      expect(info.label).toMatch(/^[\x21-\x7e][\x20-\x7e]*$/);
    }));

    test("what was written is read, at every size and at both ends of the disk", run(async (bench, { blockBytes, sizeBytes }) => {
      for (const blocks of [1, 2, 7, 8, 9, 255, 256, 257, 2_048, 4_099]) {
        const data = pattern(blocks * blockBytes, blocks);
        for (const offset of [0, 3 * blockBytes, sizeBytes - data.length]) {
          await done(bench, bench.client.write(offset, data));
          expect(await holds(bench, offset, data)).toBe(true);
        }
      }
    }));

    test("a range beyond the end is refused, and nothing of it is written", run(async (bench, { blockBytes, sizeBytes }) => {
      await done(bench, bench.client.write(sizeBytes - blockBytes, pattern(blockBytes, 1)));
      await expect(bench.client.write(sizeBytes - blockBytes, pattern(2 * blockBytes, 2))).rejects.toMatchObject({ code: "InvalidArgument" });
      expect(await holds(bench, sizeBytes - blockBytes, pattern(blockBytes, 1))).toBe(true);
    }));

    test("flush, FUA, zeroes and discards", run(async (bench, { blockBytes, writeZeroes, discard }) => {
      const { client } = bench;
      const data = pattern(64 * blockBytes, 3);
      await done(bench, client.write(0, data, { fua: true }));
      await done(bench, client.flush());
      if (writeZeroes) {
        await done(bench, client.writeZeroes(8 * blockBytes, 8 * blockBytes));
        await done(bench, client.writeZeroes(16 * blockBytes, 8 * blockBytes, { fua: true, mayDiscard: true }));
        data.fill(0, 8 * blockBytes, 24 * blockBytes);
      }
      if (discard) await done(bench, client.discard(64 * blockBytes, 32 * blockBytes));
      expect(await holds(bench, 0, data)).toBe(true);
    }));

    test("many calls at once are all answered, and those that overlap in their order", run(async (bench, { blockBytes }) => {
      const { client } = bench;
      const apart = Array.from({ length: 400 }, (_, index) => client.write(index * 8 * blockBytes, pattern(8 * blockBytes, index)));
      const over = Array.from({ length: 50 }, (_, index) => client.write((4_000 + index) * blockBytes, pattern(20 * blockBytes, 1_000 + index)));
      const last = client.read(4_049 * blockBytes, 20 * blockBytes);
      await all(bench, [...apart, ...over, last]);
      expect(Buffer.compare(await last, pattern(20 * blockBytes, 1_049))).toBe(0);
      for (const index of [0, 199, 399]) expect(await holds(bench, index * 8 * blockBytes, pattern(8 * blockBytes, index))).toBe(true);
      expect(await holds(bench, 4_010 * blockBytes, pattern(20 * blockBytes, 1_010).subarray(0, blockBytes))).toBe(true);
    }));

    test("calls go on through crashes", run(async (bench, { blockBytes }) => {
      const { client } = bench;
      const calls: Promise<unknown>[] = [];
      for (let round = 0; round < 5; round++) {
        for (let index = round * 20; index < round * 20 + 20; index++) {
          calls.push(client.write(index * 16 * blockBytes, pattern(16 * blockBytes, index)));
        }
        calls.push(client.flush(), client.read(0, 16 * blockBytes));
        await bench.crash();
      }
      await all(bench, calls);
      for (let index = 0; index < 100; index++) expect(await holds(bench, index * 16 * blockBytes, pattern(16 * blockBytes, index))).toBe(true);
    }));

    test("a client that compares everything finds nothing wrong, through crashes", run(async (bench) => {
      const workload = await done(bench, createWorkload(bench.client, { clock: bench.clock, random: seeded() }));
      let isOver = false;
      const working = (async () => { while (!isOver) await workload.step(); })();
      for (let round = 0; round < 4; round++) {
        await bench.advance(30);
        await bench.crash();
        if (bench.crashWithPowerCut !== undefined) await bench.crashWithPowerCut();
      }
      isOver = true;
      await done(bench, working);
      await done(bench, workload.close());
      expect(workload.errors).toEqual([]);
      expect(workload.totals).toMatchObject({ clientErrors: 0, bytesLost: 0, bytesCorrupted: 0 });
      expect(workload.totals.operations).toBeGreaterThan(50);
    }));

    test("a power cut after a crash loses nothing that was acknowledged", run(async (bench, { blockBytes }) => {
      const { client, crashWithPowerCut = bench.crash } = bench;
      for (let round = 0; round < 3; round++) {
        const write = (_: unknown, index: number): Promise<void> =>
          client.write((index * 4 + round) * blockBytes, pattern(2 * blockBytes, round * 30 + index));
        await all(bench, Array.from({ length: 30 }, write));
        if (round === 1) await done(bench, client.flush());
        await crashWithPowerCut();
        for (let index = 0; index < 30; index++) {
          expect(await holds(bench, (index * 4 + round) * blockBytes, pattern(2 * blockBytes, round * 30 + index))).toBe(true);
        }
      }
    }));

    test("a volume that is closed takes nothing more", run(async ({ client }) => {
      client.close();
      await expect(client.read(0, 512)).rejects.toMatchObject({ code: "Closed" });
    }));
  });
}
