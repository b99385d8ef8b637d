/** `airlock why <driver>`: which devices a driver got and why, what it was granted and denied, and what it holds now. */
import { AirlockError } from "../api/errors.ts";
import { advice } from "../machine/suggest.ts";
import type { Ledger, LedgerEntry } from "./ledger.ts";
import type { DeviceVerdict, Judgement, ResourceVerdict } from "./match.ts";

/** Plain data but for generations, which are decimal text so that it can be written as JSON. */
export interface Explanation {
  readonly driver: string;
  readonly package: { readonly name: string; readonly class: string; readonly directory: string; readonly compatible: readonly string[] };
  readonly sandbox: string;
  /** Names of its instances; empty when something was refused. */
  readonly instances: readonly string[];
  readonly devices: readonly DeviceVerdict[];
  readonly resources: readonly ResourceVerdict[];
  /** Grants that hold now. */
  readonly holds: readonly ShownEntry[];
  /** Last entries of the ledger, oldest first. */
  readonly history: readonly ShownEntry[];
  /** Problems of the machine file as a whole, as "file:line:col: what; what to do". */
  readonly problems: readonly string[];
}

export type ShownEntry = Omit<LedgerEntry, "generation"> & { readonly generation: string };

/** Entries of the ledger in one explanation: the last few restarts. */
const historyEntries = 24;

/** @throws AirlockError NotFound when the machine file has no such driver */
export function explain(name: string, judgement: Judgement, ledger?: Ledger): Explanation {
  const found = judgement.drivers.find(
    (one) => one.driver.name === name || one.assignments.some((assignment) => assignment.driver === name),
  );
  if (found === undefined) {
    const names = judgement.drivers.map((one) => one.driver.name);
    throw new AirlockError(
      "NotFound",
      `there is no driver "${name}" in the machine file; ${advice(name, names, "driver")}`,
      { driver: name },
    );
  }
  const { manifest, directory } = found.driver.package;
  const instances = found.assignments.map((one) => one.driver);
  const holders = new Set([found.driver.name, ...instances]);
  const ours = (entry: LedgerEntry) => holders.has(entry.driver);
  return {
    driver: found.driver.name,
    package: { name: manifest.name, class: manifest.class, directory, compatible: manifest.compatible },
    sandbox: found.driver.entry.sandbox,
    instances,
    devices: found.devices,
    resources: found.resources,
    holds: (ledger?.current() ?? []).filter(ours).map(show),
    history: (ledger?.entries() ?? []).filter(ours).slice(-historyEntries).map(show),
    problems: judgement.problems.list.map((one) => `${one.file}:${one.line}:${one.column}: ${one.text}`),
  };
}

/** An explanation for people, one fact per line. */
export function explanationText(explanation: Explanation): string {
  const { driver, package: pack, sandbox, instances, devices, resources, holds, history, problems } = explanation;
  const section = (title: string, lines: readonly string[], none: string) => [
    `${title}:`,
    ...(lines.length > 0 ? lines : [none]).map((line) => `  ${line}`),
  ];
  const entry = (one: ShownEntry) => `#${one.sequence} at ${(one.atMicros / 1e6).toFixed(6)} s: ${one.action} "${one.capability}" (${one.driver}, generation ${one.generation}): ${one.reason}`;
  return [
    `driver ${driver}: package ${pack.name} (class ${pack.class}, drives ${pack.compatible.join(", ")}) in sandbox ${sandbox}`,
    instances.length > 0 ? `assigned as ${instances.join(", ")}` : "not assigned",
    ...section("devices", devices.map((one) => `${one.matched ? "yes" : "no "} ${one.device}: ${one.reason}`), "the platform has none"),
    ...section(
      "resources",
      resources.map((one) => `${one.granted ? "granted" : "denied "} ${one.kind} "${one.name}" of ${one.device}: ${one.reason}`),
      "none needed, none granted",
    ),
    ...section("holds now", holds.map(entry), "nothing"),
    ...section("history", history.map(entry), "nothing yet"),
    ...(problems.length > 0 ? section("problems of the machine file", problems, "") : []),
  ].join("\n");
}

function show(entry: LedgerEntry): ShownEntry {
  return { ...entry, generation: String(entry.generation) };
}
