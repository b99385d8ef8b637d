/** Everything that can be found wrong with a driver package without running any of its code, for `airlock check`. */
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { transform } from "esbuild";
import type { ClassContract } from "../api/contract.ts";
import { errorText } from "../api/errors.ts";
import { bundleDriver, checkImports, runtimeSourcePrefix } from "../host/bundle.ts";
import { loadModule } from "../host/module-package.ts";
import { type LoadedManifest, readManifest } from "../machine/manifest.ts";
import { type Path, type Problem, Problems } from "../machine/source.ts";
import { advice } from "../machine/suggest.ts";
import { classNames, loadClass } from "./class-modules.ts";

/** What `airlock check` found. `manifest` is absent when it has problems itself. */
export interface PackageCheck {
  readonly problems: readonly Problem[];
  readonly manifest: LoadedManifest | undefined;
}

/** Checks the package in `directory`. @throws AirlockError NotFound when it has no manifest, ManifestInvalid when that is no readable file */
export async function checkPackage(directory: string): Promise<PackageCheck> {
  const problems = new Problems();
  const loaded = readManifest(directory, problems);
  if (loaded === undefined) return { problems: problems.list, manifest: undefined };
  await checkClass(loaded, problems);
  if (loaded.manifest.tier === "wasm") {
    await checkModule(loaded, problems);
    return { problems: problems.list, manifest: loaded };
  }
  const imports = await checkImports(directory, loaded.manifest.main);
  for (const { file, line, column, message } of imports) problems.add(path.join(directory, file), { line, column }, message);
  if (imports.length === 0) await checkCode(loaded, problems);
  return { problems: problems.list, manifest: loaded };
}

/** The contract of a class; undefined when there is no such class. */
export async function loadContract(name: string): Promise<ClassContract | undefined> {
  return classNames().includes(name) ? (await loadClass(name)).contract : undefined;
}

async function checkClass({ manifest, source }: LoadedManifest, problems: Problems): Promise<void> {
  const fail = (at: Path, text: string): void => problems.add(source.file, source.locate(at), text);
  const contract = await loadContract(manifest.class);
  if (contract === undefined) {
    fail(["class"], `there is no class "${manifest.class}"; ${advice(manifest.class, classNames(), "class")}`);
    return;
  }
  if (contract.version !== manifest.contractVersion) {
    fail(["contractVersion"], `is ${manifest.contractVersion}; this build has version ${contract.version} of class ${manifest.class}`);
  }
  const hasBuffers = Object.values(manifest.needs.dma).some(({ use }) => use === "buffers");
  if (contract.queueList.length > 0 && !hasBuffers) {
    fail(["needs"], `asks for no DMA memory that class ${manifest.class} could keep its data in; write dma: { buffers: { size: "8MiB", use: "buffers" } }`);
  }
}

/** A module is as it was built, and imports nothing but what drivers may. */
async function checkModule({ directory, manifest, mainFile }: LoadedManifest, problems: Problems): Promise<void> {
  const error = await loadModule({ directory, file: mainFile, sha256: manifest.sha256!, isCounted: false }).then(() => undefined, (cause: unknown) => cause);
  if (error !== undefined) problems.add(mainFile, { line: 1, column: 1 }, errorText(error));
}

/** One file of the package as code without comments and types. */
interface OwnFile {
  readonly file: string;
  readonly text: string;
  readonly code: string;
}

/** What the code uses, against what the manifest asks for. Only what is certain is reported. */
async function checkCode(loaded: LoadedManifest, problems: Problems): Promise<void> {
  const bundle = await bundleDriver(loaded.directory, loaded.manifest.main).catch((error: Error) => error);
  if (bundle instanceof Error) return problems.add(path.join(loaded.directory, loaded.manifest.main), { line: 1, column: 1 }, bundle.message);
  const files = await ownFiles(loaded.directory, bundle.map);
  checkContract(loaded, files, problems);
  checkNeeds(loaded, files.map(({ code }) => code).join("\n"), problems);
}

