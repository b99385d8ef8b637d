/** Test support: a driver's surroundings under a virtual clock, scripted to misbehave, and a monitor of what must never happen. */
import { VirtualClock } from "../api/clock.ts";
import type { Failure } from "../api/failure.ts";
import { type MessageRecord, RecordKind } from "../api/records.ts";
import { type BusReport, controlStepMs } from "../bus/platform.ts";
import type { DriverPort, Shadow, ShadowState } from "../classes/shadow.ts";
import { defineClass } from "../api/contract.ts";
import type { ArmedFault, DriverHost, HostEvents, HostFactory, HostSpec } from "../host/driver-host.ts";
import type { DriverBus, DriverConnection } from "./driver-bus.ts";
import { DriverSupervisor } from "./driver-supervisor.ts";
import type { RestartOptions } from "./restart-policy.ts";
import type { SupervisorOptions } from "./supervisor-options.ts";
import { standardTeardown, type TeardownStep } from "./teardown.ts";

/** Calls whose behaviour a test can script. */
export const calls = ["connect", "mask", "quiesce", "stopDma", "unmap", "forceAck", "close", "dump", "start", "init", "attach", "remove", "terminate"] as const;
export type Call = (typeof calls)[number];

/** How one call goes: `hang` never ends, `slow` ends after `micros`. */
export interface Behaviour {
  readonly how: "ok" | "slow" | "throw" | "hang";
  readonly micros: number;
}

/** Deliberate errors, to show that the monitor sees them. */
export type Mutation = "unlimited-restarts" | "lost-backoff-timer" | "old-events-taken" | "forgotten-terminate" | "no-mask" | "open-gate" | "leaked-connection";

const ok: Behaviour = { how: "ok", micros: 100 };

export const limits = { memoryBytes: 1, turnMs: 1, stackBytes: 1, hangMs: 50, initMs: 200, logPerSecond: 10 };
const spec: HostSpec = { driver: "d", tier: "worker", bundle: { code: "", map: "", name: "d/bundle.js" }, limits, spares: 1 };

interface TestConnection {
  readonly generation: bigint;
  gates: number;
  closes: number;
  maskedAtMicros: number;
  maskDone: boolean;
  /** Its place is free for the next: closed to the end, or abandoned. */
  released: boolean;
}

interface TestHost {
  readonly generation: bigint;
  readonly events: HostEvents;
  readonly faults: readonly ArmedFault[];
  readonly injected: string[];
  /** Kinds of records it was sent. */
  readonly sent: number[];
  readonly report: (report: BusReport) => void;
  terminations: number;
}

export interface WorldOptions {
  readonly restart: RestartOptions;
  readonly mutation?: Mutation;
  readonly clock?: VirtualClock;
  readonly name?: string;
  /** Whether its drivers let go of their device when they are told to. */
  readonly canLeave?: boolean;
  readonly supervisor?: Partial<SupervisorOptions<bigint>>;
}

/** Lets everything that waits for promises only, not for time, run to its end. */
export function settle(): Promise<void> {
  return new Promise((resolve) => { setImmediate(resolve); });
}

/** fast-check's parameters for a property: how often, and from which seed when a life is to be repeated. */
export function propertyParameters(runs: number): { numRuns: number; seed?: number; path?: string } {
  const { AIRLOCK_PROPERTY_RUNS: numRuns, AIRLOCK_PROPERTY_SEED: seed, AIRLOCK_PROPERTY_PATH: path } = process.env;
  return { numRuns: Number(numRuns ?? runs), ...(seed === undefined ? {} : { seed: Number(seed) }), ...(path === undefined ? {} : { path }) };
}

/** The one command that repeats what a property of that test file found. */
export function repeatCommand(found: { readonly seed: number; readonly counterexamplePath: string | null }, file: string): string {
  return `AIRLOCK_PROPERTY_SEED=${found.seed} AIRLOCK_PROPERTY_PATH=${found.counterexamplePath} npx vitest run --project unit ${file}`;
}

