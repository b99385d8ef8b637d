/** Finds device models: every file of this folder whose default export is a ModelDefinition, by what it is compatible with. */
import { readdir } from "node:fs/promises";
import { AirlockError } from "../api/errors.ts";
import type { ModelDefinition } from "../bus/device.ts";

let found: Promise<ReadonlyMap<string, ModelDefinition>> | undefined;

/**
 * The model for a device, by the first of `compatible` (most specific first) that any model names.
 * @throws AirlockError NotFound when there is no model; the message lists what there is
 */
export async function findModel(compatible: readonly string[]): Promise<ModelDefinition> {
  const models = await allModels();
  for (const name of compatible) {
    const model = models.get(name);
    if (model !== undefined) return model;
  }
  throw new AirlockError(
    "NotFound",
    `no simulated model is compatible with ${compatible.join(", ") || "(nothing)"}; there are ${[...models.keys()].sort().join(", ")}`,
    { compatible: compatible.join(",") },
  );
}

/** Every model by each name it is compatible with. Reads the folder once. */
export function allModels(): Promise<ReadonlyMap<string, ModelDefinition>> {
  return (found ??= readModels(new URL("./", import.meta.url)));
}

/** @throws Error when two files claim the same name: whoever added the second has to decide */
async function readModels(folder: URL): Promise<ReadonlyMap<string, ModelDefinition>> {
  const models = new Map<string, ModelDefinition>();
  const names = (await readdir(folder)).filter((name) => /\.[jt]s$/.test(name) && !/\.(?:test|d)\.[jt]s$/.test(name)).sort();
  for (const name of names) {
    const module: { default?: unknown } = await import(new URL(name, folder).href);
    const model = module.default;
    if (!isModelDefinition(model)) continue;
    for (const compatible of model.compatible) {
      if (models.has(compatible)) throw new Error(`runtime/models: ${name} claims "${compatible}", which another model has`);
      models.set(compatible, model);
    }
  }
  return models;
}

function isModelDefinition(value: unknown): value is ModelDefinition {
  if (typeof value !== "object" || value === null) return false;
  const { compatible, create } = value as Partial<Record<"compatible" | "create", unknown>>;
  if (typeof create !== "function" || !Array.isArray(compatible) || compatible.length === 0) return false;
  return compatible.every((name) => typeof name === "string");
}
