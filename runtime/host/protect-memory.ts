/** Takes the start of a module's memory away with the addon, so that null pointers trap. */
import { isAirlockError } from "../api/errors.ts";
import { loadAddon } from "../native/addon.ts";
import { type WasmMemory, wasm } from "../sandbox/web-assembly.ts";

let can: boolean | undefined;

/** Whether memories can be protected in this process; tried once. Where not, modules have to check their addresses themselves. */
export function canProtectMemory(): boolean {
  return (can ??= protectMemory(new wasm.Memory({ initial: 1, maximum: 1 }), leastBytes));
}

/** A page of any processor. */
const leastBytes = 65_536;

/** False without the addon, and where V8 does not turn faults into traps. */
export function protectMemory(memory: WasmMemory, sizeBytes: number): boolean {
  try {
    return loadAddon().guardStart(memory, sizeBytes);
  } catch (error) {
    if (isAirlockError(error, "AddonMissing")) return false;
    throw error;
  }
}
