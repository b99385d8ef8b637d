/** Loads a device class by its name: the folder runtime/classes/<class>, by convention and without a list. */
import { readdirSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import type { ClassContract } from "../api/contract.ts";
import { AirlockError } from "../api/errors.ts";
import type { CreateShadow, Shadow } from "../classes/shadow.ts";
import type { CreateWorkload } from "../classes/workload.ts";
import { advice } from "../machine/suggest.ts";

const classesFolder = fileURLToPath(new URL("../classes/", import.meta.url));
/** The runtime's modules are TypeScript in the source tree and JavaScript in the built one. */
const extension = path.extname(fileURLToPath(import.meta.url));

/** What every class folder exports: its contract under its own name from contract.ts, `createShadow` of shadow.ts, `openClient` of client.ts, `createWorkload` of workload.ts. */
export interface ClassModule {
  readonly name: string;
  readonly contract: ClassContract;
  readonly createShadow: CreateShadow;
  openClient(shadow: Shadow): unknown;
  readonly createWorkload: CreateWorkload;
}

/** @throws AirlockError NotFound for a class there is no folder of */
export async function loadClass(name: string): Promise<ClassModule> {
  const names = classNames();
  if (!names.includes(name)) throw new AirlockError("NotFound", `there is no class "${name}"; ${advice(name, names, "class")}`, { class: name });
  const load = (file: string): Promise<Record<string, unknown>> => import(new URL(`../classes/${name}/${file}${extension}`, import.meta.url).href) as Promise<Record<string, unknown>>;
  const [contract, shadow, client, workload] = await Promise.all([load("contract"), load("shadow"), load("client"), load("workload")]);
  return {
    name, contract: contract[name] as ClassContract, createShadow: shadow.createShadow as CreateShadow, openClient: client.openClient as (shadow: Shadow) => unknown,
    createWorkload: workload.createWorkload as CreateWorkload,
  };
}

/** The classes there are: the folders of runtime/classes. */
export function classNames(): string[] {
  return readdirSync(classesFolder, { withFileTypes: true }).filter((entry) => entry.isDirectory()).map((entry) => entry.name).sort();
}
