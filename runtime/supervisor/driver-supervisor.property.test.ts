/** Random lives of one driver: whatever happens in whatever order, the supervisor's promises hold. fast-check prints seed and path. */
import { inspect } from "node:util";
import { describe, expect, test } from "vitest";
import * as fc from "fast-check";
import type { Backoff, RestartKind, RestartOptions } from "./restart-policy.ts";
import { advance, type Call, calls, type Mutation, propertyParameters, repeatCommand, settle, TestWorld } from "./test-world.ts";

type Step =
  | { readonly do: "event"; readonly what: "failed" | "report" | "records" | "log" | "ready" }
  | { readonly do: "late"; readonly what: "failed" | "report" | "records" | "log" | "ready"; readonly of: number }
  | { readonly do: "shadow-fails" | "breaks-contract" | "kill" | "served" | "start" | "stop" | "hold" | "release" | "restart" | "inject" }
  | { readonly do: "block"; readonly state: "waiting" | "held" | "stopped" | undefined }
  | { readonly do: "plan"; readonly call: Call; readonly how: "slow" | "throw" | "hang"; readonly micros: number }
  | { readonly do: "time"; readonly micros: number };

const what = fc.constantFrom("failed" as const, "report" as const, "records" as const, "log" as const, "ready" as const);
/** Times that hit the middle of every step, its limit, a backoff, and the period. */
const micros = fc.oneof({ weight: 4, arbitrary: fc.integer({ min: 0, max: 1_000 }) }, fc.integer({ min: 0, max: 60_000 }), fc.integer({ min: 0, max: 3_000_000 }));
const planned = fc.record({
  do: fc.constant("plan" as const), call: fc.constantFrom(...calls), how: fc.constantFrom("slow" as const, "throw" as const, "hang" as const), micros,
});

