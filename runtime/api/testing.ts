/** For driver authors' unit tests: runs one driver in this process on register spaces of the test's own, no machine needed. */
import { type Bridge, type GuestBridge, IrqOp, mailboxBytes } from "./bridge.ts";
import { VirtualClock } from "./clock.ts";
import type { Args, ClassContract, EventName, EventPayload, Operation, OperationName, QueueName, Reply } from "./contract.ts";
import type { DriverDefinition } from "./driver.ts";
import { AirlockError } from "./errors.ts";
import type { AccessWidth, DriverSetup, Rights } from "./grants.ts";
import { serve } from "./guest.ts";
import { TestMemory } from "./testing-memory.ts";
import { RecordKind, putRecord, readRecords } from "./records.ts";

export { VirtualClock } from "./clock.ts";
export { TestMemory } from "./testing-memory.ts";

/** What answers a driver's register accesses: a fake of the test's own, or a device model. */
export interface TestSpace {
  read(offset: number, width: AccessWidth): number;
  write(offset: number, width: AccessWidth, value: number): void;
}

export interface TestWindow {
  readonly sizeBytes: number;
  readonly space: TestSpace;
  /** Default "readwrite". */
  readonly rights?: Rights;
  /** Default [8]. */
  readonly widths?: readonly AccessWidth[];
}

export interface TestHardware {
  readonly windows?: Readonly<Record<string, TestWindow>>;
  readonly irqs?: readonly string[];
  /** Its DMA memory, by name; the test's device reaches it, and whatever else the test puts there, through the same object. */
  readonly memory?: TestMemory;
  readonly options?: Readonly<Record<string, string | number | boolean>>;
  /** Shared with device models that have timers of their own; a new one when left out. */
  readonly clock?: VirtualClock;
  /** Called before init: where a device model's interrupt outputs are plugged in. */
  readonly connect?: (pins: TestPins) => void;
}

/** A driver's interrupt lines, as its device drives them. */
export interface TestPins {
  /** A level: interrupts the driver while it is asserted and neither masked nor waiting for an ack. */
  setIrq(name: string, asserted: boolean): void;
  /** A message, as MSI sends: kept until it is delivered; those that come before that are one. */
  pulseIrq(name: string): void;
}

/** Machine time a call may take before the test is told that the driver hangs. */
const callLimitMicros = 60e6;

/** Interrupts while machine time stands still: more means that the driver acks without clearing the cause. */
const maxInterruptsAtOnce = 1000;

/** Timers that may fire while one call is waited for: beyond this, something fires without end. */
const maxSteps = 100_000;

export interface TestEvent<C extends ClassContract> {
  readonly name: EventName<C>;
  readonly payload: EventPayload<C, EventName<C>>;
}

/** A driver under test. Time stands still but for `advance` and calls that wait for timers. */
export interface TestDriver<C extends ClassContract> extends TestPins {
  readonly clock: VirtualClock;
  /** What it logged: "info: text". */
  readonly logs: readonly string[];
  /** Register accesses so far: what a call costs on real hardware. */
  readonly accesses: { reads: number; writes: number };
  /** The events since the last call of this. */
  takeEvents(): TestEvent<C>[];
  /** Performs an operation; machine time moves on as far as the driver waits for timers. Rejects with what the driver threw. */
  call<K extends OperationName<C>>(name: K, args: Args<C, K>): Promise<Reply<C, K>>;
  /** Gives the driver a batch of requests of a queue: an array of the entry's words each. It has them when this resolves. */
  submit(queue: QueueName<C>, ...requests: readonly (readonly number[])[]): Promise<void>;
  /** The completions of a queue since the last call of this: the words of each entry. */
  takeCompletions(queue: QueueName<C>): number[][];
  /** Moves machine time and runs what is due. Rejects when the driver failed meanwhile. */
  advance(ms: number): Promise<void>;
}

/**
 * Starts a driver on this hardware and resolves when its init has finished; rejects with what init threw.
 *
 * @example
 * const driver = await startDriver(clock, { windows: { cmos: { sizeBytes: 2, space: fake } }, irqs: ["tick"] });
 * expect(await driver.call("readTime", {})).toEqual({ year: 2026, ... });
 */
export async function startDriver<C extends ClassContract>(definition: DriverDefinition<C>, hardware: TestHardware): Promise<TestDriver<C>> {
  const driver = new InMemoryDriver(definition, hardware);
  hardware.connect?.(driver);
  await driver.start();
  return driver;
}

interface Line {
  readonly name: string;
  asserted: boolean;
  latched: boolean;
  masked: boolean;
  owesAck: boolean;
}

