/** What a build found, for programs and for people. */
// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
import { AirlockError } from "../../runtime/api/errors.ts";
import type { BuiltModule } from "./build-module.ts";
import type { WrittenPackage } from "./package.ts";

/** So many names of a kind are shown in one line; --json has all. */
const shownNames = 40;

export interface BuildReport {
  readonly module: string;
  readonly config: string | undefined;
  /** What it registers with: "network". */
  readonly kind: string | undefined;
  readonly license: string;
  readonly files: number;
  /** Modules it is built upon. */
  readonly upon: readonly string[];
  /** Modules it may be built upon that do not compile, with their first errors. */
  readonly failedUpon: readonly string[];
  /** Whether it links and lacks nothing. */
  readonly ok: boolean;
  readonly links: boolean;
  readonly missingFunctions: readonly string[];
  readonly stubbedFunctions: readonly string[];
  readonly missingData: readonly string[];
  readonly mismatches: readonly string[];
  readonly duplicates: readonly string[];
  readonly complaint: string;
}

export function reportOf({ module, facts, found, compiled, upon, failedUpon, linked }: BuiltModule): BuildReport {
  const { module: bytes, ...lacks } = linked;
  return {
    module: module.name, config: module.symbol === undefined ? undefined : `CONFIG_${module.symbol}`, kind: found?.title, license: facts.license,
    files: compiled.length, upon: upon.map((one) => one.module.name), failedUpon,
    ok: bytes !== undefined && lacks.missingFunctions.length === 0, links: bytes !== undefined, ...lacks,
  };
}

/**
 * Refuses what cannot become a package: data nobody defines would silently be other memory, and a function called with another
 * type traps for no visible reason. Missing functions are refused only with `strict`.
 * @throws AirlockError Unsupported with every name
 */
export function refuseLacking(built: BuiltModule, strict: boolean): void {
  const { module: { name }, linked } = built;
  const problems = problemsOf(reportOf(built));
  const isFatal = linked.module === undefined || (strict && linked.missingFunctions.length > 0);
  if (!isFatal) return;
  throw new AirlockError("Unsupported", `${name} cannot be built: ${problems.join("; ")}; the environment (shims/emul) has to provide them`, {
    module: name, missingFunctions: linked.missingFunctions.join(" "), missingData: linked.missingData.join(" "), mismatches: linked.mismatches.join(" "),
  });
}

/** What keeps a driver from running, one text each. */
export function problemsOf({ missingFunctions, missingData, mismatches, duplicates, complaint, links }: BuildReport): string[] {
  const problems = [
    listText(missingFunctions, "missing function", "missing functions"), listText(missingData, "missing variable", "missing variables"),
    listText(mismatches, "function of another type than it is called with", "functions of other types than they are called with"),
    listText(duplicates, "name defined twice", "names defined twice"), complaint,
  ].filter((text) => text !== "");
  return problems.length === 0 && !links ? ["it does not link"] : problems;
}

/** The text of `airlock build --check`. */
export function lackText(report: BuildReport): string {
  const is = `${report.module}: a ${report.kind ?? "driver of no known kind"}${report.kind === undefined ? "" : " driver"}, ${report.files} ${report.files === 1 ? "file" : "files"}${report.upon.length === 0 ? "" : `, built upon ${report.upon.join(", ")}`}`;
  const problems = [...problemsOf(report), ...(report.ok ? [] : report.failedUpon.map((text) => `does not compile: ${text}`))];
  return [is, ...(problems.length === 0 ? ["links, and lacks nothing"] : [report.links ? "links, and lacks what follows; each missing function is a trap that says its name" : "does not link", ...problems.map((text) => `  ${text}`)])].join("\n");
}

/** The text of `airlock build`. */
export function buildText({ directory, className, name, compatible, moduleBytes }: WrittenPackage, built: BuiltModule): string {
  const { missingFunctions } = built.linked;
  const names = compatible.slice(0, 4).join(", ");
  return [
    `built ${directory}: ${name}, class ${className}, ${(moduleBytes / 1024).toFixed(0)} KiB, for ${names}${compatible.length > 4 ? ` and ${compatible.length - 4} more` : ""}`,
    ...(missingFunctions.length === 0 ? [] : [`warning: ${listText(missingFunctions, "missing function", "missing functions")}; calling one ends the driver and says its name`]),
    `next: name it in a machine file, package: ${directory} (relative to that file), sandbox: wasm`,
  ].join("\n");
}

function listText(names: readonly string[], one: string, many: string): string {
  if (names.length === 0) return "";
  const shown = names.slice(0, shownNames).join(", ");
  return `${names.length} ${names.length === 1 ? one : many}: ${shown}${names.length > shownNames ? `, and ${names.length - shownNames} more` : ""}`;
}
