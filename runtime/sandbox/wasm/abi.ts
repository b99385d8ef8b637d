/** The border of a WebAssembly driver as shims/abi/airlock.h states it: imports, exports, failures, faults and the layout of the setup. */

/** Modules of another version are refused. */
export const abiVersion = 1;
/** What modules import everything from. */
export const importModule = "airlock";
export const memoryImport = "memory";
/** Bytes at the start of every module's memory that hold nothing, so that a null pointer leads nowhere. */
export const nullBytes = 65_536;
/** Pages of a WebAssembly memory. */
export const wasmPageBytes = 65_536;

export type ValueType = "i32" | "i64" | "f32" | "f64";

export interface Signature {
  readonly parameters: readonly ValueType[];
  readonly results: readonly ValueType[];
}

function signature(parameters: string, results = ""): Signature {
  const types = (text: string): ValueType[] => text.split(" ").filter((one) => one !== "") as ValueType[];
  return { parameters: types(parameters), results: types(results) };
}

/** Every function a module may import, by name. */
export const importSignatures = {
  read: signature("i32 i32 i32", "i32"),
  post_read: signature("i32 i32 i32"),
  take_read: signature("", "i32"),
  write: signature("i32 i32 i32 i32"),
  irq: signature("i32 i32"),
  sync: signature("i32 i32 i32 i32"),
  log: signature("i32 i32 i32"),
  now: signature("", "f64"),
  timer: signature("i32 f64"),
  flush: signature("i32"),
  fail: signature("i32 i32 i32"),
  setup: signature("i32 i32", "i32"),
} as const satisfies Readonly<Record<string, Signature>>;

export type ImportName = keyof typeof importSignatures;

/** Every function a module has to export, by name. */
export const exportSignatures = {
  airlock_load: signature(""),
  airlock_turn: signature("i32"),
  airlock_fault: signature("i32 i32"),
} as const satisfies Readonly<Record<string, Signature>>;

export type ExportName = keyof typeof exportSignatures;

/** Immutable i32 globals that a module has to export, each the address of something: two mailboxes, and a word with the version. */
export const exportedAddresses = ["airlock_abi", "airlock_inbox", "airlock_outbox"] as const;

/** AIRLOCK_FAIL_*: what `fail` is called with, and what the failure is called then. */
export const failReasons = {
  1: { constant: "BUG", name: "Bug" },
  2: { constant: "MISSING", name: "MissingFunction" },
  3: { constant: "MEMORY", name: "OutOfMemory" },
  4: { constant: "ATOMIC", name: "SleepInAtomic" },
  5: { constant: "HEAP", name: "HeapCorrupted" },
  6: { constant: "PROBE", name: "ProbeFailed" },
  7: { constant: "PROTOCOL", name: "ProtocolViolation" },
} as const satisfies Readonly<Record<number, { constant: string; name: string }>>;

/** AIRLOCK_FAULT_*: what `airlock_fault` can be told to do. */
export const moduleFaults = {
  NULL_READ: 1, NULL_WRITE: 2, WILD_WRITE: 3, BUG: 4, LOOP: 5, SLEEP_IN_IRQ: 6, DOUBLE_FREE: 7, NULL_CALL: 8, EXHAUST_MEMORY: 9, STACK: 10,
} as const;

/** AIRLOCK_AT_*: where it does it. */
export const faultPlaces = { NOW: 0, OPERATION: 1, IRQ: 2 } as const;

/** Sizes of what `setup` writes, in bytes. */
export const nameBytes = 32;
export const optionValueBytes = 64;
export const setupHeaderBytes = 44 + nameBytes;
export const windowBytes = nameBytes + 16;
export const irqBytes = nameBytes;
export const regionBytes = nameBytes + 20;
export const optionBytes = nameBytes + optionValueBytes;

/** AIRLOCK_SETUP_*: what the setup's flags say. */
export const setupFlags = { CHECKING: 1 } as const;

export const rightBits = { read: 1, write: 2, readwrite: 3 } as const;
