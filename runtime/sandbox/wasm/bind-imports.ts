/** The functions a module imports, on top of the bridge calls that all tiers share: pointers checked, texts copied, denials end the module. */
import { LogLevel } from "../../api/bridge.ts";
import { AirlockError, errorText, isAirlockError } from "../../api/errors.ts";
import type { GuestCalls } from "../guest-calls.ts";
import { maxLogChars, maxMessageChars } from "../guest-calls.ts";
import { type ImportName, failReasons, nullBytes } from "./abi.ts";
import { ModuleEnded, isStackOverflow, stackOverflowText } from "./traps.ts";

/** Bytes of the longest character in UTF-8: what a text that will be cut is copied from. */
const mostCharBytes = 4;
/** Log lines of the load that are kept until there is somebody to read them. */
const mostEarlyLines = 64;

/** What the imports need of the instance they belong to. */
export interface ImportParts {
  readonly calls: GuestCalls;
  /** The memory, which may have another buffer after any call of the module. */
  bytes(): Uint8Array;
  /** The module's stack right now. */
  stack(): string;
  /** The setup's bytes; only once the module has a world. */
  setup(): Uint8Array;
  hasWorld(): boolean;
}

type ImportFunctions = Record<ImportName, (...numbers: never[]) => number | void>;

const decoder = new TextDecoder();

/** Everything numeric that a module passes comes as a signed number, whatever C calls it. */
export class ModuleImports {
  readonly #parts: ImportParts;
  readonly #early: [level: number, text: string][] = [];

  constructor(parts: ImportParts) {
    this.#parts = parts;
  }

  /** Says what was logged while the module loaded. */
  sayEarly(): void {
    const { calls } = this.#parts;
    for (const [level, text] of this.#early.splice(0)) if (calls.live) calls.log(level, text);
  }

  functions(): ImportFunctions {
    const { calls } = this.#parts;
    return {
      // Those that a driver calls all the time have no closure on their way.
      read: (window: number, offset: number, width: number) => {
        try {
          return calls.read(window >>> 0, offset >>> 0, width >>> 0);
        } catch (error) {
          throw this.ended(error);
        }
      },
      post_read: (window: number, offset: number, width: number) => {
        try {
          calls.postRead(window >>> 0, offset >>> 0, width >>> 0);
        } catch (error) {
          throw this.ended(error);
        }
      },
      take_read: () => {
        try {
          return calls.takeRead();
        } catch (error) {
          throw this.ended(error);
        }
      },
      write: (window: number, offset: number, width: number, value: number) => {
        try {
          calls.write(window >>> 0, offset >>> 0, width >>> 0, value >>> 0);
        } catch (error) {
          throw this.ended(error);
        }
      },
      now: () => this.#guarded(() => (this.#parts.hasWorld() ? calls.nowMicros() : 0)),
      irq: (line: number, op: number) => this.#guarded(() => calls.irq(line >>> 0, op >>> 0)),
      sync: (region: number, offset: number, size: number, toDevice: number) => this.#guarded(() => calls.sync(region >>> 0, offset >>> 0, size >>> 0, toDevice)),
      timer: (tag: number, delayMicros: number) => this.#guarded(() => calls.timer(tag >>> 0, delayMicros)),
      flush: (length: number) => this.#guarded(() => calls.flush(length >>> 0)),
      log: (level: number, at: number, length: number) => this.#guarded(() => this.#log(level >>> 0, this.#text("log", at >>> 0, length >>> 0, maxLogChars))),
      fail: (why: number, at: number, length: number) => {
        this.#guarded(() => this.#fail(why, this.#text("fail", at >>> 0, length >>> 0, maxMessageChars)));
        throw new ModuleEnded("it ended itself");
      },
      setup: (to: number, capacity: number) => this.#guarded(() => this.#setup(to >>> 0, capacity >>> 0)),
    };
  }

  /** What is thrown through the module for something that one of its calls threw; that is recorded first. */
  ended(error: unknown): ModuleEnded {
    const { calls } = this.#parts;
    // The module left too little of the thread's stack for the host's side of its call.
    if (isStackOverflow(error)) {
      calls.limit("stack", stackOverflowText);
      return new ModuleEnded(stackOverflowText);
    }
    const refusal = calls.refuse(error);
    // What another tier's guest could catch is the end of this one, which has nothing to catch with.
    if (!isAirlockError(error) && calls.live) calls.failed(calls.phase, refusal.name, refusal.message, this.#parts.stack());
    return new ModuleEnded(errorText(error));
  }

  #guarded<T>(run: () => T): T {
    try {
      return run();
    } catch (error) {
      throw this.ended(error);
    }
  }

  #log(level: number, text: string): void {
    if (this.#parts.hasWorld()) return this.#parts.calls.log(level, text);
    if (!Object.values<number>(LogLevel).includes(level)) throw new AirlockError("ProtocolViolation", `log: ${level} is no level`);
    if (this.#early.length < mostEarlyLines) this.#early.push([level, text]);
  }

  #fail(why: number, text: string): void {
    const { calls } = this.#parts;
    const stack = this.#parts.stack();
    const reason = (failReasons as Readonly<Record<number, { readonly constant: string; readonly name: string }>>)[why];
    if (reason === undefined) calls.failed(calls.phase, "Failed", `for the unknown reason ${why}: ${text}`, stack);
    else if (reason.constant === "MEMORY") calls.limit("memory", text, stack);
    else calls.failed(calls.phase, reason.name, text, stack);
  }

  #setup(to: number, capacity: number): number {
    if (!this.#parts.hasWorld()) throw new AirlockError("ProtocolViolation", "setup: there is none before init");
    const setup = this.#parts.setup();
    if (setup.length <= capacity) this.#range("setup", to, setup.length).set(setup);
    return setup.length;
  }

  #text(call: string, at: number, length: number, mostChars: number): string {
    this.#range(call, at, length);
    return decoder.decode(this.#range(call, at, Math.min(length, mostChars * mostCharBytes)).slice());
  }

  /** A part of the memory that a module names. The bytes at its start must never be touched: they may be protected. */
  #range(call: string, at: number, length: number): Uint8Array {
    const bytes = this.#parts.bytes();
    if (length > 0 && (at < nullBytes || at + length > bytes.length)) {
      throw new AirlockError("ProtocolViolation", `${call}: ${length} bytes at 0x${at.toString(16)} are not in the driver's memory`);
    }
    return length === 0 ? bytes.subarray(nullBytes, nullBytes) : bytes.subarray(at, at + length);
  }
}
