/** Gives a guest its bridge functions: raw dispatch at the engine's callback where that is proven to work, else the public API. */
import type { QuickJSContext, QuickJSHandle } from "quickjs-emscripten";
import { AirlockError } from "../../api/errors.ts";
import type { GuestCalls, GuestError } from "../guest-calls.ts";
import { type CallFunction, type Engine, GuestMemoryFull } from "./engine.ts";
import { wasm } from "../web-assembly.ts";

/** How bridge calls reach the host: `fast` reads arguments from the guest's memory, `public` goes through the library. */
export type CallPath = "fast" | "public";

/** The bridge functions by name, as handles. */
export type BoundCalls = Readonly<Record<string, QuickJSHandle>>;

/** Function ids of our own. The library counts up from the other end of int32, and allocates a handful. */
const firstId = 0x4000_0000;
const valueBytes = 8;
/** JSValue tags with NaN boxing: 0 is an integer; what is neither near 0 nor near 2^32 is the high half of a double. */
const integerTag = 0;
const leastDoubleTag = 0x1000;
const mostDoubleTag = 0xffff_f000;

/** A value, or what the guest threw. */
export type GuestResult = { readonly error?: undefined; readonly value: QuickJSHandle } | { readonly error: QuickJSHandle };

type RawCall = (argc: number, argv: number) => number;

/** Binds all calls. `path` undefined takes the fast one when its self-test passes here; `memory` gives a region's buffer. */
export function bindCalls(engine: Engine, calls: GuestCalls, memory: (region: unknown) => QuickJSHandle, path?: CallPath): { bound: BoundCalls; path: CallPath } {
  const texts = publicObjectCalls(engine.context, calls, memory);
  if (path !== "public") {
    const fast = bindFast(engine, calls);
    if (fast !== undefined) return { bound: { ...fast, ...texts }, path: "fast" };
    if (path === "fast") throw new Error("the fast call path does not work with this quickjs-emscripten; install exactly 0.32.0");
  }
  return { bound: { ...publicNumberCalls(engine.context, calls), ...texts }, path: "public" };
}

/** A guest error object; its properties are defined, not set, so that no setter of the guest's runs. */
export function guestError(context: QuickJSContext, error: GuestError): QuickJSHandle {
  const handle = context.newError();
  const define = (key: string, text: string | undefined): void => {
    if (text === undefined) return;
    context.newString(text).consume((value) => context.defineProp(handle, key, { value, configurable: true, enumerable: false }));
  };
  define("name", error.name);
  define("message", error.message);
  define("code", error.code);
  return handle;
}

/** Calls that carry numbers only, by the library's public API. */
function publicNumberCalls(context: QuickJSContext, calls: GuestCalls): BoundCalls {
  const bind = publicBinder(context, calls);
  return {
    read: bind("read", 3, (a, b, c) => context.newNumber(calls.read(a, b, c))),
    write: bind("write", 4, (a, b, c, d) => calls.write(a, b, c, d)),
    irq: bind("irq", 2, (a, b) => calls.irq(a, b)),
    nowMicros: bind("nowMicros", 0, () => context.newNumber(calls.nowMicros())),
    timer: bind("timer", 2, (a, b) => calls.timer(a, b)),
    flush: bind("flush", 1, (a) => calls.flush(a)),
    shared: bind("shared", 1, (a) => context.newNumber(calls.shared(a))),
    sync: bind("sync", 4, (a, b, c, d) => calls.sync(a, b, c, d)),
  };
}

/** Calls that carry texts and buffers: rare, so the public API serves both paths. */
function publicObjectCalls(context: QuickJSContext, calls: GuestCalls, memory: (region: unknown) => QuickJSHandle): BoundCalls {
  const bind = publicBinder(context, calls);
  return {
    memory: bind("memory", 1, (a) => memory(a)),
    log: bind("log", 2, (a, b) => calls.log(a, b)),
    fail: bind("fail", 4, (a, b, c, d) => calls.fail(a, b, c, d)),
    setup: bind("setup", 0, () => context.newString(calls.setup())),
    fault: bind("fault", 0, () => context.newString(calls.fault())),
  };
}

