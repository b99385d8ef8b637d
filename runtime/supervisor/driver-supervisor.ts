/** The supervisor of one driver: brings generations up, tears them down when they fail, restarts or gives up by policy. */
import type { Clock } from "../api/clock.ts";
import type { FaultPoint } from "../api/bridge.ts";
import { AirlockError, errorText } from "../api/errors.ts";
import { type Failure, type FailureKind, failureKinds } from "../api/failure.ts";
import type { Shadow } from "../classes/shadow.ts";
import type { ArmedFault, HostSpec } from "../host/driver-host.ts";
import { lifecycleSteps, type LifecycleStep, TraceKind } from "../trace/entry.ts";
import type { DriverBus } from "./driver-bus.ts";
import type { DriverState, DriverStatus, DriverTarget, FailureRecord, Recovery } from "./driver-status.ts";
import { type BringUpLimits, Generation, type GenerationEvents } from "./generation.ts";
import { Recoveries } from "./recoveries.ts";
import {
  afterFailure, checkRestartOptions, type Decision, freshHistory, restarted, type RestartHistory, returnsAfter, wentWell,
} from "./restart-policy.ts";
import { type Block, standardLimits, type SupervisorOptions } from "./supervisor-options.ts";
import { standardTeardown, type StepReport, type TeardownStep } from "./teardown.ts";

/** Faults armed for one start; a campaign arms one or two. */
export const armedFaultsMax = 16;

type Goal =
  /** `counted`: the start follows a failure and counts for the intensity. */
  | { readonly to: "running"; readonly dueMicros: number; readonly counted: boolean }
  | { readonly to: "stopped"; readonly reason: string }
  | { readonly to: "held"; readonly reason: string; readonly byPolicy: boolean };

const kindIndex = new Map(Object.keys(failureKinds).map((kind, index) => [kind, index]));

/**
 * One driver over all its generations. There is at most one current generation: the next begins only when the teardown
 * of the one before has run, and events of any other are ignored. `#goal` says what comes when no generation is current;
 * commands and failures set the goal, `#proceed` acts on it.
 */
export class DriverSupervisor<Handle = unknown> {
  readonly name: string;
  readonly shadow: Shadow;
  readonly #options: SupervisorOptions<Handle>;
  readonly #clock: Clock;
  readonly #limits: BringUpLimits;
  readonly #teardown: readonly TeardownStep[];
  readonly #recoveries = new Recoveries();
  readonly #listeners = new Set<(status: DriverStatus) => void>();
  readonly #recoveryListeners = new Set<(recovery: Recovery) => void>();
  readonly #failures: Partial<Record<FailureKind, number>> = {};
  readonly #skipped: Partial<Record<LifecycleStep, number>> = {};
  readonly #hosts = { started: 0, ended: 0, overdue: 0 };
  #history: RestartHistory = freshHistory;
  #goal: Goal = { to: "stopped", reason: "not started yet" };
  #block: Block | undefined;
  #state: DriverState = "stopped";
  #current: Generation<Handle> | undefined;
  #number: bigint;
  #idle: Promise<void> = Promise.resolve();
  #cancelBackoff: () => void = () => undefined;
  #faults: ArmedFault[] = [];
  #restarts = 0;
  #escalated = false;
  #lastFailure: FailureRecord | undefined;
  #sinceMicros: number;
  /** The target the shadow was last told about. Before the first start its clients wait: the start is about to come. */
  #gaveUpFor: DriverTarget | undefined = "stopped";
  #closed = false;

  constructor(options: SupervisorOptions<Handle>) {
    checkRestartOptions(options.restart);
    this.#options = options;
    this.name = options.spec.driver;
    this.shadow = options.shadow;
    this.#clock = options.clock;
    this.#limits = { ...standardLimits, ...options.limits };
    this.#teardown = options.teardown ?? standardTeardown();
    this.#number = options.lastGeneration ?? 0n;
    this.#sinceMicros = options.clock.nowMicros();
  }

