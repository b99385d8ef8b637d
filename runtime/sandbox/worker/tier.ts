/** The worker tier: trusted but buggy JavaScript at V8 speed, in the thread that loads it. Contains exceptions, not hostile code. */
import vm from "node:vm";
import { type Dispatch, type DriverEntry, type FaultPoint, type GuestBridge, mailboxBytes } from "../../api/bridge.ts";
import { AirlockError } from "../../api/errors.ts";
import { RecordKind, putRecord, recordHeaderBytes } from "../../api/records.ts";
import { GuestCalls, phaseOf } from "../guest-calls.ts";
import { type GuestBytes, GuestMemory } from "../guest-memory.ts";
import { GuestLoadError, type GuestRegion, type LoadedSandbox, type Sandbox, type SandboxCalls, type SandboxTier, wrongCode } from "../sandbox.ts";

/** A sandbox of this tier: what only code in a thread of its own can do by accident comes back by `stray`. */
export interface WorkerSandbox extends Sandbox {
  /** Records an exception or rejection that nobody caught in this thread as this driver's failure. */
  stray(error: unknown): void;
}

export const workerTier: SandboxTier = {
  name: "worker",
  load: async (bundle, name) => {
    if (typeof bundle !== "string") throw wrongCode(name, "worker");
    return new WorkerGuest(bundle, name);
  },
};

class WorkerGuest implements LoadedSandbox, WorkerSandbox {
  readonly tier = "worker";
  readonly #inbox = new ArrayBuffer(mailboxBytes);
  readonly #outbox = new ArrayBuffer(mailboxBytes);
  readonly #calls: GuestCalls;
  readonly #dispatch: Dispatch;
  #buffers: readonly ArrayBuffer[] = [];
  #inTurn = false;

  constructor(bundle: string, name: string) {
    this.#calls = new GuestCalls(
      (length) => {
        if (this.#outbox.byteLength < length) throw new AirlockError("ProtocolViolation", "flush of an outbox that the driver detached");
        return new Uint8Array(this.#outbox).slice(0, length);
      },
      () => withoutTitle(new Error().stack),
    );
    try {
      const entry: unknown = new vm.Script(bundle, { filename: name }).runInThisContext();
      if (typeof entry !== "function") throw new BadBundle(`${name}: the value of the bundle is not a driver entry`);
      const dispatch: unknown = (entry as DriverEntry)(this.#bridge());
      if (typeof dispatch !== "function") throw new BadBundle(`${name}: the driver entry returned no dispatch function`);
      this.#dispatch = dispatch as Dispatch;
    } catch (error) {
      this.#thrown(error);
      throw new GuestLoadError(this.#calls.failure!);
    }
  }

  start(calls: SandboxCalls, regions: readonly GuestRegion[]): Sandbox {
    const shared = regions.map((region) => region.map());
    const buffers = regions.map(({ sizeBytes }, index) => shared[index] ?? new ArrayBuffer(sizeBytes));
    this.#buffers = buffers;
    this.#calls.start(calls, new GuestMemory(regions.map(({ sizeBytes }, index): GuestBytes => ({
      sizeBytes, bytes: shared[index] === undefined ? (offset, size) => new Uint8Array(buffers[index]!, offset, size) : undefined,
    }))));
    return this;
  }

  turn(records: Uint8Array): void {
    if (records.length > mailboxBytes) throw new RangeError(`a turn of ${records.length} bytes; the inbox has ${mailboxBytes}`);
    if (this.#inTurn) throw new Error("turn inside a turn: a bridge call must not run the guest again");
    if (!this.#calls.live) return;
    this.#inTurn = true;
    this.#calls.phase = phaseOf(records);
    try {
      new Uint8Array(this.#inbox).set(records);
      this.#dispatch(records.length);
    } catch (error) {
      this.#thrown(error);
    } finally {
      this.#inTurn = false;
    }
    this.#calls.settle();
    // What runs later in this thread runs as a job of the driver.
    this.#calls.phase = "job";
  }

  inject(where: FaultPoint, code: string): void {
    if (!this.#calls.live) return;
    this.#calls.offerFault(where, code);
    const record = new Uint8Array(recordHeaderBytes);
    putRecord(record, 0, RecordKind.fault, 0, 0, new Uint8Array(0));
    this.turn(record);
  }

  stray(error: unknown): void {
    if (!this.#calls.live) return;
    this.#calls.phase = "job";
    this.#thrown(error);
    this.#calls.settle();
  }

  /** What the two mailboxes take; the thread's heap is limited by the thread's own resource limits. */
  memoryBytes(): number {
    return this.#inbox.byteLength + this.#outbox.byteLength;
  }

  dispose(): void {
    this.#calls.dispose();
  }

  #bridge(): GuestBridge {
    const calls = this.#calls;
    /** Throws in the guest; outside a turn, reports a failure after the job that caused it. */
    const guarded = <A extends unknown[], R>(run: (...args: A) => R) => (...args: A): R => {
      try {
        return run(...args);
      } catch (error) {
        const { name, message, code } = calls.refuse(error);
        throw Object.assign(new Error(message), { name }, code === undefined ? {} : { code });
      } finally {
        if (!calls.live && !this.#inTurn) queueMicrotask(() => calls.settle());
      }
    };
    return Object.freeze({
      // One closure per hot call: no argument array on the way.
      read: (window: number, offset: number, width: number) => {
        try {
          return calls.read(window, offset, width);
        } catch (error) {
          return guarded<[], number>(() => { throw error; })();
        }
      },
      write: (window: number, offset: number, width: number, value: number) => {
        try {
          calls.write(window, offset, width, value);
        } catch (error) {
          guarded<[], void>(() => { throw error; })();
        }
      },
      irq: guarded((line, op) => calls.irq(line, op)),
      shared: guarded((region) => calls.shared(region)),
      sync: guarded((region, offset, sizeBytes, toDevice) => calls.sync(region, offset, sizeBytes, toDevice)),
      memory: guarded((region: number) => {
        const buffer = this.#buffers[region];
        if (buffer === undefined) throw new AirlockError("CapabilityViolation", "there is no DMA memory of that number", { capability: "dma", reason: "handle" });
        return buffer;
      }),
      log: guarded((level, text) => calls.log(level, text)),
      nowMicros: guarded(() => calls.nowMicros()),
      timer: guarded((id, delayMicros) => calls.timer(id, delayMicros)),
      flush: guarded((length) => calls.flush(length)),
      fail: guarded((phase, name, message, stack) => calls.fail(phase, name, message, stack)),
      setup: guarded(() => calls.setup()),
      fault: guarded(() => calls.fault()),
      inbox: this.#inbox, outbox: this.#outbox,
    });
  }

  #thrown(error: unknown): void {
    if (error instanceof Error) this.#calls.failed(this.#calls.phase, error.name, error.message, error.stack);
    else this.#calls.failed(this.#calls.phase, "Error", `threw ${describe(error)}`, "");
  }
}

class BadBundle extends Error {
  override readonly name = "BundleInvalid";
}

/** The frames of a stack without the line that repeats the message. */
function withoutTitle(stack: string | undefined): string {
  return (stack ?? "").split("\n").slice(1).join("\n");
}

function describe(value: unknown): string {
  return typeof value === "string" || typeof value === "number" ? String(value) : value === null ? "null" : `a ${typeof value}`;
}