class InMemoryDriver<C extends ClassContract> implements TestDriver<C> {
  readonly clock: VirtualClock;
  readonly logs: string[] = [];
  readonly accesses = { reads: 0, writes: 0 };
  readonly #contract: C;
  readonly #windows: readonly (readonly [string, TestWindow])[];
  readonly #lines: readonly Line[];
  readonly #inbox = new ArrayBuffer(mailboxBytes);
  readonly #outbox = new ArrayBuffer(mailboxBytes);
  readonly #dispatch: (length: number) => void;
  readonly #timers = new Map<number, () => void>();
  readonly #answers = new Map<number, Uint8Array>();
  readonly #memory: TestMemory;
  readonly #completions = new Map<string, number[][]>();
  #events: TestEvent<C>[] = [];
  #ready = false;
  #failure: Error | undefined;
  #nextTag = 1;
  #interruptsAtMicros = 0;
  #interrupts = 0;

  constructor(definition: DriverDefinition<C>, hardware: TestHardware) {
    this.clock = hardware.clock ?? new VirtualClock();
    this.#contract = definition.contract;
    this.#windows = Object.entries(hardware.windows ?? {});
    this.#memory = hardware.memory ?? new TestMemory();
    this.#lines = (hardware.irqs ?? []).map((name) => ({ name, asserted: false, latched: false, masked: true, owesAck: false }));
    this.#dispatch = serve(definition, this.#bridge(hardware.options ?? {}));
  }

  async start(): Promise<void> {
    this.#post(RecordKind.init, 0, 0);
    await this.#until(() => this.#ready, "init");
  }

  takeEvents(): TestEvent<C>[] {
    return this.#events.splice(0);
  }

