/** What a guest's bridge calls do on the trusted side, the same in every tier: arguments checked, denials recorded, finished guests inert. */
import { type AccessWidth } from "../api/grants.ts";
import { type FaultPoint, type IrqOp, LogLevel, type Phase, mailboxBytes, phases } from "../api/bridge.ts";
import { AirlockError, errorCodes, isAirlockError } from "../api/errors.ts";
import { RecordKind } from "../api/records.ts";
import type { GuestMemory } from "./guest-memory.ts";
import type { GuestFailure, SandboxCalls } from "./sandbox.ts";

/** Characters of one log line that reach the host; what is longer is cut, so that a log cannot move megabytes. */
export const maxLogChars = 4096;
/** Characters of an exception's name, message and stack that are kept: enough to read, too few to flood a report. */
export const maxNameChars = 100;
export const maxMessageChars = 1000;
export const maxStackChars = 8192;

/** What a tier throws in its guest, as plain texts: no host object crosses. */
export interface GuestError {
  readonly name: string;
  readonly message: string;
  readonly code?: string;
}

const notStarted = "the bridge is not connected yet: drivers run from init on, not while their module loads";
const finished = "this driver instance is finished";

/**
 * The trusted side of one guest's bridge. Methods take what the guest passed, whatever it is, and throw what the tier
 * then throws in the guest by way of `refuse`. The first failure is kept; from then on nothing the guest calls has an effect.
 */
export class GuestCalls {
  readonly #readOutbox: (length: number) => Uint8Array;
  readonly #guestStack: () => string;
  #calls: SandboxCalls | undefined;
  #memory: GuestMemory | undefined;
  #failure: GuestFailure | undefined;
  #denied = false;
  #reported = false;
  #hostError: { readonly error: unknown } | undefined;
  #fault: string | undefined;
  #phase: Phase = "load";

  /** `readOutbox` copies the first bytes of the outbox; `guestStack` is the guest's stack right now, or "". */
  constructor(readOutbox: (length: number) => Uint8Array, guestStack: () => string) {
    this.#readOutbox = readOutbox;
    this.#guestStack = guestStack;
  }

  /** Connects the guest to its world. */
  start(calls: SandboxCalls, memory: GuestMemory): void {
    this.#calls = calls;
    this.#memory = memory;
  }

  /** Whether the guest may still run. */
  get live(): boolean {
    return this.#failure === undefined && !this.#reported;
  }

  /** A failure that has been recorded; the first one wins, a denial is kept although later ones may be caught. */
  get failure(): GuestFailure | undefined {
    return this.#failure;
  }

  /** The phase that failures are filed under when the guest does not say: that of the records it was given. */
  set phase(phase: Phase) {
    this.#phase = phase;
  }

  get phase(): Phase {
    return this.#phase;
  }

  /** Milliseconds of the machine's clock for the guest's `Date`; 0 before it has a world. */
  dateMillis(): number {
    return this.#calls === undefined ? 0 : Math.floor(this.#calls.nowMicros() / 1000);
  }

  read(window: unknown, offset: unknown, width: unknown): number {
    const calls = this.#world();
    return calls.read(numeric(window, "read", "window"), numeric(offset, "read", "offset"), numeric(width, "read", "width") as AccessWidth);
  }

  /** The first half of a read, for guests whose code waits only for values that it uses. */
  postRead(window: unknown, offset: unknown, width: unknown): void {
    this.#world().postRead(numeric(window, "read", "window"), numeric(offset, "read", "offset"), numeric(width, "read", "width") as AccessWidth);
  }

  takeRead(): number {
    return this.#world().takeRead();
  }

  write(window: unknown, offset: unknown, width: unknown, value: unknown): void {
    const calls = this.#world();
    const place = numeric(window, "write", "window");
    calls.write(place, numeric(offset, "write", "offset"), numeric(width, "write", "width") as AccessWidth, numeric(value, "write", "value"));
  }

  irq(line: unknown, op: unknown): void {
    const calls = this.#world();
    calls.irq(numeric(line, "irq", "line"), numeric(op, "irq", "op") as IrqOp);
  }

  nowMicros(): number {
    return this.#world().nowMicros();
  }

  timer(id: unknown, delayMicros: unknown): void {
    const calls = this.#world();
    calls.timer(numeric(id, "timer", "id"), numeric(delayMicros, "timer", "delayMicros"));
  }

  sync(region: unknown, offset: unknown, sizeBytes: unknown, toDevice: unknown): void {
    const calls = this.#world();
    const place = numeric(region, "sync", "region");
    const at = numeric(offset, "sync", "offset");
    const size = numeric(sizeBytes, "sync", "sizeBytes");
    const direction = numeric(toDevice, "sync", "toDevice") !== 0;
    this.#memory!.sync(place, at, size, (bytes) => calls.copy(place, at, bytes, direction));
  }

  shared(region: unknown): number {
    this.#world();
    return this.#memory!.isShared(numeric(region, "shared", "region")) ? 1 : 0;
  }

  log(level: unknown, text: unknown): void {
    const calls = this.#world();
    const known = Object.values(LogLevel).find((each) => each === level);
    if (known === undefined || typeof text !== "string") throw new Refused("TypeError", "log takes a LogLevel and a string");
    calls.log(known, clip(text, maxLogChars));
  }

