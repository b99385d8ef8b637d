/** Each detector that has a limit, with the limit lifted: what it would have reported is not reported any more. */
import { describe, expect, test } from "vitest";
import type { FailureKind } from "../../runtime/api/failure.ts";
import type { TierName } from "../../runtime/sandbox/sandbox.ts";
import { FailingMachine, forever, nothingLeft, resources, sleep } from "./failing-machine.ts";

interface Lifted {
  readonly failure: string;
  /** What its limit reports; `failures.test.ts` has the same fixture under the usual limits. */
  readonly kinds: readonly FailureKind[];
  readonly tiers: readonly TierName[];
  readonly usual: string;
  readonly lifted: string;
  /** What the driver is after it was left alone for a while. */
  readonly then: "running" | "starting";
}

const tiers = ["quickjs", "worker"] as const;

const detectors: Readonly<Record<string, Lifted>> = {
  "turn limit and watchdog": { failure: "loops", kinds: ["turn-limit", "hang"], tiers, usual: "init: 60s", lifted: "init: 60s, turn: 10s, hang: 60s", then: "starting" },
  "watchdog": { failure: "loops-in-builtin", kinds: ["hang"], tiers, usual: "init: 60s", lifted: "init: 60s, hang: 60s", then: "starting" },
  "memory limit": {
    failure: "takes-memory", kinds: ["memory"], tiers, usual: "init: 60s, turn: 5s, hang: 10s", lifted: "init: 60s, turn: 5s, hang: 10s, memory: 512MiB", then: "running",
  },
  "log rate": { failure: "floods-log", kinds: ["log-flood"], tiers, usual: "init: 60s", lifted: "init: 60s, turn: 5s, hang: 10s, logPerSecond: 100000", then: "running" },
  "interrupt rate": { failure: "storms", kinds: ["irq-storm"], tiers, usual: "irqPerSecond: 500", lifted: "irqPerSecond: 10000000", then: "running" },
  "time to ack": { failure: "never-acks", kinds: ["irq-unacked"], tiers, usual: "", lifted: "irqAck: 60s", then: "running" },
  "init limit": { failure: "never-ready", kinds: ["deadline"], tiers, usual: "init: 200ms", lifted: "init: 60s", then: "starting" },
};

/** Several times the usual limits: long enough for a detector that is still on. */
const watchMs = 700;

describe.each(Object.entries(detectors))("%s", (_name, { failure, kinds, tiers: those, usual, lifted, then }) => {
  test.each(those)("reports at its limit and not without it: %s", async (tier) => {
    const before = resources();
    {
      await using machine = await FailingMachine.bringUp({ failure, tier, times: forever, limits: usual });
      await machine.held();
      expect(kinds).toEqual(expect.arrayContaining(Object.keys(machine.status.failures)));
    }
    {
      await using machine = await FailingMachine.bringUp({ failure, tier, times: forever, limits: lifted });
      if (then === "running") {
        await machine.running();
        expect(await machine.client.readTime()).toBeInstanceOf(Date);
      }
      await sleep(watchMs);
      const { failures, state, lastFailure } = machine.status;
      for (const kind of kinds) expect(failures, lastFailure?.failure.message).not.toHaveProperty(kind);
      expect(state).toBe(then);
    }
    await nothingLeft(before);
  });
});
