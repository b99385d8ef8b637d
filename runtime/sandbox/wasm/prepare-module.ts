/** Makes a driver's module ready to be run: checked, rewritten, compiled. Done once per package; threads share what comes of it. */
import { AirlockError, errorText } from "../../api/errors.ts";
import { type WasmModule, wasm } from "../web-assembly.ts";
import { type ModuleFacts, checkModule } from "./check-module.ts";
import { readModule } from "./read-module.ts";
import type { ModuleForm } from "./rewrite-body.ts";
import { rewriteModule } from "./rewrite-module.ts";

/** Largest module: the largest Linux drivers with the subsystems below them have a tenth of it, and compiling takes time that nobody can stop. */
export const mostModuleBytes = 16 * 2 ** 20;

/** A driver's code in this tier. Plain data and a compiled module: it can be posted to other threads, which then share the code. */
export interface PreparedModule extends ModuleForm {
  readonly module: WasmModule;
  readonly facts: ModuleFacts;
  /** From offsets of what runs to offsets of the package's own file; see originalOffset. */
  readonly shifts: Int32Array;
  /** Functions that are the driver's; those with higher indices are of the rewriting. */
  readonly functions: number;
}

/**
 * Nothing of the module runs. What its form has it do besides costs time: each loop and call, or each load and store.
 * @throws AirlockError BundleInvalid with everything that is wrong, by name
 */
export async function prepareModule(name: string, bytes: Uint8Array, form: ModuleForm): Promise<PreparedModule> {
  if (bytes.length > mostModuleBytes) throw new AirlockError("BundleInvalid", `${name}: ${bytes.length} bytes, the limit is ${mostModuleBytes}; drivers are smaller`, { module: name });
  const read = readModule(bytes);
  const facts = checkModule(name, read);
  const { bytes: code, shifts } = rewriteModule(read, form);
  // What is added has the indices behind a module's own: that nothing of it names them already, only a validation of the original can tell.
  if (!wasm.validate(bytes)) await compile(name, bytes);
  return { module: await compile(name, code), facts, isCounted: form.isCounted, checksNull: form.checksNull, shifts, functions: read.functionImports.length + read.functions.length };
}

async function compile(name: string, bytes: Uint8Array): Promise<WasmModule> {
  try {
    return await wasm.compile(bytes);
  } catch (cause) {
    throw new AirlockError("BundleInvalid", `${name}: it does not compile: ${errorText(cause)}; build it anew`, { module: name }, { cause });
  }
}
