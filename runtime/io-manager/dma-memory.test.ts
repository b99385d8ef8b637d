/** Where DMA memory lies: whole pages, apart from each other in the domain, each page of RAM handed out once. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { dmaPageBytes } from "../bus/iommu.ts";
import type { Manifest } from "../machine/manifest-schema.ts";
import { RamPages, holdsBuffers, planDma } from "./dma-memory.ts";

const manifest = (dma: Manifest["needs"]["dma"]): Manifest => ({ needs: { windows: {}, irqs: [], dma } }) as unknown as Manifest;

test("regions are rounded up to pages, with an unmapped page between them, and only the driver's own are its guest's", () => {
  expect(planDma(manifest({ ring: { size: 1, use: "driver" }, data: { size: 8193, use: "buffers" } }))).toEqual([
    { name: "ring", iova: 0x10_0000, sizeBytes: 4096, rights: "readwrite", guest: true },
    { name: "data", iova: 0x10_2000, sizeBytes: 12_288, rights: "readwrite", guest: false },
  ]);
});

test("no two regions share a page, of RAM or of a domain", () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 40_000 }), { minLength: 1, maxLength: 8 });
  fc.assert(fc.property(fc.array(sizes, { minLength: 1, maxLength: 6 }), (drivers) => {
    const ram = new RamPages({ sizeBytes: 64 * 2 ** 20, firstFreeOffset: 8 * dmaPageBytes });
    const all = drivers.map((list, driver) => ram.place(`driver${driver}`, planDma(manifest(Object.fromEntries(list.map((size, index) => [`r${index}`, { size, use: "driver" as const }]))))));
    const inRam = all.flat().sort((a, b) => a.ramOffset - b.ramOffset);
    expect(inRam[0]!.ramOffset).toBeGreaterThanOrEqual(8 * dmaPageBytes);
    for (const [index, one] of inRam.entries()) {
      expect([one.ramOffset % dmaPageBytes, one.iova % dmaPageBytes, one.sizeBytes % dmaPageBytes]).toEqual([0, 0, 0]);
      if (index > 0) expect(one.ramOffset).toBeGreaterThanOrEqual(inRam[index - 1]!.ramOffset + inRam[index - 1]!.sizeBytes);
    }
    for (const regions of all) for (const [index, one] of regions.entries()) if (index > 0) expect(one.iova).toBeGreaterThan(regions[index - 1]!.iova + regions[index - 1]!.sizeBytes);
  }));
});

test("a platform without memory, or with too little, says so with the driver's name", () => {
  const plans = planDma(manifest({ data: { size: 2 ** 20, use: "buffers" } }));
  expect(() => new RamPages(undefined).place("disk", plans)).toThrow('driver "disk" needs 1048576 bytes of DMA memory "data", but the platform has no memory for DMA');
  expect(() => new RamPages({ sizeBytes: 2 ** 20, firstFreeOffset: 4096 }).place("disk", plans)).toThrow("which other drivers hold");
});

test("an alternative has its class's buffers where the package had them that it replaces, and all else apart from that", () => {
  const ram = new RamPages({ sizeBytes: 2 ** 20, firstFreeOffset: 0 });
  const plans = planDma(manifest({ ring: { size: 8192, use: "driver" }, data: { size: 16_384, use: "buffers" } }));
  const own = ram.place("disk", plans);
  const alternative = ram.place("disk", planDma(manifest({ pool: { size: 65_536, use: "buffers" }, queue: { size: 4096, use: "driver" } }), plans), own);
  expect(alternative).toEqual([
    { ...own[1], name: "pool" },
    { name: "queue", iova: own[1]!.iova + own[1]!.sizeBytes + dmaPageBytes, sizeBytes: 4096, rights: "readwrite", guest: true, ramOffset: own[1]!.ramOffset + own[1]!.sizeBytes },
  ]);
});

test("buffers that a package asked to see are its guest's too, and stay the class's; an alternative sees them only if it asks", () => {
  const plans = planDma(manifest({ heap: { size: 4096, use: "driver" }, buffers: { size: 8192, use: "buffers", visible: true } }));
  expect(plans.map(({ guest, isBuffers }) => [guest, isBuffers])).toEqual([[true, undefined], [true, true]]);
  expect(plans.map(holdsBuffers)).toEqual([false, true]);
  const ram = new RamPages({ sizeBytes: 2 ** 20, firstFreeOffset: 0 });
  const own = ram.place("nic", plans);
  const blind = ram.place("nic", planDma(manifest({ buffers: { size: 65_536, use: "buffers" } }), plans), own);
  expect(blind).toEqual([{ name: "buffers", iova: own[1]!.iova, sizeBytes: 8192, rights: "readwrite", guest: false, ramOffset: own[1]!.ramOffset }]);
  expect(ram.place("nic", planDma(manifest({ buffers: { size: 1, use: "buffers", visible: true } }), blind), blind)).toEqual([{ ...own[1] }]);
});
