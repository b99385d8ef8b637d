/** One generation of one driver, from its connection to the end of its host; everything it sends late is ignored. */
import type { Clock } from "../api/clock.ts";
import type { FaultPoint, LogLevel } from "../api/bridge.ts";
import { errorText } from "../api/errors.ts";
import type { Failure } from "../api/failure.ts";
import { type MessageRecord, RecordKind } from "../api/records.ts";
import type { BusReport } from "../bus/platform.ts";
import type { Shadow } from "../classes/shadow.ts";
import { TraceKind, type TraceSink } from "../trace/entry.ts";
import type { ArmedFault, DriverHost, HostEvents, HostFactory, HostSpec } from "../host/driver-host.ts";
import { within } from "./deadline.ts";
import { busFailure, type DriverBus, type DriverConnection } from "./driver-bus.ts";
import { runTeardown, type StepReport, type TeardownStep } from "./teardown.ts";

/** Time limits of the steps up. */
export interface BringUpLimits {
  readonly connectMs: number;
  /** A cold load of a sandbox, including its wait for a turn; a warm spare needs none. Init has its own in the host's limits. */
  readonly loadMs: number;
  /** Replay of the configuration; a backstop, since each replayed operation has its class's deadline. */
  readonly attachMs: number;
  /** How long a driver may take to let go of its device in an orderly stop; then it is taken from it, as after a failure. */
  readonly removeMs: number;
  /** How long an ended host may take to confirm it; nothing waits for it but a stop. */
  readonly terminateMs: number;
}

/** What a generation works with: the same for all of one driver. */
export interface GenerationContext<Handle> {
  readonly clock: Clock;
  readonly spec: HostSpec;
  readonly bus: DriverBus<Handle>;
  readonly hosts: HostFactory<Handle>;
  readonly shadow: Shadow;
  /** Class messages are recorded here, as the control plane sees them. */
  readonly trace: TraceSink;
  readonly limits: BringUpLimits;
  readonly teardown: readonly TeardownStep[];
}

/** What a generation tells its supervisor; after `finish` only `step`, `hostEnded` and `note`. */
export interface GenerationEvents {
  ready(): void;
  passive(): void;
  failed(failure: Failure): void;
  hostStarted(): void;
  hostEnded(inTime: boolean): void;
  step(report: StepReport): void;
  log(level: LogLevel, text: string): void;
  note(text: string): void;
}

const noPayload = new Uint8Array(0);
/** Events a driver may emit in init, before its shadow is attached; more is a flood. */
const earlyRecordsMax = 64;

type Phase = "connecting" | "initialising" | "attaching" | "passive";

export class Generation<Handle> {
  readonly number: bigint;
  readonly #context: GenerationContext<Handle>;
  readonly #events: GenerationEvents;
  readonly #faults: readonly ArmedFault[];
  readonly #early: MessageRecord[] = [];
  #phase: Phase = "connecting";
  #finished = false;
  #failing = false;
  #gated = false;
  #gateTried = false;
  #leaving: Promise<void> = Promise.resolve();
  /** While the driver is letting go of its device: who waits for it. */
  #left: { resolve(): void; reject(error: Error): void } | undefined;
  #endReason = "";
  #tornDown = false;
  #connection: DriverConnection<Handle> | undefined;
  #host: DriverHost | undefined;
  #connected: Promise<void> = Promise.resolve();
  #terminated: Promise<void> = Promise.resolve();
  #cancelInitLimit: () => void = () => undefined;
  #hurriedUp = false;
  #hurry: () => void = () => undefined;
  readonly #hurried: Promise<void>;

  constructor(number: bigint, context: GenerationContext<Handle>, faults: readonly ArmedFault[], events: GenerationEvents) {
    this.number = number;
    this.#context = context;
    this.#faults = faults;
    this.#events = events;
    this.#hurried = new Promise((resolve) => { this.#hurry = resolve; });
  }

