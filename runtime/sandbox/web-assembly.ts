/** The part of the WebAssembly API that tiers use, typed: Node has it, its type package (without the DOM's) does not. */

export type WasmModule = WebAssembly.Module;
export type WasmImports = Record<string, Record<string, unknown>>;

export interface WasmMemory {
  /** Another one after each growth; the old one is detached. */
  readonly buffer: ArrayBuffer;
}

export interface WasmInstance {
  readonly exports: Record<string, unknown>;
}

export interface WasmGlobal {
  value: number;
}

interface WasmApi {
  readonly Module: new (bytes: Uint8Array) => WasmModule;
  readonly Memory: new (limits: { initial: number; maximum: number }) => WasmMemory;
  readonly Instance: new (module: WasmModule, imports: WasmImports) => WasmInstance;
  readonly RuntimeError: new (message: string) => Error;
  readonly CompileError: new (message: string) => Error;
  validate(bytes: Uint8Array): boolean;
  compile(bytes: Uint8Array): Promise<WasmModule>;
  instantiate(module: WasmModule, imports: WasmImports): Promise<WasmInstance>;
}

export const wasm = (globalThis as unknown as { WebAssembly: WasmApi }).WebAssembly;
