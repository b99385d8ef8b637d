/** The guest side of the bridge: bundled with every driver, it turns records into calls and answers into records. */
import { type Bridge, type Dispatch, type FaultPoint, type GuestBridge, IrqOp, LogLevel, type Phase, mailboxBytes } from "./bridge.ts";
import type { DmaMemory, DriverContext, DriverDefinition, DriverOperations, IrqLine, RegisterWindow } from "./driver.ts";
import { AirlockError } from "./errors.ts";
import type { AccessWidth, DriverSetup } from "./grants.ts";
import { GuestQueues } from "./guest-queues.ts";
import { type MessageRecord, RecordKind, putRecord, readRecords, recordHeaderBytes } from "./records.ts";

/** Words from which on a copy by the engine is cheaper than a loop. */
const copyWords = 32;

type Operation = (args: unknown) => unknown;

type Put = (kind: number, id: number, tag: number, payload: Uint8Array) => void;

/** What injected fault code gets: the raw bridge, the record it replaces, and a way to send any record at all. */
export interface FaultTools {
  readonly bridge: GuestBridge;
  readonly record: MessageRecord;
  readonly put: Put;
  /** Calls `tamper` with the driver's next reply, or batch of completions, instead of sending it. */
  intercept(tamper: Put): void;
  /** Arms this fault once more at its point. */
  again(): void;
  /**
   * Has the driver's own C code do what the AIRLOCK_FAULT_* of that number says, at the fault's point; what came there is then delivered as
   * usual. Only in the wasm tier.
   */
  perform?(kind: number): void;
}

/** Serves one driver over a bridge; the value of every bundle. */
export function serve(definition: DriverDefinition, bridge: GuestBridge): Dispatch {
  const guest = new Guest(definition, bridge);
  return (length) => guest.dispatch(length);
}

class Guest {
  readonly #definition: DriverDefinition;
  readonly #bridge: GuestBridge;
  readonly #inbox: Uint8Array;
  readonly #outbox: Uint8Array;
  readonly #inboxWords: Uint32Array;
  /** What follows the header of the first record. */
  readonly #payloadWords: Uint32Array;
  readonly #handlers = new Map<number, () => unknown>();
  readonly #waiters = new Map<number, ((line: number) => void)[]>();
  readonly #timers = new Map<number, () => unknown>();
  readonly #faults = new Map<FaultPoint, (tools: FaultTools) => unknown>();
  readonly #queues: GuestQueues;
  #tamper: Put | undefined;
  #operations: DriverOperations<DriverDefinition["contract"]> | undefined;
  #used = 0;
  #dispatching = false;
  #nextTimer = 1;

