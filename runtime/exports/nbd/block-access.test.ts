import * as fc from "fast-check";
import { expect, test } from "vitest";
import { MemoryVolume } from "../../../test/fixtures/memory-volume.ts";
import { AirlockError } from "../../api/errors.ts";
import { Payloads } from "./payloads.ts";
import { BlockAccess } from "./block-access.ts";
import { RangeLock } from "./range-lock.ts";

async function access(options: ConstructorParameters<typeof MemoryVolume>[0] = {}) {
  const volume = new MemoryVolume({ sizeBytes: 64 * 1024, ...options });
  const lock = new RangeLock();
  const blocks = new BlockAccess(volume, await volume.info(), lock, new Payloads());
  const promised = (work: (done: (error: unknown) => void) => void): Promise<void> =>
    new Promise((resolve, reject) => {
      work((error) => (error === undefined ? resolve() : reject(error)));
    });
  return {
    volume, lock, blocks,
    write: (offset: number, data: Uint8Array, fua = false) => promised((done) => blocks.write(offset, data, fua, done)),
    zero: (offset: number, sizeBytes: number) => promised((done) => blocks.writeZeroes(offset, sizeBytes, { fua: false, mayDiscard: true }, done)),
    discard: (offset: number, sizeBytes: number, fua = false) => promised((done) => blocks.discard(offset, sizeBytes, fua, done)),
  };
}

test("whole blocks go straight through, data uncopied", async () => {
  const it = await access({ blockBytes: 512 });
  const data = new Uint8Array(1024).fill(7);
  await it.write(512, data, true);
  expect(it.volume.changes).toEqual([{ what: "write", offset: 512, sizeBytes: 1024, fua: true }]);
  expect(await it.blocks.read(512, 1024)).toEqual(data);
  expect(it.lock.size).toBe(0);
});

test("a write within one block reads and writes that block", async () => {
  const it = await access({ blockBytes: 4096 });
  it.volume.bytes.fill(1);
  await it.write(5000, new Uint8Array(10).fill(9), true);
  expect(it.volume.changes).toEqual([{ what: "write", offset: 4096, sizeBytes: 4096, fua: true }]);
  expect([...it.volume.bytes.subarray(4999, 5011)]).toEqual([1, ...new Array<number>(10).fill(9), 1]);
});

test("a discard leaves blocks alone that are only partly meant, and flushes when it is to be safe", async () => {
  const it = await access({ blockBytes: 4096 });
  await it.discard(100, 12_000, true);
  await it.discard(100, 3_000);
  expect(it.volume.changes).toEqual([
    { what: "discard", offset: 4096, sizeBytes: 4096, fua: false }, { what: "flush", offset: 0, sizeBytes: 0, fua: false },
  ]);
});

test("more than the volume takes at once is done in pieces", async () => {
  const it = await access({ sizeBytes: 80 << 20, blockBytes: 4096 });
  it.volume.bytes.fill(3);
  await it.zero(512, (80 << 20) - 1024);
  expect(it.volume.changes.map(({ what, sizeBytes }) => `${what} ${sizeBytes}`)).toEqual([
    "write 4096", `writeZeroes ${32 << 20}`, `writeZeroes ${32 << 20}`, `writeZeroes ${(16 << 20) - 8192}`, "write 4096",
  ]);
  it.volume.bytes.fill(5);
  const data = await it.blocks.read(1, 32 << 20);
  expect([data.length, data.every((byte) => byte === 5)]).toEqual([32 << 20, true]);
  await it.write(1, new Uint8Array(32 << 20).fill(6));
  expect([it.volume.bytes[0], it.volume.bytes[1], it.volume.bytes[32 << 20], it.volume.bytes[(32 << 20) + 1]]).toEqual([5, 6, 6, 5]);
});

test("an error gives the range back", async () => {
  const it = await access({ blockBytes: 4096 });
  it.volume.fault = ({ what }) => (what === "write" ? new AirlockError("DeviceError", "broken", { status: "mediaError" }) : undefined);
  await expect(it.write(1, new Uint8Array(5))).rejects.toMatchObject({ code: "DeviceError" });
  await expect(it.write(0, new Uint8Array(4096))).rejects.toMatchObject({ code: "DeviceError" });
  expect(it.lock.size).toBe(0);
});

test("changes of different bytes at the same time all land, whatever blocks they share", async () => {
  const cuts = fc.uniqueArray(fc.integer({ min: 1, max: 32 * 1024 - 1 }), { minLength: 2, maxLength: 24 });
  const choices = fc.array(fc.nat(4), { minLength: 25, maxLength: 25 });
  await fc.assert(fc.asyncProperty(cuts, fc.constantFrom(512, 4096), choices, async (points, blockBytes, kinds) => {
    const it = await access({ sizeBytes: 32 * 1024, blockBytes, latencyMs: 1 });
    it.volume.bytes.fill(0xee);
    const edges = [0, ...points.toSorted((a, b) => a - b), 32 * 1024];
    const expected = new Uint8Array(32 * 1024).fill(0xee);
    await Promise.all(edges.slice(1).map((end, index) => {
      const first = edges[index]!;
      if (kinds[index] === 0) return Promise.resolve();
      if (kinds[index] === 1) {
        expected.fill(0, first, end);
        return it.zero(first, end - first);
      }
      expected.fill(index + 1, first, end);
      return it.write(first, new Uint8Array(end - first).fill(index + 1));
    }));
    expect(Buffer.compare(it.volume.bytes, expected)).toBe(0);
    expect(it.lock.size).toBe(0);
    const [from, to] = [points[0]!, points[1]!].toSorted((a, b) => a - b) as [number, number];
    expect(Buffer.compare(await it.blocks.read(from, to - from), expected.subarray(from, to))).toBe(0);
  }), { numRuns: 40 });
});