/** Moves the clock timer by timer, with promises settled after each. */
export async function advance(clock: VirtualClock, micros: number): Promise<void> {
  const endMicros = clock.nowMicros() + micros;
  await settle();
  while (clock.step(endMicros)) await settle();
  clock.advance(endMicros - clock.nowMicros());
}

/** One driver with fakes all around. `violations` holds whatever must not have happened. */
export class TestWorld {
  readonly clock: VirtualClock;
  readonly violations: string[] = [];
  readonly trail: string[] = [];
  readonly notes: string[] = [];
  readonly script = new Map<Call, Behaviour[]>(calls.map((call) => [call, []]));
  readonly hosts: TestHost[] = [];
  readonly connections: TestConnection[] = [];
  readonly connectsAtMicros: number[] = [];
  supervisor: DriverSupervisor<bigint>;
  readonly shadow: TestShadow;
  /** Called inside the next connect, with what the bus may report. */
  duringConnect: ((report: (report: BusReport) => void) => void) | undefined;
  readonly #mutation: Mutation | undefined;
  readonly #pendingConnects = new Map<bigint, { readonly sinceMicros: number }>();
  readonly #reports = new Map<bigint, (report: BusReport) => void>();

  constructor(options: WorldOptions) {
    this.clock = options.clock ?? new VirtualClock();
    this.#mutation = options.mutation;
    this.shadow = new TestShadow(this);
    const restart = this.#mutation === "unlimited-restarts" ? { ...options.restart, intensity: Infinity } : options.restart;
    this.supervisor = new DriverSupervisor<bigint>({
      clock: this.#mutation === "lost-backoff-timer" ? this.#clockWithout() : this.clock,
      spec: { ...spec, driver: options.name ?? "d", ...(options.canLeave === true && { tier: "wasm" }) }, restart, bus: this.#bus(), hosts: this.#factory(), shadow: this.shadow,
      trace: { record: () => undefined }, teardown: this.#teardown(), note: (text) => { this.notes.push(text); },
      log: (_level, text, generation) => { if (text !== String(generation)) this.violations.push(`log of ${text} taken for ${generation}`); },
      ...options.supervisor,
    });
  }

  /** For a test that makes its own supervisor. */
  get surroundings(): { bus: DriverBus<bigint>; hosts: HostFactory<bigint>; spec: HostSpec } {
    return { bus: this.#bus(), hosts: this.#factory(), spec };
  }

  get host(): TestHost | undefined {
    return this.hosts.at(-1);
  }

  say(what: string): void {
    this.trail.push(`${what}@${this.clock.nowMicros()}`);
  }

  plan(call: Call, how: Behaviour["how"], micros = 100): void {
    this.script.get(call)!.push({ how, micros });
  }

  async perform<T>(call: Call, value: T): Promise<T> {
    const behaviour = this.script.get(call)!.shift() ?? ok;
    if (behaviour.how === "throw") throw new Error(`${call} throws`);
    await new Promise<void>((resolve) => { if (behaviour.how !== "hang") this.clock.setTimer(behaviour.micros, resolve); });
    return value;
  }

  /** Events of one generation's host as its thread would send them, however late. */
  send(host: TestHost, what: "failed" | "ready" | "records" | "log" | "report"): void {
    const { generation, events, report } = this.#mutation === "old-events-taken" ? { ...this.host!, generation: host.generation } : host;
    if (what === "failed") events.failed({ kind: "exception", message: `${generation} failed` });
    else if (what === "ready") events.ready();
    else if (what === "log") events.log(30, String(generation));
    else if (what === "records") events.records([{ kind: 18, id: 0, tag: Number(generation), payload: new Uint8Array(0) }]);
    else report({ kind: "irq-storm", irq: "tick", perSecond: 1e6 });
  }

  /** What must hold whenever nothing is under way any more; `live` is how many generations may exist. */
  checkLeaks(live: 0 | 1): void {
    const hosts = this.hosts.filter((host) => host.terminations === 0).length;
    if (hosts > live) this.violations.push(`${hosts} hosts not terminated`);
    const connections = this.connections.filter((connection) => connection.closes === 0).length;
    if (connections > live) this.violations.push(`${connections} connections not closed`);
    const open = this.connections.filter((connection) => connection.gates === 0).length;
    if (open > live) this.violations.push(`${open} connections not gated`);
  }

  #teardown(): readonly TeardownStep[] {
    const steps = standardTeardown((_failure: Failure, generation) => {
      this.say(`dump ${generation}`);
      return this.perform("dump", undefined);
    });
    return this.#mutation === "no-mask" ? steps.filter(({ step }) => step !== "mask") : steps;
  }

