/** The rtc class's conformance suite: any driver of the class, below the real shadow and client, with crashes. */
import { describe, expect, test } from "vitest";
import type { RtcClient } from "../../../runtime/classes/rtc/client.ts";
import { type ClassBenchFactory, eventually, withBench } from "./bench.ts";

const someday = Date.UTC(2031, 4, 17, 13, 45, 30);

/** A reading is of the second that began at most this long ago, and a set clock may start anywhere in its second. */
const readingMs = 2_000;

export function rtcSuite(factory: ClassBenchFactory<RtcClient>): void {
  describe(`rtc class: ${factory.name}`, () => {
    test("the time can be set and read", () => withBench(factory, async ({ client, advance }) => {
      await client.setTime(new Date(someday));
      await advance(3_000);
      const afterMs = (await client.readTime()).getTime() - someday;
      expect(afterMs).toBeGreaterThanOrEqual(3_000 - readingMs);
      expect(afterMs).toBeLessThanOrEqual(3_000 + readingMs);
    }));

    test.each([Date.UTC(1999, 11, 31, 23, 59, 58), Date.UTC(2028, 1, 28, 23, 59, 58), Date.UTC(2027, 1, 28, 23, 59, 58), Date.UTC(2030, 0, 1, 11, 59, 58)])(
      "the calendar carries over from %i", (startMs) => withBench(factory, async ({ client, advance }) => {
        await client.setTime(new Date(startMs));
        await advance(4_000);
        const afterMs = (await client.readTime()).getTime() - startMs;
        expect(afterMs).toBeGreaterThanOrEqual(2_000);
        expect(afterMs).toBeLessThanOrEqual(6_000);
      }),
    );

    test("reading goes on through crashes and never goes back", () => withBench(factory, async ({ client, crash, advance }) => {
      await client.setTime(new Date(someday));
      let last = someday;
      for (let round = 0; round < 5; round++) {
        await advance(300);
        const crashed = crash();
        for (let read = 0; read < 3; read++) {
          const now = (await client.readTime()).getTime();
          expect(now).toBeGreaterThanOrEqual(last);
          last = now;
        }
        await crashed;
      }
      expect(last - someday).toBeLessThan(60_000);
    }));

    test("an alarm is told, also one set before a crash", () => withBench(factory, async (bench) => {
      const { client } = bench;
      await client.setTime(new Date(someday));
      let alarms = 0;
      client.on(({ kind }) => { if (kind === "alarm") alarms++; });
      await client.setAlarm({ hour: 13, minute: 45, second: 33 });
      await bench.crash();
      expect(await eventually(bench, () => alarms > 0, 8_000, 100)).toBe(true);
      await bench.advance(2_500);
      expect(alarms).toBe(1);
    }));

    test("periodic ticks come at their rate and come back after a crash", () => withBench(factory, async (bench) => {
      let ticks = 0;
      bench.client.on((event) => { if (event.kind === "periodic") ticks += event.count; });
      await bench.client.setPeriodic(32);
      await bench.advance(2_000);
      expect(ticks).toBeGreaterThan(32);
      expect(ticks).toBeLessThanOrEqual(128);
      await bench.crash();
      ticks = 0;
      expect(await eventually(bench, () => ticks > 8, 4_000)).toBe(true);
      await bench.client.setPeriodic(0);
      ticks = 0;
      await bench.advance(500);
      expect(ticks).toBe(0);
    }));

    test("update events come each second, until turned off", () => withBench(factory, async (bench) => {
      let updates = 0;
      bench.client.on(({ kind }) => { if (kind === "update") updates++; });
      await bench.client.setUpdateEvents(true);
      expect(await eventually(bench, () => updates >= 2, 6_000, 100)).toBe(true);
      await bench.client.setUpdateEvents(false);
      updates = 0;
      await bench.advance(2_500);
      expect(updates).toBe(0);
    }));
  });
}
