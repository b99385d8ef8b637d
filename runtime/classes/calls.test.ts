/** The call core: each treatment at each step of a driver's death, and any interleaving of calls, answers, crashes and aborts. */
/* oxlint-disable vitest/no-conditional-expect -- the random steps decide what there is to expect; an empty run expects the end state */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { defineClass } from "../api/contract.ts";
import { AirlockError } from "../api/errors.ts";
import { u32 } from "../api/layout.ts";
import { Calls, maxQueuedCalls } from "./calls.ts";
import { TestEnvironment, TestPort, settle } from "../../test/fixtures/driver-port.ts";

const layout = { args: { n: u32() }, reply: { n: u32() }, deadlineMs: 10 };
const contract = defineClass({
  name: "thing", version: 1,
  operations: {
    query: { ...layout, treatment: "query" },
    idempotent: { ...layout, treatment: "idempotent" },
    config: { ...layout, treatment: "config" },
    other: { ...layout, treatment: "config" },
    once: { ...layout, treatment: "atMostOnce" },
  },
  events: {},
});
type Name = "query" | "idempotent" | "config" | "other" | "once";
const names: readonly Name[] = ["query", "idempotent", "config", "other", "once"];

function setup(maxInFlight = 4) {
  const environment = new TestEnvironment();
  const calls = new Calls(contract, environment, {
    maxInFlight,
    event: () => undefined,
    inspect: (_name, args, reply) => (reply["n"] === args["n"] ? undefined : "n differs"),
  });
  const attach = () => {
    const port = new TestPort(contract);
    return { port, attached: calls.attach(port) };
  };
  /** A call's outcome so far: undefined, an answer or an error code. */
  const start = (name: Name, n: number, signal?: AbortSignal) => {
    const outcome: { value?: unknown; settled: number } = { settled: 0 };
    const set = (value: unknown): void => {
      outcome.settled++;
      outcome.value = value;
    };
    calls.call(name, { n }, signal === undefined ? {} : { signal }).then(
      (reply) => set(reply.n),
      (error: unknown) => set(error instanceof AirlockError ? error.code : "aborted"),
    );
    return outcome;
  };
  const answer = (port: TestPort, request = port.open[0]!) => calls.receive(port.answer({ n: request.args["n"] }, request));
  return { environment, calls, attach, start, answer };
}

