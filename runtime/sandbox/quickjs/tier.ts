/** The quickjs tier: untrusted JavaScript in an engine of its own inside WebAssembly, with limits on memory, stack and time. */
import type { QuickJSHandle } from "quickjs-emscripten";
import { type FaultPoint, mailboxBytes } from "../../api/bridge.ts";
import { AirlockError } from "../../api/errors.ts";
import { RecordKind, putRecord, recordHeaderBytes } from "../../api/records.ts";
import { GuestCalls, exceptionFailure, maxMessageChars, maxNameChars, maxStackChars, phaseOf } from "../guest-calls.ts";
import { type GuestBytes, GuestMemory } from "../guest-memory.ts";
import { type GuestRegion, GuestLoadError, type LoadedSandbox, type Sandbox, type SandboxCalls, type SandboxLimits, type SandboxTier, wrongCode } from "../sandbox.ts";
import { type CallPath, type GuestResult, adopt, bindCalls, expectValue } from "./bind-calls.ts";
import { type Engine, GuestMemoryFull, createEngine, quickJsModule } from "./engine.ts";
import { type WasmModule, wasm } from "../web-assembly.ts";
import { preludeCalls, preludeSource } from "./prelude.ts";

export interface QuickJsOptions {
  /** The engine's code, compiled elsewhere (see quickJsModule); compiled once per thread when absent. */
  readonly module?: WasmModule;
  /** Which way bridge calls take; the fast one when it works, when absent. */
  readonly callPath?: CallPath;
  /**
   * Limits a turn by the number of interrupt checks (one per about 10,000 loop iterations or calls) instead of by time:
   * a run then does not depend on the speed of the machine. For deterministic worlds.
   */
  readonly turnInterrupts?: number;
  /**
   * CPU time this thread has used, where it can be read: a turn is then not held to account for the time in which the
   * thread was not scheduled. Undefined at times when it cannot be read.
   */
  readonly cpuMs?: () => number | undefined;
}

/** A sandbox of this tier, with what only this tier can tell. */
export interface QuickJsSandbox extends Sandbox {
  readonly callPath: CallPath;
}

/** Promise jobs run between two looks at the clock: jobs that call only builtins are not interrupted by the engine. */
const jobsPerCheck = 64;
/** A bundle's top-level code may take this many turns' time: it runs once, and cold. */
const loadTurns = 10;
/** Pages of memory as the processor has them: what is granted is whole ones. */
const pageBytes = 4096;
/** The engine's own objects take about 200 KiB, the mailboxes 128 KiB; with less, not even an error object fits. */
const leastMemoryBytes = 1024 * 1024;

export function createQuickJsTier(options: QuickJsOptions = {}): SandboxTier {
  return {
    name: "quickjs",
    load: async (bundle, name, limits) => {
      if (typeof bundle !== "string") throw wrongCode(name, "quickjs");
      const guest = await QuickJsGuest.create(limits, options);
      guest.load(bundle, name);
      return guest;
    },
  };
}

class QuickJsGuest implements LoadedSandbox, QuickJsSandbox {
  readonly tier = "quickjs";
  readonly callPath: CallPath;
  readonly #limits: SandboxLimits;
  readonly #engine: Engine;
  readonly #calls: GuestCalls;
  readonly #budget: TurnBudget;
  readonly #bridge: QuickJSHandle;
  readonly #inboxPointer: number;
  #stack: QuickJSHandle | undefined;
  #dispatch: QuickJSHandle | undefined;
  /** The guest's buffers of its DMA regions; never disposed, so that the memory below them lives as long as the engine. */
  #buffers: readonly QuickJSHandle[] = [];
  #running = false;

  static async create(limits: SandboxLimits, options: QuickJsOptions): Promise<QuickJsGuest> {
    if (limits.memoryBytes < leastMemoryBytes) {
      throw new AirlockError("InvalidArgument", `a memory limit of ${limits.memoryBytes} bytes; a quickjs sandbox needs at least ${leastMemoryBytes}`);
    }
    let now = (): number => 0;
    const engine = await createEngine(limits, options.module ?? quickJsModule(), () => now());
    const guest = new QuickJsGuest(limits, engine, options);
    now = () => guest.#calls.dateMillis();
    return guest;
  }

