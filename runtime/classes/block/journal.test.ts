/** The journal: what a newer entry covers goes, what a flush covers goes, and its size stays within its limit. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BlockOp } from "./contract.ts";
import { Journal } from "./journal.ts";

const limitBytes = 8_192;
const blockBytes = 512;

describe("the journal", () => {
  test("made again in order it gives what was written, whatever was dropped", () => {
    const change = fc.record({ first: fc.nat(15), blocks: fc.integer({ min: 1, max: 6 }), trim: fc.nat(9) });
    fc.assert(fc.property(fc.array(change, { maxLength: 100 }), (changes) => {
      const journal = new Journal(limitBytes);
      const disk = new Uint8Array(24);
      const cached = new Uint8Array(24);
      for (const [index, { first, blocks, trim }] of changes.entries()) {
        const data = new Uint8Array(blocks * blockBytes).fill(index + 1);
        if (trim === 0 || !journal.add(BlockOp.write, 0, first, blocks, data)) {
          journal.trim(journal.newest);
          disk.set(cached);
          if (!journal.add(BlockOp.write, 0, first, blocks, data)) throw new Error("an empty journal has no room");
        }
        cached.fill(index + 1, first, first + blocks);
        expect(journal.bytes).toBeLessThanOrEqual(limitBytes);
        const restored = Uint8Array.from(disk);
        for (const entry of journal.live()) restored.fill(entry.data![0]!, entry.first, entry.first + entry.blocks);
        expect(restored).toEqual(cached);
      }
      journal.clear();
      expect([journal.bytes, journal.length, journal.live().length]).toEqual([0, 0, 0]);
    }));
  });

  test("the same block written for ever takes the place of one", () => {
    const journal = new Journal(limitBytes);
    for (let round = 0; round < 10_000; round++) expect(journal.add(BlockOp.write, 0, 3, 1, new Uint8Array(blockBytes))).toBe(true);
    expect(journal.length).toBe(1);
    expect(journal.live()[0]!.mark).toBe(10_000);
  });

  test("a flush drops what came before it was sent, and nothing later", () => {
    const journal = new Journal(limitBytes);
    journal.add(BlockOp.write, 0, 0, 1, new Uint8Array(blockBytes));
    const { newest } = journal;
    journal.add(BlockOp.discard, 0, 8, 1, undefined);
    journal.add(BlockOp.write, 0, 0, 1, new Uint8Array(blockBytes));
    journal.trim(newest);
    expect(journal.live().map(({ op, first }) => [op, first])).toEqual([[BlockOp.discard, 8], [BlockOp.write, 0]]);
  });
});
