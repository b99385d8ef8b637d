/** A real program or library that has a terminal open, as tests drive it; and what tests do when it is not installed. */
import { existsSync } from "node:fs";
import path from "node:path";
import type { TestContext } from "vitest";
import { loadAddon } from "../../runtime/native/addon.ts";
import { errorText } from "../../runtime/api/errors.ts";

/** Longest wait for bytes in these tests; a driver's restart is a small part of it. */
export const receiveMs = 15_000;

/** One client with the terminal open. */
export interface TerminalClient extends AsyncDisposable {
  /** Writes; resolves when the client has taken the bytes, not when they are sent. */
  send(bytes: Uint8Array): Promise<void>;
  /** The next `length` bytes the client received. @throws Error with what came, when they do not come in `timeoutMs` */
  receive(length: number, timeoutMs?: number): Promise<Buffer>;
  /** Everything received that `receive` has not taken yet; takes nothing. */
  peek(): Buffer;
  /** Why the client left by itself, as after an end of file or EIO; undefined while it has the terminal open. */
  left(): string | undefined;
}

export interface ClientKind {
  readonly name: string;
  /** Byte values the client keeps for itself. */
  readonly reserved: readonly number[];
  /** Why it cannot be used here; undefined when it can. */
  missing(): string | undefined;
  open(tty: string, baudRate: number): Promise<TerminalClient>;
}

/** Bytes that came and nobody has asked for yet. */
export class Inbox {
  #bytes = Buffer.alloc(0);
  #wake: () => void = () => undefined;

  readonly put = (bytes: Uint8Array): void => {
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
    this.#wake();
  };

  /** What nobody has asked for yet. */
  peek(): Buffer {
    return this.#bytes;
  }

  /** Takes up to and including `end`, or `length` bytes. */
  async take(wanted: number | string, timeoutMs: number): Promise<Buffer> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const at = typeof wanted === "number" ? wanted : endOf(this.#bytes, wanted);
      if (at >= 0 && this.#bytes.length >= at) {
        const taken = this.#bytes.subarray(0, at);
        this.#bytes = this.#bytes.subarray(at);
        return taken;
      }
      const left = deadline - performance.now();
      const state = `${this.#bytes.length} bytes ${JSON.stringify(this.#bytes.toString("latin1").slice(-200))}`;
      if (left <= 0) throw new Error(`waited ${timeoutMs} ms for ${JSON.stringify(wanted)}, there are ${state}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }
}

/** Skips the test with a printed reason, or fails it where AIRLOCK_REQUIRE_CLIENTS=1 says that all clients are installed. */
export function requireClient(context: TestContext, ...reasons: readonly (string | undefined)[]): void {
  const reason = reasons.find((text) => text !== undefined);
  if (reason === undefined) return;
  if (process.env["AIRLOCK_REQUIRE_CLIENTS"] === "1") throw new Error(`${reason}, and AIRLOCK_REQUIRE_CLIENTS=1`);
  console.warn(`skipped "${context.task.name}": ${reason}`);
  context.skip(reason);
}

/** Why there is no addon, or undefined. */
export function addonMissing(): string | undefined {
  try {
    loadAddon();
    return undefined;
  } catch (error) {
    return errorText(error);
  }
}

/** Whether PATH has the program. */
export function programMissing(program: string, debianPackage: string): string | undefined {
  const found = (process.env["PATH"] ?? "").split(path.delimiter).some((directory) => existsSync(path.join(directory, program)));
  return found ? undefined : `${program} is not installed (Debian package ${debianPackage})`;
}

function endOf(bytes: Buffer, text: string): number {
  const at = bytes.indexOf(text, "latin1");
  return at < 0 ? -1 : at + Buffer.byteLength(text, "latin1");
}
