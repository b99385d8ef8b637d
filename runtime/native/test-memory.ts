/** WebAssembly memories for tests, typed: Node's type package has the names only. */
export interface TestWasmMemory {
  readonly buffer: ArrayBuffer;
  grow(pages: number): number;
}

interface WasmApi {
  readonly Memory: new (descriptor: { initial: number; maximum?: number; shared?: boolean }) => TestWasmMemory;
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object, imports: object) => { readonly exports: Readonly<Record<string, unknown>> };
}

const wasm = (globalThis as unknown as { WebAssembly: WasmApi }).WebAssembly;

export const wasmPageBytes = 65_536;

/** A memory of so many pages of 64 KiB. */
export function wasmMemory(initial: number, more: { maximum?: number; shared?: boolean } = {}): TestWasmMemory {
  return new wasm.Memory({ initial, ...more });
}

/** (module (memory (import "" "m") 1) (func (export "load") (param i32) (result i32) local.get 0 i32.load8_u)) */
const loaderCode = [
  0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 6, 1, 0x60, 1, 0x7f, 1, 0x7f, 2, 7, 1, 0, 1, 0x6d, 2, 0, 1, 3, 2, 1, 0,
  7, 8, 1, 4, 0x6c, 0x6f, 0x61, 0x64, 0, 0, 10, 9, 1, 7, 0, 0x20, 0, 0x2d, 0, 0, 0x0b,
];

/** Compiled code that loads one byte of a memory. */
export function wasmLoader(memory: TestWasmMemory): (address: number) => number {
  const instance = new wasm.Instance(new wasm.Module(Uint8Array.from(loaderCode)), { "": { m: memory } });
  return instance.exports["load"] as (address: number) => number;
}
