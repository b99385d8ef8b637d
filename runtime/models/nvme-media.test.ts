/** The write cache against an oracle: what may be lost, what must not, and what reads see. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { NvmeMedia } from "./nvme-media.ts";
import { NvmeRamStore } from "./nvme-store.ts";

const diskBytes = 65_536 + 4_096;

/** A store that can be told to fail writes. */
class FailingStore extends NvmeRamStore {
  failing = false;

  override written(): boolean {
    return !this.failing;
  }

  override zero(offset: number, sizeBytes: number): boolean {
    return !this.failing && super.zero(offset, sizeBytes);
  }
}

function write(media: NvmeMedia, offset: number, bytes: Uint8Array, through = false): boolean {
  for (let done = 0; done < bytes.length;) {
    const view = media.writable(offset + done, bytes.length - done, through);
    if (view === undefined) return false;
    view.set(bytes.subarray(done, done + view.length));
    if (!media.written(view.length)) return false;
    done += view.length;
  }
  return true;
}

function read(media: NvmeMedia, offset: number, sizeBytes: number): Uint8Array {
  const bytes = new Uint8Array(sizeBytes);
  for (let done = 0; done < sizeBytes;) {
    const view = media.readable(offset + done, sizeBytes - done)!;
    expect(view.length).toBeGreaterThan(0);
    expect(view.length).toBeLessThanOrEqual(sizeBytes - done);
    bytes.set(view, done);
    done += view.length;
  }
  return bytes;
}

/** What each block may be: `now` is what reads must see, `kept` what a power cut may leave. */
class Oracle {
  readonly now: number[];
  readonly kept: Set<number>[];

  constructor(blocks: number) {
    this.now = new Array<number>(blocks).fill(0);
    this.kept = Array.from({ length: blocks }, () => new Set([0]));
  }

  set(first: number, count: number, version: number, safe: boolean): void {
    for (let block = first; block < first + count; block++) {
      this.now[block] = version;
      if (safe) this.kept[block] = new Set([version]);
      else this.kept[block]!.add(version);
    }
  }
}

test.each([512, 4096])("reads see the last write, and a power cut leaves each block as it was or as it was made since it was last safe (%i-byte blocks)", (blockBytes) => {
  const blocks = diskBytes / blockBytes;
  const range = { first: fc.nat({ max: blocks - 1 }), count: fc.integer({ min: 1, max: 40 }) };
  const step = fc.oneof(
    { weight: 8, arbitrary: fc.record({ kind: fc.constantFrom("write" as const, "write" as const, "through" as const, "zero" as const, "discard" as const), ...range }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom("flush" as const, "cut" as const, "off" as const, "on" as const, "back" as const), ...range }) },
  );
  fc.assert(fc.property(fc.array(step, { maxLength: 60 }), fc.integer({ min: 0, max: 5 }), (steps, lines) => {
    const media = new NvmeMedia(new NvmeRamStore(diskBytes), blockBytes, lines * 4_096);
    const oracle = new Oracle(blocks);
    let cached = lines > 0;
    for (const [index, { kind, first, count: wanted }] of steps.entries()) {
      const count = Math.min(wanted, blocks - first);
      const version = (index % 255) + 1;
      switch (kind) {
        case "write": case "through":
          expect(write(media, first * blockBytes, new Uint8Array(count * blockBytes).fill(version), kind === "through")).toBe(true);
          oracle.set(first, count, version, kind === "through" || !cached);
          break;
        case "zero": case "discard":
          if (kind === "zero") expect(media.zero(first * blockBytes, count * blockBytes)).toBe(true);
          else media.discard(first * blockBytes, count * blockBytes);
          oracle.set(first, count, 0, true);
          break;
        case "flush": case "off": case "on":
          expect(kind === "flush" ? media.flush() : media.enableCache(kind === "on")).toBe(true);
          if (kind !== "flush") cached = kind === "on" && lines > 0;
          if (kind === "on") break;
          expect(media.cachedBlocks).toBe(0);
          for (const [block, now] of oracle.now.entries()) oracle.kept[block] = new Set([now]);
          break;
        case "back":
          expect(media.writeBack(first * blockBytes, count * blockBytes)).toBe(true);
          for (let block = first; block < first + count; block++) oracle.kept[block] = new Set([oracle.now[block]!]);
          break;
        case "cut":
          media.powerCut();
          cached = lines > 0;
          for (const [block, kept] of oracle.kept.entries()) {
            const found = read(media, block * blockBytes, blockBytes)[0]!;
            expect([...kept]).toContain(found);
            oracle.now[block] = found;
            oracle.kept[block] = new Set([found]);
          }
      }
      expect(media.cachedBlocks).toBeLessThanOrEqual((lines * 4_096) / blockBytes);
      const expected = new Uint8Array(diskBytes);
      for (const [block, now] of oracle.now.entries()) expected.fill(now, block * blockBytes, (block + 1) * blockBytes);
      const found = read(media, 0, diskBytes);
      const wrong = Buffer.compare(found, expected) === 0 ? -1 : found.findIndex((byte, at) => byte !== expected[at]);
      expect([index, kind, wrong]).toEqual([index, kind, -1]);
    }
  }), { numRuns: 100 });
});

