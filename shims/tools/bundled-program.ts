/** A process that runs clang and wasm-ld of @yowasp/clang on real files, one job after the other as they come from tool-processes.ts. */
// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import type { ToolJob } from "./tool-processes.ts";
import { bundledPackage, type ToolResult } from "./toolchain.ts";

/** Files as the tools see them: folders are objects. */
interface Tree {
  [name: string]: Tree | Uint8Array | string;
}

/** The package's interface as far as it is used; types do not come with what may not be installed. */
type Command = (args: readonly string[], files: Tree, options: Readonly<Record<string, unknown>>) => Promise<Tree>;

/** The tools' own file system has folders of its own at the top; real files are below this one. */
const prefix = "/host";
/** A file may include others from so many folders that nobody announced. */
const mostRetries = 100;
/** Headers' folders are not deeper than this below an include folder. */
const headerDepth = 8;

// Whoever started this sends the next job after the last one's answer. What is thrown ends the process, with its reason on stderr.
process.on("message", (job: ToolJob) => {
  void main(job).then((result) => process.send!(result));
});

async function main({ tool, args: given }: ToolJob): Promise<ToolResult> {
  const args = given.flatMap((arg) => (arg.startsWith("@/") ? responseArgs(readFileSync(arg.slice(1), "utf8")) : [arg]))
    .map((arg) => (arg.startsWith("-I/") ? `-I${path.normalize(arg.slice(2))}` : arg));
  const { commands } = (await import(bundledPackage)) as { commands: Readonly<Record<string, Command>> };
  const command = commands[tool];
  if (command === undefined) throw new Error(`there is no tool ${tool}`);
  const outputs = args.flatMap((arg, index) => (arg === "-o" || arg === "-MF" ? [args[index + 1]!] : []));
  const files: Tree = {};
  for (const output of outputs) folderAt(files, path.dirname(path.resolve(output)));
  for (const arg of args) if (path.isAbsolute(arg) && !outputs.includes(arg)) addInput(files, arg, tool);
  for (const folder of args.flatMap((arg) => /^-I(\/.*)$/.exec(arg)?.[1] ?? [])) if (!existsSync(path.join(folder, "Kbuild"))) addHeaders(files, folder, headerDepth);
  for (const file of args.flatMap((arg) => /^-include(\/.*)$/.exec(arg)?.[1] ?? [])) addFolder(files, path.dirname(file));
  return run(command, args, files, outputs);
}

/** Runs the tool; where it misses an included file that there is, again with that file's folder. */
async function run(command: Command, args: readonly string[], files: Tree, outputs: readonly string[]): Promise<ToolResult> {
  const inside = args.map((arg) => arg.replace(/^(-I|-include|-isystem|-ffile-prefix-map=|)(?=\/)/, `$1${prefix}`));
  for (let tries = 0; ; tries++) {
    const said: Uint8Array[] = [];
    const write = (bytes: Uint8Array | null): void => { if (bytes !== null) said.push(bytes.slice()); };
    let code = 0;
    let result: Tree = {};
    try {
      result = await command(inside, { [prefix.slice(1)]: files }, { stdout: write, stderr: write, decodeASCII: false, fetchProgress: () => undefined });
    } catch (error) {
      if (!isExit(error)) throw error;
      ({ code, files: result } = error);
    }
    const text = Buffer.concat(said).toString("utf8").replaceAll(`${prefix}/`, "/");
    const missing = code === 0 || tries >= mostRetries ? undefined : missedFile(text, args);
    if (missing !== undefined && addMissed(files, missing)) continue;
    for (const output of outputs) writeOutput(result, output);
    return { ok: code === 0, diagnostics: text };
  }
}

/** What the package throws when a tool ends with another code than 0. */
function isExit(error: unknown): error is { code: number; files: Tree } {
  return error instanceof Error && typeof (error as { code?: unknown }).code === "number";
}

/** Adds the folder of a missed file, and the file where the tools look for it: their file system passes over "..". */
function addMissed(files: Tree, missing: string): boolean {
  const added = addFolder(files, path.dirname(path.normalize(missing)));
  const seen = missing.split("/").filter((part) => part !== "..").join("/");
  const folder = folderAt(files, path.dirname(seen));
  if (folder[path.basename(seen)] !== undefined) return added;
  folder[path.basename(seen)] = readFileSync(missing);
  return true;
}

/** "a.c:3:10: fatal error: '../b.h' file not found": where that file really is, as the tool names it. */
function missedFile(text: string, args: readonly string[]): string | undefined {
  const [, from = "", name = ""] = /^(\/[^:\n]+):\d+:\d+: fatal error: '([^'\n]+)' file not found/m.exec(text) ?? [];
  if (name === "") return undefined;
  const folders = [path.dirname(from), ...args.flatMap((arg) => /^-I(\/.*)$/.exec(arg)?.[1] ?? [])];
  return folders.map((folder) => `${folder}/${name}`).find((file) => existsSync(file));
}

function writeOutput(result: Tree, output: string): void {
  const parts = `${prefix}${path.resolve(output)}`.split("/").filter((part) => part !== "");
  let found: Tree | Uint8Array | string | undefined = result;
  for (const part of parts) found = typeof found === "object" && !(found instanceof Uint8Array) ? found[part] : undefined;
  if (typeof found === "string") writeFileSync(output, found.replaceAll(`${prefix}/`, "/"));
  else if (found instanceof Uint8Array) writeFileSync(output, output.endsWith(".o") || output.endsWith(".wasm") || !isText(found) ? found : Buffer.from(found).toString("utf8").replaceAll(`${prefix}/`, "/"));
}

function isText(bytes: Uint8Array): boolean {
  return !bytes.subarray(0, 4_096).includes(0);
}

/** A source with everything beside it that it may include; of a linker's inputs only themselves. */
function addInput(files: Tree, file: string, tool: string): void {
  if (!existsSync(file) || !statSync(file).isFile()) return;
  if (tool === "clang") addFolder(files, path.dirname(file));
  addFile(files, file);
}

function addHeaders(files: Tree, folder: string, depth: number): void {
  if (depth === 0 || !existsSync(folder)) return;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const one = path.join(folder, entry.name);
    if (entry.isDirectory()) addHeaders(files, one, depth - 1);
    else if (entry.name.endsWith(".h")) addFile(files, one);
  }
}

/** The C files and headers of one folder; whether there were any that were not there before. */
function addFolder(files: Tree, folder: string): boolean {
  let added = false;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.isFile() && /\.(?:c|h|inc|def)$/.test(entry.name)) added = addFile(files, path.join(folder, entry.name)) || added;
  }
  // Paths lead through folders that have no headers themselves: "../b.h".
  folderAt(files, folder);
  return added;
}

function addFile(files: Tree, file: string): boolean {
  const folder = folderAt(files, path.dirname(file));
  const name = path.basename(file);
  if (folder[name] !== undefined) return false;
  folder[name] = readFileSync(file);
  return true;
}

function folderAt(files: Tree, folder: string): Tree {
  let at = files;
  for (const part of folder.split("/").filter((one) => one !== "")) at = (at[part] ??= {}) as Tree;
  return at;
}

/** The arguments of a response file as linker.ts writes it: one in quotes on each line. */
function responseArgs(text: string): string[] {
  return text.split("\n").filter((line) => line !== "").map((line) => line.replace(/^"|"$/g, "").replaceAll(/\\(.)/g, "$1"));
}
