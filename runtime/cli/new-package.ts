/** Makes a driver package: drivers/template under a new name, or for another class a skeleton made from its contract. */
import { existsSync } from "node:fs";
import { mkdir, readFile, readdir, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { AirlockError, errorText } from "../api/errors.ts";
import { loadManifest } from "../machine/manifest.ts";
import { driverText, manifestText, testText } from "./package-skeleton.ts";
import { loadContract } from "./package-check.ts";

export interface NewPackage {
  readonly directory: string;
  /** Names of its files. */
  readonly files: readonly string[];
  readonly from: "template" | "contract";
}

/** @throws AirlockError AddressInUse when the folder exists, NotFound when its parent does not, StateUnusable */
export async function newPackage(className: string, name: string, parent: string): Promise<NewPackage> {
  const directory = path.join(parent, name);
  if (!existsSync(parent)) throw new AirlockError("NotFound", `${parent}: there is no such directory; make it, or name another with --in`, { directory: parent });
  if (existsSync(directory)) throw new AirlockError("AddressInUse", `${directory} exists already; choose another name, or remove it`, { directory });
  const template = templateFolder();
  const isCopy = loadManifest(template).manifest.class === className;
  const files = isCopy ? await templateFiles(template, name) : await skeletonFiles(className, name);
  // Under a name of its own first: a package is there whole or not at all.
  const temporary = path.join(parent, `.${name}.${process.pid}`);
  try {
    await mkdir(temporary);
    for (const [file, text] of files) await writeFile(path.join(temporary, file), text);
    await rename(temporary, directory);
  } catch (cause) {
    await rm(temporary, { recursive: true, force: true });
    throw new AirlockError("StateUnusable", `cannot make ${directory}: ${errorText(cause)}; free space there or name another place with --in`, { directory }, { cause });
  }
  return { directory, files: [...files.keys()], from: isCopy ? "template" : "contract" };
}

function templateFolder(): string {
  const own = path.dirname(fileURLToPath(import.meta.url));
  const found = ["../..", "../../.."].map((up) => path.join(own, up, "drivers/template")).find((folder) => existsSync(path.join(folder, "driver.json")));
  if (found === undefined) throw new AirlockError("NotFound", "this installation has no drivers/template; install Airlock anew");
  return found;
}

async function templateFiles(template: string, name: string): Promise<ReadonlyMap<string, string>> {
  const entries = await readdir(template, { withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map(async ({ name: file }): Promise<[string, string]> => {
    const text = await readFile(path.join(template, file), "utf8");
    return [file, file === "driver.json" ? text.replace(/("name"\s*:\s*)"[^"]*"/, `$1"${name}"`) : text];
  });
  return new Map(await Promise.all(files));
}

async function skeletonFiles(className: string, name: string): Promise<ReadonlyMap<string, string>> {
  const contract = await loadContract(className);
  if (contract === undefined) throw new AirlockError("NotFound", `class "${className}" has no contract in runtime/classes/${className}`, { class: className });
  return new Map([["driver.json", manifestText(contract, name)], ["driver.ts", driverText(contract, name)], ["driver.test.ts", testText(contract)]]);
}
