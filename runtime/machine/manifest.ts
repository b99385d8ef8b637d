/** Loads a driver package's manifest: `driver.json`, read and checked before any code of the package. */
import { realpathSync, statSync } from "node:fs";
import { isAbsolute, join, relative, sep } from "node:path";
import { isAirlockError } from "../api/errors.ts";
import type { QuiesceStep } from "../bus/platform.ts";
import { check } from "./check.ts";
import { dmaRegionsPerDriver, type Manifest, manifestSchema, optionMismatch, resourcesPerDriver, type WindowNeed } from "./manifest-schema.ts";
import { parseSource, type Path, Problems, readText, type Source } from "./source.ts";
import { advice } from "./suggest.ts";

/** The manifest's file in every package. */
export const manifestFile = "driver.json";
/** Largest manifest: a driver with every option and quiesce step it may have fits in a quarter of this. */
export const manifestMostBytes = 65_536;

/** A driver package whose manifest is checked. None of its code has been read. */
export interface LoadedManifest {
  /** The package's folder. */
  readonly directory: string;
  readonly manifest: Manifest;
  /** The entry file, symbolic links resolved; it lies inside the package. */
  readonly mainFile: string;
  /** Where each part of the manifest is written. */
  readonly source: Source;
}

/**
 * Loads the manifest of the package in `directory`.
 * @throws AirlockError ManifestInvalid with every problem as "file:line:col: what; what to do"; NotFound when there is none
 */
export function loadManifest(directory: string): LoadedManifest {
  const file = join(directory, manifestFile);
  const problems = new Problems();
  const loaded = readManifest(directory, problems);
  problems.throwIfAny("ManifestInvalid", file);
  return loaded!;
}

/**
 * Like `loadManifest`, with what is wrong in the file added to `problems`; then the result is undefined.
 * @throws AirlockError NotFound, or ManifestInvalid when the file is too large or no file
 */
export function readManifest(directory: string, problems: Problems): LoadedManifest | undefined {
  const file = join(directory, manifestFile);
  const text = readText(file, manifestMostBytes, "ManifestInvalid", "driver manifest");
  const before = problems.list.length;
  const source = parseSource(file, text, "json", problems);
  if (source === undefined) return undefined;
  const manifest = check(source, manifestSchema, problems);
  if (manifest === undefined) return undefined;
  const fail = (path: Path, what: string) => problems.add(file, source.locate(path), what);
  checkNeeds(manifest, fail);
  checkOptions(manifest, fail);
  for (const [index, step] of manifest.quiesce.entries()) checkStep(manifest, step, ["quiesce", index], fail);
  checkCode(manifest, fail);
  const main = findMain(directory, manifest);
  if ("wrong" in main) fail(["main"], main.wrong);
  return "wrong" in main || problems.list.length > before ? undefined : { directory, manifest, mainFile: main.file, source };
}

/** Whether a thrown error is about the package itself, so that it belongs in the list of problems. */
export function isPackageError(error: unknown): boolean {
  return isAirlockError(error, "NotFound") || isAirlockError(error, "ManifestInvalid");
}

type Fail = (path: Path, what: string) => void;

function checkNeeds({ needs }: Manifest, fail: Fail): void {
  const windows = Object.keys(needs.windows);
  const lines = [...needs.irqs, ...needs.optionalIrqs];
  if (windows.length + lines.length > resourcesPerDriver) {
    fail(["needs"], `needs ${windows.length + lines.length} windows and lines; a driver has at most ${resourcesPerDriver}`);
  }
  for (const [index, irq] of lines.entries()) {
    const at: Path = index < needs.irqs.length ? ["needs", "irqs", index] : ["needs", "optionalIrqs", index - needs.irqs.length];
    if (lines.indexOf(irq) !== index) fail(at, `line "${irq}" is needed twice; name it once`);
    if (windows.includes(irq)) fail(at, `"${irq}" is a window and a line; give each its own name`);
  }
  const regions = Object.entries(needs.dma);
  if (regions.length > dmaRegionsPerDriver) fail(["needs", "dma"], `has ${regions.length} regions; a driver has at most ${dmaRegionsPerDriver}`);
  for (const [region, { use, visible }] of regions) {
    if (visible === true && use !== "buffers") fail(["needs", "dma", region, "visible"], "is for buffers; a driver sees its own memory anyway, remove it");
    if (windows.includes(region) || lines.includes(region)) fail(["needs", "dma", region], `"${region}" is DMA memory and a window or line; give each its own name`);
    const first = regions.find(([, other]) => other.use === "buffers")?.[0];
    if (use === "buffers" && first !== region) fail(["needs", "dma", region, "use"], `is "buffers" as that of "${first}" is; a class has one region for its buffers`);
  }
  for (const [window, need] of Object.entries(needs.windows)) {
    const widest = Math.max(...need.widths) / 8;
    if (need.sizeBytes !== undefined && widest > need.sizeBytes) fail(
      ["needs", "windows", window, "widths"],
      `a ${widest * 8}-bit access does not fit in ${need.sizeBytes} bytes; leave that width out`,
    );
  }
}

