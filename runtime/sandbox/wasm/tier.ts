/** The wasm tier: C from the Linux driver environment, or any module of the same border, in one linear memory with a hard maximum. */
import { type FaultPoint, mailboxBytes } from "../../api/bridge.ts";
import { AirlockError, errorText } from "../../api/errors.ts";
import type { DriverSetup } from "../../api/grants.ts";
import { readRecords, recordHeaderBytes } from "../../api/records.ts";
import { GuestCalls, phaseOf } from "../guest-calls.ts";
import { type GuestBytes, GuestMemory } from "../guest-memory.ts";
import { GuestLoadError, type GuestRegion, type LoadedSandbox, type Sandbox, type SandboxCalls, type SandboxLimits, type SandboxTier, wrongCode } from "../sandbox.ts";
import { type WasmGlobal, type WasmMemory, wasm } from "../web-assembly.ts";
import { importModule, memoryImport, nullBytes, wasmPageBytes } from "./abi.ts";
import { ModuleImports } from "./bind-imports.ts";
import { ModuleFaults } from "./module-faults.ts";
import type { PreparedModule } from "./prepare-module.ts";
import { startExport, stepsExport } from "./rewrite-module.ts";
import { type PlacedRegion, setupBytes } from "./setup-bytes.ts";
import { ModuleEnded, isStackOverflow, moduleStack, stackFrames, stackOverflowText, trapOf } from "./traps.ts";

export interface WasmTierOptions {
  /**
   * Takes all access to the first bytes of a memory away, so that null pointers trap; false where that cannot be done. Only modules that
   * check their addresses themselves do without.
   */
  readonly protect?: (memory: WasmMemory, sizeBytes: number) => boolean;
  /** Steps (calls and turns of loops) that one turn may take, for modules that are prepared to count them. */
  readonly turnSteps?: number;
}

/** Granted pages as processors have them; regions begin at one, and there is one between them. */
const pageBytes = 4_096;
/** The initialization of the environment below a driver may take this many turns' steps: it runs once. */
const loadTurns = 10;
/** Steps of a turn where nobody says how many: some 50 ms of a loop. */
const defaultTurnSteps = 20_000_000;

export function createWasmTier(options: WasmTierOptions = {}): SandboxTier {
  return {
    name: "wasm",
    load: async (code, name, limits) => {
      if (typeof code === "string") throw wrongCode(name, "wasm");
      const guest = new WasmGuest(code, name, limits, options);
      guest.load();
      return guest;
    },
  };
}

class WasmGuest implements LoadedSandbox, Sandbox {
  readonly tier = "wasm";
  readonly #code: PreparedModule;
  readonly #name: string;
  readonly #options: WasmTierOptions;
  readonly #memory: WasmMemory;
  /** The end of the module's own memory; its regions lie above. */
  readonly #ownBytes: number;
  readonly #calls: GuestCalls;
  readonly #imports: ModuleImports;
  readonly #faults: ModuleFaults;
  readonly #exports: ModuleExports;
  #bytes: Uint8Array;
  #regions: readonly (PlacedRegion & { readonly sizeBytes: number })[] = [];
  #setup: (() => Uint8Array) | undefined;
  #running = false;

