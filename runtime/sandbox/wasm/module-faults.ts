/** Injected faults in this tier: their JavaScript runs on the trusted side with the driver's calls, and what only C can do is done by the module. */
import vm from "node:vm";
import { type Bridge, type FaultPoint, type GuestBridge, mailboxBytes } from "../../api/bridge.ts";
import { AirlockError } from "../../api/errors.ts";
import type { FaultTools } from "../../api/guest.ts";
import { type MessageRecord, RecordKind, putRecord, readRecords, recordBytes } from "../../api/records.ts";
import type { GuestCalls } from "../guest-calls.ts";
import { faultPlaces } from "./abi.ts";

type Put = FaultTools["put"];

export interface FaultParts {
  readonly calls: GuestCalls;
  /** Has the module do one of AIRLOCK_FAULT_* at one of AIRLOCK_AT_*. */
  perform(kind: number, place: number): void;
  /** A copy of the inbox as it is now. */
  inbox(): ArrayBuffer;
  /** A copy of a DMA region as the driver sees it. */
  memory(region: number): ArrayBuffer;
}

interface Armed {
  readonly where: FaultPoint;
  readonly code: string;
}

const places: Readonly<Record<FaultPoint, number>> = { now: faultPlaces.NOW, init: faultPlaces.NOW, operation: faultPlaces.OPERATION, irq: faultPlaces.IRQ };

/** Where a record leads to; undefined where nothing can be replaced. */
const pointOf: Readonly<Record<number, FaultPoint>> = {
  [RecordKind.init]: "init", [RecordKind.request]: "operation", [RecordKind.requests]: "operation", [RecordKind.irq]: "irq",
};

export class ModuleFaults {
  readonly #parts: FaultParts;
  readonly #armed = new Map<FaultPoint, Armed>();
  #tamper: Put | undefined;
  #context: vm.Context | undefined;
  #script: { readonly code: string; readonly compiled: vm.Script } | undefined;
  /** Records that a fault sends in the place of what the outbox holds. */
  #forged: Uint8Array | undefined;

  constructor(parts: FaultParts) {
    this.#parts = parts;
  }

  /** Whether no fault waits for a record. */
  get isIdle(): boolean {
    return this.#armed.size === 0;
  }

  /** Whether output has to go through `tampered`. */
  get isTampering(): boolean {
    return this.#tamper !== undefined || this.#forged !== undefined;
  }

  inject(where: FaultPoint, code: string): void {
    if (where === "now") this.#run({ where, code }, { kind: RecordKind.fault, id: 0, tag: 0, payload: new Uint8Array(0) });
    else this.#armed.set(where, { where, code });
  }

  /** Runs the fault that waits for this record; true when the module must not see the record. */
  replaces(record: MessageRecord): boolean {
    const point = pointOf[record.kind];
    const armed = point === undefined ? undefined : this.#armed.get(point);
    if (armed === undefined) return false;
    this.#armed.delete(armed.where);
    return !this.#run(armed, record);
  }

  /** What is sent instead of a copy of the outbox. */
  tampered(output: Uint8Array): Uint8Array {
    const forged = this.#forged;
    this.#forged = undefined;
    if (forged !== undefined) return forged;
    const framed = readRecords(output);
    if (!framed.ok) return output;
    const sent: Uint8Array[] = [];
    const append: Put = (kind, id, tag, payload) => { sent.push(framedRecord(kind, id, tag, payload)); };
    this.#append = append;
    for (const { kind, id, tag, payload } of framed.records) {
      const tamper = kind === RecordKind.reply || kind === RecordKind.completions ? this.#tamper : undefined;
      if (tamper === undefined) append(kind, id, tag, payload);
      else {
        this.#tamper = undefined;
        this.#attempt(() => tamper(kind, id, tag, payload.slice()));
      }
    }
    this.#append = undefined;
    return new Uint8Array(Buffer.concat(sent));
  }

  /** Where `put` goes while output is tampered with. */
  #append: Put | undefined;

  readonly #put: Put = (kind, id, tag, payload) => {
    if (this.#append !== undefined) return this.#append(kind, id, tag, payload);
    this.#forged = framedRecord(kind, id, tag, payload);
    const { calls } = this.#parts;
    this.#guarded(() => calls.flush(Math.min(mailboxBytes, this.#forged!.length)));
  };

