/** One generation in a thread of its own, seen from the control plane; and the warm spare it is made from. */
import { MessageChannel, type MessagePort, receiveMessageOnPort } from "node:worker_threads";
import type { Piscina } from "piscina";
import type { FaultPoint } from "../api/bridge.ts";
import type { Clock } from "../api/clock.ts";
import { errorText } from "../api/errors.ts";
import type { Failure } from "../api/failure.ts";
import type { DriverSetup } from "../api/grants.ts";
import { type MessageRecord, RecordKind, putRecord, readRecords, recordBytes } from "../api/records.ts";
import { wakeHost } from "../bus/channel.ts";
import type { ChannelHandle } from "../bus/channel-port.ts";
import type { FlightRecorder } from "../trace/flight-recorder.ts";
import type { ArmedFault, DriverHost, HostEvents, HostSpec } from "./driver-host.ts";
import { deliver } from "./deliver.ts";
import type { LoadSlots } from "./load-slots.ts";
import { MessageRing, createMessageRing } from "./message-ring.ts";
import { inSources } from "./source-position.ts";
import { type FromHost, HostStatus, type HostTask, type ToHost, hostStatusBytes } from "./thread-messages.ts";
import type { Watchdog } from "./watchdog.ts";

/** Records handed on in one turn of the event loop: some ms of a client's work, so that the watchdog is late by no more. */
const recordsPerTurn = 256;

/** A thread that is well leaves within this; one that does not is terminated. */
const leaveMs = 20;

/** Terminating a thread takes about 3 ms, in the middle of a builtin too; one that takes longer is left behind. */
const terminateMs = 2_000;

export interface ThreadParts {
  readonly pool: Piscina;
  readonly clock: Clock;
  readonly watchdog: Watchdog;
  /** Compiled engine code for the thread; a WebAssembly.Module. */
  readonly engine: object | undefined;
  readonly slots: LoadSlots;
  /** Takes the processor from a thread that may not end for a while, by its id at the operating system. */
  demote(threadId: number): void;
  /** Whether a client waits for this load already. */
  readonly isUrgent: boolean;
}

type State = "loading" | "loaded" | "serving" | "finished";

/** A task of the pool: first a spare that loads and waits, then the host of one generation. */
export class ThreadHost implements DriverHost {
  readonly #spec: HostSpec;
  readonly #parts: ThreadParts;
  readonly #control: MessagePort;
  readonly #abort = new AbortController();
  readonly #status = new SharedArrayBuffer(hostStatusBytes);
  readonly #ended: Promise<void>;
  #state: State = "loading";
  #isLoaded = false;
  #generation = 0n;
  #events: HostEvents | undefined;
  #toDriver: MessageRing | undefined;
  #fromDriver: MessageRing | undefined;
  /** Taken from the ring and not handed on yet. */
  readonly #arrived: MessageRecord[] = [];
  #channel: Int32Array | undefined;
  #unwatch: () => void = () => undefined;
  #loadEnded: () => void = () => undefined;
  #begun = false;