  /** Copies the outbox before anybody looks at it. What a guest sends after a denial is dropped: it is finished. */
  flush(length: unknown): void {
    const calls = this.#world();
    if (typeof length !== "number" || !Number.isInteger(length) || length < 0 || length > mailboxBytes) {
      throw new AirlockError("ProtocolViolation", `flush of ${typeof length === "number" ? length : typeof length} bytes; the outbox has ${mailboxBytes}`);
    }
    if (length > 0) calls.output(this.#readOutbox(length));
  }

  setup(): string {
    return this.#world().setup();
  }

  /** Holds a fault ready for the next `fault` call. */
  offerFault(where: FaultPoint, code: string): void {
    this.#fault = JSON.stringify({ where, code });
  }

  fault(): string {
    this.#world();
    const fault = this.#fault;
    this.#fault = undefined;
    if (fault === undefined) throw new AirlockError("ProtocolViolation", "fault is only for a fault record, and none is being handled");
    return fault;
  }

  /** The guest reports what driver code threw. */
  fail(phase: unknown, name: unknown, message: unknown, stack: unknown): void {
    if (this.#calls === undefined) throw new Refused("Error", notStarted);
    this.failed(phases.find((each) => each === phase) ?? this.#phase, name, message, stack);
  }

  /** Records an exception that left the guest. A denial that came before it stays the failure, with this phase. */
  failed(phase: Phase, name: unknown, message: unknown, stack: unknown): void {
    if (this.#denied && this.#failure !== undefined) this.#failure = { ...this.#failure, phase };
    this.#failure ??= exceptionFailure(phase, text(name, maxNameChars) || "Error", text(message, maxMessageChars), text(stack, maxStackChars));
  }

  /** Records a failure the tier itself saw. */
  limit(kind: "memory" | "stack" | "turn-limit", message: string, stack = ""): void {
    this.#failure ??= { kind, phase: this.#phase, name: "Limit", message: clip(message, maxMessageChars), stack: clip(stack, maxStackChars) };
  }

  /**
   * What the guest gets for something a method above threw. Airlock's own errors are denials: they finish the instance,
   * caught or not. Anything but a denial or a wrong argument is a bug of the host: kept, and thrown by `settle`.
   */
  refuse(error: unknown): GuestError {
    if (isAirlockError(error)) {
      this.#denied ||= this.#failure === undefined;
      this.#failure ??= {
        kind: error.code === "ProtocolViolation" ? "protocol" : "exception", phase: this.#phase, name: error.code, code: error.code,
        message: clip(error.message, maxMessageChars), stack: clip(this.#guestStack(), maxStackChars),
      };
      return { name: error.code, message: error.message, code: error.code };
    }
    if (error instanceof Refused) return { name: error.name, message: error.message };
    this.#hostError ??= { error };
    return { name: "Error", message: "the host failed" };
  }

  /** After the guest has stopped running: reports its failure, once, and throws what was the host's own fault. */
  settle(): void {
    const { failure } = this;
    const calls = this.#calls;
    if (failure !== undefined && calls !== undefined && !this.#reported) {
      this.#reported = true;
      calls.failed(failure);
    }
    const bug = this.#hostError;
    this.#hostError = undefined;
    if (bug !== undefined) throw bug.error;
  }

  /** Nothing is reported and nothing has an effect any more. */
  dispose(): void {
    this.#reported = true;
  }

  #world(): SandboxCalls {
    if (this.#calls === undefined) throw new Refused("Error", notStarted);
    if (!this.live) throw new Refused("Error", finished);
    return this.#calls;
  }
}

/** The phase of a batch of records: that of its first record. */
export function phaseOf(records: Uint8Array): Phase {
  const kind = records.length < 6 ? 0 : records[4]! | (records[5]! << 8);
  if (kind === RecordKind.init) return "init";
  if (kind === RecordKind.irq) return "irq";
  if (kind === RecordKind.timer) return "timer";
  return "operation";
}

/** Files an exception by what it says: engine limits and Airlock's own codes have kinds of their own. */
export function exceptionFailure(phase: Phase, name: string, message: string, stack: string): GuestFailure {
  const code = Object.hasOwn(errorCodes, name) ? name : undefined;
  const kind = code === "ProtocolViolation" ? "protocol" : limitKind(name, message) ?? "exception";
  return { kind, phase, name, message, stack, ...(code === undefined ? {} : { code }) };
}

/** A call that has no effect and is no failure by itself. */
class Refused extends Error {
  constructor(name: "Error" | "TypeError", message: string) {
    super(message);
    this.name = name;
  }
}

function limitKind(name: string, message: string): "memory" | "stack" | undefined {
  if (name === "InternalError" && message === "out of memory") return "memory";
  if (name === "InternalError" && message === "stack overflow") return "stack";
  if (name === "RangeError" && message === "Maximum call stack size exceeded") return "stack";
  if (name === "RangeError" && message === "Array buffer allocation failed") return "memory";
  return undefined;
}

/** Only real numbers, never something that has to be converted by guest code. */
function numeric(value: unknown, call: string, argument: string): number {
  if (typeof value !== "number" || Number.isNaN(value)) throw new Refused("TypeError", `${call}: ${argument} is not a number`);
  return value;
}

function text(value: unknown, maxChars: number): string {
  return typeof value === "string" ? clip(value, maxChars) : "";
}

function clip(value: string, maxChars: number): string {
  return value.length <= maxChars ? value : `${value.slice(0, maxChars - 1)}…`;
}