  #bus(): DriverBus<bigint> {
    return {
      connect: async (generation, report) => {
        this.say(`connect ${generation}`);
        this.#checkBeforeConnect(generation);
        this.connectsAtMicros.push(this.clock.nowMicros());
        this.#pendingConnects.set(generation, { sinceMicros: this.clock.nowMicros() });
        this.#reports.set(generation, report);
        this.duringConnect?.(report);
        this.duringConnect = undefined;
        await this.perform("connect", undefined).finally(() => this.#pendingConnects.delete(generation));
        return this.#connection(generation);
      },
    };
  }

  #checkBeforeConnect(generation: bigint): void {
    const now = this.clock.nowMicros();
    const late = (sinceMicros: number): boolean => now - sinceMicros >= controlStepMs * 1000;
    for (const [other, { sinceMicros }] of this.#pendingConnects) {
      if (!late(sinceMicros)) this.violations.push(`connect ${generation} while ${other} still connects`);
    }
    for (const other of this.connections) {
      if (other.generation >= generation) this.violations.push(`generation ${generation} after ${other.generation}`);
      if (other.gates === 0) this.violations.push(`connect ${generation} with ${other.generation} not gated`);
      // A connection that came after its limit was never given to a driver.
      const used = this.hosts.some((host) => host.generation === other.generation);
      if (used && !other.released) this.violations.push(`connect ${generation} with the place of ${other.generation} still taken`);
      if (used && !other.maskDone && !late(other.maskedAtMicros)) this.violations.push(`connect ${generation} with ${other.generation} not masked`);
    }
  }

  #connection(generation: bigint): DriverConnection<bigint> {
    const state: TestConnection = { generation, gates: 0, closes: 0, maskedAtMicros: Infinity, maskDone: false, released: false };
    this.connections.push(state);
    const gated = (step: string): void => {
      this.say(`${step} ${generation}`);
      if (state.gates === 0) this.violations.push(`${step} of ${generation} before its gate`);
    };
    return {
      setup: { driver: "d", windows: [], irqs: [], dma: [], memoryBytes: 1, options: {} }, handle: generation,
      gate: () => {
        if (this.#mutation === "open-gate") return;
        this.say(`gate ${generation}`);
        if (++state.gates > 1) this.violations.push(`generation ${generation} gated twice`);
      },
      mask: async () => {
        gated("mask");
        state.maskedAtMicros = this.clock.nowMicros();
        await this.perform("mask", undefined).finally(() => { state.maskDone = true; });
      },
      quiesce: () => { gated("quiesce"); return this.perform("quiesce", undefined); },
      stopDma: () => { gated("stopDma"); return this.perform("stopDma", undefined); },
      unmap: () => { gated("unmap"); return this.perform("unmap", undefined); },
      forceAck: () => { gated("forceAck"); return this.perform("forceAck", undefined); },
      close: () => {
        gated("close");
        if (this.#mutation !== "leaked-connection") state.closes++;
        return this.perform("close", undefined).then((done) => {
          state.released = true;
          return done;
        });
      },
      abandon: () => {
        gated("abandon");
        state.released = true;
      },
    };
  }

  #factory(): HostFactory<bigint> {
    return {
      warm: () => undefined,
      isWarm: () => true,
      close: () => Promise.resolve(),
      start: (_spec, generation, _setup, handle, faults, events) => {
        if (handle !== generation) this.violations.push(`host ${generation} on the connection of ${handle}`);
        for (const other of this.hosts) if (other.terminations !== 1) this.violations.push(`host ${generation} beside ${other.generation}, which nobody ended`);
        if ((this.script.get("start")!.shift() ?? ok).how === "throw") throw new Error("no sandbox");
        this.say(`start ${generation}`);
        const host: TestHost = { generation, events, faults, injected: [], sent: [], report: this.#reports.get(generation)!, terminations: 0 };
        this.hosts.push(host);
        void this.#init(host);
        return this.#host(host);
      },
    };
  }

  /** Init of a host, reported by its thread only while nobody has ended it. */
  async #init(host: TestHost): Promise<void> {
    await Promise.resolve();
    host.events.started();
    const outcome = await Promise.allSettled([this.perform("init", undefined)]);
    if (host.terminations > 0) return;
    if (outcome[0].status === "fulfilled") this.send(host, "ready");
    else host.events.failed({ kind: "exception", phase: "init", message: "init throws" });
  }

  /** A driver on its way out, whose thread may fail or be ended meanwhile. */
  async #remove(host: TestHost): Promise<void> {
    const [outcome] = await Promise.allSettled([this.perform("remove", undefined)]);
    if (host.terminations > 0) return;
    if (outcome.status === "fulfilled") host.events.removed();
    else host.events.failed({ kind: "exception", message: "remove throws" });
  }

  #host(host: TestHost): DriverHost {
    return {
      generation: host.generation,
      send: (kind) => {
        host.sent.push(kind);
        if (kind === RecordKind.remove) void this.#remove(host);
        return true;
      },
      inject: (where, code) => { host.injected.push(`${where} ${code}`); },
      drain: () => undefined,
      terminate: () => {
        this.say(`terminate ${host.generation}`);
        if (this.#mutation !== "forgotten-terminate") host.terminations++;
        if (host.terminations > 1) this.violations.push(`host ${host.generation} terminated twice`);
        return this.perform("terminate", undefined);
      },
    };
  }

  /** The clock, but timers of the kind only a backoff sets never fire. */
  #clockWithout(): VirtualClock {
    const clock = this.clock;
    return new Proxy(clock, {
      get: (_target, name) => {
        if (name === "setTimer") {
          return (micros: number, callback: () => void) => (this.supervisor.status.nextRestartAtMicros === clock.nowMicros() + micros
            ? () => undefined : clock.setTimer(micros, callback));
        }
        const value: unknown = Reflect.get(clock, name);
        return typeof value === "function" ? value.bind(clock) : value;
      },
    });
  }
}

