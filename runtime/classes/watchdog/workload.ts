/** The watchdog workload: pings in time, sets new timeouts, and wants never to be told that the watchdog ran out. */
import { errorText } from "../../api/errors.ts";
import { type Workload, type WorkloadEnvironment, Tally, sleep } from "../workload.ts";
import type { WatchdogClient } from "./client.ts";

/** Longer than any recovery, and still short enough for a driver that pings nothing to be found out in a run of a minute. */
const shortestMs = 10_000;
const longestMs = 20_000;

/** Between two calls. */
const pauseMs = 1;

/** Every so many pings the time left is asked for, and every so many a new timeout is set: configuration to replay. */
const pingsPerLook = 8;
const pingsPerStart = 64;

export async function createWorkload(client: WatchdogClient, { clock, random }: WorkloadEnvironment): Promise<Workload> {
  const tally = new Tally();
  const { minTimeoutMs, maxTimeoutMs } = await client.identify();
  const newTimeout = (): number => Math.min(maxTimeoutMs, Math.max(minTimeoutMs, Math.round(shortestMs + random() * (longestMs - shortestMs))));
  let timeoutMs = await client.start({ timeoutMs: newTimeout() });
  client.on(({ kind }) => {
    if (kind === "expired") tally.wrong("the watchdog ran out while it was pinged");
    if (kind === "overdue") tally.wrong("pings that were answered did not count");
  });
  const look = async (): Promise<void> => {
    const leftMs = await client.timeLeft();
    if (leftMs <= 0 || leftMs > timeoutMs) tally.wrong(`${leftMs} ms are left of ${timeoutMs} ms`);
  };
  return {
    totals: tally.totals, errors: tally.errors,
    step: async () => {
      try {
        const { operations } = tally.totals;
        if (operations % pingsPerStart === pingsPerStart - 1) timeoutMs = await client.start({ timeoutMs: newTimeout() });
        else if (operations % pingsPerLook === pingsPerLook - 1) await look();
        else await client.ping();
        tally.totals.operations++;
      } catch (error) {
        tally.wrong(errorText(error));
      }
      await sleep(clock, pauseMs);
    },
    close: async () => {
      try {
        await client.stop();
      } finally {
        client.close();
      }
    },
  };
}
