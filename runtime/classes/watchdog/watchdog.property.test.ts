/** Whatever drivers do and whenever they die: a watchdog never runs out early, a silent client keeps none alive, and each expiry is told once. */
import assert from "node:assert/strict";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { TestEnvironment, TestPort, settle } from "../../../test/fixtures/driver-port.ts";
import { openClient } from "./client.ts";
import { watchdog } from "./contract.ts";
import { type WatchdogConfiguration, createShadow } from "./shadow.ts";

/** What is left is rounded up to a millisecond, and the driver that is told of it may take its time. */
const slackMicros = (1 + watchdog.operations.configure.deadlineMs) * 1_000;

/** A device that counts exactly, and drivers that tell it what they are told. */
class Bench {
  readonly environment = new TestEnvironment();
  readonly shadow = createShadow(this.environment);
  readonly client = openClient(this.shadow);
  told = 0;
  expiries = 0;
  /** Calls not settled. */
  pending = 0;
  /** Before this it must not run out, and from this on it must have, by what the client was told; undefined while the client has none running. */
  promised: { readonly fromMicros: number; readonly toMicros: number } | undefined;
  /** How early each start that waits may make it run out. */
  readonly #startingMicros = new Set<{ readonly fromMicros: number }>();
  #timeoutMs = 0;
  #deadlineMicros: number | undefined;
  #flag = false;
  #cancel: () => void = () => undefined;
  port: TestPort | undefined;

  constructor() {
    this.client.on(({ kind }) => {
      if (kind !== "expired") return;
      this.told++;
      this.promised = undefined;
    });
  }

  get now(): number {
    return this.environment.clock.nowMicros();
  }

  get runsOutMicros(): number | undefined {
    return this.#deadlineMicros;
  }

  start(timeoutMs: number): void {
    const starting = { fromMicros: this.now + timeoutMs * 1_000 };
    this.#startingMicros.add(starting);
    // It may be shorter than what was promised so far, from when the driver has it.
    this.#promise(this.promised);
    const begun = this.client.start({ timeoutMs }).finally(() => this.#startingMicros.delete(starting));
    this.#watch(begun, () => {
      this.#timeoutMs = timeoutMs;
      this.#promise({ fromMicros: starting.fromMicros, toMicros: this.now + timeoutMs * 1_000 });
    });
  }

  #promise(promised: Bench["promised"]): void {
    this.promised = promised && { ...promised, fromMicros: Math.min(promised.fromMicros, ...[...this.#startingMicros].map(({ fromMicros }) => fromMicros)) };
  }

  ping(): void {
    const from = this.now;
    this.#watch(this.client.ping(), () => {
      const micros = this.#timeoutMs * 1_000;
      this.#promise(this.promised && { fromMicros: Math.max(this.promised.fromMicros, from + micros), toMicros: this.now + micros });
    });
  }

  stop(): void {
    this.#watch(this.client.stop(), () => { this.promised = undefined; });
  }

  #watch(call: Promise<unknown>, done: () => void): void {
    this.pending++;
    void (async () => {
      // What is refused, or was meant for a watchdog that ran out meanwhile, promises nothing.
      const isDone = await call.then(() => true, () => false);
      this.pending--;
      if (isDone) done();
    })();
  }

  attach(): void {
    if (this.port !== undefined) return;
    this.port = new TestPort(this.shadow.contract);
    void this.shadow.attach(this.port);
  }

  detach(): void {
    this.port = undefined;
    this.shadow.detach();
  }

  /** The driver does the oldest request, and answers it. */
  perform(answers: boolean): void {
    const request = this.port?.open[0];
    if (this.port === undefined || request === undefined) return;
    const { name, args } = request;
    let reply: Readonly<Record<string, unknown>> = {};
    if (name === "identify") {
      const isRunning = this.#deadlineMicros !== undefined;
      reply = { minTimeoutMs: 1, maxTimeoutMs: 100_000, canStop: true, hasPretimeout: false, tellsTimeLeft: false, hasExpired: this.#flag, isRunning };
      this.#flag = false;
    } else if (name === "ping") {
      if (this.#deadlineMicros !== undefined) this.#count(args["timeoutMs"] as number);
    } else {
      const { running, timeoutMs } = args as WatchdogConfiguration;
      if (running) this.#count(timeoutMs);
      else this.#halt();
      reply = { timeoutMs, isRunning: running };
    }
    if (!answers) return this.detach();
    const reason = this.shadow.receive(this.port.answer(reply, request));
    assert.equal(reason, undefined);
  }

  async pass(micros: number): Promise<void> {
    const until = this.now + micros;
    // A step at a time, so that a late answer is found out when it is late.
    while (this.now < until) {
      this.environment.clock.advance(Math.min(100_000, until - this.now));
      if (this.environment.failures.splice(0).length > 0) this.detach();
      await settle();
    }
  }

  #count(timeoutMs: number): void {
    this.#halt();
    this.#deadlineMicros = this.now + timeoutMs * 1_000;
    this.#cancel = this.environment.clock.setTimer(timeoutMs * 1_000, () => this.#expired());
  }

  #halt(): void {
    this.#cancel();
    this.#deadlineMicros = undefined;
  }

  #expired(): void {
    this.#halt();
    this.#flag = true;
    if (this.promised !== undefined) {
      this.expiries++;
      assert.ok(this.now >= this.promised.fromMicros, `ran out at ${this.now}, promised until ${this.promised.fromMicros}`);
    }
    this.shadow.resetRequested!();
  }
}

