/** The core every shadow uses: a contract's calls, kept, sent, replayed and answered across any number of drivers. */
import type { Args, ClassContract, Operation, OperationName, Reply } from "../api/contract.ts";
import { AirlockError } from "../api/errors.ts";
import { type MessageRecord, RecordKind } from "../api/records.ts";
import { Boundary } from "./boundary.ts";
import { PendingCall, type ShadowCallOptions } from "./pending-call.ts";
import type { DriverPort, ShadowEnvironment, ShadowState } from "./shadow.ts";

export type { CallOptions, ShadowCallOptions } from "./pending-call.ts";

/** Calls that may wait in one shadow. A restart takes milliseconds; a client with more calls than this is not waiting for answers. */
export const maxQueuedCalls = 256;

/** When the driver's queue was full, how long until it is tried again; a driver empties its inbox in well under that. */
const retryMicros = 500;

type Values = Readonly<Record<string, unknown>>;

/** What is special to a class; everything else follows from its contract. */
export interface CallPolicy {
  /** Most requests a driver has at once. 1 spares its author every interleaving. */
  readonly maxInFlight: number;
  /** Answers a query while the driver is away; undefined when the log does not know. */
  fromLog?(operation: string): Values | undefined;
  /** Corrects an idempotent call's arguments before each send for the time since the client asked. */
  revise?(operation: string, args: Values, elapsedMicros: number): Values;
  /** Config operations with the same group replace each other in the log; without it each is a group of its own. */
  configGroup?(operation: string): string;
  /** Time the device itself needs for this call, on top of the contract's deadline. */
  extraMs?(operation: string, args: Values): number;
  /** What the layouts cannot tell: why this answer is wrong data, a failure of the driver. */
  inspect?(operation: string, args: Values, reply: Values): string | undefined;
  /** An answer was accepted, also one to a replay or to an aborted call. */
  answered?(operation: string, args: Values, reply: Values): void;
  /** An event was accepted by its layout; a reason makes it wrong data after all. */
  event(name: string, value: Values): string | undefined;
}

export class Calls<C extends ClassContract> {
  readonly #contract: C;
  readonly #environment: ShadowEnvironment;
  readonly #policy: CallPolicy;
  readonly #boundary: Boundary;
  /** Waiting to be sent, in order. */
  #queue: PendingCall[] = [];
  /** With the driver, by tag, in the order sent. */
  readonly #inFlight = new Map<number, PendingCall>();
  /** The last confirmed call of each config group, in the order the groups were first set: later ones may rest on earlier ones. */
  readonly #log = new Map<string, { readonly operation: Operation; readonly payload: Uint8Array }>();
  /** What must be answered before the shadow is passive again. */
  readonly #restoring = new Set<PendingCall>();
  #attached: (passive: boolean) => void = () => undefined;
  #state: ShadowState = "active";
  #port: DriverPort | undefined;
  #unavailable: AirlockError | undefined;
  /** A missed deadline was reported: once per generation. */
  #blamed = false;
  #cancelRetry: (() => void) | undefined;

  constructor(contract: C, environment: ShadowEnvironment, policy: CallPolicy) {
    this.#contract = contract;
    this.#environment = environment;
    this.#policy = policy;
    this.#boundary = new Boundary(contract);
  }

  get state(): ShadowState {
    return this.#state;
  }

  /** Calls not settled yet, waiting or with the driver. */
  get pending(): number {
    return this.#queue.length + this.#inFlight.size;
  }

  /** Puts a configuration into the log as if a client had set it: what the device shall have from its first driver on. */
  preset<K extends OperationName<C>>(name: K, args: Args<C, K>): void {
    const operation = this.#contract.operations[name] as unknown as Operation;
    this.#logConfig(operation, operation.args.encode(args));
  }

