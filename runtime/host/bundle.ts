/** Bundles a driver package into one script, and refuses whatever is not the driver's own or Airlock's public API. */
import { existsSync, realpathSync, statSync } from "node:fs";
import path from "node:path";
import { type BuildFailure, type BuildOptions, type BuildResult, type Message, build, stop } from "esbuild";
import { AirlockError, errorText } from "../api/errors.ts";
import type { ScriptBundle } from "./driver-host.ts";
import { entryName, guestSpecifier, isInside, ownPrefix, packageFiles, runtimeDir } from "./package-files.ts";

/** A bundle is parsed by every sandbox that loads it: 4 MiB takes one about a second, and drivers are far smaller. */
export const maxBundleBytes = 4 * 1024 * 1024;
/** Errors that are spelled out; what is wrong beyond these is wrong for the same reasons. */
const maxErrors = 5;
/** Sources in a map that are Airlock's own begin with this; see source-position.ts. */
export const runtimeSourcePrefix = "airlock/";

/** One import of a driver package that drivers may not make, or code that does not parse. Lines and columns count from 1. */
export interface BundleProblem {
  /** Path relative to the package. */
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly message: string;
}

/**
 * Bundles the driver whose `main` (relative to the package, as its manifest says) exports a driver definition.
 * The result's script has a DriverEntry as its value. Throws BundleInvalid with file, line and column.
 */
export async function bundleDriver(packageDir: string, main: string): Promise<ScriptBundle> {
  const root = packageRoot(packageDir);
  const key = `${root}\0${main}`;
  const kept = bundles.get(key);
  if (kept !== undefined && (kept.stamp === undefined || kept.stamp() === kept.made)) return kept.bundle;
  const entry: Kept = { bundle: makeBundle(root, main, (files) => {
    entry.stamp = () => stampOf(files);
    entry.made = entry.stamp();
  }) };
  bundles.delete(key);
  bundles.set(key, entry);
  if (bundles.size > maxKeptBundles) bundles.delete(bundles.keys().next().value!);
  entry.bundle.catch(() => { if (bundles.get(key) === entry) bundles.delete(key); });
  return entry.bundle;
}

/** A bundle that is made or being made; once made, `stamp` tells whether its files are still those it was made of. */
interface Kept {
  readonly bundle: Promise<ScriptBundle>;
  stamp?: () => string;
  made?: string;
}

const bundles = new Map<string, Kept>();
/** Many drivers of one machine share a package, few machines have more packages than this. */
const maxKeptBundles = 64;

/** Sizes and times of the files a bundle was made of. */
function stampOf(files: readonly string[]): string {
  return files.map((file) => {
    const stat = statSync(file, { throwIfNoEntry: false });
    return stat === undefined ? "gone" : `${stat.size}@${stat.mtimeMs}@${stat.ino}`;
  }).join();
}

async function makeBundle(root: string, main: string, from: (files: readonly string[]) => void): Promise<ScriptBundle> {
  const name = `${path.basename(root)}/bundle.js`;
  const result = await runBuild(root, main);
  if (Array.isArray(result)) throw invalid(path.basename(root), result);
  from(Object.keys(result.metafile.inputs).filter((file) => file !== entryName).map((file) => path.resolve(runtimeDir(), withoutNamespace(file))));
  const files = result.outputFiles;
  const code = files.find((file) => file.path.endsWith(".js"));
  const map = files.find((file) => file.path.endsWith(".map"));
  if (code === undefined || map === undefined) throw new AirlockError("BundleInvalid", `${name}: the bundler gave no script`);
  if (code.contents.length > maxBundleBytes) {
    throw new AirlockError("BundleInvalid", `${name}: ${code.contents.length} bytes, the limit is ${maxBundleBytes}; drivers are smaller, look for embedded data`);
  }
  return { code: code.text, map: cleanMap(map.text, root), name };
}

/** Everything wrong with a package's code, without making a bundle of it: for `airlock check`. Empty when it bundles. */
export async function checkImports(packageDir: string, main: string): Promise<readonly BundleProblem[]> {
  const result = await runBuild(packageRoot(packageDir), main);
  return Array.isArray(result) ? result : [];
}

type Built = BuildResult<{ write: false; metafile: true }>;