  constructor(spec: HostSpec, parts: ThreadParts) {
    this.#spec = spec;
    this.#parts = parts;
    const { port1, port2 } = new MessageChannel();
    this.#control = port1;
    port1.on("message", (message: FromHost) => this.#receive(message));
    this.#ended = this.#run({ tier: spec.tier, bundle: { code: spec.bundle.code, name: spec.bundle.name }, limits: spec.limits, control: port2, status: this.#status, engine: parts.engine, isUrgent: parts.isUrgent });
  }

  get generation(): bigint {
    return this.#generation;
  }

  /** Whether a start would be served by this spare; not when its load failed, or its thread ended while it waited. */
  get usable(): boolean {
    return this.#state === "loading" || this.#state === "loaded";
  }

  /** Whether it has had its turn to load. */
  get begun(): boolean {
    return this.#begun;
  }

  get loaded(): boolean {
    return this.#state === "loaded";
  }

  /** Turns the spare, which is usable, into the host of a generation; a load that fails later is this generation's failure. */
  start(generation: bigint, setup: DriverSetup, handle: ChannelHandle, recorder: FlightRecorder, faults: readonly ArmedFault[], events: HostEvents): void {
    this.#generation = generation;
    this.#events = events;
    const isLoaded = this.#state === "loaded";
    this.#state = "serving";
    // In a later turn, as all events.
    if (isLoaded) setImmediate(() => { if (this.#state === "serving") events.started(); });
    const toDriver = createMessageRing();
    const fromDriver = createMessageRing();
    this.#toDriver = new MessageRing(toDriver);
    this.#fromDriver = new MessageRing(fromDriver);
    this.#channel = new Int32Array(handle.channel);
    this.#post({ type: "start", setup, handle, toDriver, fromDriver, recorder: recorder.buffer, faults });
    void this.#pump(this.#fromDriver);
  }

  send(kind: number, id: number, tag: number, payload: Uint8Array): boolean {
    if (this.#state !== "serving" || this.#toDriver === undefined || this.#channel === undefined) return false;
    const record = new Uint8Array(recordBytes(payload.length));
    putRecord(record, 0, kind, id, tag, payload);
    if (!this.#toDriver.put(record)) return false;
    wakeHost(this.#channel);
    return true;
  }

  inject(where: FaultPoint, code: string): void {
    this.#post({ type: "inject", where, code });
  }

  async terminate(): Promise<void> {
    this.#finish();
    if (!this.#begun) return this.#control.close();
    let cancel = (): void => undefined;
    const timeout = (ms: number): Promise<void> => new Promise((resolve) => { cancel = this.#parts.clock.setTimer(ms * 1000, resolve); });
    if (this.#spec.tier !== "worker" && !this.#abort.signal.aborted) {
      this.#post({ type: "stop" });
      await Promise.race([this.#ended, timeout(leaveMs)]);
      cancel();
    }
    // What ran in the worker tier shares its thread with what it may have changed: such a thread is never used again.
    this.#abort.abort();
    await Promise.race([this.#ended, timeout(terminateMs)]);
    cancel();
    this.#control.close();
  }

  /** Runs the task once it is its turn to load; resolves at its end, however it ends. */
  async #run(task: HostTask): Promise<void> {
    this.#loadEnded = await this.#parts.slots.acquire(this.#parts.isUrgent);
    if (this.#state === "finished") return this.#loadEnded();
    this.#begun = true;
    this.#unwatch = this.#parts.watchdog.watch({
      // A bundle's top-level code runs once and cold: it gets as long as init, also when its generation waits for it already.
      status: this.#status, hangMs: () => (this.#isLoaded ? task.limits.hangMs : task.limits.initMs), hung: (afterMs) => this.#hung(afterMs),
    });
    try {
      await this.#parts.pool.run(task, { transferList: [task.control], signal: this.#abort.signal });
      this.#exited("it returned");
    } catch (error) {
      this.#exited(errorText(error), (error as NodeJS.ErrnoException).code);
    } finally {
      this.#loadEnded();
    }
  }

  async #pump(ring: MessageRing): Promise<void> {
    while (this.#state === "serving") {
      // A driver that never stops sending must not keep the control plane from its timers, nor from the report of its flood.
      if (ring.hasData || this.#arrived.length > 0) await new Promise((resolve) => { setImmediate(resolve); });
      else await ring.waitAsync();
      if (this.#arrived.length === 0) this.#take();
      this.#deliver(recordsPerTurn);
    }
  }

  drain(): void {
    this.#take();
    this.#deliver(Infinity);
  }

  #take(): void {
    if (this.#state !== "serving") return;
    const bytes = this.#fromDriver?.take();
    const framed = bytes === undefined ? { ok: false as const, reason: "the message ring was tampered with" } : readRecords(bytes);
    if (framed.ok) this.#arrived.push(...framed.records);
    else this.#fail({ kind: "protocol-violation", message: `malformed message: ${framed.reason}` });
  }

  #deliver(most: number): void {
    const records = this.#arrived.splice(0, most);
    if (this.#state !== "serving" || records.length === 0) return;
    // What it logged on its way out comes another way, and is not looked for any more when it is out.
    if (records.some(({ kind }) => kind === RecordKind.removed)) this.#hear();
    deliver(records, this.#events);
  }

  /** Takes what waits in the control port and its events have not brought yet. */
  #hear(): void {
    for (let waiting = receiveMessageOnPort(this.#control); waiting !== undefined; waiting = receiveMessageOnPort(this.#control)) this.#receive(waiting.message as FromHost);
  }

  #receive(message: FromHost): void {
    if (this.#state === "finished") return;
    if (message.type === "loaded") {
      this.#isLoaded = true;
      this.#loadEnded();
      if (this.#state === "loading") this.#state = "loaded";
      else this.#events?.started();
    } else if (message.type === "load-failed") {
      this.#loadEnded();
      this.#fail(message.failure);
    } else if (message.type === "log") this.#events?.log(message.level, message.text);
    else {
      this.drain();
      this.#fail(message.failure);
    }
  }

  #hung(afterMs: number): void {
    // V8 cannot stop a thread inside some builtins; what runs on there must not take the processor from the next generation.
    const threadId = new Int32Array(this.#status)[HostStatus.threadId]!;
    if (this.#spec.tier === "worker" && threadId !== 0) this.#parts.demote(threadId);
    this.#abort.abort();
    this.#fail({ kind: "hang", message: `did not come back from a turn after ${afterMs} ms` });
  }

  #exited(reason: string, code?: string): void {
    this.#unwatch();
    // The thread's last words may still be in its port: the pool's own message of its end can be faster.
    this.#hear();
    if (this.#state === "finished") return;
    const memory = code === "ERR_WORKER_OUT_OF_MEMORY";
    const message = memory ? `ran out of its memory limit of ${this.#spec.limits.memoryBytes} bytes` : `the sandbox's thread ended: ${reason}`;
    this.#fail({ kind: memory ? "memory" : "exit", message });
  }

  #fail(failure: Failure): void {
    if (this.#state === "finished") return;
    this.#finish();
    if (this.#events === undefined) return;
    this.#events.failed(inSources(failure, this.#spec.bundle));
  }

  #finish(): void {
    this.#state = "finished";
    this.#unwatch();
    this.#fromDriver?.notify();
  }

  /** A host that serves looks at its control port when its doorbell rings. */
  #post(message: ToHost): void {
    this.#control.postMessage(message);
    if (this.#channel !== undefined) wakeHost(this.#channel);
  }
}