const step = fc.oneof(
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("start" as const), timeoutMs: fc.integer({ min: 1_000, max: 5_000 }) }) },
  { weight: 4, arbitrary: fc.constant({ kind: "ping" as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: "stop" as const }) },
  { weight: 8, arbitrary: fc.constant({ kind: "answer" as const }) },
  { weight: 2, arbitrary: fc.constant({ kind: "die" as const }) },
  { weight: 2, arbitrary: fc.constant({ kind: "detach" as const }) },
  { weight: 4, arbitrary: fc.constant({ kind: "attach" as const }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("pass" as const), micros: fc.oneof(fc.integer({ min: 1, max: 50_000 }), fc.integer({ min: 1, max: 3_000_000 })) }) },
);

type Step = typeof step extends fc.Arbitrary<infer One> ? One : never;

async function perform(bench: Bench, one: Step): Promise<void> {
  switch (one.kind) {
    case "start": bench.start(one.timeoutMs); break;
    case "ping": bench.ping(); break;
    case "stop": bench.stop(); break;
    case "answer": bench.perform(true); break;
    case "die": bench.perform(false); break;
    case "detach": bench.detach(); break;
    case "attach": bench.attach(); break;
    case "pass": await bench.pass(one.micros); break;
  }
  await settle();
}

const steps = fc.array(step, { minLength: 5, maxLength: 60, size: "max" });

test("any drivers, any clients", async () => {
  await fc.assert(fc.asyncProperty(steps, async (all) => {
    const bench = new Bench();
    for (const one of all) {
      await perform(bench, one);
      if (bench.pending === 0 && bench.promised !== undefined && bench.runsOutMicros !== undefined) {
        expect(bench.runsOutMicros).toBeLessThanOrEqual(bench.promised.toMicros + slackMicros);
      }
    }
    // A well-behaved driver from here on: all calls settle, and what nobody pings runs out.
    for (let round = 0; round < 500 && (bench.pending > 0 || bench.port === undefined || bench.port.open.length > 0); round++) {
      bench.attach();
      bench.perform(true);
      await settle();
    }
    expect(bench.pending).toBe(0);
    await bench.pass(6_000_000);
    expect(bench.promised).toBeUndefined();
    expect(bench.told).toBe(bench.expiries);
    bench.shadow.close();
  }), { numRuns: 400 });
}, 60_000);