test("what a power cut takes is really gone, and counted", () => {
  const media = new NvmeMedia(new NvmeRamStore(diskBytes), 512, 16_384);
  write(media, 0, new Uint8Array(4096).fill(1));
  expect(media.flush()).toBe(true);
  write(media, 512, new Uint8Array(1024).fill(2));
  expect(media.cachedBlocks).toBe(2);
  media.powerCut();
  expect([media.cachedBlocks, media.lostBlocks]).toEqual([0, 2]);
  expect(read(media, 0, 4096).every((byte) => byte === 1)).toBe(true);
});

test("a full cache writes back what it has had longest", () => {
  const media = new NvmeMedia(new NvmeRamStore(diskBytes), 4096, 2 * 4096);
  for (let line = 0; line < 3; line++) write(media, line * 4096, new Uint8Array(4096).fill(line + 1));
  media.powerCut();
  expect([0, 1, 2].map((line) => read(media, line * 4096, 4096)[0])).toEqual([1, 0, 0]);
  expect(media.lostBlocks).toBe(2);
});

test("a store that fails keeps data in the cache, and a full cache then takes no more", () => {
  const store = new FailingStore(diskBytes);
  const media = new NvmeMedia(store, 4096, 2 * 4096);
  for (let line = 0; line < 2; line++) expect(write(media, line * 4096, new Uint8Array(4096).fill(line + 1))).toBe(true);
  store.failing = true;
  expect([media.flush(), media.enableCache(false), media.writeBack(0, 4096)]).toEqual([false, false, false]);
  expect(write(media, 8192, new Uint8Array(4096).fill(3))).toBe(false);
  expect(write(media, 0, new Uint8Array(4096).fill(9), true)).toBe(false);
  expect(media.zero(0, 4096)).toBe(false);
  expect([media.cachedBlocks, read(media, 0, 4096)[0], read(media, 4096, 4096)[0]]).toEqual([2, 1, 2]);
  store.failing = false;
  expect(media.flush()).toBe(true);
  expect(media.cachedBlocks).toBe(0);
});

test("a write of which only a part arrived changes whole blocks, and no others", () => {
  const media = new NvmeMedia(new NvmeRamStore(diskBytes), 512, 8_192);
  write(media, 0, new Uint8Array(4096).fill(1));
  media.flush();
  media.writable(0, 4096, false)!.fill(7);
  expect(media.written(1024)).toBe(true);
  expect([...read(media, 0, 2048)].map((byte, at) => (at % 512 === 0 ? byte : -1)).filter((byte) => byte >= 0)).toEqual([7, 7, 1, 1]);
  media.writable(8192, 4096, false)!.fill(7);
  expect(media.written(0)).toBe(true);
  expect(media.cachedBlocks).toBe(2);
});
