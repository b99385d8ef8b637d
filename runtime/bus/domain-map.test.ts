/** The books of a domain: whole pages, no overlap, nothing outside, found only where mapped and allowed. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DomainMap, domainBytes } from "./domain-map.ts";
import { type DmaMapping, dmaPageBytes } from "./iommu.ts";

const page = dmaPageBytes;
const ramBytes = 64 * page;
const mapping = (change: Partial<DmaMapping> = {}): DmaMapping => ({ name: "ring", iova: 16 * page, ramOffset: 4 * page, sizeBytes: 2 * page, rights: "readwrite", guest: true, ...change });

describe("what is refused", () => {
  test.each([
    ["half a page of addresses", { iova: 16 * page + 1 }, "whole pages"],
    ["half a page of RAM", { ramOffset: 1 }, "whole pages"],
    ["half a page of size", { sizeBytes: page / 2 }, "whole pages"],
    ["nothing", { sizeBytes: 0 }, "whole pages"],
    ["a negative address", { iova: -page }, "whole pages"],
    ["no number", { iova: Number.NaN }, "whole pages"],
    ["address 0", { iova: 0 }, "address 0"],
    ["beyond the domain", { iova: domainBytes - page, sizeBytes: 2 * page }, "4 GiB"],
    ["beyond the RAM", { ramOffset: ramBytes - page }, "RAM"],
  ])("%s", (_name, change, reason) => {
    expect(() => new DomainMap(ramBytes).add(mapping(change))).toThrow(reason);
  });

  test("an overlap by one page, from either side", () => {
    const map = new DomainMap(ramBytes);
    map.add(mapping());
    for (const iova of [15 * page, 17 * page]) expect(() => map.add(mapping({ name: "other", iova }))).toThrow('overlaps "ring"');
    map.add(mapping({ name: "before", iova: 14 * page }));
    map.add(mapping({ name: "behind", iova: 18 * page }));
    expect(map.mappings.map(({ name }) => name)).toEqual(["before", "ring", "behind"]);
  });

  test("unmapping part of a range", () => {
    const map = new DomainMap(ramBytes);
    map.add(mapping());
    expect(() => map.remove(16 * page, page)).toThrow("only be unmapped whole");
    expect(map.remove(0, domainBytes)).toHaveLength(1);
    expect(map.mappings).toEqual([]);
  });
});

test("rights are the device's", () => {
  const map = new DomainMap(ramBytes);
  map.add(mapping({ rights: "read" }));
  expect(map.find(16 * page, 8, "read")?.name).toBe("ring");
  expect(map.find(16 * page, 8, "write")).toBeUndefined();
});

test("an access is found exactly when all of it lies in one mapping", () => {
  fc.assert(fc.property(fc.integer({ min: 0, max: 24 * page }), fc.integer({ min: 0, max: 4 * page }), (iova, sizeBytes) => {
    const map = new DomainMap(ramBytes);
    map.add(mapping());
    const inside = iova >= 16 * page && iova + sizeBytes <= 18 * page;
    expect(map.find(iova, sizeBytes, "write") !== undefined).toBe(inside);
  }));
});