  constructor(limits: SandboxLimits, engine: Engine, options: QuickJsOptions) {
    this.#limits = limits;
    this.#engine = engine;
    this.#inboxPointer = engine.raw.module._malloc(mailboxBytes);
    const outboxPointer = engine.raw.module._malloc(mailboxBytes);
    // A fresh view each time: the memory's buffer is another one after it has grown.
    this.#calls = new GuestCalls(
      (length) => new Uint8Array(engine.memory.buffer, outboxPointer, length).slice(),
      () => this.#guestStack(),
    );
    this.#budget = new TurnBudget(this.#calls, limits.turnMs, options);
    const { bound, path } = bindCalls(engine, this.#calls, (region) => this.#buffer(region), options.callPath);
    this.callPath = path;
    const { context } = engine;
    const mailbox = (pointer: number): QuickJSHandle =>
      adopt(context, engine.raw.ffi.QTS_NewArrayBuffer(engine.raw.contextPointer, pointer, mailboxBytes));
    const make = expectValue(context, context.evalCode(preludeSource, "airlock:prelude", { type: "global" }));
    const pair = expectValue(context, context.callFunction(make, context.undefined, [
      ...preludeCalls.map((name) => bound[name]!), mailbox(this.#inboxPointer), mailbox(outboxPointer),
    ]));
    // These handles are never disposed: with them the mailboxes live as long as the engine.
    this.#bridge = context.getProp(pair, 0);
    this.#stack = context.getProp(pair, 1);
    engine.runtime.setInterruptHandler(() => this.#budget.exhausted());
  }

  /** Evaluates the bundle and hands it the bridge, so that a spare waits for nothing but records. */
  load(bundle: string, name: string): void {
    const { context } = this.#engine;
    this.#run(loadTurns, () => {
      const entry = this.#take(context.evalCode(bundle, name, { type: "global" }));
      if (entry === undefined) return;
      if (context.typeof(entry) !== "function") {
        this.#calls.failed("load", "BundleInvalid", `${name}: the value of the bundle is not a driver entry`, "");
        return;
      }
      this.#dispatch = this.#take(context.callFunction(entry, context.undefined, this.#bridge));
    });
    if (this.#calls.failure !== undefined) throw new GuestLoadError(this.#calls.failure);
    if (this.#dispatch === undefined || context.typeof(this.#dispatch) !== "function") {
      throw new GuestLoadError(exceptionFailure("load", "BundleInvalid", `${name}: the driver entry returned no dispatch function`, ""));
    }
  }

  start(calls: SandboxCalls, regions: readonly GuestRegion[]): Sandbox {
    const pointers = regions.map(({ sizeBytes }) => this.#allocatePages(sizeBytes));
    this.#calls.start(calls, new GuestMemory(regions.map((region, index) => this.#share(region, pointers[index]!))));
    const { context, raw } = this.#engine;
    this.#buffers = regions.map(({ sizeBytes }, index) => adopt(context, raw.ffi.QTS_NewArrayBuffer(raw.contextPointer, pointers[index]!, sizeBytes)));
    return this;
  }

  /** A page-aligned part of the engine's memory, never freed. */
  #allocatePages(sizeBytes: number): number {
    const { module } = this.#engine.raw;
    return Math.ceil(module._malloc(sizeBytes + pageBytes) / pageBytes) * pageBytes;
  }

  /** Lays a region's pages into the guest's memory, or gives it zeroed bytes of its own. */
  #share(region: GuestRegion, pointer: number): GuestBytes {
    const { memory } = this.#engine;
    const { sizeBytes } = region;
    if (region.layOver(memory, pointer)) return { sizeBytes, bytes: undefined };
    new Uint8Array(memory.buffer, pointer, sizeBytes).fill(0);
    return { sizeBytes, bytes: (offset, size) => new Uint8Array(memory.buffer, pointer + offset, size) };
  }

