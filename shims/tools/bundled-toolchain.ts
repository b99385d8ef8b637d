/** The compiler and linker as WebAssembly, from the npm package @yowasp/clang where that is installed: slower, and needs no other program. */
// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
import { readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { ToolProcesses } from "./tool-processes.ts";
import { bundledPackage, type Toolchain } from "./toolchain.ts";

/** Undefined when the package is not installed. `resolve` finds a package's entry file. */
export async function bundledToolchain(resolve: (name: string) => string = (name) => import.meta.resolve(name)): Promise<Toolchain | undefined> {
  let entry: string;
  try {
    entry = fileURLToPath(resolve(bundledPackage));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ERR_MODULE_NOT_FOUND") return undefined;
    throw error;
  }
  const manifest = JSON.parse(readFileSync(path.join(path.dirname(entry), "..", "package.json"), "utf8")) as { version: string };
  const processes = new ToolProcesses(programFile());
  return {
    name: `${bundledPackage} ${manifest.version}`,
    compile: (args) => processes.run("clang", args),
    link: (args) => processes.run("wasm-ld", args),
  };
}

/** The built file of bundled-program.ts; from the sources that of dist/. */
function programFile(): string {
  const own = fileURLToPath(import.meta.url);
  const file = path.join(path.dirname(own), "bundled-program.js");
  return own.endsWith(".ts") ? file.replace(`${path.sep}shims${path.sep}tools${path.sep}`, `${path.sep}dist${path.sep}shims${path.sep}tools${path.sep}`) : file;
}
