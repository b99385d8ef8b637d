/** Finds the class contracts there are: one folder of runtime/classes each, by convention and without a list. */
// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
import { existsSync, readdirSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import type { ClassContract } from "../../runtime/api/contract.ts";
import type { ContractModule } from "./contracts-header.ts";

const classesFolder = fileURLToPath(new URL("../../runtime/classes/", import.meta.url));
/** The runtime's modules are TypeScript in the source tree and JavaScript in the built one. */
const extension = path.extname(fileURLToPath(import.meta.url));

/** Every class's contract and what else its contract module exports, sorted by name. */
export async function contractModules(): Promise<ContractModule[]> {
  const names = readdirSync(classesFolder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && existsSync(path.join(classesFolder, entry.name, `contract${extension}`)))
    .map((entry) => entry.name).sort();
  return Promise.all(names.map(async (name) => {
    const exports = (await import(new URL(`../../runtime/classes/${name}/contract${extension}`, import.meta.url).href)) as Record<string, unknown>;
    return { name, contract: exports[name] as ClassContract, exports };
  }));
}
