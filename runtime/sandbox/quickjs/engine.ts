/** One QuickJS engine per guest: its own WASM instance, memory with a hard maximum, clock, and a runtime with limits. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { RELEASE_SYNC, newQuickJSWASMModuleFromVariant, newVariant } from "quickjs-emscripten";
import type { QuickJSContext, QuickJSRuntime } from "quickjs-emscripten";
import { AirlockError } from "../../api/errors.ts";
import type { SandboxLimits } from "../sandbox.ts";
import { type WasmImports, type WasmInstance, type WasmMemory, type WasmModule, wasm } from "../web-assembly.ts";

/** Pages the build's memory import asks for at least (16 MiB of address space; only touched pages take memory). */
const leastPages = 256;
const pageBytes = 65_536;
/** WASM memory beyond the guest's limit: the engine's data and stack, and what the host itself allocates for a call. */
const reserveBytes = 4 * 1024 * 1024;
/** The engine's own stack check works up to here; beyond, a deep guest overflows the host thread's stack instead. */
const maxStackBytes = 512 * 1024;
/** What the engine reads as the time at its creation: the seed of Math.random, the same for every instance. */
const seedMillis = 1_234_567_890_123;

/** The parts of the emscripten module and its C interface that no public type shows. Present in exactly 0.32.0. */
export interface RawEngine {
  readonly module: RawModule;
  readonly ffi: RawFfi;
  readonly contextPointer: number;
}

export type CallFunction = (asyncify: unknown, context: number, self: number, argc: number, argv: number, id: number) => number;

export interface RawModule {
  callbacks: { callFunction: CallFunction; freeHostRef(asyncify: unknown, runtime: number, id: number): void };
  _malloc(bytes: number): number;
}

export interface RawFfi {
  QTS_NewFunction(context: number, name: string, length: number, isConstructor: boolean, id: number): number;
  QTS_NewArrayBuffer(context: number, pointer: number, length: number): number;
  QTS_ArgvGetJSValueConstPointer(argv: number, index: number): number;
  QTS_GetFloat64(context: number, value: number): number;
  QTS_NewFloat64(context: number, value: number): number;
  QTS_Throw(context: number, error: number): number;
}

/** An engine ready for a guest. It is never disposed, only dropped: after a guest fault its insides cannot be trusted. */
export interface Engine {
  readonly memory: WasmMemory;
  readonly runtime: QuickJSRuntime;
  readonly context: QuickJSContext;
  readonly raw: RawEngine;
}

let compiled: WasmModule | undefined;

/** The engine's code, compiled once per thread; give it to other threads to save them the work. */
export function quickJsModule(): WasmModule {
  compiled ??= new wasm.Module(readFileSync(codeFile()));
  return compiled;
}

function codeFile(): string {
  const require = createRequire(createRequire(import.meta.url).resolve("quickjs-emscripten"));
  return require.resolve("@jitl/quickjs-wasmfile-release-sync/wasm");
}

/** Makes an engine. `dateMillis` is the guest's only clock: its `Date` reads nothing else. */
export async function createEngine(limits: SandboxLimits, module: WasmModule, dateMillis: () => number): Promise<Engine> {
  const pages = Math.ceil((limits.memoryBytes + (limits.sharedBytes ?? 0) + reserveBytes) / pageBytes);
  const memory = new wasm.Memory({ initial: leastPages, maximum: Math.max(leastPages, pages) });
  let seeding = true;
  const variant = newVariant(RELEASE_SYNC, {
    wasmMemory: memory as never,
    emscriptenModule: {
      // A guest that corrupts its engine must not be able to print.
      print: ignore, printErr: ignore,
      instantiateWasm: async (imports: WasmImports, onSuccess: (instance: WasmInstance) => void) => {
        replaceImports(imports, memory, () => (seeding ? seedMillis : dateMillis()));
        const instance = await wasm.instantiate(module, imports);
        onSuccess(instance);
        return instance.exports;
      },
    } as never,
  });
  const quickjs = await newQuickJSWASMModuleFromVariant(variant);
  const runtime = quickjs.newRuntime();
  runtime.setMemoryLimit(limits.memoryBytes);
  runtime.setMaxStackSize(Math.min(limits.stackBytes, maxStackBytes));
  const context = runtime.newContext();
  seeding = false;
  const inner = quickjs as unknown as { module: RawModule; ffi: RawFfi };
  const contextPointer = (context as unknown as { ctx: { value: number } }).ctx.value;
  if (typeof inner.module?._malloc !== "function" || typeof inner.ffi?.QTS_NewArrayBuffer !== "function" || typeof contextPointer !== "number") {
    throw new AirlockError("Unsupported", "this quickjs-emscripten lacks the calls Airlock needs; install exactly 0.32.0");
  }
  checkAllocations(inner.module);
  return { memory, runtime, context, raw: { module: inner.module, ffi: inner.ffi, contextPointer } };
}

/** The guest's memory is full, beyond what is kept in reserve for the host; thrown on the host's side of a call, instead of writing to address 0. */
export class GuestMemoryFull extends Error {}

function checkAllocations(module: RawModule): void {
  const allocate = module._malloc.bind(module);
  module._malloc = (bytes) => {
    const pointer = allocate(bytes);
    if (pointer === 0) throw new GuestMemoryFull("out of memory");
    return pointer;
  };
}

/**
 * Puts the guest's clock in the place of the host's and UTC in the place of its time zone, and takes away what could set
 * a timer or an exit code in the host. Done at the imports, so that no guest code, not even one that corrupted its engine,
 * can reach the real ones. The imports' names are minified; their sources tell them.
 */
function replaceImports(imports: WasmImports, memory: WasmMemory, dateMillis: () => number): void {
  const functions = Object.values(imports)[0] ?? {};
  const find = (mark: RegExp): string => {
    const names = Object.keys(functions).filter((name) => typeof functions[name] === "function" && mark.test(String(functions[name])));
    if (names.length !== 1) throw new AirlockError("Unsupported", "this quickjs-emscripten has other imports; install exactly 0.32.0");
    return names[0]!;
  };
  functions[find(/^\(\)\s*=>\s*Date\.now\(\)$/)] = dateMillis;
  functions[find(/getSeconds\(\)/)] = (seconds: bigint, pointer: number) => writeUtc(memory, Number(seconds), pointer);
  const trap = (): never => { throw new wasm.RuntimeError("the guest's engine called for its host's timers or exit"); };
  functions[find(/setTimeout\(/)] = trap;
  functions[find(/onExit/)] = trap;
}

/** Fills C's `struct tm` (nine ints and the offset from UTC) as if the machine stood in UTC. */
function writeUtc(memory: WasmMemory, seconds: number, pointer: number): void {
  const date = new Date(seconds * 1000);
  const yearStart = Date.UTC(date.getUTCFullYear(), 0, 1);
  const fields = [
    date.getUTCSeconds(), date.getUTCMinutes(), date.getUTCHours(), date.getUTCDate(), date.getUTCMonth(),
    date.getUTCFullYear() - 1900, date.getUTCDay(), Math.floor((date.getTime() - yearStart) / 86_400_000), 0, 0,
  ];
  const view = new DataView(memory.buffer);
  fields.forEach((field, index) => view.setInt32(pointer + 4 * index, field, true));
}

function ignore(): void {
  // The engine has nothing to say that belongs on this process's output.
}