describe.each(names)("a %s call", (name) => {
  test("is answered, and not inside its own submission", async () => {
    const { attach, start, answer, environment } = setup();
    const { port } = attach();
    const outcome = start(name, 1);
    expect(answer(port)).toBeUndefined();
    expect(outcome.settled).toBe(0);
    await settle();
    expect(outcome).toEqual({ value: 1, settled: 1 });
    expect(environment.servedOperations).toEqual([name]);
    expect(environment.clock.pending).toBe(0);
  });

  test("made while there is no driver waits for one", async () => {
    const { attach, start, answer } = setup();
    const outcome = start(name, 1);
    const { port } = attach();
    answer(port);
    await settle();
    expect(outcome).toEqual({ value: 1, settled: 1 });
  });

  test("kept back by a full queue is sent by the next driver when this one dies", async () => {
    const { attach, start, answer, calls } = setup();
    const { port } = attach();
    port.full = true;
    const outcome = start(name, 1);
    calls.detach();
    const next = attach();
    expect(next.port.names).toEqual([name]);
    answer(next.port);
    await settle();
    expect(outcome).toEqual({ value: 1, settled: 1 });
  });

  test("kept back by a full queue is tried again", () => {
    const { attach, start, environment } = setup();
    const { port } = attach();
    port.full = true;
    start(name, 1);
    environment.clock.advance(5_000);
    port.full = false;
    environment.clock.advance(5_000);
    expect(port.names).toEqual([name]);
  });

  test("whose driver dies after it got it is treated as its contract says", async () => {
    const { attach, start, answer, calls } = setup();
    attach();
    const outcome = start(name, 1);
    calls.detach();
    await settle();
    const next = attach();
    if (name === "once") {
      expect(next.port.names).toEqual([]);
      expect(outcome).toEqual({ value: "MayHaveExecuted", settled: 1 });
    } else {
      expect(outcome.settled).toBe(0);
      expect(next.port.names).toEqual([name]);
      answer(next.port);
      await settle();
      expect(outcome).toEqual({ value: 1, settled: 1 });
    }
  });

  test("whose driver dies after the answer is answered; only config is replayed", async () => {
    const { attach, start, answer, calls } = setup();
    const { port } = attach();
    const outcome = start(name, 1);
    answer(port);
    calls.detach();
    const next = attach();
    await settle();
    expect(outcome).toEqual({ value: 1, settled: 1 });
    expect(next.port.names).toEqual(name === "config" || name === "other" ? [name] : []);
  });

  test("answered by a driver that is gone stays unanswered", async () => {
    const { attach, start, calls } = setup();
    const { port } = attach();
    const outcome = start(name, 1);
    const stale = port.answer({ n: 1 });
    calls.detach();
    expect(calls.receive(stale)).toBeUndefined();
    attach();
    expect(calls.receive(stale)).toMatch(/never asked/);
    await settle();
    expect(outcome.value).not.toBe(1);
  });

  test("not answered in time is the driver's failure, told once", () => {
    const { attach, start, environment } = setup();
    attach();
    start(name, 1);
    environment.clock.advance(9_999);
    expect(environment.failures).toEqual([]);
    environment.clock.advance(1e6);
    expect(environment.failures).toMatchObject([{ kind: "deadline", operation: name }]);
  });

  test("aborted while it waits is never sent; aborted later, its answer is still due", async () => {
    const { attach, start, answer, environment } = setup();
    const early = new AbortController();
    const first = start(name, 1, early.signal);
    early.abort();
    const { port } = attach();
    expect(port.names).toEqual([]);
    const late = new AbortController();
    const second = start(name, 2, late.signal);
    late.abort();
    expect(answer(port)).toBeUndefined();
    await settle();
    expect([first, second]).toEqual([{ value: "aborted", settled: 1 }, { value: "aborted", settled: 1 }]);
    expect(environment.servedOperations).toEqual([]);
  });

  test("fails when the supervisor gives up, and works again after the next attach", async () => {
    const { attach, start, answer, calls } = setup();
    const waiting = start(name, 1);
    calls.giveUp(new AirlockError("DriverUnavailable", "held"));
    const later = start(name, 2);
    await settle();
    expect([waiting, later].map(({ value }) => value)).toEqual(["DriverUnavailable", "DriverUnavailable"]);
    const { port } = attach();
    const outcome = start(name, 3);
    answer(port);
    await settle();
    expect(outcome.value).toBe(3);
  });
});

