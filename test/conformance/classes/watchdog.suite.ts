/** The watchdog class's conformance suite: any driver of the class, below the real shadow and client, with crashes. */
import { describe, expect, test } from "vitest";
import type { WatchdogClient } from "../../../runtime/classes/watchdog/client.ts";
import { type ClassBench, type ClassBenchFactory, eventually, withBench } from "./bench.ts";

/** Two seconds, so that a busy machine that runs in real time does not make it run out by itself. */
const timeoutMs = 2_000;
const pingMs = 300;
/** Longer than the second that a driver may round up to, each time that it is told what is left. */
const crashMs = 1_200;

/** Long enough for a watchdog that was not pinged to run out, rounding and a busy machine included. */
const limitMs = 20_000;

/** How often the client was told that it ran out. */
function expiries(client: WatchdogClient): { count: number } {
  const told = { count: 0 };
  client.on(({ kind }) => { if (kind === "expired") told.count++; });
  return told;
}

async function pingFor({ client, advance }: ClassBench<WatchdogClient>, ms: number): Promise<void> {
  for (let spentMs = 0; spentMs < ms; spentMs += pingMs) {
    await client.ping();
    await advance(pingMs);
  }
}

export function watchdogSuite(factory: ClassBenchFactory<WatchdogClient>): void {
  describe(`watchdog class: ${factory.name}`, () => {
    test("pinged it does not run out; without pings it does, and is told once", () => withBench(factory, async (bench) => {
      const { client } = bench;
      const told = expiries(client);
      expect(await client.start({ timeoutMs })).toBeGreaterThanOrEqual(timeoutMs);
      await pingFor(bench, (3 / 2) * timeoutMs);
      expect(told.count).toBe(0);
      expect(await eventually(bench, () => told.count > 0, limitMs)).toBe(true);
      await bench.advance((3 / 2) * timeoutMs);
      expect(told.count).toBe(1);
    }));

    test("it does not run out while its driver crashes and its client pings", () => withBench(factory, async (bench) => {
      const { client, crash } = bench;
      const told = expiries(client);
      await client.start({ timeoutMs });
      for (let round = 0; round < 8; round++) {
        const crashed = crash();
        await client.ping();
        await crashed;
        await bench.advance(pingMs);
      }
      await pingFor(bench, timeoutMs);
      expect(told.count).toBe(0);
      expect(await eventually(bench, () => told.count > 0, limitMs)).toBe(true);
    }));

    test("a driver that crashes again and again does not keep it from running out when its client is silent", () => withBench(factory, async (bench) => {
      const told = expiries(bench.client);
      await bench.client.start({ timeoutMs });
      for (let spentMs = 0; spentMs < limitMs && told.count === 0; spentMs += crashMs) {
        await bench.advance(crashMs);
        await bench.crash();
      }
      expect(told.count).toBe(1);
    }));

    test("after a crash the next ping gives it its full time again", () => withBench(factory, async (bench) => {
      const { client, advance, crash } = bench;
      const told = expiries(client);
      await client.start({ timeoutMs });
      await advance(timeoutMs / 2);
      await crash();
      await client.ping();
      await advance((3 / 4) * timeoutMs);
      expect(told.count).toBe(0);
      expect(await client.timeLeft()).toBeGreaterThan(0);
      expect(await eventually(bench, () => told.count > 0, limitMs)).toBe(true);
    }));

    test("stopped it does not run out, whatever happens to its driver", () => withBench(factory, async (bench) => {
      const { client, advance, crash } = bench;
      const told = expiries(client);
      await client.start({ timeoutMs });
      await client.stop();
      expect(await client.timeLeft()).toBe(0);
      await advance(timeoutMs / 2);
      await crash();
      await advance((3 / 2) * timeoutMs);
      expect(told.count).toBe(0);
      await expect(client.ping()).rejects.toMatchObject({ code: "InvalidArgument" });
    }));

    test("having run out it can be started again, and the flag that it left behind is no other expiry", () => withBench(factory, async (bench) => {
      const { client } = bench;
      const told = expiries(client);
      for (let round = 1; round <= 3; round++) {
        await client.start({ timeoutMs: 100 });
        expect(await eventually(bench, () => told.count >= round, limitMs)).toBe(true);
        await client.start({ timeoutMs });
        await client.ping();
        await client.ping();
        expect(told.count).toBe(round);
      }
    }));

    test("having run out it stays stopped through a crash, and can be started again", () => withBench(factory, async (bench) => {
      const { client, crash } = bench;
      const told = expiries(client);
      await client.start({ timeoutMs: 100 });
      expect(await eventually(bench, () => told.count > 0, limitMs)).toBe(true);
      await crash();
      await bench.advance(1_000);
      await expect(client.ping()).rejects.toMatchObject({ code: "InvalidArgument" });
      await client.start({ timeoutMs });
      await pingFor(bench, timeoutMs / 2);
      expect(told.count).toBe(1);
    }));

    test("a configuration that is asked for during a crash is the one that counts", () => withBench(factory, async (bench) => {
      const { client, crash } = bench;
      const told = expiries(client);
      await client.start({ timeoutMs: limitMs });
      const crashed = crash();
      await client.start({ timeoutMs });
      await crashed;
      expect(await client.timeLeft()).toBeLessThanOrEqual(timeoutMs);
      expect(await eventually(bench, () => told.count > 0, limitMs / 2)).toBe(true);
    }));
  });
}