type Binder = (name: string, length: number, run: (...args: unknown[]) => QuickJSHandle | void) => QuickJSHandle;

function publicBinder(context: QuickJSContext, calls: GuestCalls): Binder {
  return (name, length, run) => context.newFunction(name, (...handles) => {
    try {
      return run(...handles.slice(0, length).map((handle) => primitive(context, handle)));
    } catch (error) {
      const refusal = refuse(context, calls, error);
      return refusal === undefined ? undefined : { error: refusal };
    }
  });
}

/** The error the guest gets; undefined when there is no room for one, which finishes the guest. */
function refuse(context: QuickJSContext, calls: GuestCalls, error: unknown): QuickJSHandle | undefined {
  if (error instanceof GuestMemoryFull) {
    calls.limit("memory", error.message);
    return undefined;
  }
  if (error instanceof wasm.RuntimeError) {
    // Arguments that make the engine trap come from an engine that is no longer sound.
    calls.failed(calls.phase, "RuntimeError", `the engine trapped: ${error.message}`, "");
    return undefined;
  }
  try {
    return guestError(context, calls.refuse(error));
  } catch (second) {
    if (!(second instanceof GuestMemoryFull)) throw second;
    calls.limit("memory", second.message);
    return undefined;
  }
}

/** Numbers and strings as they are; everything else is undefined. Nothing is converted, so no guest code runs. */
function primitive(context: QuickJSContext, handle: QuickJSHandle): unknown {
  const type = context.typeof(handle);
  if (type === "number") return context.getNumber(handle);
  return type === "string" ? context.getString(handle) : undefined;
}

/** The fast path, or undefined when its self-test shows that the engine's insides are not as expected. */
function bindFast(engine: Engine, calls: GuestCalls): BoundCalls | undefined {
  const { context, raw: { ffi, module, contextPointer } } = engine;
  if (!fastPathExists(engine)) return undefined;
  const argument = argumentReader(engine);
  const probed: unknown[] = [];
  const number = (value: number): number => ffi.QTS_NewFloat64(contextPointer, value);
  const table: [name: string, length: number, call: RawCall][] = [
    ["read", 3, (argc, argv) => number(calls.read(argument(argc, argv, 0), argument(argc, argv, 1), argument(argc, argv, 2)))],
    ["write", 4, (argc, argv) => {
      calls.write(argument(argc, argv, 0), argument(argc, argv, 1), argument(argc, argv, 2), argument(argc, argv, 3));
      return 0;
    }],
    ["irq", 2, (argc, argv) => { calls.irq(argument(argc, argv, 0), argument(argc, argv, 1)); return 0; }],
    ["nowMicros", 0, () => number(calls.nowMicros())],
    ["timer", 2, (argc, argv) => { calls.timer(argument(argc, argv, 0), argument(argc, argv, 1)); return 0; }],
    ["flush", 1, (argc, argv) => { calls.flush(argument(argc, argv, 0)); return 0; }],
    ["shared", 1, (argc, argv) => number(calls.shared(argument(argc, argv, 0)))],
    ["sync", 4, (argc, argv) => {
      calls.sync(argument(argc, argv, 0), argument(argc, argv, 1), argument(argc, argv, 2), argument(argc, argv, 3));
      return 0;
    }],
    ["probe", probes.length, (argc, argv) => {
      for (let index = 0; index < probes.length; index++) probed.push(argument(argc, argv, index));
      return number(probed.length);
    }],
  ];
  const original = module.callbacks;
  const callFunction: CallFunction = (asyncify, caller, self, argc, argv, id) => {
    const entry = table[id - firstId];
    if (entry === undefined) return original.callFunction(asyncify, caller, self, argc, argv, id);
    try {
      return entry[2](argc, argv);
    } catch (error) {
      const refusal = refuse(context, calls, error);
      return refusal === undefined ? 0 : refusal.consume((handle) => ffi.QTS_Throw(contextPointer, (handle as unknown as { value: number }).value));
    }
  };
  const functions = table.map(([name, length], index) => {
    const pointer = ffi.QTS_NewFunction(contextPointer, name, length, false, firstId + index);
    return [name, adopt(context, pointer)] as const;
  });
  module.callbacks = Object.assign(Object.create(original) as typeof original, {
    callFunction,
    freeHostRef: (asyncify: unknown, runtime: number, id: number) => {
      if (table[id - firstId] === undefined) original.freeHostRef(asyncify, runtime, id);
    },
  });
  const { probe, ...bound } = Object.fromEntries(functions);
  if (probe !== undefined && selfTest(context, probe, probed)) return bound;
  module.callbacks = original;
  return undefined;
}

