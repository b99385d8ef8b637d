import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { dmaPageBytes } from "../../bus/iommu.ts";
import type { RamAccess } from "../../bus/ram.ts";
import { openRam } from "../../native/ram.ts";
import { TableMemory } from "./table-memory.ts";
import { VtdTables, maxTablesPerDomain } from "./vtd-tables.ts";

const ramBytes = 8 * 2 ** 20;
const makeRam = (): RamAccess => openRam({ sizeBytes: ramBytes, firstFreeOffset: 0, shared: new SharedArrayBuffer(ramBytes) });

/** What the unit would find for an address (VT-d 3.7): the page in RAM and the rights of all levels; undefined when it faults. */
function walk(ram: RamAccess, root: number, iova: number): { page: number; bits: number } | undefined {
  let table = root;
  let bits = 3;
  for (const shift of [30, 21, 12]) {
    const entry = new Uint8Array(8);
    ram.read(table + (Math.floor(iova / 2 ** shift) % 512) * 8, entry);
    const [low, high] = new Uint32Array(entry.buffer);
    expect(high).toBe(0);
    bits &= low! & 3;
    if (bits === 0) return undefined;
    table = (low! & ~0xfff) >>> 0;
  }
  return { page: table, bits };
}

const rightsBits = { read: 1, write: 2, readwrite: 3 } as const;

describe("VT-d tables", () => {
  test("hold exactly what is mapped, whatever is mapped and unmapped", () => {
    const step = fc.record({
      page: fc.integer({ min: 1, max: 2 ** 20 - 700 }), pages: fc.integer({ min: 1, max: 700 }), ram: fc.integer({ min: 0, max: 2 ** 15 }),
      rights: fc.constantFrom("read" as const, "write" as const, "readwrite" as const), undo: fc.boolean(),
    });
    fc.assert(fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
      const ram = makeRam();
      const memory = new TableMemory(ram, dmaPageBytes, ramBytes);
      const before = memory.freePages;
      const tables = new VtdTables(memory);
      const expected = new Map<number, { page: number; bits: number }>();
      const looked = new Set<number>();
      for (const { page, pages, ram: target, rights, undo } of steps) {
        if (Array.from({ length: pages }, (_, at) => expected.has(page + at)).includes(true)) continue;
        tables.map(page * dmaPageBytes, target * dmaPageBytes, pages * dmaPageBytes, rights);
        for (let at = 0; at < pages; at++) expected.set(page + at, { page: (target + at) * dmaPageBytes, bits: rightsBits[rights] });
        for (const one of [page - 1, page, page + Math.floor(pages / 2), page + pages - 1, page + pages]) looked.add(one);
        if (!undo) continue;
        tables.unmap(page * dmaPageBytes, pages * dmaPageBytes);
        for (let at = 0; at < pages; at++) expected.delete(page + at);
      }
      for (const page of looked) expect(walk(ram, tables.root, page * dmaPageBytes)).toEqual(expected.get(page));
      tables.release();
      expect(memory.freePages).toBe(before);
    }), { numRuns: 60 });
  });

  test("a domain has so many tables; what is refused leaves nothing mapped", () => {
    const ram = makeRam();
    const memory = new TableMemory(ram, 0, ramBytes);
    const tables = new VtdTables(memory);
    const whole = maxTablesPerDomain * 2 ** 21;
    expect(() => tables.map(dmaPageBytes, 0, whole, "readwrite")).toThrow(expect.objectContaining({ code: "InvalidArgument" }));
    expect(walk(ram, tables.root, dmaPageBytes)).toBeUndefined();
    const left = memory.freePages;
    tables.map(dmaPageBytes, 0, dmaPageBytes, "read");
    expect(left - memory.freePages).toBe(2);
  });

  test("the tables of all domains are limited too, and pages come back zeroed", () => {
    const ram = makeRam();
    const memory = new TableMemory(ram, 0, 4 * dmaPageBytes);
    const tables = new VtdTables(memory);
    tables.map(dmaPageBytes, 0, dmaPageBytes, "read");
    expect(() => tables.map(2 ** 30, 0, dmaPageBytes, "read")).toThrow(expect.objectContaining({ code: "InvalidArgument" }));
    tables.release();
    const again = new VtdTables(memory);
    expect(walk(ram, again.root, dmaPageBytes)).toBeUndefined();
  });
});