  #buffer(region: unknown): QuickJSHandle {
    const found = typeof region === "number" ? this.#buffers[region] : undefined;
    if (found === undefined) throw new AirlockError("CapabilityViolation", "there is no DMA memory of that number", { capability: "dma", reason: "handle" });
    return found.dup();
  }

  turn(records: Uint8Array): void {
    if (records.length > mailboxBytes) throw new RangeError(`a turn of ${records.length} bytes; the inbox has ${mailboxBytes}`);
    if (this.#running) throw new Error("turn inside a turn: a bridge call must not run the guest again");
    if (!this.#calls.live) return;
    const { context, memory } = this.#engine;
    new Uint8Array(memory.buffer, this.#inboxPointer, records.length).set(records);
    this.#calls.phase = phaseOf(records);
    this.#run(1, () => {
      context.newNumber(records.length).consume((length) =>
        this.#take(context.callFunction(this.#dispatch!, context.undefined, length))?.dispose());
    });
    this.#calls.settle();
  }

  inject(where: FaultPoint, code: string): void {
    if (!this.#calls.live) return;
    this.#calls.offerFault(where, code);
    const record = new Uint8Array(recordHeaderBytes);
    putRecord(record, 0, RecordKind.fault, 0, 0, new Uint8Array(0));
    this.turn(record);
  }

  memoryBytes(): number {
    return this.#engine.memory.buffer.byteLength;
  }

  dispose(): void {
    this.#calls.dispose();
  }

  /** Runs guest code and the jobs it leaves, within the budget of that many turns; whatever ends it early is recorded. */
  #run(turns: number, run: () => void): void {
    this.#running = true;
    this.#budget.start(turns);
    try {
      run();
      const { runtime } = this.#engine;
      while (this.#calls.live && runtime.hasPendingJob() && !this.#budget.exhausted()) {
        const jobs = runtime.executePendingJobs(jobsPerCheck);
        if (jobs.error !== undefined) this.#thrown(jobs.error);
        this.#calls.phase = this.#calls.phase === "load" ? "load" : "job";
      }
    } catch (error) {
      this.#escaped(error);
    } finally {
      this.#running = false;
    }
  }

  /** The value of a result, or undefined after its exception was recorded. */
  #take(result: GuestResult): QuickJSHandle | undefined {
    if (result.error === undefined) return result.value;
    this.#thrown(result.error);
    return undefined;
  }

  /** Records what left the guest. Its properties are read with the guest's getters, so only within the budget. */
  #thrown(error: QuickJSHandle): void {
    if (!this.#calls.live) return;
    const { context } = this.#engine;
    const isObject = context.typeof(error) === "object" && !context.eq(error, context.null);
    const text = (key: string): string => {
      const value = context.getProp(error, key);
      return context.typeof(value) === "string" ? context.getString(value) : "";
    };
    if (isObject) {
      const [name, message, stack] = [text("name"), text("message"), text("stack")];
      this.#calls.failed(this.#calls.phase, name.slice(0, maxNameChars), message.slice(0, maxMessageChars), stack.slice(0, maxStackChars));
      return;
    }
    if (context.eq(error, context.null) && this.#full()) this.#calls.limit("memory", "the guest's memory is full");
    const type = context.typeof(error);
    const message = type === "string" ? context.getString(error) : type === "number" ? String(context.getNumber(error)) : `a ${type}`;
    this.#calls.failed(this.#calls.phase, "Error", `threw ${message}`, "");
  }

  /** Something reached the host through the engine: the engine is not touched again. */
  #escaped(error: unknown): void {
    if (error instanceof GuestMemoryFull) return this.#calls.limit("memory", "the guest's memory is full");
    if (error instanceof RangeError) return this.#calls.limit("stack", "the guest overflowed the stack of its thread");
    if (error instanceof wasm.RuntimeError) {
      return this.#full() ? this.#calls.limit("memory", "the guest's memory is full")
        : this.#calls.failed(this.#calls.phase, "RuntimeError", `the engine trapped: ${error.message}`, "");
    }
    // A getter that throws while its error is read, and whatever else the library makes of a hostile guest.
    this.#calls.failed(this.#calls.phase, "Error", error instanceof Error ? error.message : String(error), "");
  }

  /** The engine throws null when not even an error object fits. */
  #full(): boolean {
    return this.#engine.memory.buffer.byteLength >= this.#limits.memoryBytes / 2;
  }

  #guestStack(): string {
    const { context } = this.#engine;
    const result = context.callFunction(this.#stack!, context.undefined);
    if (result.error !== undefined) return "";
    return result.value.consume((value) => (context.typeof(value) === "string" ? context.getString(value) : ""));
  }
}

/** How much longer a turn may run: by the clock, or by the engine's interrupt checks. */
class TurnBudget {
  readonly #calls: GuestCalls;
  readonly #turnMs: number;
  readonly #options: QuickJsOptions;
  #limitMs = 0;
  #lookAtMs = 0;
  #cpuMsAtLook: number | undefined;
  #checksLeft = 0;

  constructor(calls: GuestCalls, turnMs: number, options: QuickJsOptions) {
    this.#calls = calls;
    this.#turnMs = turnMs;
    this.#options = options;
  }

  start(turns: number): void {
    this.#limitMs = turns * this.#turnMs;
    // CPU time is read only in a turn that has used up half its limit: reading it takes as long as many a turn.
    this.#lookAtMs = performance.now() + (this.#options.cpuMs === undefined ? this.#limitMs : this.#limitMs / 2);
    this.#cpuMsAtLook = undefined;
    this.#checksLeft = turns * (this.#options.turnInterrupts ?? 0);
  }

  /** Whether the guest has to stop now; it cannot catch that. Also true once it has failed. */
  exhausted(): boolean {
    if (!this.#calls.live) return true;
    const bySteps = this.#options.turnInterrupts !== undefined;
    const over = bySteps ? --this.#checksLeft < 0 : performance.now() > this.#lookAtMs && this.#usedUp();
    if (over) this.#calls.limit("turn-limit", bySteps ? "the turn took more steps than its limit" : `the turn took longer than ${this.#turnMs} ms`);
    return over;
  }

  /** Past the time of a look: whether the second half of the limit was spent too, as CPU time where that can be read. */
  #usedUp(): boolean {
    const cpuMs = this.#options.cpuMs?.();
    if (cpuMs === undefined) return true;
    this.#cpuMsAtLook ??= cpuMs;
    const leftMs = this.#limitMs / 2 - (cpuMs - this.#cpuMsAtLook);
    this.#lookAtMs = performance.now() + leftMs;
    return leftMs <= 0;
  }
}