  constructor(definition: DriverDefinition, bridge: GuestBridge) {
    this.#definition = definition;
    this.#bridge = bridge;
    this.#inbox = new Uint8Array(bridge.inbox);
    this.#outbox = new Uint8Array(bridge.outbox);
    this.#inboxWords = new Uint32Array(bridge.inbox);
    this.#payloadWords = new Uint32Array(bridge.inbox, recordHeaderBytes);
    const outboxWords = new Uint32Array(bridge.outbox);
    this.#queues = new GuestQueues(
      definition.contract, (id, words, count) => this.#appendWords(outboxWords, id, words, count), () => { if (!this.#dispatching) this.#flush(); },
    );
  }

  dispatch(length: number): void {
    this.#dispatching = true;
    if (!this.#dispatchQuickly(length)) {
      const framed = readRecords(this.#inbox.slice(0, length));
      if (!framed.ok) throw new AirlockError("ProtocolViolation", framed.reason);
      for (const record of framed.records) this.#handle(record);
    }
    this.#dispatching = false;
    this.#flush();
  }

  /**
   * A batch of one interrupt or of requests of one queue, which is what a busy driver gets: nothing is copied or allocated.
   * False for any other batch.
   */
  #dispatchQuickly(length: number): boolean {
    const words = this.#inboxWords;
    const payloadBytes = words[0]!;
    if (recordHeaderBytes + ((payloadBytes + 7) & ~7) !== length || this.#faults.size > 0) return false;
    const kind = words[1]! & 0xffff;
    const id = words[1]! >>> 16;
    try {
      let result: unknown;
      if (kind === RecordKind.requests) result = this.#queues.deliverWords(id, this.#payloadWords, payloadBytes);
      else if (kind === RecordKind.irq && this.#waiters.size === 0) result = this.#handlers.get(id)?.();
      else return false;
      if (isThenable(result)) result.then(undefined, (error: unknown) => this.#fail(kind === RecordKind.irq ? "irq" : "operation", error));
    } catch (error) {
      this.#fail(kind === RecordKind.irq ? "irq" : "operation", error);
    }
    return true;
  }

  #handle(record: MessageRecord): void {
    switch (record.kind) {
      case RecordKind.init: return this.#guard("init", () => this.#replaced("init", record) ?? this.#init());
      case RecordKind.request: return this.#guard("operation", () => this.#replaced("operation", record) ?? this.#request(record));
      case RecordKind.requests: return this.#guard("operation", () => this.#replaced("operation", record) ?? this.#queues.deliver(record));
      case RecordKind.irq: return this.#guard("irq", () => this.#replaced("irq", record) ?? this.#interrupt(record.id));
      case RecordKind.timer: return this.#guard("timer", () => this.#expire(record.tag));
      case RecordKind.fault: return this.#guard("operation", () => this.#arm(record));
      default: throw new AirlockError("ProtocolViolation", `record of unknown kind ${record.kind}`);
    }
  }

  /** Runs driver code; whatever it throws, now or later, is reported once with its phase. */
  #guard(phase: Phase, run: () => unknown): void {
    try {
      const result = run();
      if (isThenable(result)) result.then(undefined, (error: unknown) => this.#fail(phase, error));
    } catch (error) {
      this.#fail(phase, error);
    }
  }

  async #init(): Promise<void> {
    const setup = JSON.parse(this.#bridge.setup()) as DriverSetup;
    this.#operations = await this.#definition.init(this.#context(setup));
    for (const { name } of this.#definition.contract.operationList) {
      if (typeof this.#operations?.[name] !== "function") {
        throw new AirlockError("ProtocolViolation", `init returned no operation "${name}"`);
      }
    }
    this.#put(RecordKind.ready, 0, 0, new Uint8Array(0));
  }

  async #request(record: MessageRecord): Promise<void> {
    const operation = this.#definition.contract.operationList[record.id];
    if (operation === undefined || this.#operations === undefined) throw new AirlockError("ProtocolViolation", `no operation ${record.id}`);
    const args = operation.args.decode(record.payload);
    if (!args.ok) throw new AirlockError("ProtocolViolation", `${operation.name}: ${args.reason}`);
    const result = (this.#operations[operation.name] as Operation)(args.value);
    const reply = isThenable(result) ? await result : result;
    const reason = operation.reply.check(reply);
    if (reason !== undefined) throw new AirlockError("ProtocolViolation", `${operation.name} answered with a value whose ${reason}`);
    this.#reply(record.id, record.tag, operation.reply.encode(reply as never));
  }

  #interrupt(line: number): unknown {
    const waiters = this.#waiters.get(line);
    if (waiters !== undefined) {
      this.#waiters.delete(line);
      for (const wake of waiters) wake(line);
    }
    return this.#handlers.get(line)?.();
  }

  #expire(id: number): unknown {
    const callback = this.#timers.get(id);
    this.#timers.delete(id);
    return callback?.();
  }

  #arm(record: MessageRecord): unknown {
    const { where, code } = JSON.parse(this.#bridge.fault()) as { where: FaultPoint; code: string };
    const fault = (0, eval)(`(${code})`) as (tools: FaultTools) => unknown;
    if (where === "now") return fault(this.#faultTools(where, fault, record));
    this.#faults.set(where, fault);
    return undefined;
  }

  /** Runs the fault armed at this point instead of the driver's code; undefined when there is none. */
  #replaced(where: FaultPoint, record: MessageRecord): unknown {
    const fault = this.#faults.get(where);
    if (fault === undefined) return undefined;
    this.#faults.delete(where);
    return fault(this.#faultTools(where, fault, record)) ?? true;
  }

  #faultTools(where: FaultPoint, fault: (tools: FaultTools) => unknown, record: MessageRecord): FaultTools {
    return {
      bridge: this.#bridge, record, put: (kind, id, tag, payload) => this.#put(kind, id, tag, payload),
      intercept: (tamper) => { this.#tamper = tamper; }, again: () => { this.#faults.set(where, fault); },
    };
  }

  #reply(id: number, tag: number, payload: Uint8Array): void {
    // What was completed before this reply is sent before it.
    this.#queues.flush();
    this.#tampered(RecordKind.reply, id, tag, payload);
    if (!this.#dispatching) this.#flush();
  }

  /** Appends a record, or gives it to the fault that waits for one. */
  #tampered(kind: number, id: number, tag: number, payload: Uint8Array): void {
    const tamper = this.#tamper;
    this.#tamper = undefined;
    if (tamper === undefined) this.#append(kind, id, tag, payload);
    else tamper(kind, id, tag, payload);
  }

  #put(kind: number, id: number, tag: number, payload: Uint8Array): void {
    // What was completed before this record is sent before it.
    this.#queues.flush();
    this.#append(kind, id, tag, payload);
    if (!this.#dispatching) this.#flush();
  }

  #append(kind: number, id: number, tag: number, payload: Uint8Array): void {
    let end = putRecord(this.#outbox, this.#used, kind, id, tag, payload);
    if (end < 0) {
      this.#send();
      end = putRecord(this.#outbox, 0, kind, id, tag, payload);
      if (end < 0) throw new AirlockError("ProtocolViolation", `a record of ${payload.length} bytes does not fit the outbox`);
    }
    this.#used = end;
  }

  /** A record of completions, written word by word: the views that a copy needs cost more than the few words there mostly are. */
  #appendWords(outbox: Uint32Array, id: number, words: Uint32Array, count: number): void {
    if (this.#tamper !== undefined) return this.#tampered(RecordKind.completions, id, 0, new Uint8Array(words.slice(0, count).buffer));
    const sizeBytes = recordHeaderBytes + ((count * 4 + 7) & ~7);
    if (this.#used + sizeBytes > mailboxBytes) this.#send();
    let at = this.#used >> 2;
    outbox[at] = count * 4;
    outbox[at + 1] = RecordKind.completions | (id << 16);
    outbox[at + 2] = 0;
    outbox[at + 3] = 0;
    at += recordHeaderBytes >> 2;
    if (count > copyWords) outbox.set(words.subarray(0, count), at);
    else for (let n = 0; n < count; n++) outbox[at + n] = words[n]!;
    this.#used += sizeBytes;
  }

  #flush(): void {
    this.#queues.flush();
    this.#send();
  }

  #send(): void {
    if (this.#used === 0) return;
    const length = this.#used;
    this.#used = 0;
    this.#bridge.flush(length);
  }

  #fail(phase: Phase, error: unknown): void {
    const known = error instanceof Error;
    this.#bridge.fail(phase, known ? error.name : "Error", known ? error.message : String(error), (known && error.stack) || "");
  }

  #context(setup: DriverSetup): DriverContext<DriverDefinition["contract"]> {
    const bridge = this.#bridge;
    const lines = setup.irqs.map((grant, index) => this.#line(grant.name, index));
    const windows = setup.windows.map((grant, index) => registerWindow(bridge, grant, index));
    const memories = setup.dma.map((grant, index) => dmaMemory(bridge, grant, index));
    const find = <T extends { readonly name: string }>(kind: string, list: readonly T[], name: string): T => {
      const found = list.find((item) => item.name === name);
      if (found === undefined) {
        const granted = list.map((item) => item.name).join(", ") || "none";
        throw new AirlockError("CapabilityViolation", `${kind} "${name}" is not granted to ${setup.driver}; granted: ${granted}`, { holder: setup.driver, capability: name });
      }
      return found;
    };
    const after = (delayMs: number, callback: () => unknown): (() => void) => {
      const id = this.#nextTimer++;
      this.#timers.set(id, callback);
      bridge.timer(id, Math.max(0, delayMs * 1000));
      return () => { if (this.#timers.delete(id)) bridge.timer(id, -1); };
    };
    return {
      name: setup.driver,
      window: (name) => find("window", windows, name),
      irq: (name) => find("irq", lines, name),
      dma: (name) => find("DMA memory", memories, name),
      queue: (name) => this.#queues.find(name),
      waitAny: (...wanted) => new Promise((resolve) => {
        const indices = wanted.map((line) => lines.indexOf(line));
        const wake = (line: number): void => {
          for (const index of indices) this.#waiters.set(index, (this.#waiters.get(index) ?? []).filter((other) => other !== wake));
          resolve(lines[line]!.name);
        };
        for (const index of indices) this.#waitOn(index, wake);
      }),
      clock: { nowMicros: () => bridge.nowMicros(), after, sleep: (delayMs) => new Promise((resolve) => { after(delayMs, resolve); }) },
      log: logger(bridge),
      memory: { limitBytes: setup.memoryBytes },
      options: setup.options,
      emit: (name, payload) => {
        const event = this.#definition.contract.events[name];
        if (event === undefined) throw new AirlockError("ProtocolViolation", `the class has no event "${String(name)}"`);
        const reason = event.payload.check(payload);
        if (reason !== undefined) throw new AirlockError("ProtocolViolation", `event ${event.name}: ${reason}`);
        this.#put(RecordKind.event, event.id, 0, event.payload.encode(payload));
      },
    };
  }

  #line(name: string, index: number): IrqLine {
    const bridge = this.#bridge;
    return {
      name,
      attach: (handler) => { this.#handlers.set(index, handler); bridge.irq(index, IrqOp.attach); },
      ack: () => bridge.irq(index, IrqOp.ack),
      mask: () => bridge.irq(index, IrqOp.mask),
      unmask: () => bridge.irq(index, IrqOp.unmask),
      wait: () => new Promise((resolve) => this.#waitOn(index, () => resolve())),
    };
  }

  #waitOn(index: number, wake: (line: number) => void): void {
    if (!this.#handlers.has(index) && !this.#waiters.has(index)) this.#bridge.irq(index, IrqOp.attach);
    this.#waiters.set(index, [...(this.#waiters.get(index) ?? []), wake]);
  }
}

function registerWindow(bridge: Bridge, grant: DriverSetup["windows"][number], index: number): RegisterWindow {
  const read = (width: AccessWidth) => (offset: number): number => bridge.read(index, offset, width);
  const write = (width: AccessWidth) => (offset: number, value: number): void => bridge.write(index, offset, width, value);
  return {
    name: grant.name, sizeBytes: grant.sizeBytes, rights: grant.rights,
    read8: read(8), read16: read(16), read32: read(32), write8: write(8), write16: write(16), write32: write(32),
  };
}

function dmaMemory(bridge: GuestBridge, { name, iova, sizeBytes }: DriverSetup["dma"][number], index: number): DmaMemory {
  const memory = bridge.memory(index);
  // What has nothing to do is not worth a call out of the sandbox; a range outside of the region then does no harm either.
  const isShared = bridge.shared(index) === 1;
  return {
    name, iova, sizeBytes, bytes: new Uint8Array(memory), words: new Uint32Array(memory),
    syncForDevice: isShared ? () => undefined : (offset, size) => bridge.sync(index, offset, size, 1),
    syncForCpu: isShared ? () => undefined : (offset, size) => bridge.sync(index, offset, size, 0),
  };
}

function logger(bridge: Bridge): DriverContext<DriverDefinition["contract"]>["log"] {
  return {
    debug: (text) => bridge.log(LogLevel.debug, String(text)),
    info: (text) => bridge.log(LogLevel.info, String(text)),
    warn: (text) => bridge.log(LogLevel.warn, String(text)),
    error: (text) => bridge.log(LogLevel.error, String(text)),
  };
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && typeof (value as PromiseLike<unknown>).then === "function";
}
