import path from "node:path";
import { Worker } from "node:worker_threads";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { TraceKind } from "./entry.ts";
import { FlightRecorder } from "./flight-recorder.ts";
import { TurnClock } from "./turn-clock.ts";

const kinds = Object.values(TraceKind);

describe("the ring", () => {
  test("keeps entries in order, with their time", () => {
    let now = 10;
    const recorder = FlightRecorder.create(16, () => now);
    recorder.record(TraceKind.write, 0, 0x70, 0x0a, 8);
    now = 11.5;
    recorder.record(TraceKind.read, 0, 0x71, 0x26, 8);
    expect(recorder.snapshot()).toEqual({
      dropped: 0,
      entries: [
        { micros: 10, kind: TraceKind.write, a: 0, b: 0x70, c: 0x0a, d: 8 },
        { micros: 11.5, kind: TraceKind.read, a: 0, b: 0x71, c: 0x26, d: 8 },
      ],
    });
  });

  test("keeps exactly the last entries and counts the others", () => {
    fc.assert(fc.property(
      fc.integer({ min: 1, max: 100 }),
      fc.array(fc.record({ kind: fc.constantFrom(...kinds), a: u32(), b: u32(), c: u32(), d: u32() }), { maxLength: 300 }),
      (slots, written) => {
        let now = 0;
        const recorder = FlightRecorder.create(slots, () => now);
        written.forEach((e, i) => {
          now = i / 2;
          recorder.record(e.kind, e.a, e.b, e.c, e.d);
        });
        expect(recorder.slots).toBeGreaterThanOrEqual(slots);
        const kept = written.map((e, i) => ({ ...e, micros: i / 2 })).slice(-recorder.slots);
        expect(recorder.snapshot()).toEqual({ entries: kept, dropped: written.length - kept.length });
      },
    ));
  });

  test("takes any value without throwing", () => {
    const recorder = FlightRecorder.create(16, () => 0);
    const hostile = [-1, NaN, Infinity, -Infinity, 1e300, 2.7, 1n, Symbol("x"), undefined, null, "7", { valueOf: () => { throw new Error("ran"); } }];
    for (const value of hostile) recorder.record(TraceKind.denied, 0, value as number, 0, 8);
    expect(recorder.snapshot().entries.map((entry) => entry.b)).toEqual(
      [0xffff_ffff, 0, 0xffff_ffff, 0, 0xffff_ffff, 2, 0, 0, 0, 0, 0, 0],
    );
  });

  test("an attached recorder goes on where the first one stopped", () => {
    const first = FlightRecorder.create(16, () => 1);
    first.record(TraceKind.irq, 1, 0, 0, 0);
    const second = FlightRecorder.attach(first.buffer, () => 2);
    second.record(TraceKind.irq, 2, 0, 0, 0);
    expect(first.snapshot().entries.map((entry) => [entry.micros, entry.a])).toEqual([[1, 1], [2, 2]]);
  });

  test("sequence numbers go past 2^32", () => {
    const recorder = FlightRecorder.create(16, () => 0);
    new Float64Array(recorder.buffer)[1] = 2 ** 32 - 4;
    for (let i = 0; i < 8; i++) recorder.record(TraceKind.read, i, 0, 0, 0);
    expect(recorder.snapshot().entries.map((entry) => entry.a)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  });

  test.each([Infinity, 1e300, -1, 0.5, NaN])("a count of %d, which no recorder writes, gives a snapshot that ends", (count) => {
    const recorder = FlightRecorder.create(16, () => 0);
    recorder.record(TraceKind.read, 1, 2, 3, 4);
    new Float64Array(recorder.buffer)[1] = count;
    expect(recorder.snapshot().entries).toEqual([]);
  });

  test("refuses a size or a buffer that is not one", () => {
    for (const size of [0, -1, 1.5, NaN, 2 ** 20 + 1]) expect(() => FlightRecorder.create(size, () => 0)).toThrow(RangeError);
    const good = FlightRecorder.create(16, () => 0).buffer;
    const longer = new SharedArrayBuffer(good.byteLength + 32);
    new Uint8Array(longer).set(new Uint8Array(good));
    for (const buffer of [longer, new SharedArrayBuffer(0), new SharedArrayBuffer(37), new SharedArrayBuffer(good.byteLength)]) {
      expect(() => FlightRecorder.attach(buffer, () => 0)).toThrow(/not a flight recorder/);
    }
  });
});

describe("torn entries", () => {
  test("changing any one word of a slot drops that entry alone", () => {
    const slotWords = 8;
    for (let word = 0; word < slotWords; word++) {
      const recorder = FlightRecorder.create(16, () => 7.25);
      for (let i = 0; i < 5; i++) recorder.record(TraceKind.read, i, 2, 3, 8);
      new Uint32Array(recorder.buffer)[8 + 2 * slotWords + word]! ^= 0x10;
      const { entries, dropped } = recorder.snapshot();
      expect(entries.map((entry) => entry.a)).toEqual([0, 1, 3, 4]);
      expect(dropped).toBe(1);
    }
  });

  test("an entry of an earlier round in the slot is dropped", () => {
    const recorder = FlightRecorder.create(16, () => 0);
    for (let i = 0; i < 16; i++) recorder.record(TraceKind.read, i, 0, 0, 0);
    new Float64Array(recorder.buffer)[1]! += 1; // as if the writer had counted an entry and hung before writing it
    expect(recorder.snapshot().entries.map((entry) => entry.a)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
  });

  test("snapshots of a thread that writes as fast as it can hold whole entries in order", async () => {
    const recorder = FlightRecorder.create(16, () => 0);
    const writer = await startWriter(recorder.buffer, "forever");
    try {
      let seen = 0;
      let torn = 0;
      for (let round = 0; round < 20_000 || ((seen < 1000 || torn === 0) && round < 5_000_000); round++) {
        const { entries, dropped } = recorder.snapshot();
        let previous = -1;
        for (const entry of entries) {
          const n = entry.a;
          // Every word is computed from one number, so an entry made of two would not fit.
          expect([entry.b, entry.c, entry.d, entry.micros, entry.kind])
            .toEqual([Math.imul(n, 3) >>> 0, Math.imul(n, 0x1_0001) >>> 0, n % 251, n * 0.5, kinds[n % kinds.length]]);
          expect(n).toBeGreaterThan(previous);
          previous = n;
        }
        seen += entries.length;
        if (entries.length < recorder.slots && dropped > 0) torn++;
      }
      expect(seen).toBeGreaterThan(0);
      // The test means something only when the two threads did collide.
      expect(torn).toBeGreaterThan(0);
    } finally {
      await writer.terminate();
    }
  });

  test("a thread that hangs after writing is read in full", async () => {
    const recorder = FlightRecorder.create(64, () => 0);
    const writer = await startWriter(recorder.buffer, "hang after 100");
    try {
      while (recorder.recorded < 100) await new Promise((resolve) => { setTimeout(resolve, 1); });
      const { entries, dropped } = recorder.snapshot();
      expect(entries.map((entry) => entry.a)).toEqual(Array.from({ length: 64 }, (_, i) => 36 + i));
      expect(dropped).toBe(36);
    } finally {
      await writer.terminate();
    }
  });
});

test("the turn clock reads at a mark and at every sixteenth use", () => {
  let reads = 0;
  const clock = new TurnClock(() => ++reads);
  const times = Array.from({ length: 33 }, () => clock.nowMicros());
  expect([times[0], times[15], times[16], times[31], times[32]]).toEqual([1, 1, 2, 2, 3]);
  clock.mark();
  expect(clock.nowMicros()).toBe(4);
});

/** Starts a thread that records entry after entry, all of whose words follow from its number. */
async function startWriter(buffer: SharedArrayBuffer, mode: "forever" | "hang after 100"): Promise<Worker> {
  const module = path.join(import.meta.dirname, "../../dist/runtime/trace/flight-recorder.js");
  const code = `
    const { workerData, parentPort } = require("node:worker_threads");
    import(workerData.module).then(({ FlightRecorder }) => {
      let n = 0;
      const recorder = FlightRecorder.attach(workerData.buffer, () => n * 0.5);
      parentPort.postMessage("writing");
      const limit = workerData.mode === "forever" ? Infinity : 100;
      for (; n < limit; n++) {
        const kind = workerData.kinds[n % workerData.kinds.length];
        recorder.record(kind, n, Math.imul(n, 3) >>> 0, Math.imul(n, 0x10001) >>> 0, n % 251);
      }
      for (;;);
    });`;
  const worker = new Worker(code, { eval: true, workerData: { buffer, mode, module, kinds } });
  await new Promise<void>((resolve, reject) => {
    worker.once("message", () => resolve());
    worker.once("error", reject);
  });
  return worker;
}

function u32(): fc.Arbitrary<number> {
  return fc.integer({ min: 0, max: 0xffff_ffff });
}
