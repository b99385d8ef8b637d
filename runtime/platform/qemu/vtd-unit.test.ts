import { describe, expect, test } from "vitest";
import type { DmaFault, DmaMapping } from "../../bus/iommu.ts";
import { openRam } from "../../native/ram.ts";
import { firstFreeOffset, interruptRange, messageIova } from "./memory-map.ts";
import { TableMemory } from "./table-memory.ts";
import { VtdDomain } from "./vtd-domain.ts";
import { vtdBase } from "./vtd-registers.ts";
import { type MemoryPort, VtdUnit } from "./vtd-unit.ts";

const ramBytes = 2 ** 20;
const faultRecords = 0x220;

/** The registers of a unit like QEMU's that does at once what it is told, and notes what. */
class FakeUnit implements MemoryPort {
  readonly words = new Map<number, number>([[0x00, 0x10], [0x08, 0x2226_0206], [0x0c, 0x00d2_008c], [0x10, 0x00f0_0f4a]]);
  readonly told: string[] = [];
  stuck = false;

  readMemory(address: number): number {
    return this.words.get(address - vtdBase) ?? 0;
  }

  writeMemory(address: number, _width: number, value: number): void {
    const offset = address - vtdBase;
    if (offset === 0x18) this.#told("command", () => this.words.set(0x1c, ((this.words.get(0x1c) ?? 0) | value) >>> 0));
    else if (offset === 0x2c) this.#told("contexts", () => undefined);
    else if (offset === 0xfc) this.#told(`iotlb ${(value >>> 28) & 3}/${value & 0xffff}`, () => undefined);
    // Status bits and the F bit of a record are cleared by ones (RW1CS).
    else if (offset === faultRecords + 12) this.words.set(offset, 0).set(0x34, (this.words.get(0x34) ?? 0) & ~2);
    else if (offset === 0x34) this.words.set(offset, (this.words.get(offset) ?? 0) & ~value);
    else this.words.set(offset, value);
    if (this.stuck && offset === 0xfc) this.words.set(0xfc, 0x8000_0000);
  }

  fault(slot: number, iova: number, isRead: boolean, status = 2): void {
    this.words.set(faultRecords, iova % 2 ** 32).set(faultRecords + 4, Math.floor(iova / 2 ** 32)).set(faultRecords + 8, slot << 3);
    this.words.set(faultRecords + 12, isRead ? 0xc500_0000 : 0x8500_0000).set(0x34, status);
  }

  #told(what: string, effect: () => void): void {
    this.told.push(what);
    effect();
  }
}

function makeUnit(): { fake: FakeUnit; unit: VtdUnit; memory: TableMemory; word: (at: number) => number } {
  const ram = openRam({ sizeBytes: ramBytes, firstFreeOffset: 0, shared: new SharedArrayBuffer(ramBytes) });
  const fake = new FakeUnit();
  const memory = new TableMemory(ram, 0x1_0000, ramBytes);
  const unit = new VtdUnit(fake, memory);
  return { fake, unit, memory, word: (at) => new DataView(ram.view(at, 4)!.buffer).getUint32(at, true) };
}