/** The value of Airlock's own script. The library's own error would carry the whole engine with it. */
export function expectValue(context: QuickJSContext, result: GuestResult): QuickJSHandle {
  if (result.error === undefined) return result.value;
  const message = context.getProp(result.error, "message").consume((value) => context.getString(value));
  throw new AirlockError("Unsupported", `the quickjs engine does not start: ${message}`);
}

/** A handle for a value pointer that came from the C interface. */
export function adopt(context: QuickJSContext, pointer: number): QuickJSHandle {
  const memory = (context as unknown as { memory: { heapValueHandle(pointer: number): QuickJSHandle } }).memory;
  return memory.heapValueHandle(pointer);
}

function fastPathExists({ context, raw: { ffi, module } }: Engine): boolean {
  const lacks = (holder: object | undefined, names: readonly string[]): boolean =>
    names.some((name) => typeof (holder as Record<string, unknown> | undefined)?.[name] !== "function");
  return !lacks(ffi, ["QTS_NewFunction", "QTS_ArgvGetJSValueConstPointer", "QTS_GetFloat64", "QTS_NewFloat64", "QTS_Throw"])
    && !lacks(module.callbacks, ["callFunction", "freeHostRef"])
    && !lacks((context as unknown as { memory?: object }).memory, ["heapValueHandle"]);
}

/** Reads argument `index` if it is a number, else gives undefined. Never converts, so it never runs guest code. */
function argumentReader({ memory, raw: { ffi, contextPointer } }: Engine): (argc: number, argv: number, index: number) => number | undefined {
  let words = new Uint32Array(memory.buffer);
  return (argc, argv, index) => {
    if (index >= argc) return undefined;
    if (words.length === 0) words = new Uint32Array(memory.buffer);
    const at = (argv + index * valueBytes) >>> 2;
    const tag = words[at + 1]!;
    if (tag === integerTag) return words[at]! | 0;
    // Also false for a tag outside of memory.
    if (!(tag >= leastDoubleTag && tag <= mostDoubleTag)) return undefined;
    return ffi.QTS_GetFloat64(contextPointer, ffi.QTS_ArgvGetJSValueConstPointer(argv, index));
  };
}

/** What the self-test passes, as guest source, and what the fast path has to see. */
const probes: readonly (readonly [source: string, seen: number | undefined])[] = [
  ["1", 1], ["-7", -7], ["1.5", 1.5], ["0xffffffff", 0xffff_ffff], ["-1e300", -1e300], ["5e-324", 5e-324], ["Infinity", Infinity],
  ["-Infinity", -Infinity], ["2**31", 2 ** 31], ["NaN", undefined], ['"x"', undefined], ["({ valueOf: () => 3 })", undefined],
  ["undefined", undefined], ["null", undefined], ["true", undefined], ["Symbol()", undefined], ["10n", undefined], ["2n ** 80n", undefined], ['"a" + "b".repeat(9000)', undefined],
];

function selfTest(context: QuickJSContext, probe: QuickJSHandle, probed: unknown[]): boolean {
  const source = `(probe) => probe(${probes.map(([text]) => text).join(", ")})`;
  const test = expectValue(context, context.evalCode(source, "airlock:self-test", { type: "global" }));
  const answer = test.consume((run) => context.callFunction(run, context.undefined, probe));
  const count = answer.error === undefined ? answer.value.consume((value) => context.getNumber(value)) : -1;
  return count === probes.length && probes.every(([, seen], index) => Object.is(probed[index], seen));
}
