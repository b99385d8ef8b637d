/** What a driver's imports may be: the bundler's resolver and loader for a package's own files, Airlock's API and nothing else. */
import { closeSync, constants, existsSync, fstatSync, openSync, readFileSync, readdirSync, realpathSync, statSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import type { Loader, OnLoadResult, OnResolveArgs, OnResolveResult, Plugin } from "esbuild";
import { errorText } from "../api/errors.ts";

/** The module that imports the driver and Airlock's guest code; made by the bundler, not a file. */
export const entryName = "airlock-entry.js";
export const guestSpecifier = "airlock:guest";
const advice = 'drivers import only "airlock/driver", "airlock/driver/<class>" and their own files';

/**
 * The package's files live in a namespace of their own. In the bundler's "file" namespace it would read more than what
 * its plugins let through: files that `import("../" + name)` matches, package.json and tsconfig.json of all folders above,
 * and whatever a source map comment names.
 */
const ownNamespace = "package";
/** How the bundler shows such a file in messages and source maps. */
export const ownPrefix = `${ownNamespace}:`;

const loaders: Readonly<Record<string, Loader>> = {
  ".ts": "ts", ".mts": "ts", ".cts": "ts", ".js": "js", ".mjs": "js", ".cjs": "js", ".json": "json", ".txt": "text",
};
/** What an import may leave out; and TypeScript's habit of naming the file that will be compiled. */
const endings = ["", ".ts", ".js", ".mts", ".mjs", ".json", "/index.ts", "/index.js"];
const sourceOf: Readonly<Record<string, string>> = { ".js": ".ts", ".mjs": ".mts", ".cjs": ".cts" };

/** The rule about imports: there is no other way for a file to get into a bundle. `mostBytes` limits each file. */
export function packageFiles(root: string, mostBytes: number): Plugin {
  const runtime = runtimeDir();
  return {
    name: "airlock-imports",
    setup(bundler) {
      bundler.onResolve({ filter: /.*/ }, (args) => {
        const isEntry = args.namespace === "" && args.importer === entryName;
        if (args.namespace === "file" && !isEntry && isInside(runtime, args.importer)) return undefined;
        if (args.namespace !== ownNamespace && !isEntry) return refuse(`import of "${args.path}" is not allowed: ${advice}`);
        if (isEntry && args.path === guestSpecifier) return { path: moduleFile(runtime, "api/guest") };
        if (args.path === "airlock/driver") return { path: moduleFile(runtime, "api/driver") };
        const className = /^airlock\/driver\/([a-z0-9-]+)$/.exec(args.path)?.[1];
        return className === undefined ? ownFile(root, args) : classContract(runtime, className);
      });
      bundler.onLoad({ filter: /.*/, namespace: ownNamespace }, ({ path: file }) => loadOwn(root, file, mostBytes));
    },
  };
}

/** A relative import that stays in the package, links followed. */
function ownFile(root: string, args: OnResolveArgs): OnResolveResult {
  const from = args.namespace === ownNamespace ? path.dirname(args.importer) : root;
  if (!args.path.startsWith("./") && !args.path.startsWith("../")) return refuse(`import of "${args.path}" is not allowed: ${advice}`);
  if (args.path.includes("\0") || !isInside(root, path.resolve(from, args.path))) return refuse(`import of "${args.path}" leaves the package: ${advice}`);
  const odd = Object.entries(args.with).find(([key, value]) => key !== "type" || value !== "json");
  if (odd !== undefined) return refuse(`import of "${args.path}" with ${odd[0]} "${odd[1]}" is not supported; leave that out`);
  const found = findFile(path.resolve(from, args.path));
  if (found === undefined) return refuse(`"${args.path}" does not exist`);
  const file = realpathSync(found);
  if (!isInside(root, file)) return refuse(`import of "${args.path}" leads out of the package through a link: ${advice}`);
  if (loaders[path.extname(file)] === undefined) return refuse(`"${args.path}" is no kind of file that drivers can import; these are: ${Object.keys(loaders).join(", ")}`);
  return { path: file, namespace: ownNamespace };
}

function findFile(wanted: string): string | undefined {
  const extension = path.extname(wanted);
  const source = sourceOf[extension];
  const candidates = endings.map((ending) => wanted + ending);
  if (source !== undefined) candidates.push(wanted.slice(0, -extension.length) + source);
  return candidates.find(isFile);
}

/** False also where it cannot be known: below a file, beyond a loop of links. */
function isFile(candidate: string): boolean {
  try {
    return statSync(candidate).isFile();
  } catch {
    return false;
  }
}

/** The file as it is now: it may have changed since its path was checked, so what is opened is looked at again. */
function loadOwn(root: string, file: string, mostBytes: number): OnLoadResult {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const stat = fstatSync(descriptor);
    if (!stat.isFile() || !isInside(root, realpathSync(`/proc/self/fd/${descriptor}`))) return { errors: [{ text: "is no file of this package" }] };
    if (stat.size > mostBytes) return { errors: [{ text: `"${path.relative(root, file)}" is larger than ${mostBytes} bytes` }] };
    return { contents: withoutMap(readFileSync(descriptor, "utf8")), loader: loaders[path.extname(file)] };
  } catch (error) {
    return { errors: [{ text: `"${path.relative(root, file)}" cannot be read: ${errorText(error)}` }] };
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

/** A source map that came with a file could claim that its code is any file's, Airlock's too: it is not followed. */
function withoutMap(text: string): string {
  return text.replace(/([#@])[ \t]sourceMappingURL=/g, "$1_sourceMappingURL=");
}

function classContract(runtime: string, className: string): OnResolveResult {
  const file = path.join(runtime, "classes", className, `contract${extension(runtime)}`);
  if (existsSync(file)) return { path: file };
  const folder = path.join(runtime, "classes");
  const known = existsSync(folder) ? readdirSync(folder).filter((name) => existsSync(path.join(folder, name, `contract${extension(runtime)}`))) : [];
  return refuse(`there is no class "${className}"; classes: ${known.join(", ") || "none"}`);
}

function refuse(text: string): OnResolveResult {
  return { errors: [{ text }] };
}

/** The folder `runtime` this module is in, source or built. */
export function runtimeDir(): string {
  return path.dirname(path.dirname(fileURLToPath(import.meta.url)));
}

function moduleFile(runtime: string, module: string): string {
  return path.join(runtime, `${module}${extension(runtime)}`);
}

function extension(runtime: string): ".js" | ".ts" {
  return path.basename(path.dirname(runtime)) === "dist" ? ".js" : ".ts";
}

export function isInside(folder: string, file: string): boolean {
  const relative = path.relative(folder, file);
  return relative !== "" && !path.isAbsolute(relative) && relative.split(path.sep)[0] !== "..";
}
