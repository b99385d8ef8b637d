/** Loads a device class by its name: the folder runtime/classes/<class>, by convention and without a list. */
import { readdirSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { AirlockError } from "../api/errors.ts";
import type { CreateShadow, Shadow } from "../classes/shadow.ts";
import { advice } from "../machine/suggest.ts";

const classesFolder = fileURLToPath(new URL("../classes/", import.meta.url));
/** The runtime's modules are TypeScript in the source tree and JavaScript in the built one. */
const extension = path.extname(fileURLToPath(import.meta.url));

/** What every class folder exports: `createShadow` of shadow.ts and `openClient` of client.ts, which takes that shadow. */
export interface ClassModule {
  readonly name: string;
  readonly createShadow: CreateShadow;
  openClient(shadow: Shadow): unknown;
}

/** @throws AirlockError NotFound for a class there is no folder of */
export async function loadClass(name: string): Promise<ClassModule> {
  const names = classNames();
  if (!names.includes(name)) throw new AirlockError("NotFound", `there is no class "${name}"; ${advice(name, names, "class")}`, { class: name });
  const load = (file: string): Promise<Record<string, unknown>> => import(new URL(`../classes/${name}/${file}${extension}`, import.meta.url).href) as Promise<Record<string, unknown>>;
  const [shadow, client] = await Promise.all([load("shadow"), load("client")]);
  return { name, createShadow: shadow.createShadow as CreateShadow, openClient: client.openClient as (shadow: Shadow) => unknown };
}

/** The classes there are: the folders of runtime/classes. */
export function classNames(): string[] {
  return readdirSync(classesFolder, { withFileTypes: true }).filter((entry) => entry.isDirectory()).map((entry) => entry.name).sort();
}