  /**
   * Calls an operation. Settles exactly once, never inside this call.
   * @throws (rejects) AirlockError InvalidArgument, QueueFull, MayHaveExecuted, DriverUnavailable, Closed; or the signal's reason
   */
  call<K extends OperationName<C>>(name: K, args: Args<C, K>, options: ShadowCallOptions = {}): Promise<Reply<C, K>> {
    return new Promise<unknown>((resolve, reject) => {
      const operation = this.#contract.operations[name] as unknown as Operation;
      const refusal = this.#refusal(operation, args, options);
      if (refusal !== undefined) return reject(refusal.reason);
      const { clock } = this.#environment;
      const call = new PendingCall(operation, operation.args.encode(args), clock.nowMicros(), { resolve, reject }, options.internal);
      if (this.#state === "active" && this.#answerFromLog(call)) return;
      if (this.#queue.length >= maxQueuedCalls && options.single !== true) {
        return reject(new AirlockError("QueueFull", `${this.#environment.driver}: ${maxQueuedCalls} calls are waiting; slow down until some are answered`));
      }
      for (const signal of [options.signal, options.closing]) if (signal !== undefined) call.listen(signal, () => this.#drop(call));
      this.#queue.push(call);
      this.#pump();
    }) as Promise<Reply<C, K>>;
  }

  /** See Shadow.attach. */
  attach(port: DriverPort): Promise<boolean> {
    if (this.#state === "closed") return Promise.resolve(false);
    if (this.#port !== undefined) this.detach();
    this.#port = port;
    this.#state = "active";
    this.#unavailable = undefined;
    this.#blamed = false;
    const now = this.#environment.clock.nowMicros();
    const replays = [...this.#log.values()].map(({ operation, payload }) => new PendingCall(operation, payload, now));
    const configs = this.#queue.filter(isConfig);
    this.#queue = [...replays, ...configs, ...this.#queue.filter((call) => !isConfig(call))];
    for (const call of [...replays, ...configs]) this.#restoring.add(call);
    return new Promise((resolve) => {
      this.#attached = resolve;
      this.#restored();
      this.#pump();
    });
  }

  /** See Shadow.detach. */
  detach(): void {
    if (this.#port === undefined) return;
    this.#port = undefined;
    this.#state = "active";
    this.#boundary.reset();
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
    this.#restoring.clear();
    const again: PendingCall[] = [];
    const flown = [...this.#inFlight.values()];
    this.#inFlight.clear();
    for (const call of flown) {
      call.back();
      if (call.settled || call.replay) continue;
      if (call.operation.treatment === "atMostOnce") call.fail(this.#mayHaveExecuted(call.operation));
      else again.push(call);
    }
    this.#queue = [...again, ...this.#queue.filter((call) => !call.replay)].filter((call) => !this.#answerFromLog(call));
    this.#attached(false);
    this.#attached = () => undefined;
  }

  /** See Shadow.giveUp. */
  giveUp(error: AirlockError): void {
    if (this.#state === "closed") return;
    this.detach();
    this.#state = "unavailable";
    this.#unavailable = error;
    this.#failAll(error);
  }

  /** See Shadow.receive. */
  receive(record: MessageRecord): string | undefined {
    if (this.#port === undefined) return undefined;
    const examined = this.#boundary.examine(record);
    switch (examined.kind) {
      case "violation": return examined.reason;
      case "event": {
        const reason = this.#policy.event(examined.event.name, examined.value);
        return reason === undefined ? undefined : `event ${examined.event.name}: ${reason}`;
      }
      case "reply": return this.#reply(examined.tag, examined.value);
    }
  }

  /** See Shadow.close. */
  close(): void {
    if (this.#state === "closed") return;
    this.detach();
    this.#state = "closed";
    this.#failAll(this.#closed());
  }

  #refusal(operation: Operation, args: unknown, options: ShadowCallOptions): { readonly reason: unknown } | undefined {
    const { driver } = this.#environment;
    const reason = operation.args.check(args);
    if (reason !== undefined) return { reason: new AirlockError("InvalidArgument", `${driver}: ${operation.name}: ${reason}`, { operation: operation.name }) };
    for (const signal of [options.signal, options.closing]) if (signal?.aborted === true) return { reason: signal.reason };
    if (this.#state === "closed") return { reason: this.#closed() };
    return this.#unavailable === undefined ? undefined : { reason: this.#unavailable };
  }

  #reply(tag: number, value: Values): string | undefined {
    const call = this.#inFlight.get(tag)!;
    const { name } = call.operation;
    const args = argsOf(call);
    const reason = this.#policy.inspect?.(name, args, value);
    if (reason !== undefined) return `answer to ${name}: ${reason}`;
    this.#inFlight.delete(tag);
    call.back();
    this.#restoring.delete(call);
    if (isConfig(call) && !call.replay) this.#logConfig(call.operation, call.payload);
    this.#policy.answered?.(name, args, value);
    if (!call.replay && !call.settled) {
      call.answer(value);
      if (!call.internal) this.#environment.served(name);
    }
    this.#restored();
    this.#pump();
    return undefined;
  }

  /** Sends what may be sent. Order is kept: what has to wait holds back everything behind it. */
  #pump(): void {
    while (this.#port !== undefined && this.#cancelRetry === undefined) {
      const next = this.#queue[0];
      if (next === undefined || !this.#mayStart(next)) return;
      if (this.#send(next, this.#port)) this.#queue.shift();
      else {
        this.#cancelRetry = this.#environment.clock.setTimer(retryMicros, () => {
          this.#cancelRetry = undefined;
          this.#pump();
        });
      }
    }
  }

  /** Config calls run alone, so that their order is the order of their effects. */
  #mayStart(next: PendingCall): boolean {
    if (this.#inFlight.size === 0) return true;
    if (this.#inFlight.size >= this.#policy.maxInFlight || isConfig(next)) return false;
    return ![...this.#inFlight.values()].some(isConfig);
  }

  #send(call: PendingCall, port: DriverPort): boolean {
    const { operation } = call;
    const { clock, driver } = this.#environment;
    const revised = operation.treatment === "idempotent"
      ? this.#policy.revise?.(operation.name, argsOf(call), clock.nowMicros() - call.askedMicros) : undefined;
    const payload = revised === undefined ? call.payload : operation.args.encode(revised);
    const tag = this.#boundary.issue(operation);
    if (!port.send(RecordKind.request, operation.id, tag, payload)) {
      this.#boundary.withdraw(tag);
      return false;
    }
    const limitMs = operation.deadlineMs + (this.#policy.extraMs?.(operation.name, argsOf(call)) ?? 0);
    call.sent(clock.setTimer(limitMs * 1000, () => {
      if (this.#blamed) return;
      this.#blamed = true;
      this.#environment.fail({ kind: "deadline", operation: operation.name, message: `${driver}: ${operation.name} was not answered within ${limitMs} ms` });
    }));
    this.#inFlight.set(tag, call);
    return true;
  }

  #restored(): void {
    if (this.#restoring.size > 0 || this.#port === undefined || this.#state === "passive") return;
    this.#state = "passive";
    this.#attached(true);
    this.#attached = () => undefined;
  }

  /** The client aborted: forget the call, unless the driver has it, which then still owes the answer. */
  #drop(call: PendingCall): void {
    const at = this.#queue.indexOf(call);
    if (at < 0) return;
    this.#queue.splice(at, 1);
    this.#restoring.delete(call);
    this.#restored();
    this.#pump();
  }

  #answerFromLog(call: PendingCall): boolean {
    if (call.operation.treatment !== "query") return false;
    const value = this.#policy.fromLog?.(call.operation.name);
    if (value === undefined) return false;
    call.answer(value);
    if (!call.internal) this.#environment.served(call.operation.name);
    return true;
  }

  #logConfig(operation: Operation, payload: Uint8Array): void {
    const group = this.#policy.configGroup?.(operation.name) ?? operation.name;
    this.#log.set(group, { operation, payload });
  }

  #failAll(error: AirlockError): void {
    for (const call of this.#queue.splice(0)) call.fail(error);
  }

  #mayHaveExecuted(operation: Operation): AirlockError {
    const { driver } = this.#environment;
    return new AirlockError(
      "MayHaveExecuted", `${driver}: the driver died during ${operation.name}; it may have taken effect, and is not repeated`,
      { driver, operation: operation.name },
    );
  }

  #closed(): AirlockError {
    return new AirlockError("Closed", `${this.#environment.driver}: the device was closed`, { driver: this.#environment.driver });
  }
}

function isConfig(call: PendingCall): boolean {
  return call.operation.treatment === "config";
}

/** The arguments of a call; they were encoded here, so they decode. */
function argsOf(call: PendingCall): Values {
  const decoded = call.operation.args.decode(call.payload);
  if (!decoded.ok) throw new Error(`${call.operation.name}: own arguments do not decode: ${decoded.reason}`);
  return decoded.value;
}
