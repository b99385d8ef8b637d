/** Finds the faults: every file of this folder whose default export is a FaultDefinition. */
import { readdir } from "node:fs/promises";
import type { FaultDefinition } from "./fault.ts";

let found: Promise<ReadonlyMap<string, FaultDefinition>> | undefined;

/** All faults by name, in alphabetical order. Reads the folder once. */
export function findFaults(): Promise<ReadonlyMap<string, FaultDefinition>> {
  return (found ??= readFaults(new URL("./", import.meta.url)));
}

async function readFaults(folder: URL): Promise<ReadonlyMap<string, FaultDefinition>> {
  const faults = new Map<string, FaultDefinition>();
  const names = (await readdir(folder)).filter((name) => /\.[jt]s$/.test(name) && !/\.(?:test|d)\.[jt]s$/.test(name)).sort();
  for (const name of names) {
    const module: { default?: unknown } = await import(new URL(name, folder).href);
    if (isFaultDefinition(module.default)) faults.set(module.default.name, module.default);
  }
  return faults;
}

function isFaultDefinition(value: unknown): value is FaultDefinition {
  if (typeof value !== "object" || value === null) return false;
  const { name, where, run } = value as Partial<Record<"name" | "where" | "run", unknown>>;
  return typeof name === "string" && typeof where === "string" && typeof run === "function";
}