  async call<K extends OperationName<C>>(name: K, args: Args<C, K>): Promise<Reply<C, K>> {
    const operation = this.#contract.operations[name] as unknown as Operation;
    const tag = this.#nextTag++;
    this.#post(RecordKind.request, operation.id, tag, operation.args.encode(args));
    await this.#until(() => this.#answers.has(tag), name);
    const reply = operation.reply.decode(this.#answers.get(tag)!);
    this.#answers.delete(tag);
    if (!reply.ok) throw new AirlockError("ProtocolViolation", `${name}: ${reply.reason}`);
    return reply.value as Reply<C, K>;
  }

  async submit(name: QueueName<C>, ...requests: readonly (readonly number[])[]): Promise<void> {
    const queue = this.#contract.queueList.find((one) => one.name === name)!;
    if (requests.some((words) => words.length !== queue.request.words)) throw new RangeError(`a request of queue ${name} has ${queue.request.words} words`);
    this.#post(RecordKind.requests, queue.id, 0, new Uint8Array(Uint32Array.from(requests.flat()).buffer));
    await settle();
    if (this.#failure !== undefined) throw this.#failure;
  }

  takeCompletions(name: QueueName<C>): number[][] {
    const taken = this.#completions.get(name) ?? [];
    this.#completions.delete(name);
    return taken;
  }

  setIrq(name: string, asserted: boolean): void {
    this.#find(name).asserted = asserted;
    // A device may change its pin in the middle of the driver's register access; the interrupt comes as a turn of its own.
    queueMicrotask(() => this.#deliver());
  }

  pulseIrq(name: string): void {
    this.#find(name).latched = true;
    queueMicrotask(() => this.#deliver());
  }

  async advance(ms: number): Promise<void> {
    const end = this.clock.nowMicros() + ms * 1000;
    await settle();
    while (this.clock.step(end)) await settle();
    this.clock.advance(end - this.clock.nowMicros());
    await settle();
    if (this.#failure !== undefined) throw this.#failure;
  }

  async #until(done: () => boolean, what: string): Promise<void> {
    const end = this.clock.nowMicros() + callLimitMicros;
    for (let steps = 0; steps < maxSteps; steps++) {
      await settle();
      if (this.#failure !== undefined) throw this.#failure;
      if (done()) return;
      if (!this.clock.step(end)) break;
    }
    throw new Error(`the driver does not answer ${what}, and there is no timer left that could make it`);
  }

  #find(name: string): Line {
    const line = this.#lines.find((item) => item.name === name);
    if (line === undefined) throw new RangeError(`no interrupt line "${name}" in this test's hardware`);
    return line;
  }

  #deliver(): void {
    for (const [index, line] of this.#lines.entries()) {
      if (!(line.asserted || line.latched) || line.masked || line.owesAck || this.#failure !== undefined) continue;
      line.owesAck = true;
      line.latched = false;
      const now = this.clock.nowMicros();
      this.#interrupts = now === this.#interruptsAtMicros ? this.#interrupts + 1 : 1;
      this.#interruptsAtMicros = now;
      if (this.#interrupts > maxInterruptsAtOnce) this.#failure ??= new Error(`interrupt storm on "${line.name}": acked ${maxInterruptsAtOnce} times, still asserted`);
      this.#post(RecordKind.irq, index, 0);
    }
  }

  #post(kind: number, id: number, tag: number, payload: Uint8Array = new Uint8Array(0)): void {
    if (this.#failure !== undefined) return;
    this.#dispatch(putRecord(new Uint8Array(this.#inbox), 0, kind, id, tag, payload));
  }

  #output(bytes: Uint8Array): void {
    const framed = readRecords(bytes);
    if (!framed.ok) throw new AirlockError("ProtocolViolation", framed.reason);
    for (const record of framed.records) {
      if (record.kind === RecordKind.ready) this.#ready = true;
      else if (record.kind === RecordKind.reply) this.#answers.set(record.tag, record.payload);
      else if (record.kind === RecordKind.completions) this.#complete(record.id, record.payload);
      else {
        const event = this.#contract.eventList[record.id]!;
        const decoded = event.payload.decode(record.payload);
        if (!decoded.ok) throw new AirlockError("ProtocolViolation", `${event.name}: ${decoded.reason}`);
        this.#events.push({ name: event.name, payload: decoded.value as EventPayload<C, EventName<C>> });
      }
    }
  }

  #complete(id: number, payload: Uint8Array): void {
    const { name, completion } = this.#contract.queueList[id]!;
    const words = new Uint32Array(payload.slice().buffer);
    const entries = Array.from({ length: words.length / completion.words }, (_, n) => [...words.subarray(n * completion.words, (n + 1) * completion.words)]);
    this.#completions.set(name, [...(this.#completions.get(name) ?? []), ...entries]);
  }

  #window(index: number, offset: number, width: AccessWidth, right: Rights): TestSpace {
    const [name, window] = this.#windows[index]!;
    const { rights = "readwrite", widths = [8], sizeBytes, space } = window;
    const bytes = width >> 3;
    const allowed = (rights === "readwrite" || rights === right) && widths.includes(width)
      && Number.isInteger(offset) && offset >= 0 && offset % bytes === 0 && offset + bytes <= sizeBytes;
    if (!allowed) throw new AirlockError("CapabilityViolation", `${width}-bit ${right} at offset ${offset} of window "${name}" is not granted`);
    return space;
  }

  #irq(index: number, op: IrqOp): void {
    const line = this.#lines[index]!;
    if (op === IrqOp.ack) line.owesAck = false;
    else line.masked = op === IrqOp.mask;
    queueMicrotask(() => this.#deliver());
  }

  #timer(id: number, delayMicros: number): void {
    this.#timers.get(id)?.();
    this.#timers.delete(id);
    if (delayMicros < 0) return;
    this.#timers.set(id, this.clock.setTimer(delayMicros, () => {
      this.#timers.delete(id);
      this.#post(RecordKind.timer, 0, id);
    }));
  }

  #bridge(options: DriverSetup["options"]): GuestBridge {
    const setup: DriverSetup = {
      driver: "driver-under-test", memoryBytes: 16 << 20, options,
      windows: this.#windows.map(([name, { sizeBytes, rights, widths }]) => ({ name, sizeBytes, rights: rights ?? "readwrite", widths: widths ?? [8] })),
      irqs: this.#lines.map(({ name }) => ({ name })), dma: this.#memory.regions,
    };
    const levels: Readonly<Record<number, string>> = { 20: "debug", 30: "info", 40: "warn", 50: "error" };
    const calls: Bridge = {
      read: (window, offset, width) => {
        this.accesses.reads++;
        return this.#window(window, offset, width, "read").read(offset, width);
      },
      write: (window, offset, width, value) => {
        this.accesses.writes++;
        const space = this.#window(window, offset, width, "write");
        if (!(Number.isInteger(value) && value >= 0 && value < 2 ** width)) {
          throw new AirlockError("CapabilityViolation", `${value} is no ${width}-bit value`);
        }
        space.write(offset, width, value);
      },
      irq: (line, op) => this.#irq(line, op),
      shared: () => 0,
      sync: (region, offset, sizeBytes, toDevice) => this.#memory.sync(region, offset, sizeBytes, toDevice !== 0),
      log: (level, text) => void this.logs.push(`${levels[level]}: ${text}`),
      nowMicros: () => this.clock.nowMicros(),
      timer: (id, delayMicros) => this.#timer(id, delayMicros),
      flush: (length) => this.#output(new Uint8Array(this.#outbox.slice(0, length))),
      fail: (phase, name, message, stack) => {
        this.#failure ??= Object.assign(new Error(`${name} in ${phase}: ${message}`), { stack });
      },
      setup: () => JSON.stringify(setup),
      fault: () => "",
    };
    return { ...calls, inbox: this.#inbox, outbox: this.#outbox, memory: (region) => this.#memory.guestSide(region) };
  }
}

/** Lets every promise that can go on do so. */
function settle(): Promise<void> {
  return new Promise((resolve) => { setImmediate(resolve); });
}
