/** The serial client: an open port with the shape of Web Serial's SerialPort, on top of the shadow. */
import { setMaxListeners } from "node:events";
import { AirlockError } from "../../api/errors.ts";
import type { CallOptions, ShadowCallOptions } from "../calls.ts";
import { Listeners } from "../listeners.ts";
import { ByteRing } from "./byte-ring.ts";
import type { SerialInputSignals, SerialNotice, SerialOptions, SerialOutputSignals, SerialPort } from "./port.ts";
import { type OpenLine, type SerialShadow, clientSignals } from "./shadow.ts";

/** Bytes kept for a reader that does not read: 5.7 s at 115200 baud. What comes on top is lost, with a notice. */
export const receiveBufferBytes = 65_536;

/** Most bytes of one chunk of `readable`. */
const readChunkBytes = 16_384;

/** Bytes `writable` takes before a writer that honours `ready` waits. */
const writeHighWaterBytes = 4096;

/** Bytes a writer that does not honour `ready` may pile up; then the stream fails with QueueFull. */
export const maxPiledBytes = 16 * 1024 * 1024;

/** Notices kept for a client that has not subscribed yet. */
const maxEarlyNotices = 64;

/** Opens the port behind a shadow; DTR and RTS are asserted. @throws AirlockError AddressInUse, DriverUnavailable, Closed */
export function openClient(shadow: SerialShadow): SerialPort {
  return new OpenSerialPort(shadow);
}

class OpenSerialPort implements SerialPort {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
  readonly #line: OpenLine;
  readonly #closing = new AbortController();
  readonly #received = new ByteRing(receiveBufferBytes);
  readonly #listeners = new Listeners<SerialNotice>((text) => this.#line.note(text));
  #early: SerialNotice[] = [];
  #reader!: ReadableStreamDefaultController<Uint8Array>;
  #writer!: WritableStreamDefaultController;
  #wakeReader: () => void = () => undefined;
  /** Nobody will read any more: what arrives is not kept. */
  #deaf = false;
  #writtenBytes = 0;
  #pushedBytes = 0;

  constructor(shadow: SerialShadow) {
    // Every pending call listens; their number is bounded by the shadow's queue.
    setMaxListeners(0, this.#closing.signal);
    this.#line = shadow.open({
      received: (data) => this.#keep(data),
      noticed: (notice) => this.#notice(notice),
      ended: (reason) => this.#end(reason),
    });
    this.readable = this.#makeReadable();
    this.writable = this.#makeWritable();
  }

  async configure(options: SerialOptions, call?: CallOptions): Promise<void> {
    const { baudRate, dataBits = 8, parity = "none", stopBits = 1 } = options;
    await this.#line.configure({ baudRate, dataBits, parity, stopBits }, this.#options(call));
  }

  async setSignals(signals: SerialOutputSignals, call?: CallOptions): Promise<void> {
    await this.#line.setSignals(signals, this.#options(call));
  }

  async getSignals(call?: CallOptions): Promise<SerialInputSignals> {
    return clientSignals(await this.#line.getSignals(this.#options(call)));
  }

  async drain(call?: CallOptions): Promise<void> {
    const signal = call?.signal;
    signal?.throwIfAborted();
    const drained = this.#line.queue.drained(this.#writtenBytes);
    if (signal === undefined) return drained;
    let abort: () => void = () => undefined;
    const aborted = new Promise<never>((_resolve, reject) => {
      // The client's own reason is passed on as it is.
      abort = () => reject(signal.reason as Error);
      signal.addEventListener("abort", abort, { once: true });
    });
    return Promise.race([drained, aborted]).finally(() => signal.removeEventListener("abort", abort));
  }

  onNotice(listener: (notice: SerialNotice) => void): () => void {
    const stop = this.#listeners.add(listener);
    const early = this.#early.splice(0);
    queueMicrotask(() => {
      for (const notice of early) this.#listeners.emit(notice);
    });
    return stop;
  }

  /** Iterates over `readable`; leaving the loop does not cancel it. */
  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return this.readable.values({ preventCancel: true });
  }

  close(): Promise<void> {
    this.#line.close();
    this.#end(new AirlockError("Closed", "the port was closed by its client"), true);
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #makeReadable(): ReadableStream<Uint8Array> {
    return new ReadableStream<Uint8Array>({
      start: (controller) => { this.#reader = controller; },
      pull: async (controller) => {
        if (this.#received.length === 0 && !this.#closing.signal.aborted) await new Promise<void>((resolve) => { this.#wakeReader = resolve; });
        if (!this.#closing.signal.aborted && this.#received.length > 0) controller.enqueue(this.#received.take(readChunkBytes));
      },
      cancel: () => {
        this.#deaf = true;
        this.#received.clear();
        this.#wakeReader();
      },
    }, { highWaterMark: 0 });
  }

  #makeWritable(): WritableStream<Uint8Array> {
    const { queue } = this.#line;
    return new WritableStream<Uint8Array>({
      start: (controller) => { this.#writer = controller; },
      write: async (chunk, controller) => {
        // In the Streams standard (section 5.4.2); @types/node lacks it.
        const { signal } = controller as WritableStreamDefaultController & { readonly signal: AbortSignal };
        let abort = (): void => undefined;
        const aborted = new Promise<void>((resolve) => { abort = resolve; });
        signal.addEventListener("abort", abort, { once: true });
        try {
          for (let at = 0; at < chunk.length;) {
            await Promise.race([queue.room(), aborted]);
            if (signal.aborted) throw signal.reason;
            const taken = queue.push(chunk.subarray(at));
            this.#pushedBytes += taken;
            at += taken;
            this.#line.transmit();
          }
        } finally {
          signal.removeEventListener("abort", abort);
        }
      },
      close: () => queue.drained(this.#pushedBytes),
      abort: (reason: unknown) => {
        this.#writtenBytes = this.#pushedBytes;
        queue.discard(new AirlockError("Closed", "what was written was aborted", {}, { cause: reason }));
      },
    }, {
      highWaterMark: writeHighWaterBytes,
      // The one place that sees a chunk at the moment it is written: `drain` counts from here.
      size: (chunk) => {
        if (!(chunk instanceof Uint8Array)) throw new TypeError("write a Uint8Array; encode text with a TextEncoder");
        if (this.#writtenBytes + chunk.length - this.#pushedBytes > Math.max(maxPiledBytes, chunk.length)) {
          throw new AirlockError("QueueFull", `more than ${maxPiledBytes} bytes are waiting to be sent; await the writer's ready before each write`);
        }
        this.#writtenBytes += chunk.length;
        return chunk.length;
      },
    });
  }

  #keep(data: Uint8Array): void {
    if (this.#deaf) return;
    const lost = data.length - this.#received.push(data);
    if (lost > 0) this.#notice({ kind: "lost", bytes: lost });
    this.#wakeReader();
  }

  #notice(notice: SerialNotice): void {
    if (this.#listeners.size > 0) return this.#listeners.emit(notice);
    this.#early.push(notice);
    if (this.#early.length > maxEarlyNotices) this.#early.shift();
  }

  #end(reason: AirlockError, byClient = false): void {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort(reason);
    this.#line.queue.end(reason);
    if (!this.#deaf) {
      if (byClient) this.#reader.close();
      else this.#reader.error(reason);
    }
    this.#writer.error(reason);
    this.#wakeReader();
  }

  #options(call: CallOptions | undefined): ShadowCallOptions {
    return { ...call, closing: this.#closing.signal };
  }
}