  constructor(code: PreparedModule, name: string, limits: SandboxLimits, options: WasmTierOptions) {
    this.#code = code;
    this.#name = name;
    this.#options = options;
    this.#ownBytes = Math.floor(limits.memoryBytes / wasmPageBytes) * wasmPageBytes;
    if (code.facts.leastBytes > this.#ownBytes) {
      throw new AirlockError("InvalidArgument", `${name} needs ${code.facts.leastBytes} bytes of memory for its data alone, the limit is ${limits.memoryBytes}; grant it more with limits: { memory: ... }`);
    }
    const pages = (this.#ownBytes / wasmPageBytes) + Math.ceil((limits.sharedBytes ?? 0) / wasmPageBytes);
    // All of it at once: only touched pages take memory, a memory that cannot grow does not move, and no growth undoes its protection.
    this.#memory = new wasm.Memory({ initial: pages, maximum: pages });
    this.#bytes = new Uint8Array(this.#memory.buffer);
    const { inbox, outbox } = code.facts;
    this.#calls = new GuestCalls(
      (length) => {
        const written = this.#view().slice(outbox, outbox + length);
        return this.#faults.isTampering ? this.#faults.tampered(written) : written;
      },
      () => this.#stack(new Error().stack),
    );
    this.#imports = new ModuleImports({
      calls: this.#calls, bytes: () => this.#view(), stack: () => this.#stack(new Error().stack),
      setup: () => this.#setup!(), hasWorld: () => this.#setup !== undefined,
    });
    this.#faults = new ModuleFaults({
      calls: this.#calls, perform: (kind, place) => this.#run(1, () => this.#exports.airlock_fault(kind, place)),
      inbox: () => this.#view().slice(inbox, inbox + mailboxBytes).buffer, memory: (region) => this.#regionCopy(region),
    });
    this.#exports = this.#instantiate();
    if (!code.checksNull && options.protect?.(this.#memory, nullBytes) !== true) {
      throw new AirlockError("Unsupported", `${name}: null pointers would not be caught: the start of its memory cannot be protected; have it check its addresses itself`);
    }
  }

  /** Runs what the environment does before it has a world, so that a spare waits for nothing but records. */
  load(): void {
    this.#run(loadTurns, () => {
      this.#exports[startExport]?.();
      this.#exports.airlock_load();
    });
    if (this.#calls.failure !== undefined) throw new GuestLoadError(this.#calls.failure);
  }

  start(calls: SandboxCalls, regions: readonly GuestRegion[]): Sandbox {
    let at = this.#ownBytes;
    const placed = regions.map((region) => {
      const address = at;
      at += region.sizeBytes + pageBytes;
      if (address + region.sizeBytes > this.#memory.buffer.byteLength) throw new RangeError("the regions need more than the limits' sharedBytes");
      return { address, sizeBytes: region.sizeBytes, isShared: region.layOver(this.#memory, address) };
    });
    this.#regions = placed;
    this.#calls.start(calls, new GuestMemory(placed.map(({ address, sizeBytes, isShared }): GuestBytes => ({
      sizeBytes, bytes: isShared ? undefined : (offset, size) => this.#view().subarray(address + offset, address + offset + size),
    }))));
    let setup: Uint8Array | undefined;
    this.#setup = () => (setup ??= setupBytes(JSON.parse(calls.setup()) as DriverSetup, placed, this.#ownBytes));
    this.#imports.sayEarly();
    return this;
  }

  turn(records: Uint8Array): void {
    if (records.length > mailboxBytes) throw new RangeError(`a turn of ${records.length} bytes; the inbox has ${mailboxBytes}`);
    if (this.#running) throw new Error("turn inside a turn: a bridge call must not run the guest again");
    if (!this.#calls.live) return;
    this.#calls.phase = phaseOf(records);
    if (this.#faults.isIdle) this.#enter(records);
    else this.#enterWithFaults(records);
    this.#calls.settle();
  }

  inject(where: FaultPoint, code: string): void {
    if (!this.#calls.live) return;
    this.#calls.phase = "operation";
    this.#faults.inject(where, code);
    this.#calls.settle();
  }

  memoryBytes(): number {
    return this.#memory.buffer.byteLength;
  }

  dispose(): void {
    this.#calls.dispose();
  }

  /** Nothing of the module runs: its start function was made an export. */
  #instantiate(): ModuleExports {
    try {
      const instance = new wasm.Instance(this.#code.module, { [importModule]: { [memoryImport]: this.#memory, ...this.#imports.functions() } });
      return instance.exports as unknown as ModuleExports;
    } catch (error) {
      throw new GuestLoadError({ kind: "exception", phase: "load", name: "BundleInvalid", message: `${this.#name}: ${errorText(error)}`, stack: "", code: "BundleInvalid" });
    }
  }

  /** The memory; a new view when the module has grown it by nothing, which detaches the old one. */
  #view(): Uint8Array {
    if (this.#bytes.length === 0) this.#bytes = new Uint8Array(this.#memory.buffer);
    return this.#bytes;
  }

  #enter(records: Uint8Array): void {
    this.#view().set(records, this.#code.facts.inbox);
    this.#run(1, () => this.#exports.airlock_turn(records.length));
  }

  /** Record by record, so that the one a fault waits for can be taken out. */
  #enterWithFaults(records: Uint8Array): void {
    const framed = readRecords(records);
    if (!framed.ok) return this.#enter(records);
    for (const record of framed.records) {
      if (!this.#calls.live) return;
      const from = record.payload.byteOffset - records.byteOffset - recordHeaderBytes;
      const bytes = records.subarray(from, from + recordHeaderBytes + ((record.payload.length + 7) & ~7));
      this.#calls.phase = phaseOf(bytes);
      if (!this.#faults.replaces(record)) this.#enter(bytes);
    }
  }

  /** Runs module code within the steps of that many turns; whatever ends it early is recorded, and it is not run again. */
  #run(turns: number, run: () => void): void {
    if (!this.#calls.live) return;
    const steps = this.#code.isCounted ? this.#exports[stepsExport] : undefined;
    if (steps !== undefined) steps.value = turns * (this.#options.turnSteps ?? defaultTurnSteps);
    const frames = Error.stackTraceLimit;
    Error.stackTraceLimit = stackFrames;
    this.#running = true;
    try {
      run();
    } catch (error) {
      this.#escaped(error, steps);
    } finally {
      this.#running = false;
      Error.stackTraceLimit = frames;
    }
  }

  #escaped(error: unknown, steps: WasmGlobal | undefined): void {
    if (error instanceof ModuleEnded) return;
    if (!(error instanceof Error)) throw error;
    const stack = this.#stack(error.stack);
    if (isStackOverflow(error)) return this.#calls.limit("stack", stackOverflowText, stack);
    if (!(error instanceof wasm.RuntimeError)) throw error;
    if (steps?.value === 0) return this.#calls.limit("turn-limit", "the turn took more steps than its limit", stack);
    const trap = trapOf(error.message);
    this.#calls.failed(this.#calls.phase, trap.name, trap.message, stack);
  }

  #regionCopy(region: number): ArrayBuffer {
    const found = this.#regions[region];
    if (found === undefined) throw new AirlockError("CapabilityViolation", "there is no DMA memory of that number", { capability: "dma", reason: "handle" });
    return this.#view().slice(found.address, found.address + found.sizeBytes).buffer;
  }

  #stack(stack: string | undefined): string {
    return moduleStack(stack, this.#code, this.#name);
  }
}

interface ModuleExports {
  airlock_load(): void;
  airlock_turn(length: number): void;
  airlock_fault(kind: number, place: number): void;
  readonly [startExport]?: () => void;
  readonly [stepsExport]?: WasmGlobal;
}
