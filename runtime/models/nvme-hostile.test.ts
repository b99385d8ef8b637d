/** Nothing a driver writes to the NVMe model's registers or memory makes it throw, run on, or become unusable. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { Nvme, differsAt, pattern } from "../../test/conformance/devices/nvme-rig.ts";
import { type SimDmaWorld, openSimDma } from "../../test/conformance/devices/sim-dma-bench.ts";
import nvmeModel from "./nvme.ts";

const pages = 24;
/** A part of memory per queue, so that random contents are often commands. */
const layout = { adminSubmission: 0, adminCompletion: 1, submission: 2, completion: 3, data: 4 } as const;

const word = fc.oneof(fc.nat({ max: 20 }), fc.constantFrom(0xffff_ffff, 0x8000_0000, 0xffff, 0x1_0000, 0x7ff), fc.integer({ min: 0, max: 0xffff_ffff }));

/** An address relative to the memory there is: mostly in it, mostly of a page, sometimes nowhere. */
const address = fc.oneof(
  { weight: 8, arbitrary: fc.nat({ max: pages }).map((page) => page * 4096) },
  { weight: 3, arbitrary: fc.nat({ max: pages * 4096 }) },
  { weight: 1, arbitrary: fc.double({ min: 0, max: 2 ** 64, noNaN: true }).map(Math.floor) },
);

const command = fc.record({
  opcode: fc.oneof({ weight: 6, arbitrary: fc.nat({ max: 12 }) }, { weight: 1, arbitrary: fc.nat({ max: 0xffff }) }),
  id: fc.nat({ max: 0xffff }), namespace: fc.oneof(fc.constantFrom(0, 1, 2, 3, 0xffff_ffff), word), prp1: address, prp2: address,
  dwords: fc.array(word, { minLength: 6, maxLength: 6 }),
});

const step = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constant("admin" as const), commands: fc.array(command, { minLength: 1, maxLength: 4 }) }) },
  { weight: 8, arbitrary: fc.record({ kind: fc.constant("io" as const), commands: fc.array(command, { minLength: 1, maxLength: 8 }) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("memory" as const), page: fc.nat({ max: pages - 1 }), bytes: fc.uint8Array({ minLength: 16, maxLength: 256 }) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("doorbell" as const), number: fc.nat({ max: 70 }), value: word }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("register" as const), offset: fc.nat({ max: 0x3fff }), width: fc.constantFrom(8 as const, 16 as const, 32 as const), value: word }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom("enable" as const, "disable" as const, "powerCut" as const, "reset" as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("wait" as const), micros: fc.nat({ max: 500 }) }) },
);

interface Driver {
  readonly world: SimDmaWorld;
  readonly base: number;
  readonly tails: [number, number];
}

function set(world: SimDmaWorld, offset: number, value: number): void {
  world.model.spaces["bar0"]!.write(offset, 32, value >>> 0);
}

function enable({ world, base, tails }: Driver): void {
  set(world, 0x14, 0);
  set(world, 0x24, (63 << 16) | 63);
  set(world, 0x28, base + layout.adminSubmission * 4096);
  set(world, 0x2c, 0);
  set(world, 0x30, base + layout.adminCompletion * 4096);
  set(world, 0x34, 0);
  set(world, 0x14, (6 << 16) | (4 << 20) | 1);
  tails.fill(0);
  submit({ world, base, tails }, 0, [
    { opcode: 5, id: 1, namespace: 0, prp1: layout.completion * 4096, prp2: 0, dwords: [(63 << 16) | 1, (1 << 16) | 3, 0, 0, 0, 0] },
    { opcode: 1, id: 2, namespace: 0, prp1: layout.submission * 4096, prp2: 0, dwords: [(63 << 16) | 1, (1 << 16) | 1, 0, 0, 0, 0] },
  ]);
  set(world, 0x1004, 2);
}

type Words = { readonly opcode: number; readonly id: number; readonly namespace: number; readonly prp1: number; readonly prp2: number; readonly dwords: readonly number[] };

function submit({ world, base, tails }: Driver, queue: 0 | 1, commands: readonly Words[]): void {
  for (const { opcode, id, namespace, prp1, prp2, dwords } of commands) {
    const view = new DataView(new ArrayBuffer(64));
    view.setUint32(0, ((id << 16) | opcode) >>> 0, true);
    view.setUint32(4, namespace, true);
    view.setBigUint64(24, BigInt.asUintN(64, BigInt(base + prp1)), true);
    view.setBigUint64(32, BigInt.asUintN(64, BigInt(base + prp2)), true);
    for (const [index, value] of dwords.entries()) view.setUint32(40 + index * 4, value, true);
    const page = queue === 0 ? layout.adminSubmission : layout.submission;
    world.memory.poke(base + page * 4096 + tails[queue] * 64, new Uint8Array(view.buffer));
    tails[queue] = (tails[queue] + 1) % 64;
  }
  set(world, 0x1000 + queue * 8, tails[queue]);
}

test("whatever is written, the model neither throws nor runs on, and works again after a reset", async () => {
  const settings = fc.record({ latencyMicros: fc.constantFrom(0, 100), namespaces: fc.constantFrom(1, 2), blockBytes: fc.constantFrom(512, 4096), msix: fc.boolean() });
  await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 60 }), settings, async (steps, { msix, ...options }) => {
    const world = openSimDma(nvmeModel, { msix, options: { ...options, sizeBytes: 262_144, cacheBytes: 16_384 } });
    const { clock, model, memory } = world;
    const driver: Driver = { world, base: memory.allocate(pages * 4096).iova, tails: [0, 0] };
    enable(driver);
    for (const each of steps) {
      switch (each.kind) {
        case "admin": submit(driver, 0, each.commands); break;
        case "io": submit(driver, 1, each.commands); break;
        case "memory": memory.poke(driver.base + each.page * 4096, each.bytes); break;
        case "doorbell": set(world, 0x1000 + each.number * 4, each.value); break;
        case "register": {
          const offset = each.offset & ~((each.width >> 3) - 1);
          model.spaces["bar0"]!.write(offset, each.width, each.value % 2 ** each.width);
          const read = model.spaces["bar0"]!.read(offset, each.width);
          expect(Number.isInteger(read) && read >= 0 && read < 2 ** each.width).toBe(true);
          break;
        }
        case "enable": enable(driver); break;
        case "disable": set(world, 0x14, 0); break;
        case "powerCut": model.powerCut!(); break;
        case "reset": model.reset(); break;
        case "wait": clock.advance(each.micros);
      }
      expect(clock.pending).toBeLessThanOrEqual(1);
      // As much as was asked for is done in a bounded number of visits.
      for (let visits = 0; clock.pending > 0 && options.latencyMicros === 0; visits++) {
        expect(visits).toBeLessThan(1_000);
        clock.advance(0);
      }
      memory.faults.length = 0;
    }
    expect(Object.values(model.statistics()).every((count) => Number.isSafeInteger(count) && count >= 0)).toBe(true);
    const nvme = new Nvme(world.bench);
    await nvme.start();
    const queue = await nvme.createPair(1, 8, 0);
    const bytes = pattern(8192, 1);
    await nvme.writeBlocks(queue, 0, bytes);
    expect(differsAt(await nvme.readBlocks(queue, 0, bytes.length / nvme.blockBytes), bytes)).toBe(-1);
    await world.bench.close();
  }), { numRuns: 200 });
}, 120_000);
