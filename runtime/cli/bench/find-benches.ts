/** Finds the benches: every file of this folder whose default export is a BenchDefinition. */
import { readdirSync } from "node:fs";
import type { BenchDefinition } from "./bench.ts";

/** All benches by name, in alphabetical order. */
export async function findBenches(): Promise<ReadonlyMap<string, BenchDefinition>> {
  const folder = new URL("./", import.meta.url);
  const benches = new Map<string, BenchDefinition>();
  // Entries of threads do their work when they are imported.
  const names = readdirSync(folder).filter((name) => /\.[jt]s$/.test(name) && !/(?:-thread|\.test|\.d)\.[jt]s$/.test(name)).sort();
  for (const name of names) {
    const module: { default?: unknown } = await import(new URL(name, folder).href);
    if (isBench(module.default)) benches.set(module.default.name, module.default);
  }
  return benches;
}

function isBench(value: unknown): value is BenchDefinition {
  if (typeof value !== "object" || value === null) return false;
  const { name, run, text } = value as Partial<Record<"name" | "run" | "text", unknown>>;
  return typeof name === "string" && typeof run === "function" && typeof text === "function";
}
