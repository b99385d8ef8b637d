/** Finds the compiler and linker: an installed clang with its wasm-ld, or else the npm package that is the same in WebAssembly. */
// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
import { accessSync, constants } from "node:fs";
import path from "node:path";
import { AirlockError } from "../../runtime/api/errors.ts";
import { runProgram } from "./run-program.ts";

/** The oldest compiler that makes what the environment needs; 19 is what it is tested with. */
export const leastClang = 17;
const testedClang = 19;
/** Newer majors that are looked for by their own name, as Debian installs them. */
const newestClang = 22;

/** The package with the compiler in WebAssembly. It is not installed by itself: it has 101 MB, and most have a clang. */
export const bundledPackage = "@yowasp/clang";
/** The version everything was tried with; package.json names the same. */
const bundledVersion = "22.0.0-git20542-10";

/** What a compiler or linker said. */
export interface ToolResult {
  readonly ok: boolean;
  readonly diagnostics: string;
}

/** A C compiler and a linker for wasm32. */
export interface Toolchain {
  /** Says which it is, for people and for the cache. */
  readonly name: string;
  /** Compiles as `clang <args>` does; writes what -o and -MF name. */
  compile(args: readonly string[]): Promise<ToolResult>;
  /** Links as `wasm-ld <args>` does. */
  link(args: readonly string[]): Promise<ToolResult>;
}

/** How a toolchain is looked for; tests give their own. */
export interface ToolSearch {
  readonly path: string;
  /** Loads the one in WebAssembly; undefined when it is not installed. */
  readonly bundled: () => Promise<Toolchain | undefined>;
}

/**
 * The toolchain to use: clang-19 first, then newer, then 18 and 17, then whatever "clang" is; each with its wasm-ld.
 * @throws AirlockError Unsupported when there is none, or only one that is too old
 */
export async function findToolchain({ path: searched, bundled }: ToolSearch): Promise<Toolchain> {
  const tooOld: string[] = [];
  const withoutLinker: string[] = [];
  for (const name of candidates()) {
    const clang = findProgram(name, searched);
    if (clang === undefined) continue;
    const version = await versionOf(clang);
    if (version === undefined || version.major < leastClang) {
      tooOld.push(version === undefined ? `${clang} does not say its version` : `${clang} is version ${version.text}`);
      continue;
    }
    const linker = findLinker(clang, version.major, searched);
    if (linker === undefined) withoutLinker.push(`${clang} has no wasm-ld-${version.major} beside it`);
    else return new InstalledToolchain(clang, version.text, linker);
  }
  const found = await bundled();
  if (found !== undefined) return found;
  const advice = `install clang-${testedClang} and lld-${testedClang} (apt-get install clang-${testedClang} lld-${testedClang}), or the npm package that is the same in WebAssembly (npm install --no-save ${bundledPackage}@${bundledVersion})`;
  if (withoutLinker.length > 0) throw new AirlockError("Unsupported", `no linker: ${withoutLinker.join("; ")}; ${advice}`, { tool: "wasm-ld" });
  if (tooOld.length > 0) throw new AirlockError("Unsupported", `the compiler is too old: ${tooOld.join("; ")}, clang ${leastClang} is needed at least; ${advice}`, { tool: "clang" });
  throw new AirlockError("Unsupported", `there is no C compiler for WebAssembly; ${advice}`, { tool: "clang" });
}

function candidates(): string[] {
  const newer = Array.from({ length: newestClang - testedClang }, (_, index) => `clang-${testedClang + 1 + index}`);
  const older = Array.from({ length: testedClang - leastClang }, (_, index) => `clang-${testedClang - 1 - index}`);
  return [`clang-${testedClang}`, ...newer, ...older, "clang"];
}

function findProgram(name: string, searched: string): string | undefined {
  return searched.split(path.delimiter).filter((folder) => folder !== "").map((folder) => path.join(folder, name)).find(isProgram);
}

/** The linker of the same version; Debian has it as wasm-ld-19, others as wasm-ld beside the compiler. */
function findLinker(clang: string, major: number, searched: string): string | undefined {
  const beside = path.join(path.dirname(clang), "wasm-ld");
  return findProgram(`wasm-ld-${major}`, searched) ?? (isProgram(beside) ? beside : undefined);
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

async function versionOf(clang: string): Promise<{ major: number; text: string } | undefined> {
  const { code, out } = await runProgram(clang, ["--version"], { timeoutMs: 30_000 });
  const found = code === 0 ? /clang version ((\d+)\.[\d.]+)/.exec(out) : null;
  return found === null ? undefined : { major: Number(found[2]), text: found[1]! };
}

class InstalledToolchain implements Toolchain {
  readonly name: string;
  readonly #clang: string;
  readonly #linker: string;

  constructor(clang: string, version: string, linker: string) {
    this.name = `clang ${version}`;
    this.#clang = clang;
    this.#linker = linker;
  }

  compile(args: readonly string[]): Promise<ToolResult> {
    return this.#run(this.#clang, args);
  }

  link(args: readonly string[]): Promise<ToolResult> {
    return this.#run(this.#linker, args);
  }

  async #run(program: string, args: readonly string[]): Promise<ToolResult> {
    const { code, out, err } = await runProgram(program, args);
    return { ok: code === 0, diagnostics: out + err };
  }
}