  get status(): DriverStatus {
    const goal = this.#goal;
    const blocked = goal.to === "running" ? this.#block : undefined;
    return {
      driver: this.name, state: this.#publishedState(), target: this.#target(), generation: this.#number,
      reason: goal.to === "running" ? blocked?.reason : goal.reason, blockedBy: blocked?.by,
      escalation: goal.to === "held" && goal.byPolicy ? this.#options.restart.escalation : undefined,
      escalated: this.#escalated, sinceMicros: this.#sinceMicros,
      nextRestartAtMicros: goal.to === "running" && blocked === undefined && this.#state !== "running" && this.#state !== "starting"
        ? goal.dueMicros : undefined,
      failures: { ...this.#failures }, restarts: this.#restarts, lastFailure: this.#lastFailure,
      hosts: { ...this.#hosts }, skippedSteps: { ...this.#skipped },
    };
  }

  /** The latest failures and how long each recovery took, oldest first. */
  get recoveries(): readonly Recovery[] {
    return this.#recoveries.all;
  }

  /** Calls back in the same turn as each change of state, target or reason; returns a function that stops that. */
  onChange(listener: (status: DriverStatus) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Calls back at the first served call after a failure. */
  onRecovery(listener: (recovery: Recovery) => void): () => void {
    this.#recoveryListeners.add(listener);
    return () => this.#recoveryListeners.delete(listener);
  }

  /** Has its spares loaded before it is started. */
  warm(): void {
    this.#guard("warm", () => this.#options.hosts.warm(this.#form().spec));
  }

  /** Brings the driver up, now or when the drivers it depends on are up. Throws DriverUnavailable when it is held. */
  start(): void {
    this.#mustBeOpen();
    this.#mustNotBeHeld("started");
    if (this.#goal.to === "running") return;
    this.#goal = { to: "running", dueMicros: this.#clock.nowMicros(), counted: false };
    this.#proceed();
  }

  /** Orderly stop: the device is quiesced, clients get DriverUnavailable. Resolves when all is torn down and ended. */
  stop(reason = "stopped by command"): Promise<void> {
    this.#mustBeOpen();
    return this.#leave({ to: "stopped", reason });
  }

  /** As stop, but only `release` brings it back. `inOrder`: whether a driver that can let go of its device is told to. */
  hold(reason = "held by command", inOrder = true): Promise<void> {
    this.#mustBeOpen();
    return this.#leave({ to: "held", reason, byPolicy: false }, inOrder);
  }

  /** Ends a hold, forgets the restarts that led to it, goes back on an escalation; false when it was not held. */
  release(): boolean {
    this.#mustBeOpen();
    if (this.#goal.to !== "held") return false;
    this.#history = freshHistory;
    this.#escalated = false;
    this.#goal = { to: "running", dueMicros: this.#clock.nowMicros(), counted: false };
    this.#step("released");
    this.#proceed();
    return true;
  }

  /** Replaces the current generation, or starts at once. Doesn't count for the intensity. Throws DriverUnavailable when held. */
  restart(): void {
    this.#mustBeOpen();
    this.#mustNotBeHeld("restarted");
    const goal = this.#goal;
    // A restart that a failure has already ordered is brought forward and counts still.
    const counted = goal.to === "running" && goal.counted && this.#live() === undefined;
    const next: Goal = { to: "running", dueMicros: this.#clock.nowMicros(), counted };
    const live = this.#live();
    if (live !== undefined) return this.#end(live, undefined, next, true);
    this.#goal = next;
    this.#proceed();
  }

  /** Fails the current generation; false when there is none to fail. */
  kill(failure: Failure = { kind: "killed", message: "killed by command" }): boolean {
    const live = this.#live();
    if (live === undefined) return false;
    this.#failed(live, failure);
    return true;
  }

  /** For ShadowEnvironment.fail: the shadow found the generation attached to it at fault. */
  fail(failure: Failure): void {
    const live = this.#live();
    // What a shadow says while none is attached is about an earlier generation.
    if (live?.attached === true) this.#failed(live, failure);
  }

  /** For ShadowEnvironment.served: a client call was answered. What is answered while the driver is away ends no recovery. */
  served(_operation: string): void {
    if (this.#live()?.attached === true) this.#tellRecovered(this.#recoveries.served(this.#clock.nowMicros()));
  }

  /** Whether the current generation was found at fault, or is gone. */
  get isFailing(): boolean {
    return this.#live()?.failing ?? true;
  }

  /** Arms a fault: in the running driver, or for its next start when it is for init or no driver runs. */
  inject(where: FaultPoint, code: string): "armed" | "next-start" {
    this.#mustBeOpen();
    if (where !== "init" && this.#live()?.inject(where, code) === true) return "armed";
    if (this.#faults.length >= armedFaultsMax) {
      throw new AirlockError("QueueFull", `driver "${this.name}" has ${armedFaultsMax} faults armed for its next start; start it first`, { driver: this.name });
    }
    this.#faults.push({ where, code });
    return "next-start";
  }

  /** Keeps the driver from running while a driver it depends on is away; undefined lifts it. For the machine's supervisor. */
  setBlock(block: Block | undefined): void {
    if (this.#closed) return;
    const before = this.#block;
    if (before?.by === block?.by && before?.state === block?.state && before?.reason === block?.reason) return;
    this.#block = block;
    const live = this.#live();
    if (block === undefined || live === undefined) return this.#proceed();
    const returns = returnsAfter(this.#options.restart.policy, block.state === "stopped" ? "orderly" : "failure");
    this.#end(live, undefined, returns
      ? { to: "running", dueMicros: this.#clock.nowMicros(), counted: false } : { to: "stopped", reason: block.reason });
  }

  /** Stops for good, and closes the shadow. `atOnce`: capabilities are closed and the host is ended, nothing is waited for. */
  close(mode: "orderly" | "atOnce" = "orderly"): Promise<void> {
    if (!this.#closed) {
      void this.#leave({ to: "stopped", reason: "the machine is shut down" });
      this.#closed = true;
      this.#guard("shadow.close", () => this.shadow.close());
    }
    if (mode === "atOnce") this.#current?.hurry();
    return this.#idle;
  }

  #live(): Generation<Handle> | undefined {
    return this.#current?.finished === false ? this.#current : undefined;
  }

  #leave(goal: Goal, inOrder = true): Promise<void> {
    this.#gaveUpFor = undefined;
    const live = this.#live();
    if (live !== undefined) {
      this.#end(live, undefined, goal, inOrder);
    } else {
      this.#goal = goal;
      this.#proceed();
    }
    return this.#idle;
  }

  /** Acts on the goal when no generation is in the way. Publishes in any case. */
  #proceed(): void {
    if (this.#current !== undefined) return this.#publish();
    this.#cancelBackoff();
    const goal = this.#goal;
    if (goal.to !== "running") {
      if (this.#state !== goal.to) this.#step(goal.to);
      return this.#enter(goal.to);
    }
    if (this.#block !== undefined) return this.#enter("waiting");
    const delayMicros = goal.dueMicros - this.#clock.nowMicros();
    if (delayMicros > 0) {
      this.#cancelBackoff = this.#clock.setTimer(delayMicros, () => this.#proceed());
      return this.#enter("backing-off");
    }
    this.#begin(goal.counted);
  }

  #begin(counted: boolean): void {
    if (counted) {
      this.#history = restarted(this.#options.restart, this.#history, this.#clock.nowMicros());
      this.#restarts++;
    }
    this.#goal = { to: "running", dueMicros: this.#clock.nowMicros(), counted: false };
    const { clock, hosts, trace } = this.#options;
    const { spec, bus } = this.#form();
    const number = ++this.#number;
    const events = this.#generationEvents(number);
    const context = { clock, spec, bus, hosts, shadow: this.shadow, trace, limits: this.#limits, teardown: this.#teardown };
    const generation = new Generation(number, context, this.#faults.splice(0), events);
    this.#current = generation;
    this.#step("starting");
    this.#enter("starting");
    // A listener may have ended it already; then it must not even connect.
    if (!generation.finished) generation.bringUp();
  }

  /** What one generation reports, taken only while it is the current one; what concerns its end, always. */
  #generationEvents(number: bigint): GenerationEvents {
    const ifLive = (act: (live: Generation<Handle>) => void): void => {
      const live = this.#live();
      if (live?.number === number) act(live);
    };
    return {
      ready: () => ifLive(() => { this.#step("ready"); this.#recoveries.ready(this.#clock.nowMicros()); }),
      passive: () => ifLive(() => this.#passive()),
      failed: (failure) => ifLive((live) => this.#failed(live, failure)),
      // Also of one that is letting go of its device.
      log: (level, text) => { if (this.#current?.number === number) this.#options.log?.(level, text, number); },
      hostStarted: () => { this.#hosts.started++; },
      hostEnded: (inTime) => { if (inTime) this.#hosts.ended++; else this.#hosts.overdue++; },
      step: (report) => this.#countStep(report, number),
      note: (text) => this.#note(text),
    };
  }

  #passive(): void {
    const now = this.#clock.nowMicros();
    this.#history = wentWell(this.#history, now);
    this.#step("passive");
    this.#tellRecovered(this.#recoveries.passive(now));
    this.#enter("running");
    this.warm();
  }

  #failed(live: Generation<Handle>, failure: Failure): void {
    live.finish(`${failure.kind}: ${failure.message}`);
    const now = this.#clock.nowMicros();
    const { decision, history } = afterFailure(this.#options.restart, this.#history, now);
    this.#history = history;
    this.#failures[failure.kind] = (this.#failures[failure.kind] ?? 0) + 1;
    this.#lastFailure = { failure, generation: live.number, atMicros: now };
    this.#recoveries.failed(failure, live.number, now);
    this.#options.trace.record(TraceKind.failure, kindIndex.get(failure.kind) ?? -1, lowBits(live.number), 0, 0);
    this.#end(live, failure, this.#goalAfter(decision, failure, now));
  }

  #goalAfter(decision: Decision, failure: Failure, nowMicros: number): Goal {
    switch (decision.do) {
      case "restart": return { to: "running", dueMicros: nowMicros + decision.delayMs * 1000, counted: true };
      case "hold": return this.#canEscalate() ? this.#escalate(decision.reason, nowMicros) : { to: "held", byPolicy: true, reason: `${decision.reason}; last failure: ${failure.kind}: ${failure.message}` };
      case "stop": return { to: "stopped", reason: `${decision.reason}; it failed: ${failure.kind}: ${failure.message}` };
    }
  }

  #canEscalate(): boolean {
    return !this.#escalated && this.#options.escalated !== undefined && this.#options.restart.escalation !== "hold";
  }

  /** Instead of a hold, once: the other form gets an intensity of its own. */
  #escalate(reason: string, nowMicros: number): Goal {
    this.#escalated = true;
    this.#history = freshHistory;
    this.#note(`${reason}; escalated: ${this.#options.restart.escalation}`);
    return { to: "running", dueMicros: nowMicros, counted: true };
  }

  /** What the next generation is. */
  #form(): { readonly spec: HostSpec; readonly bus: DriverBus<Handle> } {
    return (this.#escalated ? this.#options.escalated : undefined) ?? this.#options;
  }

  /** The only way a generation ends: closed in this call (`inOrder`: soon), then torn down, then on to the goal. */
  #end(live: Generation<Handle>, failure: Failure | undefined, goal: Goal, inOrder = false): void {
    this.#goal = goal;
    live.finish(goal.to === "running" ? "restarted" : `${goal.to}: ${goal.reason}`, inOrder);
    this.#idle = this.#tearDown(live, failure, this.#idle);
    this.#enter("tearing-down");
  }

  /** Resolves when this generation and all before it have ended, hosts included; every wait in it has its limit. */
  async #tearDown(live: Generation<Handle>, failure: Failure | undefined, before: Promise<void>): Promise<void> {
    await live.teardown(failure);
    this.#recoveries.tornDown(live.number, this.#clock.nowMicros());
    this.#current = undefined;
    this.#proceed();
    await live.terminated;
    await before;
  }

  #enter(state: DriverState): void {
    if (this.#state !== state) this.#sinceMicros = this.#clock.nowMicros();
    this.#state = state;
    this.#publish();
  }

  #publish(): void {
    const status = this.status;
    if (status.target === "running") this.#gaveUpFor = undefined;
    else if (this.#gaveUpFor !== status.target) {
      this.#gaveUpFor = status.target;
      const error = new AirlockError("DriverUnavailable", `driver "${this.name}" is ${status.target}: ${status.reason}`, { driver: this.name, state: status.target });
      this.#guard("shadow.giveUp", () => this.shadow.giveUp(error));
    }
    for (const listener of this.#listeners) this.#guard("listener", () => listener(status));
  }

  #publishedState(): DriverState {
    return this.#state === "waiting" ? this.#block?.state ?? "waiting" : this.#state;
  }

  #target(): DriverTarget {
    if (this.#goal.to !== "running") return this.#goal.to;
    return this.#block === undefined || this.#block.state === "waiting" ? "running" : this.#block.state;
  }

  #countStep(report: StepReport, generation: bigint): void {
    this.#step(report.step, generation, report.outcome === "done" ? 0 : 1);
    if (report.outcome === "done") return;
    this.#skipped[report.step] = (this.#skipped[report.step] ?? 0) + 1;
    this.#note(`generation ${generation}: ${report.step} ${report.outcome === "failed" ? "failed" : "exceeded its limit"} after ${Math.round(report.micros)} us`);
  }

  #step(step: LifecycleStep, generation: bigint = this.#number, skipped = 0): void {
    this.#options.trace.record(TraceKind.lifecycle, lifecycleSteps.indexOf(step), lowBits(generation), skipped, 0);
  }

  #tellRecovered(recoveries: readonly Recovery[]): void {
    for (const recovery of recoveries) for (const listener of this.#recoveryListeners) this.#guard("listener", () => listener(recovery));
  }

  #note(text: string): void {
    this.#options.note?.(`driver "${this.name}": ${text}`);
  }

  /** Calls into another part, whose error must not stop a teardown or a restart. */
  #guard(what: string, call: () => void): void {
    try {
      call();
    } catch (error) {
      this.#note(`${what} failed: ${errorText(error)}`);
    }
  }

  #mustBeOpen(): void {
    if (this.#closed) throw new AirlockError("Closed", `driver "${this.name}" is shut down`, { driver: this.name });
  }

  #mustNotBeHeld(verb: string): void {
    if (this.#goal.to !== "held") return;
    const message = `driver "${this.name}" is held and cannot be ${verb}: ${this.#goal.reason}; release it first`;
    throw new AirlockError("DriverUnavailable", message, { driver: this.name, state: "held" });
  }
}

/** Generations are 64 bit, trace fields are numbers: the low half tells neighbours apart. */
function lowBits(generation: bigint): number {
  return Number(BigInt.asUintN(32, generation));
}