  /** True when the module was told to do it and has to see the record. */
  #run({ where, code }: Armed, record: MessageRecord): boolean {
    let performed = false;
    const tools: FaultTools = {
      bridge: this.#bridge(), record, put: this.#put, intercept: (tamper) => { this.#tamper = tamper; }, again: () => { this.#armed.set(where, { where, code }); },
      perform: (kind) => {
        performed = true;
        this.#parts.perform(kind, places[where]);
      },
    };
    this.#evaluate(code, tools);
    return performed;
  }

  /**
   * In a context of its own, which has its own queue of promise jobs, empty when the script has run: this thread's may never be. A job is
   * queued where its function is from. Context and script are kept: a fault may act in each interrupt of a storm.
   */
  #evaluate(code: string, tools: FaultTools): void {
    this.#context ??= vm.createContext({ failed: (error: unknown): void => this.#failed(error) }, { microtaskMode: "afterEvaluate" });
    if (this.#script?.code !== code) {
      const source = `(() => { try { const result = (${code})(tools); result?.then?.(undefined, (error) => failed(error)); } catch (error) { failed(error); } })()`;
      this.#script = { code, compiled: new vm.Script(source, { filename: "airlock:fault" }) };
    }
    this.#context["tools"] = tools;
    this.#script.compiled.runInContext(this.#context);
  }

  /** What a fault throws is the driver's failure. */
  #failed(error: unknown): void {
    const { calls } = this.#parts;
    if (!calls.live) return;
    const { name, message } = describe(error);
    calls.failed(calls.phase, name, message, "");
  }

  #attempt(run: () => void): void {
    try {
      run();
    } catch (error) {
      this.#failed(error);
    }
  }

  #bridge(): GuestBridge {
    const { calls } = this.#parts;
    const outbox = new ArrayBuffer(mailboxBytes);
    const guarded = <A extends unknown[], R>(run: (...args: A) => R) => (...args: A): R => this.#guarded(() => run(...args));
    const bridge: Bridge = {
      read: guarded((window, offset, width) => calls.read(window, offset, width)),
      write: guarded((window, offset, width, value) => calls.write(window, offset, width, value)),
      irq: guarded((line, op) => calls.irq(line, op)),
      sync: guarded((region, offset, size, toDevice) => calls.sync(region, offset, size, toDevice)),
      shared: guarded((region) => calls.shared(region)),
      log: guarded((level, text) => calls.log(level, text)),
      nowMicros: guarded(() => calls.nowMicros()),
      timer: guarded((id, delayMicros) => calls.timer(id, delayMicros)),
      flush: guarded((length) => {
        this.#forged = new Uint8Array(outbox).slice(0, Math.max(0, Math.min(mailboxBytes, length)));
        calls.flush(length);
      }),
      fail: guarded((phase, name, message, stack) => calls.fail(phase, name, message, stack)),
      setup: guarded(() => calls.setup()),
      fault: guarded(() => calls.fault()),
    };
    return { ...bridge, inbox: this.#parts.inbox(), outbox, memory: guarded((region) => this.#parts.memory(region)) };
  }

  #guarded<T>(run: () => T): T {
    try {
      return run();
    } catch (error) {
      const { name, message, code } = this.#parts.calls.refuse(error);
      throw Object.assign(new Error(message), { name }, code === undefined ? {} : { code });
    }
  }
}

function framedRecord(kind: number, id: number, tag: number, payload: Uint8Array): Uint8Array {
  const record = new Uint8Array(recordBytes(payload.length));
  if (putRecord(record, 0, kind, id, tag, payload) < 0) throw new AirlockError("ProtocolViolation", `a record of ${payload.length} bytes does not fit the outbox`);
  return record;
}

/** Something thrown in the fault's own context, whose errors are no errors of this one. */
function describe(error: unknown): { name: string; message: string } {
  if (typeof error !== "object" || error === null) return { name: "Error", message: `threw ${String(error)}` };
  const { name, message } = error as Partial<Error>;
  return { name: String(name ?? "Error"), message: String(message ?? "") };
}
