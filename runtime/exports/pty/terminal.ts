/** A pseudo-terminal whose slave clients open: bytes both ways with backpressure, and the line settings they choose. */
import { closeSync } from "node:fs";
import type { SerialOptions } from "../../classes/serial/port.ts";
import type { NativeAddon, Poll, PtyPair } from "../../native/addon.ts";

/** Bytes taken from the terminal at once: what the kernel's line discipline holds for a reader. */
const chunkBytes = 4096;

export interface TerminalEvents {
  /** A client wrote. The next bytes are taken when the promise settles. */
  received(bytes: Uint8Array): Promise<void>;
  /** The terminal broke; it is of no more use. Once. */
  failed(error: unknown): void;
}

/**
 * The master's side. Readiness comes from the event loop (a Poll of the addon): libuv's own terminal streams would write
 * to a master in a blocking way, and wait for a client that does not read, on the main thread.
 */
export class Terminal {
  /** What clients open. */
  readonly path: string;
  readonly #addon: NativeAddon;
  readonly #pair: PtyPair;
  readonly #events: TerminalEvents;
  readonly #poll: Poll;
  readonly #chunk = new Uint8Array(chunkBytes);
  #reading = true;
  #room: (() => void) | undefined;
  #closed = false;

  /** A raw terminal at this speed. @throws Error with a system error's code */
  constructor(addon: NativeAddon, baudRate: number, stopBits: 1 | 2, events: TerminalEvents) {
    this.#addon = addon;
    this.#events = events;
    this.#pair = addon.openPty(baudRate, stopBits);
    this.path = this.#pair.slavePath;
    this.#poll = new addon.Poll(this.#pair.masterFd, (ready) => this.#ready(ready));
    this.#watch();
  }

  /** Resolves when the terminal holds all bytes, however long clients take to read; after `close` they are dropped. One call at a time. */
  async write(bytes: Uint8Array): Promise<void> {
    let at = 0;
    while (!this.#closed && at < bytes.length) {
      const written = this.#addon.write(this.#pair.masterFd, bytes, at);
      if (written >= 0) at += written;
      else await this.#waitForRoom();
    }
  }

  /** What the last client set, or what was set at first. */
  settings(): Required<SerialOptions> {
    return this.#addon.getLineSettings(this.#pair.slaveFd);
  }

  /** Hangs up on clients; idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#poll.close();
    this.#room?.();
    closeSync(this.#pair.masterFd);
    closeSync(this.#pair.slaveFd);
  }

  #ready(events: number): void {
    if (this.#closed) return;
    if ((events & this.#addon.Poll.writable) !== 0) this.#room?.();
    if ((events & this.#addon.Poll.readable) !== 0 && this.#reading) {
      this.#take().catch((error: unknown) => {
        if (!this.#closed) this.#events.failed(error);
      });
    }
  }

  async #take(): Promise<void> {
    const length = this.#addon.read(this.#pair.masterFd, this.#chunk, 0);
    if (length <= 0) return;
    this.#reading = false;
    this.#watch();
    await this.#events.received(this.#chunk.slice(0, length));
    this.#reading = true;
    this.#watch();
  }

  #waitForRoom(): Promise<void> {
    return new Promise((resolve) => {
      this.#room = () => {
        this.#room = undefined;
        this.#watch();
        resolve();
      };
      this.#watch();
    });
  }

  #watch(): void {
    if (this.#closed) return;
    this.#poll.watch((this.#reading ? this.#addon.Poll.readable : 0) | (this.#room === undefined ? 0 : this.#addon.Poll.writable));
  }
}
