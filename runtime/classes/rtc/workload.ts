/** The rtc workload: reads the clock again and again, with ticks on, and compares it with the time that has passed. */
import { errorText } from "../../api/errors.ts";
import { type Workload, type WorkloadEnvironment, Tally, sleep } from "../workload.ts";
import type { RtcClient } from "./client.ts";

/**
 * The device shows whole seconds, the shadow's log may be one behind, and simulated time may lag on a busy machine.
 * A clock that is set wrong, or stands still, is further off than this before long.
 */
const toleranceMs = 5_000;

/**
 * Ticks and updates keep the interrupt line busy, so that there is always an interrupt to fail in: Linux's ticks come from a timer of its
 * own, its updates from the device.
 */
const tickHz = 64;

/** Between two calls: a client that reads the clock all the time, but does nothing else on the machine. */
const pauseMs = 1;

/** Every so many reads the alarm is set anew, so that there is configuration to replay. */
const readsPerAlarm = 64;

export async function createWorkload(client: RtcClient, { clock, random }: WorkloadEnvironment): Promise<Workload> {
  const tally = new Tally();
  await client.setPeriodic(tickHz);
  await client.setUpdateEvents(true);
  const start = { deviceMs: (await client.readTime()).getTime(), atMicros: clock.nowMicros() };
  const read = async (): Promise<void> => {
    const deviceMs = (await client.readTime()).getTime();
    const expectedMs = start.deviceMs + (clock.nowMicros() - start.atMicros) / 1000;
    if (Math.abs(deviceMs - expectedMs) > toleranceMs) {
      tally.wrong(`read ${new Date(deviceMs).toISOString()}, ${Math.round(deviceMs - expectedMs)} ms off`);
    }
  };
  return {
    totals: tally.totals, errors: tally.errors,
    step: async () => {
      try {
        if (tally.totals.operations % readsPerAlarm === 0) {
          await client.setAlarm({ hour: Math.floor(random() * 24), minute: Math.floor(random() * 60), second: Math.floor(random() * 60) });
        } else await read();
        tally.totals.operations++;
      } catch (error) {
        tally.wrong(errorText(error));
      }
      await sleep(clock, pauseMs);
    },
    close: async () => client.close(),
  };
}
