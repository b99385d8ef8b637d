import { describe, expect, test } from "vitest";
import * as fc from "fast-check";
import {
  afterFailure, backoffMs, checkRestartOptions, freshHistory, restarted, restartGapMs, type RestartHistory, type RestartOptions, returnsAfter, wentWell,
} from "./restart-policy.ts";

const plain: RestartOptions = { policy: "permanent", intensity: Infinity, periodMs: 10_000, escalation: "hold" };
const backoff = { initialMs: 100, factor: 2, maxMs: 1_000, decayMs: 5_000 };

/** Fails, restarts and goes well again and again, `wellMs` apart; returns the delays. */
function delays(options: RestartOptions, wellMs: readonly number[]): (number | string)[] {
  let history: RestartHistory = freshHistory;
  let nowMicros = 0;
  return wellMs.map((ms) => {
    history = wentWell(history, nowMicros);
    nowMicros += ms * 1000;
    const { decision, history: next } = afterFailure(options, history, nowMicros);
    history = next;
    if (decision.do !== "restart") return decision.do;
    nowMicros += decision.delayMs * 1000;
    history = restarted(options, history, nowMicros);
    return decision.delayMs;
  });
}

describe("backoff", () => {
  test("the first restart is immediate, later ones wait longer up to the maximum", () => {
    expect(delays({ ...plain, backoff }, [10, 10, 10, 10, 10, 10, 10])).toEqual([0, 100, 200, 400, 800, 1000, 1000]);
  });

  test("good behaviour takes steps back, one per decay time", () => {
    expect(delays({ ...plain, backoff }, [10, 10, 10, 10, 5_000, 15_000, 60_000])).toEqual([0, 100, 200, 400, 400, 100, 0]);
  });

  test("decay shows at once after any number of failures at the maximum", () => {
    expect(delays({ ...plain, backoff }, [...Array<number>(50).fill(10), 5_000]).slice(-2)).toEqual([1000, 800]);
  });

  test("without backoff every restart is immediate, but for the gap", () => {
    expect(delays(plain, [50, 50, 0.25, 0, 50])).toEqual([0, 0, restartGapMs - 0.25, restartGapMs, 0]);
  });

  test("a factor of 1 keeps the initial wait", () => {
    expect(delays({ ...plain, backoff: { ...backoff, factor: 1 } }, [5, 5, 5])).toEqual([0, 100, 100]);
  });

  test("never exceeds its maximum", () => {
    fc.assert(fc.property(fc.double({ min: 1, max: 10, noNaN: true }), fc.nat(10_000), (factor, level) => {
      expect(backoffMs({ ...backoff, factor }, level)).toBeLessThanOrEqual(1_000);
    }));
  });
});

describe("intensity", () => {
  test("the failure after the allowed restarts holds the driver", () => {
    expect(delays({ ...plain, intensity: 3 }, [10, 10, 10, 10])).toEqual([0, 0, 0, "hold"]);
    expect(delays({ ...plain, intensity: 0 }, [10])).toEqual(["hold"]);
  });

  test("restarts older than the period don't count", () => {
    expect(delays({ ...plain, intensity: 2 }, [10, 6_000, 4_000, 6_000])).toEqual([0, 0, 0, 0]);
    expect(delays({ ...plain, intensity: 2 }, [10, 6_000, 3_999])).toEqual([0, 0, "hold"]);
  });

  test("no series of failures gets more restarts than that into any period", () => {
    const series = fc.array(fc.integer({ min: 0, max: 4_000 }), { maxLength: 60 });
    fc.assert(fc.property(series, fc.integer({ min: 0, max: 5 }), fc.boolean(), (wells, intensity, withBackoff) => {
      const options = { ...plain, intensity, ...(withBackoff ? { backoff } : {}) };
      let history: RestartHistory = freshHistory;
      let nowMicros = 0;
      const at: number[] = [];
      for (const ms of wells) {
        nowMicros += ms * 1000;
        const { decision, history: next } = afterFailure(options, history, nowMicros);
        history = next;
        if (decision.do !== "restart") continue;
        nowMicros += decision.delayMs * 1000;
        history = wentWell(restarted(options, history, nowMicros), nowMicros);
        at.push(nowMicros);
      }
      for (const end of at) {
        expect(at.filter((other) => other <= end && other > end - options.periodMs * 1000).length).toBeLessThanOrEqual(intensity);
      }
    }));
  });

  test("unlimited intensity keeps no list", () => {
    expect(restarted(plain, freshHistory, 5).restartsAtMicros).toEqual([]);
  });
});

describe("policy", () => {
  test("who comes back after what", () => {
    expect(returnsAfter("permanent", "orderly")).toBe(true);
    expect(returnsAfter("transient", "orderly")).toBe(false);
    expect(returnsAfter("transient", "failure")).toBe(true);
    expect(returnsAfter("temporary", "failure")).toBe(false);
    expect(delays({ ...plain, policy: "temporary" }, [10])).toEqual(["stop"]);
    expect(delays({ ...plain, policy: "transient" }, [10])).toEqual([0]);
  });

  test.each([
    { ...plain, intensity: -1 }, { ...plain, intensity: NaN }, { ...plain, periodMs: 0 },
    { ...plain, backoff: { ...backoff, factor: 0.5 } }, { ...plain, backoff: { ...backoff, maxMs: 1 } },
    { ...plain, backoff: { ...backoff, maxMs: Infinity } }, { ...plain, backoff: { ...backoff, decayMs: 0 } },
    { ...plain, backoff: { ...backoff, initialMs: -1 } },
  ])("refuses options that make no sense: %j", (options) => {
    expect(() => checkRestartOptions(options)).toThrow("restart policy");
  });
});
