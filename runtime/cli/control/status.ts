/** What `ps` tells of a machine and its drivers, as plain data; made by the daemon, shown by commands and the live status. */
import type { FailureKind } from "../../api/failure.ts";
import type { DriverState } from "../../supervisor/driver-status.ts";
import type { RunningExports } from "../exports-runner.ts";
import type { Machine, MachineDriver } from "../machine.ts";
import type { RecoveryTimes } from "./recovery-times.ts";

/** One driver. Times in milliseconds; generations in decimal. */
export interface DriverReport {
  readonly driver: string;
  readonly class: string;
  readonly tier: string;
  readonly device: string;
  readonly state: DriverState;
  /** Why it is not running. */
  readonly reason?: string;
  readonly generation: string;
  /** All failures, and by kind. */
  readonly failures: number;
  readonly failuresByKind: Readonly<Partial<Record<FailureKind, number>>>;
  readonly lastFailure?: { readonly kind: FailureKind; readonly message: string; readonly generation: string; readonly agoMs: number };
  /** Restarts that followed a failure. */
  readonly restarts: number;
  /** Median time from a failure's detection until the driver was in service again, of its latest recoveries. */
  readonly recoveryP50Ms?: number;
  /** Time in its present state. */
  readonly sinceMs: number;
  /** Time in service; absent when it is not. */
  readonly uptimeMs?: number;
}

export interface MachineReport {
  readonly machine: string;
  readonly file: string;
  readonly platform: string;
  readonly pid: number;
  readonly state: string;
  readonly uptimeMs: number;
  /** Why the hardware is gone, once it is. */
  readonly lost?: string;
  /** The device that asked for the machine's reset last, as a watchdog does that ran out; how often one did, and how long ago. */
  readonly resetRequest?: { readonly device: string; readonly count: number; readonly agoMs: number };
  readonly exports: readonly { readonly name: string; readonly type: string; readonly driver: string; readonly address: string }[];
  readonly drivers: readonly DriverReport[];
}

/** What a report is made of besides the machine. */
export interface ReportContext {
  readonly stateDirectory: string;
  readonly startedMicros: number;
  readonly exports: RunningExports | undefined;
  readonly recoveryTimes: RecoveryTimes;
}

/** What the daemon has of a machine. */
export interface ServedMachine extends ReportContext {
  readonly machine: Machine;
}

export function machineReport(context: ServedMachine): MachineReport {
  const { machine } = context;
  const now = machine.clock.nowMicros();
  return {
    machine: machine.loaded.name, file: machine.loaded.file, platform: machine.platform.type, pid: process.pid,
    state: context.stateDirectory, uptimeMs: wholeMs(now - context.startedMicros),
    ...(machine.lost !== undefined && { lost: machine.lost }),
    ...(machine.resetRequest !== undefined && { resetRequest: {
      device: machine.resetRequest.device, count: machine.resetRequest.count, agoMs: wholeMs(now - machine.resetRequest.atMicros),
    } }),
    exports: context.exports?.list ?? [],
    drivers: [...machine.drivers.values()].map((driver) => driverReport(driver, context)),
  };
}

export function driverReport({ name, assignment, supervisor }: MachineDriver, { machine, recoveryTimes }: ServedMachine): DriverReport {
  const nowMicros = machine.clock.nowMicros();
  const { state, reason, generation, failures, restarts, lastFailure, sinceMicros } = supervisor.status;
  const recoveryP50Ms = recoveryTimes.p50(name);
  return {
    driver: name, class: assignment.package.manifest.class, tier: assignment.loaded.entry.sandbox, device: assignment.device.name,
    state, ...(reason !== undefined && { reason }), generation: String(generation),
    failures: Object.values(failures).reduce((sum, count) => sum + count, 0), failuresByKind: failures,
    ...(lastFailure !== undefined && { lastFailure: {
      kind: lastFailure.failure.kind, message: lastFailure.failure.message, generation: String(lastFailure.generation), agoMs: wholeMs(nowMicros - lastFailure.atMicros),
    } }),
    restarts,
    ...(recoveryP50Ms !== undefined && { recoveryP50Ms: Math.round(recoveryP50Ms * 1000) / 1000 }),
    sinceMs: wholeMs(nowMicros - sinceMicros),
    ...(state === "running" && { uptimeMs: wholeMs(nowMicros - sinceMicros) }),
  };
}

function wholeMs(micros: number): number {
  return Math.round(micros / 1000);
}
