/** Finds the exports there are by reading this directory: adding one is adding its folder. */
import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { AirlockError } from "../api/errors.ts";
import type { ExportDefinition } from "./export.ts";

const thisFile = fileURLToPath(import.meta.url);

/** All exports by type, in the order of their names. Each folder with an `export` file is one. */
export async function findExports(directory: string = path.dirname(thisFile)): Promise<ReadonlyMap<string, ExportDefinition>> {
  // Built files sit beside built files, sources beside sources.
  const file = `export${path.extname(thisFile)}`;
  const found = new Map<string, ExportDefinition>();
  const entries = await readdir(directory, { withFileTypes: true });
  const types = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  for (const type of types.sort((x, y) => (x < y ? -1 : 1))) {
    const source = path.join(directory, type, file);
    if (!existsSync(source)) continue;
    const module = (await import(pathToFileURL(source).href)) as { default?: Partial<ExportDefinition> };
    if (!isDefinition(module.default) || module.default.type !== type) {
      throw new AirlockError("Unsupported", `${source} has no default export with type "${type}", class, options and start`, { type });
    }
    found.set(type, module.default);
  }
  return found;
}

function isDefinition(value: Partial<ExportDefinition> | undefined): value is ExportDefinition {
  return typeof value?.type === "string" && typeof value.class === "string"
    && typeof value.start === "function" && typeof value.options?.parse === "function";
}
