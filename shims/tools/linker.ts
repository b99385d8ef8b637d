/** Links driver objects with the environment: finds what nobody defines, makes stubs for functions, and refuses missing data and wrong types. */
// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { AirlockError } from "../../runtime/api/errors.ts";
import type { Cache } from "./cache.ts";
import { makeStubs, type StubPolicy } from "./stubs.ts";
import type { Toolchain, ToolResult } from "./toolchain.ts";
import { type ImportedFunction, importedFunctions } from "./wasm-reader.ts";

/** What is linked. */
export interface LinkInput {
  /** Always part of the module. */
  readonly objects: readonly string[];
  /** Taken where something refers to them. */
  readonly library: readonly string[];
}

/** What a link lacks; all lists sorted. */
export interface LinkReport {
  /** Functions nobody defines and the stub table does not speak of. */
  readonly missingFunctions: readonly string[];
  /** Functions the stub table speaks of. */
  readonly stubbedFunctions: readonly string[];
  readonly missingData: readonly string[];
  /** Functions that are called with another type than they have. */
  readonly mismatches: readonly string[];
  /** Names that two objects define. */
  readonly duplicates: readonly string[];
  /** Anything else the linker refused; empty when it links. */
  readonly complaint: string;
}

/** A finished link. */
export interface Linked extends LinkReport {
  /** The module with its line tables; undefined when it does not link. */
  readonly module: Uint8Array | undefined;
}

/** Where the border's functions come from, and asyncify's, which the next step resolves. */
const knownModules: ReadonlySet<string> = new Set(["airlock", "asyncify"]);
/** Every memory needs a maximum; the trusted side gives one of the size it allows, which is below this. */
const memoryMostBytes = 2 ** 30;
/** Where a linker imports what nobody defines from. */
const undefinedModule = "env";

export class Linker {
  readonly #toolchain: Toolchain;
  readonly #cache: Cache;
  readonly #flags: readonly string[];
  readonly #machineFlags: readonly string[];
  readonly #policies: ReadonlyMap<string, StubPolicy>;

  /** `flags`: of every link. `compileFlags`: of every compile; those that name the machine also make the stubs. */
  constructor(toolchain: Toolchain, cache: Cache, flags: readonly string[], compileFlags: readonly string[], policies: ReadonlyMap<string, StubPolicy>) {
    this.#toolchain = toolchain;
    this.#cache = cache;
    // Where the memory comes from is the border's, not the environment's.
    this.#flags = [...flags.filter((flag) => !/^--(?:import|max)-memory/.test(flag)), "--import-memory=airlock,memory", `--max-memory=${memoryMostBytes}`, "--error-limit=0"];
    this.#machineFlags = compileFlags.filter((flag) => flag.startsWith("--target=") || flag.startsWith("-m"));
    this.#policies = policies;
  }

  /** Links. What is lacking is a result. @throws AirlockError InvalidArgument for a wrong stub table */
  async link(input: LinkInput): Promise<Linked> {
    const folder = this.#cache.temporary("link");
    mkdirSync(folder);
    try {
      return await this.#linkIn(folder, input);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }

  async #linkIn(folder: string, input: LinkInput): Promise<Linked> {
    const first = path.join(folder, "first.wasm");
    const trial = await this.#run(folder, input, first, ["--allow-undefined"]);
    const undefinedFunctions = trial.ok ? undefinedIn(readFileSync(first)) : [];
    const stubs = makeStubs(undefinedFunctions, this.#policies);
    const report = { missingFunctions: stubs.missing, stubbedFunctions: stubs.known, missingData: [], ...readComplaints(trial) };
    if (!trial.ok) return { ...report, module: undefined };
    const object = await this.#assemble(folder, stubs.text);
    const final = path.join(folder, "final.wasm");
    const result = await this.#run(folder, { ...input, objects: [...input.objects, object] }, final, []);
    if (!result.ok) return { ...report, ...readComplaints(result), missingData: undefinedNames(result.diagnostics), module: undefined };
    return { ...report, module: readFileSync(final) };
  }

  #run(folder: string, { objects, library }: LinkInput, output: string, extra: readonly string[]): Promise<ToolResult> {
    const args = [...this.#flags, ...extra, ...objects, "--start-lib", ...library, "--end-lib", "-o", output];
    // A core is more files than a command line may hold.
    const response = path.join(folder, `${path.basename(output)}.args`);
    writeFileSync(response, args.map((arg) => `"${arg.replaceAll(/["\\]/g, String.raw`\$&`)}"\n`).join(""));
    return this.#toolchain.link([`@${response}`]);
  }

  async #assemble(folder: string, text: string): Promise<string> {
    const source = path.join(folder, "stubs.s");
    const object = path.join(folder, "stubs.o");
    writeFileSync(source, text);
    const { ok, diagnostics } = await this.#toolchain.compile([...this.#machineFlags, "-c", source, "-o", object]);
    if (ok) return object;
    throw new AirlockError("Unsupported", `${this.#toolchain.name} cannot assemble the stubs of missing functions: ${firstLine(diagnostics)}`, { tool: this.#toolchain.name });
  }
}

/** The functions a trial link left to be imported. @throws AirlockError Unsupported for one from elsewhere */
function undefinedIn(module: Uint8Array): ImportedFunction[] {
  const imports = importedFunctions(module);
  const strange = imports.find((one) => one.module !== undefinedModule && !knownModules.has(one.module));
  if (strange !== undefined) {
    throw new AirlockError("Unsupported", `the driver imports ${strange.name} from "${strange.module}"; a driver imports nothing but the environment's functions`, { module: strange.module });
  }
  return imports.filter(({ module: from }) => from === undefinedModule);
}

/** Sorts what the linker said into what can be said better here. */
function readComplaints({ ok, diagnostics }: ToolResult): Pick<LinkReport, "mismatches" | "duplicates" | "complaint"> {
  const mismatches = names(diagnostics, /function signature mismatch: (\S+)/g);
  const duplicates = names(diagnostics, /duplicate symbol: (\S+)/g);
  const known = mismatches.length + duplicates.length + undefinedNames(diagnostics).length > 0;
  return { mismatches, duplicates, complaint: ok || known ? "" : firstLine(diagnostics) };
}

function undefinedNames(diagnostics: string): string[] {
  return names(diagnostics, /undefined symbol: (\S+)/g);
}

function names(text: string, pattern: RegExp): string[] {
  return [...new Set([...text.matchAll(pattern)].map(([, name]) => name!))].sort();
}

function firstLine(diagnostics: string): string {
  const lines = diagnostics.split("\n").filter((line) => line.trim() !== "");
  return (lines.find((line) => /\berror\b/.test(line)) ?? lines[0] ?? "it said nothing").trim();
}
