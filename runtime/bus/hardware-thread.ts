/** The control plane's end of a hardware thread: starts it, connects drivers to it, notices when it is lost. */
import { MessageChannel, type MessagePort, Worker, receiveMessageOnPort } from "node:worker_threads";
import { type Clock } from "../api/clock.ts";
import { AirlockError, errorText } from "../api/errors.ts";
import { ChannelWord, DoorbellWord, createChannel, createDoorbell, gateAll } from "./channel.ts";
import type { ChannelHandle } from "./channel-port.ts";
import type { HardwareMessage, HardwareRequest } from "./hardware-control.ts";
import { type BusConnection, type BusGrant, type BusReport, type PlatformEvents, type QuiesceStep, controlStepMs } from "./platform.ts";
import type { RamHandle } from "./ram.ts";
import { threadEntry } from "./thread-entry.ts";

/** What every hardware thread's entry file finds in its workerData, besides the platform's own. */
export interface HardwareThreadData<D> {
  readonly doorbell: SharedArrayBuffer;
  readonly control: MessagePort;
  readonly platform: D;
}

/** A thread that has not said it is ready by then never will; starting one takes about 50 ms. */
const startMs = 10_000;

interface Pending {
  resolve(value: Readonly<Record<string, number>>): void;
  reject(error: AirlockError): void;
  readonly cancelTimer: () => void;
}

export class HardwareThread {
  readonly #clock: Clock;
  readonly #worker: Worker;
  readonly #control: MessagePort;
  readonly #doorbell: SharedArrayBuffer;
  readonly #pending = new Map<number, Pending>();
  readonly #reports = new Map<number, (report: BusReport) => void>();
  readonly #watchers = new Set<PlatformEvents>();
  readonly #exited: Promise<void>;
  #next = 1;
  #closing = false;
  #lost: string | undefined;

  private constructor(clock: Clock, worker: Worker, control: MessagePort, doorbell: SharedArrayBuffer) {
    this.#clock = clock;
    this.#worker = worker;
    this.#control = control;
    this.#doorbell = doorbell;
    this.#exited = new Promise((resolve) => { worker.once("exit", () => resolve()); });
    worker.on("exit", () => {
      // Why it ended may still be in its port.
      this.hearReports();
      this.lose("the hardware thread ended");
    });
    worker.on("error", (error) => this.lose(`the hardware thread failed: ${errorText(error)}`));
  }

  /**
   * Starts the thread from a module below runtime/ and waits until its loop runs.
   * @throws AirlockError PlatformUnavailable when it does not come up.
   */
  static async start(module: string, platform: unknown, clock: Clock): Promise<HardwareThread> {
    const { port1, port2 } = new MessageChannel();
    const doorbell = createDoorbell();
    const workerData: HardwareThreadData<unknown> = { doorbell, control: port2, platform };
    // Its backend closes what it has open. Node would complain of descriptors that came from the addon.
    const worker = new Worker(threadEntry(module), { workerData, transferList: [port2], name: "airlock-hardware", trackUnmanagedFds: false });
    const thread = new HardwareThread(clock, worker, port1, doorbell);
    try {
      await thread.#awaitReady();
    } catch (error) {
      thread.#closing = true;
      await worker.terminate();
      port1.close();
      throw error;
    }
    return thread;
  }

