/** Builds a module from C that needs no Linux: a hand-written driver on the border's own terms, or functions to call. */
// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { AirlockError } from "../../runtime/api/errors.ts";
import { takeLines } from "./asyncify.ts";
import { bundledToolchain } from "./bundled-toolchain.ts";
import { type ToolResult, findToolchain } from "./toolchain.ts";

/** What every module of the wasm tier exports. */
export const tierExports = ["airlock_load", "airlock_turn", "airlock_fault", "airlock_abi", "airlock_inbox", "airlock_outbox"] as const;

const mostMemoryBytes = 2 ** 30;
const compileFlags = [
  "--target=wasm32-unknown-unknown", "-O2", "-ffreestanding", "-nostdlib", "-mbulk-memory", "-fno-delete-null-pointer-checks", "-Wall", "-Wextra", "-Werror",
  "-gline-tables-only", "-gdwarf-4", "-fdebug-compilation-dir=.",
] as const;
const linkFlags = [
  "--no-entry", "--import-memory=airlock,memory", `--max-memory=${mostMemoryBytes}`, "--global-base=131072", "-z", "stack-size=65536",
] as const;

/** A module, its source map, and the same module as it was linked, with its line tables. */
export interface BareModule {
  readonly bytes: Uint8Array;
  readonly map: string;
  readonly linked: Uint8Array;
}

/** @throws AirlockError Unsupported without a C compiler, or when a source does not compile */
export async function buildBareModule(sources: readonly string[], exports: readonly string[]): Promise<BareModule> {
  const toolchain = await findToolchain({ path: process.env["PATH"] ?? "", bundled: bundledToolchain });
  const output = mkdtempSync(path.join(tmpdir(), "airlock-module-"));
  try {
    const objects = await Promise.all(sources.map(async (source) => {
      const object = path.join(output, `${path.basename(source)}.o`);
      succeeded(await toolchain.compile([...compileFlags, `-ffile-prefix-map=${path.dirname(source)}/=`, "-c", source, "-o", object]));
      return object;
    }));
    const file = path.join(output, "module.wasm");
    succeeded(await toolchain.link([...linkFlags, ...exports.map((name) => `--export=${name}`), ...objects, "-o", file]));
    const linked = readFileSync(file);
    const { module, map } = takeLines(linked);
    return { bytes: module, map: JSON.stringify(map), linked };
  } finally {
    rmSync(output, { recursive: true, force: true });
  }
}

function succeeded({ ok, diagnostics }: ToolResult): void {
  if (!ok) throw new AirlockError("Unsupported", `the module does not compile: ${diagnostics.trim()}`, { tool: "clang" });
}
