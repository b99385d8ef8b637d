/** Warm spares and what becomes of those that fail. Threads run the built code. */
import { once } from "node:events";
import { expect, test } from "vitest";
import { realClock } from "../api/clock.ts";
import type { Failure } from "../api/failure.ts";
import { createChannel, createDoorbell } from "../bus/channel.ts";
import type { HostSpec } from "./driver-host.ts";
import { ThreadHostFactory } from "./thread-host-factory.ts";

/** A thread takes its environment over at its start, so this bundle loads or not as its test wants. */
const code = `const told = new BroadcastChannel("airlock-load");
told.postMessage("loading");
told.close();
if (process.env.AIRLOCK_TEST_LOAD === "fails") throw new Error("not today");
(bridge) => () => undefined;`;

const limits = { memoryBytes: 32 * 2 ** 20, turnMs: 1_000, stackBytes: 262_144, hangMs: 5_000, initMs: 20_000, logPerSecond: 100 };
const spec: HostSpec = { driver: "clock", tier: "worker", bundle: { code, map: JSON.stringify({ version: 3, sources: [], names: [], mappings: "" }), name: "clock/bundle.js" }, limits, spares: 1 };
const setup = { driver: "clock", windows: [], irqs: [], dma: [], memoryBytes: limits.memoryBytes, options: {} };
const grant = { driver: "clock", generation: 1n, device: "rtc", windows: [], irqs: [], dma: [], limits: { stormPerSecond: 1, ackMs: 1 } };

test("a spare that failed is not what the next generation starts with", async () => {
  const factory = new ThreadHostFactory(realClock);
  const told = new BroadcastChannel("airlock-load");
  try {
    process.env.AIRLOCK_TEST_LOAD = "fails";
    const loading = once(told, "message");
    factory.warm(spec);
    await loading;
    // Its failure follows at once.
    await new Promise((resolve) => { setTimeout(resolve, 300); });
    delete process.env.AIRLOCK_TEST_LOAD;
    const outcome = await new Promise<Failure | "started">((resolve) => {
      factory.start(spec, 1n, setup, { channel: createChannel(), doorbell: createDoorbell(), grant }, [], {
        started: () => resolve("started"), failed: resolve, ready: () => undefined, removed: () => undefined, records: () => undefined, log: () => undefined,
      });
    });
    expect(outcome).toBe("started");
  } finally {
    delete process.env.AIRLOCK_TEST_LOAD;
    told.close();
    await factory.close();
  }
});