async function runBuild(root: string, main: string): Promise<Built | BundleProblem[]> {
  if (!isInside(root, path.resolve(root, main)) || !existsSync(path.resolve(root, main))) {
    return [{ file: "driver.json", line: 1, column: 1, message: `main "${main}" is not a file of this package` }];
  }
  const built = building.then(() => buildAlone(root, buildOptions(root, `./${main}`)));
  building = built.catch(() => undefined);
  return built;
}

/** One build at a time: what brings the bundler's process down is then the package that is being bundled. */
let building: Promise<unknown> = Promise.resolve();

async function buildAlone(root: string, options: BuildOptions & { write: false; metafile: true }): Promise<Built | BundleProblem[]> {
  try {
    return await build(options);
  } catch (error) {
    const errors = (error as Partial<BuildFailure>).errors;
    if (errors !== undefined) return errors.map((each) => problem(root, each));
    // Its process has ended, as it does when code nests too deeply for it; the next build starts a new one.
    await stop();
    return [{ file: "driver.json", line: 1, column: 1, message: `the bundler cannot read this package's code: ${errorText(error)}; look for code that nests very deeply` }];
  }
}

function buildOptions(root: string, entry: string): BuildOptions & { write: false; metafile: true } {
  return {
    stdin: {
      contents: `import driver from ${JSON.stringify(entry)};\nimport { serve } from "${guestSpecifier}";\nexport default (bridge) => serve(driver, bridge);\n`,
      sourcefile: entryName, loader: "js",
    },
    // Not the package's folder: the bundler would read its package.json.
    absWorkingDir: runtimeDir(), outfile: path.join(runtimeDir(), "bundle.js"), write: false, metafile: true, bundle: true, logLevel: "silent",
    // The wrapping function keeps the bundle's names out of the global scope; its value is the script's.
    format: "iife", globalName: "airlockDriver", banner: { js: "(() => {" }, footer: { js: "return airlockDriver.default;\n})();" },
    target: "es2022", platform: "neutral", charset: "utf8", sourcemap: "external", sourcesContent: true,
    // A package's own tsconfig could reach outside of it.
    tsconfigRaw: {},
    // There is no module to tell about in a bundle, and nothing that a driver may import later.
    logOverride: { "empty-import-meta": "error", "unsupported-dynamic-import": "error", "unsupported-require-call": "error" },
    plugins: [packageFiles(root, maxBundleBytes)],
  };
}

function packageRoot(packageDir: string): string {
  try {
    return realpathSync(packageDir);
  } catch (cause) {
    throw new AirlockError("BundleInvalid", `${packageDir}: no such driver package`, {}, { cause });
  }
}

function problem(root: string, { text, location }: Message): BundleProblem {
  const file = location === null || location.file === entryName ? "driver.json" : withoutNamespace(location.file);
  const relative = path.isAbsolute(file) ? path.relative(root, file) : file;
  return { file: relative, line: location?.line ?? 1, column: (location?.column ?? 0) + 1, message: text };
}

function invalid(packageName: string, problems: readonly BundleProblem[]): AirlockError {
  const shown = problems.slice(0, maxErrors).map(({ file, line, column, message }) => `${packageName}/${file}:${line}:${column}: ${message}`);
  const more = problems.length > maxErrors ? `; and ${problems.length - maxErrors} more` : "";
  const { file, line, column } = problems[0]!;
  return new AirlockError("BundleInvalid", `${shown.join("; ")}${more}`, { package: packageName, file, line, column });
}

/** The bundler shows a file as "package:/path". */
function withoutNamespace(file: string): string {
  return file.startsWith(ownPrefix) ? file.slice(ownPrefix.length) : file;
}

/** Renames the sources that are not the package's: a report must not show where Airlock is installed. */
function cleanMap(json: string, root: string): string {
  const map = JSON.parse(json) as { sources: string[]; sourcesContent?: (string | null)[] };
  map.sources.forEach((source, index) => {
    if (source.startsWith(ownPrefix)) {
      map.sources[index] = path.relative(root, withoutNamespace(source));
      return;
    }
    // "api/guest.ts", or "../../runtime/api/guest.ts" when a built file has a map of its own.
    map.sources[index] = `${runtimeSourcePrefix}${source.split("../runtime/").at(-1) ?? source}`;
    if (map.sourcesContent !== undefined) map.sourcesContent[index] = null;
  });
  return JSON.stringify(map);
}
