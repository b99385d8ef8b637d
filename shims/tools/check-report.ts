/** Sums up a check of all drivers: a table of how far they come, and what most of them lack. */
// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
import { checkedFolders, type DriverCheck, type DriverState } from "./check-drivers.ts";

/** So many of a list are shown to people; --json has all. */
const shownEntries = 25;
/** So many of the names that one driver lacks are shown beside it. */
const shownNames = 3;

/** How many drivers of one kind come how far. Each number includes those that come farther; those for other machines are in none. */
export interface KindSummary {
  readonly kind: string;
  readonly drivers: number;
  readonly otherMachines: number;
  readonly compile: number;
  readonly link: number;
  readonly complete: number;
}

/** A name, and how many drivers lack it. */
export interface Lack {
  readonly name: string;
  readonly drivers: number;
}

/** A driver that does not come to the end, and why. */
export interface Short {
  readonly module: string;
  readonly folder: string;
  readonly state: DriverState;
  /** What Kconfig says, or the first names that it lacks, or the first error. */
  readonly reason: string;
}

export interface CheckSummary {
  readonly kinds: readonly KindSummary[];
  readonly total: KindSummary;
  readonly missingFunctions: readonly Lack[];
  readonly missingData: readonly Lack[];
  readonly mismatches: readonly Lack[];
  readonly duplicates: readonly Lack[];
  /** What drivers for other machines need of those, as Kconfig says it. */
  readonly otherMachines: readonly Lack[];
  /** Drivers that lack something; those for other machines last. */
  readonly short: readonly Short[];
  /** First errors of drivers that do not compile or link, without their places. */
  readonly errors: readonly Lack[];
}

export function summaryOf(drivers: readonly DriverCheck[]): CheckSummary {
  const failing = drivers.filter(({ state }) => state !== "for other machines");
  const kinds = checkedFolders.map(({ kind }) => kindSummary(kind, drivers.filter((one) => one.kind === kind)));
  return {
    kinds, total: kindSummary("all", drivers),
    missingFunctions: counted(failing, ({ missingFunctions }) => missingFunctions), missingData: counted(failing, ({ missingData }) => missingData),
    mismatches: counted(failing, ({ mismatches }) => mismatches), duplicates: counted(failing, ({ duplicates }) => duplicates),
    otherMachines: counted(drivers, ({ state, otherMachine }) => (state === "for other machines" && otherMachine !== undefined ? [otherMachine] : [])),
    short: [...failing, ...drivers.filter((one) => !failing.includes(one))].filter(({ state }) => state !== "complete").map(shortOf),
    errors: counted(failing, ({ error }) => (error === "" ? [] : [error.replace(/^\S+?:\d+:\d+: /, "")])),
  };
}

/** The summary's lines. `table` aligns rows. */
export function summaryText({ kinds, total, ...lacks }: CheckSummary, table: (rows: readonly (readonly string[])[]) => string[]): string {
  const rows = [...kinds, total].map(({ kind, drivers, otherMachines, compile, link, complete }) => [kind, ...[drivers, otherMachines, compile, link, complete].map(String)]);
  return [
    ...table([["KIND", "DRIVERS", "OTHER MACHINES", "COMPILE", "LINK", "LACK NOTHING"], ...rows]),
    "", totalsText(total),
    ...lackLines("missing functions (each is a trap that says its name)", lacks.missingFunctions, table),
    ...lackLines("missing variables (the driver cannot be linked)", lacks.missingData, table),
    ...lackLines("functions called with another type than they have", lacks.mismatches, table),
    ...lackLines("names defined twice", lacks.duplicates, table),
    ...lackLines("for other machines only: what drivers depend on, as Kconfig says it", lacks.otherMachines, table),
    ...lackLines("first errors", lacks.errors, table),
    ...shortLines(lacks.short, table),
  ].join("\n");
}

/** "213 drivers: 9 for other machines; of the other 204, 187 compile, 176 link, 103 lack nothing". */
export function totalsText({ drivers, otherMachines, compile, link, complete }: KindSummary): string {
  const others = otherMachines === 0 ? "" : `${otherMachines} for other machines only; of the other ${drivers - otherMachines}, `;
  return `${drivers} drivers: ${others}${compile} compile, ${link} link, ${complete} lack nothing`;
}

function lackLines(title: string, list: readonly Lack[], table: (rows: readonly (readonly string[])[]) => string[]): string[] {
  if (list.length === 0) return [];
  const shown = list.slice(0, shownEntries);
  const rest = list.length > shown.length ? [`... and ${list.length - shown.length} more; --json lists all`] : [];
  return ["", `${title}: ${list.length}`, ...table([["DRIVERS", "NAME"], ...shown.map(({ name, drivers }) => [String(drivers), name])]), ...rest];
}

function shortOf({ module, folder, state, otherMachine, missingFunctions, missingData, mismatches, duplicates, error }: DriverCheck): Short {
  const lacks = [...missingData, ...mismatches, ...duplicates, ...missingFunctions];
  const shown = [...lacks.slice(0, shownNames), ...(lacks.length > shownNames ? [`and ${lacks.length - shownNames} more`] : [])].join(", ");
  return { module, folder, state, reason: state === "for other machines" ? `depends on ${otherMachine}` : shown === "" ? error : shown };
}

function shortLines(list: readonly Short[], table: (rows: readonly (readonly string[])[]) => string[]): string[] {
  if (list.length === 0) return [];
  const shown = list.slice(0, shownEntries);
  const rest = list.length > shown.length ? [`... and ${list.length - shown.length} more; --json lists all`] : [];
  return ["", `drivers that do not come to the end: ${list.length}`, ...table([["DRIVER", "STATE", "WHY"], ...shown.map(({ module, state, reason }) => [module, state, reason])]), ...rest];
}

function kindSummary(kind: string, drivers: readonly DriverCheck[]): KindSummary {
  const reached = (...states: readonly DriverState[]): number => drivers.filter(({ state }) => states.includes(state)).length;
  return { kind, drivers: drivers.length, otherMachines: reached("for other machines"), compile: reached("compiles", "links", "complete"), link: reached("links", "complete"), complete: reached("complete") };
}

/** The most often lacked first. */
function counted(drivers: readonly DriverCheck[], of: (one: DriverCheck) => readonly string[]): Lack[] {
  const counts = new Map<string, number>();
  for (const name of drivers.flatMap((one) => [...new Set(of(one))])) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts].map(([name, count]) => ({ name, drivers: count })).sort((a, b) => b.drivers - a.drivers || (a.name < b.name ? -1 : 1));
}