/** A shadow that only watches what it is told. */
export class TestShadow implements Shadow {
  readonly contract = defineClass({ name: "test", version: 1, operations: {}, events: {} });
  readonly #world: TestWorld;
  port: DriverPort | undefined;
  state: ShadowState = "active";
  attachedGeneration: bigint | undefined;
  received = 0;
  gaveUp: string[] = [];
  rejectNext = false;

  constructor(world: TestWorld) {
    this.#world = world;
  }

  async attach(port: DriverPort): Promise<boolean> {
    const generation = this.#world.host!.generation;
    this.#world.say(`attach ${generation}`);
    if (this.attachedGeneration !== undefined) this.#world.violations.push(`attach ${generation} over ${this.attachedGeneration}`);
    this.port = port;
    this.attachedGeneration = generation;
    this.state = "active";
    await this.#world.perform("attach", undefined);
    if (this.attachedGeneration !== generation) return false;
    this.state = "passive";
    return true;
  }

  detach(): void {
    if (this.attachedGeneration === undefined) this.#world.violations.push("detached without being attached");
    this.#world.say(`detach ${this.attachedGeneration}`);
    this.attachedGeneration = undefined;
    this.state = "active";
  }

  probe(): Promise<void> {
    return Promise.resolve();
  }

  giveUp(error: Error): void {
    if (this.attachedGeneration !== undefined) this.#world.violations.push("gave up while attached");
    this.gaveUp.push(error.message);
    this.state = "unavailable";
  }

  receive(record: MessageRecord): string | undefined {
    if (BigInt(record.tag) !== this.attachedGeneration) this.#world.violations.push(`record of ${record.tag} given to ${this.attachedGeneration}`);
    this.received++;
    return this.rejectNext ? "unknown tag" : undefined;
  }

  close(): void {
    this.state = "closed";
  }
}