describe("calls", () => {
  test("replay the log in the order it was first set, then unanswered config, then the rest", async () => {
    const { attach, start, answer, calls } = setup();
    const { port } = attach();
    for (const [name, n] of [["config", 1], ["other", 2], ["config", 3]] as const) {
      start(name, n);
      answer(port);
    }
    start("query", 4);
    start("other", 5);
    calls.detach();
    const next = attach();
    const seen: unknown[] = [];
    for (let request = next.port.open[0]; request !== undefined; request = next.port.open[0]) {
      expect(next.port.open).toHaveLength(1);
      seen.push([request.name, request.args["n"], calls.state]);
      answer(next.port);
    }
    expect(seen).toEqual([["config", 3, "active"], ["other", 2, "active"], ["other", 5, "active"], ["query", 4, "passive"]]);
    expect(await next.attached).toBe(true);
  });

  test("a detach during replay ends the attach with false, and the next one replays from the start", async () => {
    const { attach, start, answer, calls } = setup();
    const { port } = attach();
    start("config", 1);
    answer(port);
    calls.detach();
    const broken = attach();
    calls.detach();
    expect(await broken.attached).toBe(false);
    expect(attach().port.names).toEqual(["config"]);
  });

  test("a configuration whose driver dies and that is then given up is not in the log", async () => {
    const { attach, start, calls } = setup();
    attach();
    start("config", 1);
    calls.giveUp(new AirlockError("DriverUnavailable", "held"));
    await settle();
    expect(attach().port.names).toEqual([]);
  });

  test("an answer of the right layout and the wrong content is a violation and reaches no client", async () => {
    const { attach, start, calls } = setup();
    const { port } = attach();
    const outcome = start("query", 1);
    expect(calls.receive(port.answer({ n: 2 }))).toBe("answer to query: n differs");
    await settle();
    expect(outcome.settled).toBe(0);
  });

  test("the queue is bounded", async () => {
    const { start } = setup();
    const outcomes = Array.from({ length: maxQueuedCalls + 1 }, (_, n) => start("query", n));
    await settle();
    expect(outcomes.filter(({ settled }) => settled > 0)).toEqual([{ value: "QueueFull", settled: 1 }]);
  });

  test("arguments outside the contract are refused", async () => {
    const { start } = setup();
    const outcome = start("query", -1);
    await settle();
    expect(outcome.value).toBe("InvalidArgument");
  });

  test("whatever happens in whatever order, every call settles once and nothing is repeated that must not be", async () => {
    const step = fc.oneof(
      { weight: 6, arbitrary: fc.record({ do: fc.constant("call" as const), name: fc.constantFrom(...names) }) },
      { weight: 6, arbitrary: fc.record({ do: fc.constant("answer" as const), which: fc.nat(3) }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constantFrom("crash" as const, "attach" as const, "settle" as const) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constantFrom("full" as const, "giveUp" as const) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant("abort" as const), which: fc.nat(9) }) },
    );
    await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 60 }), fc.integer({ min: 1, max: 4 }), async (steps, maxInFlight) => {
      const { calls, attach, start, answer, environment } = setup(maxInFlight);
      const outcomes: { value?: unknown; settled: number }[] = [];
      const aborts: AbortController[] = [];
      const ports: TestPort[] = [];
      const confirmed = new Map<string, number>();
      let port: TestPort | undefined;
      for (const item of steps) {
        switch (item.do) {
          case "call":
            aborts.push(new AbortController());
            outcomes.push(start(item.name, outcomes.length, aborts.at(-1)!.signal));
            break;
          case "answer": {
            const request = port?.open[item.which % Math.max(1, port.open.length)];
            if (request === undefined) break;
            if (request.name === "config" || request.name === "other") {
              confirmed.set(request.name, request.args["n"] as number);
            }
            expect(answer(port!, request)).toBeUndefined();
            break;
          }
          case "crash": calls.detach(); port = undefined; break;
          case "attach": {
            port = attach().port;
            ports.push(port);
            const [first] = confirmed;
            if (first !== undefined) expect([port.open[0]!.name, port.open[0]!.args["n"]]).toEqual(first);
            break;
          }
          case "settle": await settle(); break;
          case "full": if (port !== undefined) port.full = !port.full; break;
          case "giveUp": calls.giveUp(new AirlockError("DriverUnavailable", "held")); port = undefined; break;
          case "abort": aborts[item.which % Math.max(1, aborts.length)]?.abort(); break;
        }
        environment.clock.advance(600);
        const open = port?.open ?? [];
        expect(open.length).toBeLessThanOrEqual(maxInFlight);
        if (open.some(({ name }) => name === "config" || name === "other")) expect(open).toHaveLength(1);
      }
      calls.close();
      await settle();
      expect(outcomes.map(({ settled }) => settled)).toEqual(outcomes.map(() => 1));
      const once = ports.flatMap(({ all }) => all).filter(({ name }) => name === "once").map(({ args }) => args["n"]);
      expect(new Set(once).size).toBe(once.length);
      expect(environment.clock.pending).toBe(0);
    }), { numRuns: 300 });
  });
});