  /** `ram` is the platform's memory, for the driver's host. */
  async connect(grant: BusGrant, report: (report: BusReport) => void, ram?: RamHandle): Promise<BusConnection<ChannelHandle>> {
    const connection = this.#next++;
    const handle: ChannelHandle = { channel: createChannel(), doorbell: this.#doorbell, grant, ...(ram && { ram }) };
    const words = new Int32Array(handle.channel);
    this.#reports.set(connection, report);
    try {
      await this.#call({ op: "connect", connection, handle });
    } catch (error) {
      this.#reports.delete(connection);
      // A thread that was only late makes the connection yet; nobody would ever close it.
      if (this.#lost === undefined && !this.#closing) this.#post({ op: "close", connection });
      throw error;
    }
    const step = async (request: HardwareRequest): Promise<void> => {
      if (this.#lost === undefined && !this.#closing) await this.#call(request);
    };
    return {
      grant, handle,
      gate: (names) => {
        const bits = names === undefined ? gateAll : gateBits(grant, names);
        // The word works at once; the message makes it last, because a hostile driver can write to the word too.
        Atomics.or(words, ChannelWord.gate, bits);
        if (this.#lost === undefined && !this.#closing) this.#post({ op: "gate", connection, bits });
      },
      mask: () => step({ op: "mask", connection }),
      quiesce: (steps: readonly QuiesceStep[]) => step({ op: "quiesce", connection, steps }),
      stopDma: () => step({ op: "stop-dma", connection }),
      unmap: () => step({ op: "unmap", connection }),
      forceAck: () => step({ op: "force-ack", connection }),
      close: () => {
        Atomics.store(words, ChannelWord.gate, gateAll);
        this.#reports.delete(connection);
        return step({ op: "close", connection });
      },
    };
  }

  statistics(device: string): Promise<Readonly<Record<string, number>>> {
    return this.#call({ op: "statistics", device });
  }

  /** Takes what the thread has sent so far, without waiting for the event loop's turn. */
  hearReports(): void {
    for (let item = receiveMessageOnPort(this.#control); item !== undefined; item = receiveMessageOnPort(this.#control)) this.#receive(item.message as HardwareMessage);
  }

  /** @throws AirlockError Unsupported, NotFound */
  async powerCut(device: string): Promise<void> {
    await this.#call({ op: "power-cut", device });
  }

  /** @throws AirlockError Unsupported, NotFound */
  async plug(device: string, isIn: boolean): Promise<void> {
    await this.#call({ op: "plug", device, isIn });
  }

  watch(events: PlatformEvents): () => void {
    this.#watchers.add(events);
    return () => this.#watchers.delete(events);
  }

  /** Ends the thread: orderly within one control step, then at once. Idempotent. */
  async close(): Promise<void> {
    if (!this.#closing) {
      this.#closing = true;
      if (this.#lost === undefined) await this.#call({ op: "stop" }).catch(() => ({}));
      await this.#worker.terminate();
      this.#control.close();
    }
    await this.#exited;
  }

  /** Reports the hardware as lost, once; the platform calls it for losses only it can see. */
  lose(reason: string): void {
    if (this.#lost !== undefined) return;
    this.#lost = reason;
    const error = this.#closing ? new AirlockError("Closed", "the platform was closed") : new AirlockError("HardwareLost", reason);
    for (const pending of this.#pending.values()) {
      pending.cancelTimer();
      pending.reject(error);
    }
    this.#pending.clear();
    if (!this.#closing) for (const events of this.#watchers) events.lost?.(reason);
  }

  /** Tells whoever watches that a device asked for the machine's reset; the platform calls it for what only it can see. */
  requestReset(device: string): void {
    if (!this.#closing) for (const events of this.#watchers) events.resetRequested?.(device);
  }

  async #awaitReady(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const cancel = this.#clock.setTimer(startMs * 1000, () => reject(unavailable(`the hardware thread was not ready within ${startMs} ms`)));
      const failed = (error: unknown): void => {
        cancel();
        reject(deviceError(error) ?? unavailable(`the hardware thread did not start: ${errorText(error)}`, error));
      };
      this.#worker.once("error", failed);
      this.#control.once("message", (message: HardwareMessage) => {
        cancel();
        this.#worker.off("error", failed);
        if (message.type === "ready") resolve();
        else reject(unavailable(`the hardware thread did not start: ${message.type === "lost" ? message.reason : message.type}`));
      });
    });
    this.#control.on("message", (message: HardwareMessage) => this.#receive(message));
  }

  #call(request: HardwareRequest): Promise<Readonly<Record<string, number>>> {
    if (this.#lost !== undefined) return Promise.reject(new AirlockError("HardwareLost", this.#lost));
    return new Promise((resolve, reject) => {
      const id = this.#post(request);
      const cancelTimer = this.#clock.setTimer(controlStepMs * 1000, () => {
        this.#pending.delete(id);
        reject(new AirlockError("HardwareTimeout", `the hardware thread did not answer "${request.op}" within ${controlStepMs} ms`, { step: request.op }));
      });
      this.#pending.set(id, { resolve, reject, cancelTimer });
    });
  }

  #post(request: HardwareRequest): number {
    const id = this.#next++;
    this.#control.postMessage({ id, request });
    const words = new Int32Array(this.#doorbell);
    Atomics.add(words, DoorbellWord.ring, 1);
    Atomics.notify(words, DoorbellWord.ring);
    return id;
  }

  #receive(message: HardwareMessage): void {
    if (message.type === "report") this.#reports.get(message.connection)?.(message.report);
    else if (message.type === "lost") this.lose(message.reason);
    else if (message.type === "reset-request") this.requestReset(message.device);
    else if (message.type === "reply" || message.type === "error") {
      const pending = this.#pending.get(message.id);
      this.#pending.delete(message.id);
      pending?.cancelTimer();
      if (message.type === "reply") pending?.resolve(message.value ?? {});
      else pending?.reject(new AirlockError(message.code, message.message, message.fields));
    }
  }
}

function gateBits(grant: BusGrant, names: readonly string[]): number {
  const all = [...grant.windows, ...grant.irqs];
  return all.reduce((bits, { name }, index) => (names.includes(name) ? bits | (1 << index) : bits), 0);
}

/** What the thread threw about one of the devices it was given: an AirlockError loses its class on the way, not its fields. */
function deviceError(error: unknown): AirlockError | undefined {
  const { code, fields } = (error ?? {}) as Partial<AirlockError>;
  if (code !== "InvalidArgument" && code !== "NotFound") return undefined;
  return typeof fields?.device === "string" ? new AirlockError(code, errorText(error), fields, { cause: error }) : undefined;
}

function unavailable(message: string, cause?: unknown): AirlockError {
  return new AirlockError("PlatformUnavailable", message, {}, { cause });
}
