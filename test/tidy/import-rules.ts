/** Who may import whom, and why: the architecture as a table. */
import { type Import, importsOf, isBarrel } from "./imports.ts";
import { isTestCode, type SourceFile } from "./source-tree.ts";

interface FolderRule {
  /** Folders of runtime/ that this one may import, besides itself. */
  readonly folders: readonly string[];
  readonly why: string;
}

/** Every folder of runtime/ has a row: a new folder has to say where it stands. */
export const folderRules: Readonly<Record<string, FolderRule>> = {
  "api": { folders: [], why: "it is what driver authors import; whatever it imported would be in every driver" },
  "bus": { folders: ["api"], why: "it defines what platforms implement and hosts use, and knows neither" },
  "native": { folders: ["api", "bus"], why: "it wraps system calls and has no policy; of the bus it knows what RAM is" },
  "models": { folders: ["api", "bus"], why: "a device does not know which platform it is on or who drives it" },
  "platform": { folders: ["api", "bus", "models", "native"], why: "it brings hardware, by system calls too; policy is the control plane's" },
  "machine": { folders: ["api", "bus"], why: "it reads and checks files and starts nothing" },
  "io-manager": { folders: ["api", "bus", "machine"], why: "it hands out resources and must not depend on who uses them" },
  "sandbox": { folders: ["api"], why: "a sandbox receives grants and never sees the bus" },
  "trace": { folders: ["api"], why: "everything records; recording depends on nothing that is recorded" },
  "classes": { folders: ["api"], why: "clients and shadows outlive drivers, hosts and platforms, and must not hold one" },
  "host": { folders: ["api", "bus", "native", "sandbox", "trace"], why: "it joins one sandbox with one bus port; supervision is not its business" },
  "supervisor": { folders: ["api", "bus", "classes", "host", "io-manager", "trace"], why: "it restarts drivers of any class on any platform" },
  "exports": { folders: ["api", "classes", "native"], why: "an export is a client like any other; the system's interfaces are made by native" },
  "faults": { folders: ["api", "bus", "classes"], why: "a fault wraps an interface; it knows none of its implementations" },
  "cli": { folders: ["*"], why: "the composition root: the only place that wires everything together" },
};

/** The build of Linux drivers: a program of its own that the command line calls. Besides itself it imports these folders of runtime/. */
export const toolsRule: FolderRule = { folders: ["api", "machine"], why: "it makes packages and starts nothing; contracts and manifests are what it shares with the runtime" };
const toolsFolder = "shims/tools/";

/** Folders whose subfolders are alternatives to each other: one never imports another. */
const alternatives = ["platform", "sandbox", "classes", "exports"];

/** Only the simulated platform is made of models. */
const modelUsers = "platform/sim";

/** Code that also runs inside a sandbox, where there are no packages and no Node. */
const guestCode = /^runtime\/(?:api\/|classes\/[^/]+\/contract\.ts$)/;

const driverImports = /^airlock\/driver(?:\/[a-z0-9-]+)?$/;

/** Every import that breaks a rule, one line each. `packages`: the names a built product may import (`dependencies`). */
export function importProblems(files: readonly SourceFile[], packages: readonly string[]): string[] {
  const problems: string[] = [];
  const drivers = files.filter(({ path }) => path.endsWith("/driver.json")).map(({ path }) => path.slice(0, -"driver.json".length));
  for (const file of files.filter(({ path }) => path.endsWith(".ts"))) {
    if (isBarrel(file) && !isTestCode(file.path)) problems.push(`${file.path}: only passes on other files' exports; import those directly`);
    for (const each of importsOf(file)) {
      const problem = isTestCode(file.path) ? testProblem(each) : productProblem(each, packages, drivers);
      if (problem !== undefined) problems.push(`${each.from}:${each.line}: imports "${each.specifier}": ${problem}`);
    }
  }
  return problems;
}

function testProblem({ target }: Import): string | undefined {
  return target !== undefined && !/\.[cm]?[jt]s$|\.json$/.test(target) ? "relative imports carry their extension" : undefined;
}

function productProblem(each: Import, packages: readonly string[], drivers: readonly string[]): string | undefined {
  if (each.target !== undefined && isTestCode(each.target)) return "product code never imports test code";
  const driver = drivers.find((folder) => each.from.startsWith(folder));
  if (driver !== undefined) return driverProblem(each, driver);
  if (each.target !== undefined && drivers.some((folder) => each.target!.startsWith(folder))) return "a driver is loaded by a machine, never imported";
  if (!each.from.startsWith("runtime/") && !each.from.startsWith(toolsFolder)) return undefined;
  if (each.target === undefined) return packageProblem(each, packages);
  return each.from.startsWith(toolsFolder) ? toolsProblem(each.target) : folderProblem(each.from, each.target);
}

function driverProblem({ specifier, target }: Import, own: string): string | undefined {
  if (target === undefined ? driverImports.test(specifier) : target.startsWith(own)) return undefined;
  return 'drivers import "airlock/driver", "airlock/driver/<class>" and their own files, nothing else';
}

function packageProblem({ from, specifier, typeOnly }: Import, packages: readonly string[]): string | undefined {
  if (guestCode.test(from) && !typeOnly) return "this file also runs inside sandboxes, where there are no packages";
  if (specifier.startsWith("node:")) return undefined;
  const name = specifier.split("/").slice(0, specifier.startsWith("@") ? 2 : 1).join("/");
  return packages.includes(name) ? undefined : `"${name}" is not in the dependencies of package.json`;
}

function toolsProblem(target: string): string | undefined {
  if (!target.endsWith(".ts")) return "relative imports carry the extension .ts";
  const [top, folder = ""] = target.split("/");
  if (target.startsWith(toolsFolder) || (top === "runtime" && toolsRule.folders.includes(folder))) return undefined;
  return `shims/tools imports only ${toolsRule.folders.join(", ")}: ${toolsRule.why}`;
}

function folderProblem(from: string, target: string): string | undefined {
  if (target.startsWith(toolsFolder) && from.startsWith("runtime/cli/")) return undefined;
  if (!target.startsWith("runtime/")) return "leaves runtime/";
  if (!target.endsWith(".ts")) return "relative imports carry the extension .ts";
  const [, folder = "", below = ""] = from.split("/");
  const [, other = "", otherBelow = ""] = target.split("/");
  const rule = folderRules[folder];
  if (rule === undefined) return `runtime/${folder} has no row in test/tidy/import-rules.ts`;
  if (other === folder) {
    const apart = alternatives.includes(folder) && isFolder(below) && isFolder(otherBelow) && below !== otherBelow;
    return apart ? `${folder}/${below} and ${folder}/${otherBelow} are alternatives to each other` : undefined;
  }
  if (!rule.folders.includes("*") && !rule.folders.includes(other)) return `${folder} imports ${rule.folders.length === 0 ? "nothing" : `only ${rule.folders.join(", ")}`}: ${rule.why}`;
  if (other === "models" && folder === "platform" && `${folder}/${below}` !== modelUsers) return `only ${modelUsers} is made of models`;
  return undefined;
}

function isFolder(name: string): boolean {
  return name !== "" && !name.includes(".");
}