/** Weights so that a life has many failures, some in every step, and few commands that end it early. */
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 24, arbitrary: fc.record({ do: fc.constant("event" as const), what }) },
  { weight: 12, arbitrary: fc.record({ do: fc.constant("late" as const), what, of: fc.nat(20) }) },
  { weight: 12, arbitrary: fc.record({ do: fc.constantFrom("kill" as const, "shadow-fails" as const, "breaks-contract" as const) }) },
  { weight: 9, arbitrary: fc.record({ do: fc.constantFrom("served" as const, "start" as const, "release" as const, "restart" as const, "inject" as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom("stop" as const, "hold" as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("block" as const), state: fc.constantFrom("waiting" as const, "held" as const, "stopped" as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("block" as const), state: fc.constant(undefined) }) },
  { weight: 15, arbitrary: planned },
  { weight: 36, arbitrary: fc.record({ do: fc.constant("time" as const), micros }) },
);

const backoff: fc.Arbitrary<Backoff> = fc.record({
  initialMs: fc.integer({ min: 0, max: 200 }), factor: fc.constantFrom(1, 2, 3), maxMs: fc.integer({ min: 200, max: 2_000 }), decayMs: fc.integer({ min: 10, max: 2_000 }),
});
const restart: fc.Arbitrary<RestartOptions> = fc.record({
  policy: fc.constantFrom<RestartKind>("permanent", "permanent", "permanent", "transient", "temporary"),
  intensity: fc.constantFrom(0, 1, 3, 5, 10, Infinity, Infinity), periodMs: fc.constantFrom(100, 1_000, 10_000), escalation: fc.constant("hold" as const),
}).chain((options) => fc.option(backoff, { nil: undefined }).map((chosen) => (chosen === undefined ? options : { ...options, backoff: chosen })));

/**
 * The life of one driver next to a model of what is allowed. The model knows what the world saw (connections made, failures
 * it caused itself, commands it gave), never what the supervisor counted.
 */
class Life {
  readonly world: TestWorld;
  readonly #options: RestartOptions;
  /** What the latest command or block allows besides running. */
  #down: "stopped" | "held" | undefined = "stopped";
  #block: "waiting" | "held" | "stopped" | undefined;
  #orderlyBlock = false;
  #policyStop = false;
  /** The next connection follows a command or a block, not a failure alone. */
  #commanded = true;
  #seenConnects = 0;
  #restartsAtMicros: number[] = [];
  #failed = false;

  constructor(options: RestartOptions, canLeave: boolean, mutation?: Mutation) {
    this.#options = options;
    this.world = new TestWorld({ restart: options, canLeave, ...(mutation === undefined ? {} : { mutation }) });
    this.world.supervisor.onChange(({ state, blockedBy, lastFailure }) => {
      this.#count();
      if (state === "tearing-down" && lastFailure?.atMicros === this.world.clock.nowMicros()) {
        this.#failed = true;
        if (this.#options.policy === "temporary") this.#policyStop = true;
      }
      if (state === "held" && blockedBy === undefined && this.#down !== "held") this.#checkHold(lastFailure?.atMicros);
    });
  }

  async run(steps: readonly Step[]): Promise<void> {
    for (const next of steps) {
      await this.#step(next);
      await settle();
      this.#count();
    }
    await this.#checkLiveness();
    await this.#checkEnd();
  }

  /** Connections made since the last look; those that followed a failure alone must keep the intensity. */
  #count(): void {
    const { connectsAtMicros, violations } = this.world;
    for (; this.#seenConnects < connectsAtMicros.length; this.#seenConnects++) {
      const at = connectsAtMicros[this.#seenConnects]!;
      if (!this.#commanded) {
        this.#restartsAtMicros.push(at);
        const within = this.#restartsAtMicros.filter((other) => other > at - this.#options.periodMs * 1000).length;
        if (within > this.#options.intensity) violations.push(`${within} restarts in a period, allowed are ${this.#options.intensity}`);
      }
      this.#commanded = false;
      this.#failed = false;
    }
  }

  /** Held by policy: there must have been as many restarts as the intensity allows, or it was held for nothing. */
  #checkHold(atMicros: number | undefined): void {
    if (atMicros === undefined) return void this.world.violations.push("held without a failure");
    // Commands may bring restarts forward that the supervisor still counts, so the model counts every connection here.
    const recent = this.world.connectsAtMicros.filter((at) => at > atMicros - this.#options.periodMs * 1000).length;
    if (recent < this.#options.intensity) this.world.violations.push(`held after ${recent} starts in a period, allowed are ${this.#options.intensity} restarts`);
  }

  async #step(next: Step): Promise<void> {
    const { world } = this;
    const { supervisor } = world;
    const host = world.host;
    switch (next.do) {
      case "time": return advance(world.clock, next.micros);
      case "plan": return world.plan(next.call, next.how, next.micros);
      case "event": return void (host?.terminations === 0 && world.send(host, next.what));
      case "late": return this.#late(next.what, next.of);
      case "shadow-fails":
        if (world.shadow.attachedGeneration === undefined) return this.#noEffect("what a shadow says about nothing", () => supervisor.fail({ kind: "deadline", message: "old" }));
        return supervisor.fail({ kind: "deadline", message: "no answer" });
      case "breaks-contract":
        world.shadow.rejectNext = true;
        if (host?.terminations === 0) world.send(host, "records");
        world.shadow.rejectNext = false;
        return;
      case "kill": return void supervisor.kill();
      case "served": return supervisor.served("x");
      case "inject": return void (supervisor.status.state !== "starting" && supervisor.status.generation < 16n && supervisor.inject("init", "x"));
      case "stop": this.#leave("stopped"); return void supervisor.stop();
      case "hold": this.#leave("held"); return void supervisor.hold();
      case "release": return void (supervisor.release() && this.#return(true));
      case "start":
      case "restart":
        if (supervisor.status.state === "held" && supervisor.status.blockedBy === undefined) return;
        if (supervisor.status.target === "held" && supervisor.status.blockedBy === undefined) return;
        if (next.do === "restart" || supervisor.status.target === "stopped") this.#return(false);
        return supervisor[next.do]();
      case "block": return this.#setBlock(next.state);
    }
  }

  #leave(to: "stopped" | "held"): void {
    this.#down = to;
    this.#failed = false;
  }

  #return(fresh: boolean): void {
    this.#down = undefined;
    this.#policyStop = false;
    this.#commanded = true;
    if (fresh) this.#restartsAtMicros = [];
  }

  #setBlock(state: "waiting" | "held" | "stopped" | undefined): void {
    const { supervisor } = this.world;
    const live = supervisor.status.state === "running" || supervisor.status.state === "starting";
    if (state !== undefined && live) {
      this.#commanded = true;
      if (this.#options.policy === "temporary" || (this.#options.policy === "transient" && state === "stopped")) this.#orderlyBlock = true;
    }
    this.#block = state;
    supervisor.setBlock(state === undefined ? undefined : { by: "bus", state, reason: `bus is ${state}` });
  }

  /** An event of a generation that is over changes nothing. */
  #late(event: "failed" | "report" | "records" | "log" | "ready", of: number): void {
    const { world } = this;
    const over = world.hosts.filter((host) => host.generation < world.supervisor.status.generation);
    const host = over[of % Math.max(1, over.length)];
    if (host === undefined) return;
    this.#noEffect(`late ${event} of ${host.generation}`, () => world.send(host, event));
  }

  #noEffect(name: string, act: () => void): void {
    const { world } = this;
    const shown = (): string => inspect([world.supervisor.status, world.shadow.received, world.trail.length], { depth: 5 });
    const before = shown();
    act();
    if (shown() !== before) world.violations.push(`${name} had an effect`);
  }

  /** Faults stop and time passes: the driver is back, or down for a reason that the model knows. */
  async #checkLiveness(): Promise<void> {
    const { world } = this;
    for (const planned of world.script.values()) planned.length = 0;
    await advance(world.clock, 40_000_000);
    this.#count();
    const { state, blockedBy, reason } = world.supervisor.status;
    const expected = this.#down ?? (this.#block !== undefined && blockedBy !== undefined ? this.#block : undefined);
    const fine =
      state === "running" ? this.#down === undefined && this.#block === undefined
      : state === expected ? true
      : state === "held" ? blockedBy === undefined && Number.isFinite(this.#options.intensity) && this.#down === undefined
      : state === "stopped" ? this.#policyStop || this.#orderlyBlock
      : false;
    if (!fine) world.violations.push(`ends ${state} (${reason}), expected ${expected ?? "running"}${this.#failed ? ", a restart was missed" : ""}`);
    world.checkLeaks(state === "running" ? 1 : 0);
  }

  async #checkEnd(): Promise<void> {
    const { world } = this;
    const closing = world.supervisor.close();
    await advance(world.clock, 20_000_000);
    await closing;
    world.checkLeaks(0);
    for (const host of world.hosts) world.send(host, "failed");
    const { hosts } = world.supervisor.status;
    if (hosts.started !== world.hosts.length || hosts.ended + hosts.overdue !== hosts.started) world.violations.push(`host counts ${JSON.stringify(hosts)} for ${world.hosts.length}`);
    if (world.clock.pending !== 0) world.violations.push(`${world.clock.pending} timers left`);
  }
}

async function live(options: RestartOptions, steps: readonly Step[], canLeave: boolean, mutation?: Mutation): Promise<readonly string[]> {
  const life = new Life(options, canLeave, mutation);
  await life.run([{ do: "start" }, ...steps]);
  return life.world.violations;
}

const lives = fc.tuple(restart, fc.array(step, { maxLength: 60, size: "max" }), fc.boolean());

describe("the supervisor", () => {
  test("keeps its promises in every life", async () => {
    const found = await fc.check(fc.asyncProperty(lives, async ([options, steps, canLeave]) => {
      expect(await live(options, steps, canLeave)).toEqual([]);
    }), propertyParameters(3000));
    expect(found.failed, `${await fc.asyncDefaultReportMessage(found)}\nRepeat: ${repeatCommand(found, "runtime/supervisor/driver-supervisor.property.test.ts")}`).toBe(false);
  });
});

describe("the monitor", () => {
  const mutations: readonly (readonly [Mutation, RegExp])[] = [
    ["unlimited-restarts", /restarts in a period/],
    ["lost-backoff-timer", /ends backing-off/],
    ["old-events-taken", /had an effect|given to|taken for/],
    ["forgotten-terminate", /not terminated|nobody ended/],
    ["no-mask", /not masked/],
    ["open-gate", /before its gate|not gated/],
    ["leaked-connection", /not closed/],
  ];

  test.each(mutations)("sees the error %s", async (mutation, message) => {
    const found = await fc.check(fc.asyncProperty(lives, async ([options, steps, canLeave]) => {
      const violations = await live(options, steps, canLeave, mutation);
      return !violations.some((violation) => message.test(violation));
    }), { numRuns: 2000, endOnFailure: true });
    expect(found.failed).toBe(true);
  });
});
