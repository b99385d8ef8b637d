/** The driver.json of a built package: everything in it comes from the compiled driver itself. */
// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
import { readFileSync } from "node:fs";
import { AirlockError } from "../../runtime/api/errors.ts";
import { apiVersion } from "../../runtime/machine/manifest-schema.ts";
import { moduleName } from "./asyncify.ts";
import type { BuiltModule } from "./build-module.ts";
import { compatibleNames } from "./compatible-names.ts";
import { contractModules } from "./contract-modules.ts";
import type { Environment } from "./environment.ts";
import type { ModuleParameter } from "./module-facts.ts";
import { type GivenResources, otherNeeds, pciNeeds, standardDevice } from "./needs.ts";
import { sourceTables } from "./source-tables.ts";

/** The options every package has besides its driver's parameters: the environment's own. */
const environmentOptions = {
  checking: { type: "boolean", default: false, doc: "Whether the allocator guards and verifies every object: finds double frees and overruns, and is slower" },
  delays: { type: "number", default: 100, min: 0, max: 100, doc: "How much of each wait for hardware is really waited for, in percent: 0 is right for models" },
};
/** Settings a manifest may declare, less the environment's own. */
const mostParameters = 64 - Object.keys(environmentOptions).length;
/** Names a manifest may list; a driver of more devices is matched by its own name. */
const mostNames = 1_024;
/** A parameter's sentence, cut where a manifest's text would be refused. */
const mostText = 512;

/** What the user says about a package that its code does not. */
export interface GivenFacts extends GivenResources {
  /** Names of devices besides those in its tables. */
  readonly compatible: readonly string[];
}

/**
 * The manifest as driver.json holds it, but for the module's checksum.
 * @throws AirlockError Unsupported for a driver of a kind for which there is no class
 */
export async function manifestOf({ module, facts, found }: BuiltModule, given: GivenFacts, environment: Environment): Promise<Record<string, unknown>> {
  const contracts = (await contractModules()).filter(({ name }) => environment.speaksFor(name));
  const contract = contracts.find(({ name }) => name === found?.className)?.contract;
  if (contract === undefined) {
    const is = found === undefined ? "registers with no subsystem that is known here" : `is a ${found.title} driver`;
    throw new AirlockError("Unsupported", `${module.name} ${is}; the environment has drivers of the classes ${contracts.map(({ name }) => name).join(", ")} (airlock build --check looks at it all the same)`, { module: module.name, kind: found?.title });
  }
  const tables = sourceTables(module.jobs.map(({ file }) => readFileSync(file, "utf8")));
  const standard = facts.pci.length > 0 ? undefined : standardDevice(tables.pnp);
  const names = [...compatibleNames(module.name, facts, tables), ...(standard === undefined ? [] : [standard.compatible]), ...given.compatible];
  return {
    name: packageName(module.name), class: found!.className, apiVersion, contractVersion: contract.version, tier: "wasm", main: moduleName,
    compatible: [...new Set(names)].slice(0, mostNames),
    needs: facts.pci.length > 0 ? pciNeeds(contract.queueList.length > 0) : otherNeeds(standard, given),
    options: { ...options(facts.parameters), ...environmentOptions },
  };
}

/** A module's name as a package's: "a_card" -> "linux-a-card": apart from packages that were written for this project. */
export function packageName(module: string): string {
  return `linux-${module.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "")}`.slice(0, 48).replace(/-$/, "");
}

function options(parameters: readonly ModuleParameter[]): Record<string, unknown> {
  const usable = parameters.filter(({ name }) => /^[A-Za-z_][A-Za-z0-9_]{0,30}$/.test(name) && !Object.hasOwn(environmentOptions, name));
  return Object.fromEntries(usable.slice(0, mostParameters).map(({ name, type, about }) => [name, { ...optionType(type), optional: true, doc: about.replaceAll(/\s+/g, " ").trim().slice(0, mostText) }]));
}

const whole = (min: number, max: number): Record<string, unknown> => ({ type: "number", min, max });
/** How the kernel's parameter types are given; every other is a text that the driver reads by itself, lists with commas. */
const numberTypes: Readonly<Record<string, Record<string, unknown>>> = {
  byte: whole(0, 0xff), short: whole(-0x8000, 0x7fff), ushort: whole(0, 0xffff), int: whole(-0x8000_0000, 0x7fff_ffff), uint: whole(0, 0xffff_ffff),
  long: whole(-0x8000_0000, 0x7fff_ffff), ulong: whole(0, 0xffff_ffff), hexint: whole(0, 0xffff_ffff), ullong: whole(0, Number.MAX_SAFE_INTEGER),
};

/** Without a value in the machine file the driver keeps its own. */
function optionType(type: string): Record<string, unknown> {
  if (type === "bool" || type === "invbool") return { type: "boolean" };
  return numberTypes[type] ?? { type: "string" };
}
