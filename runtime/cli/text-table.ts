/** Aligned columns of text, and the durations and driver rows that `ps` and the live status show. */
import type { DriverReport, MachineReport } from "./control/status.ts";
import { plainText } from "./output.ts";

/** Rows with their columns aligned; the first row is the heading. */
export function textTable(rows: readonly (readonly string[])[]): string[] {
  const clean = rows.map((row) => row.map((cell) => plainText(cell)));
  const widths = (clean[0] ?? []).map((_, column) => Math.max(...clean.map((row) => row[column]?.length ?? 0)));
  return clean.map((row) => row.map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column]!))).join("  ").trimEnd());
}

/** The table of `ps`. */
export function driversTable(drivers: readonly DriverReport[]): string[] {
  const heading = ["DRIVER", "CLASS", "TIER", "DEVICE", "STATE", "GENERATION", "FAILURES", "RESTARTS", "RECOVERY P50", "UPTIME"];
  return textTable([heading, ...drivers.map((one) => [
    one.driver, one.class, one.tier, one.device, one.state, one.generation, String(one.failures), String(one.restarts),
    one.recoveryP50Ms === undefined ? "-" : `${one.recoveryP50Ms.toFixed(1)} ms`, one.uptimeMs === undefined ? "-" : shortDuration(one.uptimeMs),
  ])]);
}

/** The table of the live status: less of what stays the same, more of what went wrong. */
export function liveTable(drivers: readonly DriverReport[]): string[] {
  const heading = ["DRIVER", "STATE", "GENERATION", "FAILURES", "RECOVERY P50", "UPTIME", "LAST FAILURE"];
  return textTable([heading, ...drivers.map((one) => [
    one.driver, one.state, one.generation, String(one.failures), one.recoveryP50Ms === undefined ? "-" : `${one.recoveryP50Ms.toFixed(1)} ms`,
    one.uptimeMs === undefined ? "-" : shortDuration(one.uptimeMs),
    one.lastFailure === undefined ? one.reason ?? "-" : `${shortDuration(one.lastFailure.agoMs)} ago: ${one.lastFailure.kind}: ${one.lastFailure.message}`,
  ])]);
}

/** What a report says besides its drivers. */
export function machineLine({ machine, platform, pid, uptimeMs, lost, resetRequest }: MachineReport): string {
  const trouble = [
    ...(lost === undefined ? [] : [`HARDWARE LOST: ${lost}`]),
    ...(resetRequest === undefined ? [] : [resetText(resetRequest)]),
  ];
  return plainText([`machine ${machine} on ${platform}, process ${pid}, up ${shortDuration(uptimeMs)}`, ...trouble].join(", "));
}

function resetText({ device, count, agoMs }: NonNullable<MachineReport["resetRequest"]>): string {
  return `RESET ASKED FOR by ${device}${count === 1 ? "" : ` ${count} times, last`} ${shortDuration(agoMs)} ago`;
}

/** Drivers that are not running, each with the reason. */
export function reasonLines(drivers: readonly DriverReport[]): string[] {
  return drivers.filter(({ reason }) => reason !== undefined).map(({ driver, state, reason }) => plainText(`${driver} is ${state}: ${reason}`));
}

/** "850 ms", "12.3 s", "4 m 10 s", "3 h 2 m", "5 d 1 h". */
export function shortDuration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`;
  const seconds = Math.floor(ms / 1_000);
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} m ${seconds % 60} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 1_440) return `${Math.floor(minutes / 60)} h ${minutes % 60} m`;
  return `${Math.floor(minutes / 1_440)} d ${Math.floor((minutes % 1_440) / 60)} h`;
}