describe("the VT-d unit", () => {
  test("has empty tables and nothing cached before translation begins", () => {
    const { fake, word } = makeUnit();
    expect(fake.told).toEqual(["command", "contexts", "iotlb 1/0", "command"]);
    expect(fake.words.get(0x20)).toBe(0x1_0000);
    expect(fake.words.get(0x1c)).toBe(0xc000_0000);
    expect(word(0x1_0000)).toBe(0x1_1001);
    expect(word(0x1_1000 + 4 * 128)).toBe(0);
  });

  test("a device's context is there while its domain is open; caches are emptied both times", () => {
    const { fake, unit, word } = makeUnit();
    fake.told.length = 0;
    unit.attach(4, 0x5000);
    expect([word(0x1_1000 + 4 * 128), word(0x1_1000 + 4 * 128 + 8)]).toEqual([0x5001, 0x501]);
    unit.detach(4);
    expect([word(0x1_1000 + 4 * 128), word(0x1_1000 + 4 * 128 + 8)]).toEqual([0, 0]);
    expect(fake.told).toEqual(["contexts", "iotlb 2/5", "contexts", "iotlb 2/5"]);
  });

  test("tells each fault once, with device, page and direction; an overflow is counted", () => {
    const { fake, unit } = makeUnit();
    expect(unit.takeFaults()).toEqual([]);
    fake.fault(4, 0x12_3456_7000, false);
    expect(unit.takeFaults()).toEqual([{ slot: 4, iova: 0x12_3456_7000, direction: "write" }]);
    fake.fault(9, 0x2000, true, 3);
    expect(unit.takeFaults()).toEqual([{ slot: 9, iova: 0x2000, direction: "read" }]);
    expect(unit.overflows).toBe(1);
    expect(unit.takeFaults()).toEqual([]);
  });

  test("a unit that can't do it, or does not do it, is said to be so", () => {
    const { fake, unit, memory } = makeUnit();
    fake.stuck = true;
    expect(() => unit.invalidateDomain(4)).toThrow(expect.objectContaining({ code: "HardwareLost" }));
    const other = new FakeUnit();
    other.words.set(0x08, 0);
    expect(() => new VtdUnit(other, memory)).toThrow(expect.objectContaining({ code: "PlatformUnavailable" }));
  });
});

describe("a domain", () => {
  const mapping: DmaMapping = { name: "queues", iova: 0x1000, ramOffset: firstFreeOffset, sizeBytes: 0x2000, rights: "readwrite", guest: true };

  function open(): { faults: DmaFault[]; domain: VtdDomain; fake: FakeUnit; memory: TableMemory } {
    const { fake, unit, memory } = makeUnit();
    const faults: DmaFault[] = [];
    const setup = { device: "disk", slot: 4, ramBytes: firstFreeOffset + 2 ** 20, firstFreeOffset, messagePage: 0x3000 };
    return { faults, fake, memory, domain: new VtdDomain(setup, unit, memory, (fault) => faults.push(fault)) };
  }

  test.each<[string, Partial<DmaMapping>]>([
    ["half a page", { sizeBytes: 0x800 }], ["an address within a page", { iova: 0x1800 }], ["an overlap", { iova: 0x2000, sizeBytes: 0x1000 }],
    ["RAM that is not there", { iova: 0x10_0000, sizeBytes: 2 ** 21 }], ["the platform's own RAM", { iova: 0x10_0000, ramOffset: firstFreeOffset - 0x1000 }],
    ["the page of messages", { iova: messageIova - 0x1000 }], ["VT-d's interrupts", { iova: interruptRange.first }], ["address 0", { iova: 0, sizeBytes: 0x1000 }],
    ["an address that is none", { iova: Number.NaN }], ["a negative address", { iova: -0x1000 }],
  ])("refuses %s", (_what, wrong) => {
    const { domain } = open();
    domain.map(mapping);
    expect(() => domain.map({ ...mapping, name: "other", ...wrong })).toThrow(expect.objectContaining({ code: "InvalidArgument" }));
  });

  test("invalidates before unmap returns, and gives all pages back at its end", () => {
    const { domain, fake, memory } = open();
    const before = memory.freePages;
    domain.map(mapping);
    fake.told.length = 0;
    domain.unmap(mapping.iova, mapping.sizeBytes);
    expect(fake.told).toEqual(["iotlb 2/5"]);
    domain.map(mapping);
    domain.close();
    domain.close();
    expect(fake.told).toEqual(["iotlb 2/5", "contexts", "iotlb 2/5"]);
    // The tables for the mapping came and went, and so did the three that lead to the page of messages.
    expect(memory.freePages).toBe(before + 3);
    expect(() => domain.map(mapping)).toThrow(expect.objectContaining({ code: "Closed" }));
  });

  test("reports its faults while it is open, and not without end", () => {
    const { domain, faults } = open();
    for (let count = 0; count < 1_000; count++) domain.blocked({ slot: 4, iova: 0x5000, direction: "read" });
    expect(faults.length).toBe(16);
    expect(faults[0]).toEqual({ device: "disk", iova: 0x5000, direction: "read", sizeBytes: 0 });
    domain.close();
    domain.blocked({ slot: 4, iova: 0x5000, direction: "read" });
    expect(faults.length).toBe(16);
  });
});