async function ownFiles(directory: string, map: string): Promise<OwnFile[]> {
  const { sources } = JSON.parse(map) as { sources: string[] };
  const own = sources.filter((source) => !source.startsWith(runtimeSourcePrefix) && existsSync(path.join(directory, source)));
  return Promise.all(own.map(async (source) => {
    const file = path.join(directory, source);
    const text = readFileSync(file, "utf8");
    const loader = source.endsWith("ts") ? "ts" : "js";
    const { code } = await transform(text, { loader, minifyWhitespace: true, legalComments: "none", charset: "utf8", logLevel: "silent" });
    return { file, text, code };
  }));
}

/** A driver implements the class its manifest names, so it imports that contract and no other. */
function checkContract({ manifest, mainFile }: LoadedManifest, files: readonly OwnFile[], problems: Problems): void {
  const imported = new Set<string>();
  for (const { file, text } of files) {
    for (const match of text.matchAll(/^\s*(?:import|export)\b[^;"']*["']airlock\/driver\/([a-z0-9-]+)["']/gm)) {
      const name = match[1]!;
      imported.add(name);
      const at = position(text, match.index + match[0].lastIndexOf("airlock/driver/"));
      if (name !== manifest.class) problems.add(file, at, `imports the contract of class "${name}", but the manifest says class "${manifest.class}"; correct one of them`);
    }
  }
  if (imported.size > 0) return;
  const wanted = `import { ${manifest.class} } from "airlock/driver/${manifest.class}"`;
  problems.add(mainFile, { line: 1, column: 1 }, `imports no class contract; write ${wanted}`);
}

/** Needs nobody uses: a machine file would have to grant them for nothing. */
function checkNeeds({ manifest, source }: LoadedManifest, code: string, problems: Problems): void {
  const { windows, irqs, dma } = manifest.needs;
  const fail = (at: Path, text: string, what: "key" | "value" = "key"): void => problems.add(source.file, source.locate(at, what), text);
  // A name put together from parts is not seen, and names rarely are.
  const isNamed = (name: string): boolean => ['"', "'", "`"].some((quote) => code.includes(quote + name + quote));
  const quiesced = (name: string) => manifest.quiesce.filter((step) => step.window === name);
  for (const [name, need] of Object.entries(windows)) {
    const at: Path = ["needs", "windows", name];
    const steps = quiesced(name);
    if (!isNamed(name) && steps.length === 0) {
      fail(at, `asks for window "${name}", which the code never names; remove it`);
      continue;
    }
    for (const width of need.widths) {
      const used = new RegExp(`\\b(?:read|write)${width}\\b`).test(code) || steps.some((step) => step.width === width);
      if (used || accessesByName(code)) continue;
      fail([...at, "widths"], `asks for ${width}-bit accesses to window "${name}", which the code never makes; remove that width`, "value");
    }
    if (accessesByName(code)) continue;
    if (need.rights !== "read" && !/\bwrite(?:8|16|32)\b/.test(code) && !steps.some((step) => step.do !== "read")) {
      fail([...at, "rights"], `asks to write to window "${name}", which the code never does; write "read"`, "value");
    }
    if (need.rights !== "write" && !/\bread(?:8|16|32)\b/.test(code) && !steps.some((step) => step.do !== "write")) {
      fail([...at, "rights"], `asks to read window "${name}", which the code never does; write "write"`, "value");
    }
  }
  for (const [index, name] of irqs.entries()) {
    if (!isNamed(name)) fail(["needs", "irqs", index], `asks for line "${name}", which the code never names; remove it`, "value");
  }
  for (const [name, { use }] of Object.entries(dma)) {
    if (use === "driver" && !isNamed(name)) fail(["needs", "dma", name], `asks for DMA memory "${name}", which the code never names; remove it`);
  }
  for (const name of Object.keys(manifest.options)) {
    if (!isNamed(name) && !new RegExp(`\\b${name}\\b`).test(code)) fail(["options", name], `declares option "${name}", which the code never reads; remove it`);
  }
}

/** Whether methods are called by computed names, so that nothing can be said about which. */
function accessesByName(code: string): boolean {
  return /\[\s*(?:`|["'](?:read|write)["'])/.test(code);
}

function position(text: string, offset: number): { line: number; column: number } {
  const before = text.slice(0, offset).split("\n");
  return { line: before.length, column: before.at(-1)!.length + 1 };
}
