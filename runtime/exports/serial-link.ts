/** The inner end of every serial export: keeps a port open, moves bytes with backpressure, opens another port when one fails. */
import { AirlockError, errorText, isAirlockError } from "../api/errors.ts";
import type { SerialNotice, SerialOptions, SerialPort } from "../classes/serial/port.ts";
import type { ExportContext } from "./export.ts";

/** Time between two attempts to open a port, so that a driver that is held costs next to nothing. */
const reopenMicros = 500_000;
/** How long bytes already accepted may hold up a change of line settings; then they go out at the new speed. */
const drainMicros = 1_000_000;
/** Losses are added up this long before they are logged: a device that talks to nobody loses bytes all the time. */
const noticeMicros = 1_000_000;

interface OpenPort {
  readonly port: SerialPort;
  readonly writer: WritableStreamDefaultWriter<Uint8Array>;
}

type Environment = Pick<ExportContext<unknown, SerialPort>, "open" | "log" | "clock">;

export class SerialLink {
  readonly #environment: Environment;
  readonly #receive: (bytes: Uint8Array) => Promise<void>;
  readonly #changed = new Set<() => void>();
  /** The port in use, from its opening until it is closed. */
  #port: SerialPort | undefined;
  /** The same once it is configured and bytes may go to it. */
  #current: OpenPort | undefined;
  #settings: SerialOptions | undefined;
  #closed = false;
  /** Bytes lost, and bytes sent or not, since the log was last told. */
  readonly #losses = { lost: 0, uncertain: 0 };
  #cancelNotice: (() => void) | undefined;
  /** Whether the log knows that no port can be had at present. */
  #away = false;
  /** Settles when the port is closed for good, with the reason, or undefined after `close`. */
  readonly ended: Promise<AirlockError | undefined>;

  private constructor(environment: Environment, first: SerialPort | undefined, receive: (bytes: Uint8Array) => Promise<void>) {
    this.#environment = environment;
    this.#receive = receive;
    this.ended = this.#run(first);
  }

  /**
   * Opens the port. `receive` is called with what the device sends, one call at a time: what its promise holds back is
   * held back from the device. A driver that is held is waited for. @throws what else `open` rejects with
   */
  static async open(environment: Environment, receive: (bytes: Uint8Array) => Promise<void>): Promise<SerialLink> {
    const first = await environment.open().catch((error: unknown) => {
      if (isAirlockError(error, "DriverUnavailable")) return undefined;
      throw error;
    });
    return new SerialLink(environment, first, receive);
  }

  /**
   * Resolves when there is room for more, waiting while the port is away; also when the link is closed. Bytes that a
   * failing port may have sent are not sent again; they are counted in the log.
   */
  async send(bytes: Uint8Array): Promise<void> {
    while (!this.#closed) {
      const open = this.#current;
      if (open === undefined) {
        await this.#change();
        continue;
      }
      try {
        await open.writer.ready;
      } catch (error) {
        this.#lose(open, error);
        continue;
      }
      open.writer.write(bytes).catch((error: unknown) => {
        if (!this.#closed) this.#environment.log.warn(`${bytes.length} bytes to the device may be lost: ${errorText(error)}`);
        this.#lose(open, error);
      });
      return;
    }
  }

  /** Sets the line, now and after every reopening. What the device cannot do is logged and left as it was. */
  async configure(settings: SerialOptions): Promise<void> {
    this.#settings = settings;
    if (this.#current !== undefined) await this.#apply(this.#current.port, settings);
  }

  /** Closes the port; nothing is received afterwards. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#notify();
    await this.#port?.close();
    await this.ended;
    this.#cancelNotice?.();
    this.#tellLosses();
  }

  async #run(first: SerialPort | undefined): Promise<AirlockError | undefined> {
    let port = first;
    while (!this.#closed) {
      try {
        port ??= await this.#environment.open();
        this.#away = false;
      } catch (error) {
        if (isAirlockError(error, "Closed")) {
          this.#closed = true;
          this.#notify();
          return error;
        }
        if (!this.#away) this.#environment.log.warn(`the port does not open and is tried again: ${errorText(error)}`);
        this.#away = true;
      }
      if (port !== undefined) await this.#serve(port);
      port = this.#port = undefined;
      if (!this.#closed) await this.#pause();
    }
    return undefined;
  }

  /** Uses one port until it fails or ends, then closes it. */
  async #serve(port: SerialPort): Promise<void> {
    this.#port = port;
    const open = { port, writer: port.writable.getWriter() };
    // The reader sees the same failure; without this the writer's would count as unhandled.
    open.writer.closed.catch(() => undefined);
    const stopNotices = port.onNotice((notice) => this.#noticed(notice));
    if (this.#settings !== undefined) await this.#apply(port, this.#settings);
    if (!this.#closed) this.#current = open;
    this.#notify();
    const reader = port.readable.getReader();
    try {
      while (!this.#closed && this.#current === open) {
        const { value, done } = await reader.read();
        if (done) break;
        await this.#receive(value);
      }
    } catch (error) {
      if (!this.#closed) this.#environment.log.warn(`the port failed and will be opened again: ${errorText(error)}`);
    }
    if (this.#current === open) this.#current = undefined;
    stopNotices();
    await port.close().catch((error: unknown) => this.#environment.log.warn(`closing the port failed: ${errorText(error)}`));
  }

  /** The port refused a write: no more to it. Closing it ends its reading loop too. */
  #lose(open: OpenPort, error: unknown): void {
    if (this.#current !== open) return;
    this.#current = undefined;
    open.port.close().catch(() => this.#environment.log.warn(`closing the port failed after: ${errorText(error)}`));
  }

  #noticed(notice: SerialNotice): void {
    if (notice.kind === "restarted") this.#environment.log.info(`the driver was restarted, generation ${notice.generation}`);
    if (notice.kind !== "lost" && notice.kind !== "uncertain") return;
    this.#losses[notice.kind] += notice.bytes;
    this.#cancelNotice ??= this.#environment.clock.setTimer(noticeMicros, () => this.#tellLosses());
  }

  #tellLosses(): void {
    this.#cancelNotice = undefined;
    const { lost, uncertain } = this.#losses;
    this.#losses.lost = this.#losses.uncertain = 0;
    if (lost > 0) this.#environment.log.warn(`at least ${lost} bytes from the device were lost`);
    if (uncertain > 0) this.#environment.log.warn(`${uncertain} bytes to the device were with a driver that died: sent or not`);
  }

  async #apply(port: SerialPort, settings: SerialOptions): Promise<void> {
    const limit = new AbortController();
    const cancel = this.#environment.clock.setTimer(drainMicros, () => limit.abort());
    try {
      await port.drain({ signal: limit.signal }).catch((error: unknown) => {
        if (!limit.signal.aborted) throw error;
      });
      await port.configure(settings);
    } catch (error) {
      if (!this.#closed) this.#environment.log.warn(`the device keeps its line settings: ${errorText(error)}`);
    } finally {
      cancel();
    }
  }

  /** Waits for a port to come, or for the end. */
  #change(): Promise<void> {
    return new Promise((resolve) => { this.#changed.add(resolve); });
  }

  #notify(): void {
    for (const wake of this.#changed) wake();
    this.#changed.clear();
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        cancel();
        this.#changed.delete(done);
        resolve();
      };
      const cancel = this.#environment.clock.setTimer(reopenMicros, done);
      this.#changed.add(done);
    });
  }
}