  get finished(): boolean {
    return this.#finished;
  }

  /** A failure was reported: what is taken of it now is what it had sent before. */
  get failing(): boolean {
    return this.#failing;
  }

  /** Whether the shadow is attached to this generation, so that it can speak about it. */
  get attached(): boolean {
    return !this.#finished && (this.#phase === "attaching" || this.#phase === "passive");
  }

  /** Settled when the host has confirmed its end or its limit has passed; right away when there was none. */
  get terminated(): Promise<void> {
    return this.#terminated;
  }

  /** Starts the way up: connect, host, init, attach. Each step's error or lateness is a failure. Call once. */
  bringUp(): void {
    // In a turn of its own: what the bus reports while it connects already finds the promise that a teardown waits for.
    this.#connected = Promise.resolve().then(() => (this.#finished ? undefined : this.#connect()));
  }

  /** Arms a fault in the running host; false when there is none that has finished init. */
  inject(where: FaultPoint, code: string): boolean {
    if (!this.attached || this.#host === undefined) return false;
    this.#host.inject(where, code);
    return true;
  }

  /** Reports a failure of this generation. After `finish` it is not one any more. */
  fail(failure: Failure): void {
    if (this.#finished) return;
    this.#failing = true;
    // What the driver sent before it failed still counts: bytes it has read are in no device any more.
    this.#guard("drain", () => this.#host?.drain());
    if (!this.#finished) this.#events.failed(failure);
  }

  /**
   * At once, in this call: nothing of this generation is taken any more and its capabilities are closed. With `inOrder` a driver that can
   * let go of its device by itself keeps them until it has, or has had its time. Idempotent.
   */
  finish(reason: string, inOrder = false): void {
    if (this.#finished) return;
    this.#endReason = reason;
    const attached = this.attached;
    this.#finished = true;
    this.#cancelInitLimit();
    if (attached) this.#guard("shadow.detach", () => this.#context.shadow.detach());
    // Other tiers' drivers have nothing to say in this: their devices are made quiet by the manifest's recipe.
    if (inOrder && this.#phase === "passive" && this.#context.spec.tier === "wasm") this.#leaving = this.#leave();
    else this.#gate();
  }

  /** After `finish`: the teardown steps, then the end of the host, which is not waited for. Never rejects. Call once. */
  async teardown(failure: Failure | undefined): Promise<void> {
    const { clock, spec, teardown } = this.#context;
    // A connection that is still being made would open its capabilities after the teardown; bounded by connectMs.
    await Promise.race([this.#connected, this.#hurried]);
    await this.#leaving;
    const context = { driver: spec.driver, generation: this.number, failure, connection: this.#connection };
    await runTeardown(clock, teardown, context, this.#hurried, (report) => this.#stepDone(report));
    this.#tornDown = true;
    this.#terminate();
    if (this.#hurriedUp && this.#connection !== undefined) this.#close(this.#connection);
    // Only when its gate is known to be closed may a host live on beside its successor.
    if (this.#connection !== undefined && !this.#gated) await this.#terminated;
  }

  /** Cuts the teardown short: the step in progress is not waited for, the rest left out but for giving the grants back. */
  hurry(): void {
    this.#hurriedUp = true;
    if (this.#finished) this.#gate();
    this.#hurry();
  }

  async #connect(): Promise<void> {
    const { clock, bus, limits } = this.#context;
    const report = (seen: BusReport): void => this.fail(busFailure(seen));
    const outcome = await within(clock, limits.connectMs, () => bus.connect(this.number, report), (late) => this.#discard(late));
    if (outcome.kind !== "done") {
      this.fail({ kind: "start", message: outcome.kind === "timeout"
        ? `no connection to the device within ${limits.connectMs} ms` : `no connection to the device: ${errorText(outcome.error)}` });
      return;
    }
    if (this.#tornDown) return this.#discard(outcome.value);
    this.#connection = outcome.value;
    if (this.#finished) this.#gate();
    else this.#startHost(outcome.value);
  }

  #startHost(connection: DriverConnection<Handle>): void {
    const { spec, hosts } = this.#context;
    this.#phase = "initialising";
    try {
      this.#host = hosts.start(spec, this.number, connection.setup, connection.handle, this.#faults, this.#hostEvents());
    } catch (error) {
      this.fail({ kind: "start", message: `the host did not start: ${errorText(error)}` });
      return;
    }
    this.#events.hostStarted();
    this.#limitInit(this.#context.limits.loadMs, "its sandbox was not loaded");
  }

  /** One timer for the two waits of the way up: for the load of the sandbox, then for init. */
  #limitInit(limitMs: number, what: string): void {
    this.#cancelInitLimit();
    this.#cancelInitLimit = this.#context.clock.setTimer(limitMs * 1000, () => {
      this.fail({ kind: "deadline", phase: "init", message: `${what} within ${limitMs} ms` });
    });
  }

  #hostEvents(): HostEvents {
    return {
      started: () => {
        if (!this.#finished && this.#phase === "initialising") this.#limitInit(this.#context.spec.limits.initMs, "init did not finish");
      },
      ready: () => {
        if (this.#finished || this.#phase !== "initialising") return;
        this.#cancelInitLimit();
        this.#phase = "attaching";
        this.#events.ready();
        // The supervisor's listeners may have ended this generation meanwhile.
        if (!this.#finished) void this.#attach();
      },
      records: (records) => this.#receive(records),
      removed: () => {
        if (this.#left !== undefined) this.#left.resolve();
        else this.fail({ kind: "protocol-violation", message: "it says that it let go of its device, which nobody asked it to" });
      },
      log: (level, text) => { if (!this.#finished || this.#left !== undefined) this.#events.log(level, text); },
      failed: (failure) => {
        this.#left?.reject(new Error(`${failure.kind}: ${failure.message}`));
        this.fail(failure);
      },
    };
  }

  async #attach(): Promise<void> {
    const { clock, shadow, limits, trace } = this.#context;
    const host = this.#host!;
    const port = {
      generation: this.number,
      send: (kind: number, id: number, tag: number, payload: Uint8Array): boolean => {
        if (this.#finished || !host.send(kind, id, tag, payload)) return false;
        if (kind === RecordKind.requests) trace.record(TraceKind.requests, id, payload.length / (4 * shadow.contract.queueList[id]!.request.words), payload.length, 0);
        else trace.record(TraceKind.request, id, tag, payload.length, 0);
        return true;
      },
    };
    const attaching = within(clock, limits.attachMs, () => shadow.attach(port));
    this.#receive(this.#early.splice(0));
    const outcome = await attaching;
    if (this.#finished) return;
    if (outcome.kind === "timeout") return this.fail({ kind: "deadline", message: `its configuration was not replayed within ${limits.attachMs} ms` });
    if (outcome.kind === "failed") return this.fail({ kind: "start", message: `the shadow did not attach: ${errorText(outcome.error)}` });
    if (!outcome.value) return this.fail({ kind: "start", message: "the shadow let go of it while attaching" });
    this.#phase = "passive";
    this.#events.passive();
  }

  #receive(records: readonly MessageRecord[]): void {
    for (const record of records) {
      if (this.#finished) return;
      if (this.attached) this.#deliver(record);
      else if (this.#early.length < earlyRecordsMax) this.#early.push(record);
      else this.fail({ kind: "message-flood", phase: "init", message: `more than ${earlyRecordsMax} messages before init has finished` });
    }
  }

  #deliver(record: MessageRecord): void {
    this.#traceArrival(record);
    let wrong: string | undefined;
    try {
      wrong = this.#context.shadow.receive(record);
    } catch (error) {
      wrong = `it could not be taken: ${errorText(error)}`;
    }
    if (wrong !== undefined) this.fail({ kind: "protocol-violation", message: wrong });
  }

  /** What a driver sent, before anybody has checked it: ids and sizes as it wrote them. */
  #traceArrival({ kind, id, tag, payload }: MessageRecord): void {
    const { trace, shadow } = this.#context;
    if (kind === RecordKind.completions) {
      const words = shadow.contract.queueList[id]?.completion.words ?? 1;
      trace.record(TraceKind.completions, id, Math.floor(payload.length / (4 * words)), payload.length, 0);
    } else if (kind === RecordKind.reply) trace.record(TraceKind.reply, id, tag, payload.length, 0);
    else trace.record(TraceKind.event, id, 0, payload.length, 0);
  }

  /** Tells the driver to let go of its device, and waits for that; then closes its capabilities. */
  async #leave(): Promise<void> {
    const { clock, limits } = this.#context;
    const beginMicros = clock.nowMicros();
    const left = new Promise<void>((resolve, reject) => { this.#left = { resolve, reject }; });
    const leaving = within(clock, limits.removeMs, () => {
      if (!this.#host!.send(RecordKind.remove, 0, 0, noPayload)) throw new Error("its queue is full");
      return left;
    });
    const outcome = await Promise.race([leaving, this.#hurried.then(() => undefined)]);
    this.#left = undefined;
    if (outcome?.kind === "failed") this.#events.note(`generation ${this.number}: it did not leave in order: ${errorText(outcome.error)}`);
    this.#events.step({ step: "remove", outcome: outcome?.kind ?? "timeout", micros: clock.nowMicros() - beginMicros });
    this.#gate();
  }

  #gate(): void {
    const connection = this.#connection;
    if (connection === undefined || this.#gateTried) return;
    this.#gateTried = true;
    const beginMicros = this.#context.clock.nowMicros();
    this.#gated = this.#guard("gate", () => connection.gate(this.#endReason));
    this.#events.step({ step: "gate", outcome: this.#gated ? "done" : "failed", micros: this.#context.clock.nowMicros() - beginMicros });
  }

  #terminate(): void {
    const host = this.#host;
    if (host === undefined) return;
    const { clock, limits } = this.#context;
    const beginMicros = clock.nowMicros();
    const terminate = async (): Promise<void> => {
      const outcome = await within(clock, limits.terminateMs, () => host.terminate());
      this.#events.step({ step: "terminate", outcome: outcome.kind, micros: clock.nowMicros() - beginMicros });
      this.#events.hostEnded(outcome.kind === "done");
    };
    this.#terminated = terminate();
  }

  /** A connection that came too late: never used, so there is nothing to quiesce. */
  #discard(connection: DriverConnection<Handle>): void {
    this.#guard("gate", () => connection.gate("it came too late"));
    this.#close(connection);
  }

  /** Gives the grants back without waiting for it. */
  #close(connection: DriverConnection<Handle>): void {
    const close = async (): Promise<void> => {
      const outcome = await within(this.#context.clock, this.#context.limits.connectMs, () => connection.close());
      if (outcome.kind !== "done") this.#abandon(connection);
    };
    void close();
  }

  #stepDone(report: StepReport): void {
    this.#events.step(report);
    if (report.step === "release" && report.outcome !== "done" && this.#connection !== undefined) this.#abandon(this.#connection);
  }

  /** What a close that failed or hangs would have given back; without it the driver's place would stay taken. */
  #abandon(connection: DriverConnection<Handle>): void {
    this.#events.note(`generation ${this.number}: its connection was not closed and is abandoned`);
    this.#guard("abandon", () => connection.abandon("it could not be closed"));
  }

  /** Calls into another part; an error there is noted and must not keep the teardown from going on. */
  #guard(what: string, call: () => void): boolean {
    try {
      call();
      return true;
    } catch (error) {
      this.#events.note(`generation ${this.number}: ${what} failed: ${errorText(error)}`);
      return false;
    }
  }
}