/** A module is not readable, so that its manifest says which one it was written for. */
function checkCode({ tier, sha256 }: Manifest, fail: Fail): void {
  if (tier === "wasm" && sha256 === undefined) fail(["tier"], 'is "wasm", for which key "sha256" is missing; build the package with "airlock build", which writes it');
  if (tier !== "wasm" && sha256 !== undefined) fail(["sha256"], `is for the tier wasm; remove it`);
}

function checkOptions(manifest: Manifest, fail: Fail): void {
  for (const [option, declared] of Object.entries(manifest.options)) {
    if (declared.type === "number" && declared.min !== undefined && declared.max !== undefined && declared.min > declared.max) {
      fail(["options", option, "max"], `is below min; write at least ${declared.min}`);
    }
    if (declared.optional === true && declared.default !== undefined) fail(["options", option, "optional"], "is for an option without default; remove one of them");
    const mismatch = declared.default === undefined ? undefined : optionMismatch(declared, declared.default);
    if (mismatch !== undefined) fail(["options", option, "default"], `the option's own declaration refuses this default; ${mismatch}`);
  }
}

/** A quiesce step may do what the driver may do, no more. */
function checkStep({ needs }: Manifest, step: QuiesceStep, path: Path, fail: Fail): void {
  if (!Object.hasOwn(needs.windows, step.window)) {
    fail(
      [...path, "window"],
      `quiesce uses window "${step.window}", which is not needed; ${advice(step.window, Object.keys(needs.windows), "needed window")}`,
    );
    return;
  }
  const need = needs.windows[step.window] as WindowNeed;
  const bytes = step.width / 8;
  if (!need.widths.includes(step.width)) fail(
    [...path, "width"],
    `is ${step.width}; window "${step.window}" is needed with ${need.widths.join(", ")}`,
  );
  if (need.sizeBytes !== undefined && step.offset + bytes > need.sizeBytes) fail([...path, "offset"], `is outside window "${step.window}"; it has ${need.sizeBytes} bytes`);
  if (step.offset % bytes !== 0) fail([...path, "offset"], `is not aligned; write a multiple of ${bytes}`);
  const rights = step.do === "modify" ? "readwrite" : step.do;
  if (need.rights !== "readwrite" && need.rights !== rights) fail(
    [...path, "do"],
    `is "${step.do}"; window "${step.window}" is needed for ${need.rights} only`,
  );
  const values = step.do === "write" ? ["value"] : step.do === "modify" ? ["and", "or"] : [];
  for (const key of values) {
    const value = (step as unknown as Record<string, number>)[key]!;
    if (value >= 2 ** step.width) fail([...path, key], `is ${value}; it has to fit in ${step.width} bits`);
  }
}

/** The entry file's real path, or what is wrong with it. */
function findMain(directory: string, { main, tier }: Manifest): { readonly file: string } | { readonly wrong: string } {
  if (isAbsolute(main) || main.includes("\\") || main.split("/").includes("..")) {
    return { wrong: `main "${main}" leaves the package; write a path inside it, such as driver.ts` };
  }
  if (tier === "wasm" && !main.endsWith(".wasm")) return { wrong: `main "${main}" is no WebAssembly module, which the tier wasm runs; name one, such as driver.wasm` };
  if (tier !== "wasm" && !/\.(?:ts|js|mjs|mts)$/.test(main)) return {
    wrong: `main "${main}" is no TypeScript or JavaScript file; name one, such as driver.ts`,
  };
  try {
    const root = realpathSync(directory);
    const file = realpathSync(join(root, main));
    const inside = relative(root, file);
    if (inside.split(sep)[0] === ".." || isAbsolute(inside)) return {
      wrong: `main "${main}" is a link that leaves the package; put the file inside it`,
    };
    return statSync(file).isFile() ? { file } : { wrong: `main "${main}" is no file; name the entry file` };
  } catch {
    return { wrong: `main "${main}" does not exist; name the entry file` };
  }
}
