/** Starts the exports of a machine file and gives each a client of its driver. */
import path from "node:path";
import type { Clock } from "../api/clock.ts";
import { LogLevel } from "../api/bridge.ts";
import { AirlockError, errorText, isAirlockError } from "../api/errors.ts";
import type { ExportDefinition, ExportLog, RunningExport } from "../exports/export.ts";
import { findExports } from "../exports/find-exports.ts";
import type { LoadedExport } from "../machine/load.ts";
import type { Machine } from "./machine.ts";
import { placed } from "./placed-errors.ts";

/** How long an export may take to disconnect its clients and flush its disk; a stuck one must not keep the machine from closing. */
const closeMs = 6_000;

export interface RunningExports {
  readonly list: readonly { readonly name: string; readonly type: string; readonly driver: string; readonly address: string }[];
  /** Ends them all; new clients are refused from this moment on. Idempotent. */
  close(): Promise<void>;
}

/**
 * Starts every export, or those of these types, in the order of the machine file. Leaves none running when one cannot start.
 * @throws what the export says: AirlockError AddressInUse, AddonMissing, MachineFileInvalid, StateUnusable, Unsupported
 */
export async function startExports(machine: Machine, stateDirectory: string, clock: Clock, types?: readonly string[]): Promise<RunningExports> {
  const definitions = await findExports();
  const running: { readonly loaded: LoadedExport; readonly export: RunningExport }[] = [];
  const gate = { closed: false };
  const close = async (): Promise<void> => {
    gate.closed = true;
    await Promise.all(running.map(({ loaded, export: one }) => within(clock, closeMs, one.close()).catch((error: unknown) => {
      note(machine, loaded, LogLevel.warn, `cannot be closed: ${errorText(error)}`);
    })));
  };
  try {
    for (const loaded of machine.loaded.exports) {
      if (types !== undefined && !types.includes(loaded.type)) continue;
      const definition = definitions.get(loaded.type)!;
      checkClass(machine, loaded, definition);
      const started = await startOne(machine, loaded, () => definition.start({
        name: loaded.name, options: loaded.options, stateDirectory, clock, directory: path.dirname(path.resolve(machine.loaded.file)),
        log: exportLog(machine, loaded), open: () => openClient(machine, loaded, gate),
      }));
      running.push({ loaded, export: started });
      void started.ended.then((reason) => {
        if (reason !== undefined && !gate.closed) note(machine, loaded, LogLevel.error, `ended: ${reason.message}`);
      });
    }
  } catch (error) {
    await close();
    throw error;
  }
  let closing: Promise<void> | undefined;
  return {
    list: running.map(({ loaded: { name, type, driver }, export: { address } }) => ({ name, type, driver, address })),
    close: () => (closing ??= close()),
  };
}

/** What is wrong with an export's keys has its place in the machine file; whoever lacks the addon learns for what. */
async function startOne({ loaded: machine }: Machine, { name, type }: LoadedExport, start: () => Promise<RunningExport>): Promise<RunningExport> {
  try {
    return await start();
  } catch (error) {
    if (isAirlockError(error, "AddonMissing")) throw new AirlockError(error.code, `export "${name}" of type ${type}: ${error.message}`, error.fields, { cause: error });
    throw placed(machine, error, ["exports", name]);
  }
}

/** @throws AirlockError Closed once the machine is shutting down, which ends the export; else what the class's client says */
async function openClient(machine: Machine, { driver }: LoadedExport, gate: { readonly closed: boolean }): Promise<unknown> {
  if (gate.closed) throw new AirlockError("Closed", `driver "${driver}": the machine is shutting down`, { driver });
  return machine.client(driver);
}

function checkClass(machine: Machine, loaded: LoadedExport, definition: ExportDefinition): void {
  const { manifest } = machine.driver(loaded.driver).assignment.package;
  if (manifest.class === definition.class) return;
  const { line, column } = machine.loaded.source.locate(["exports", loaded.name, "driver"]);
  const takes = `export "${loaded.name}" of type ${loaded.type} takes a driver of class ${definition.class}`;
  const what = `${takes}, but "${loaded.driver}" is of class ${manifest.class}; name another driver`;
  throw new AirlockError("MachineFileInvalid", `${machine.loaded.file}:${line}:${column}: ${what}`, { file: machine.loaded.file, line, column });
}

function exportLog(machine: Machine, loaded: LoadedExport): ExportLog {
  const at = (level: LogLevel) => (text: string): void => note(machine, loaded, level, text);
  return { debug: at(LogLevel.debug), info: at(LogLevel.info), warn: at(LogLevel.warn), error: at(LogLevel.error) };
}

/** Exports speak in the log of the driver they export. */
function note(machine: Machine, { name, driver }: LoadedExport, level: LogLevel, text: string): void {
  machine.logs.note(driver, machine.drivers.get(driver)?.supervisor.status.generation ?? 0n, `export "${name}": ${text}`, level);
}

function within(clock: Clock, limitMs: number, work: Promise<void>): Promise<void> {
  return new Promise((resolve, reject) => {
    const cancel = clock.setTimer(limitMs * 1000, () => reject(new AirlockError("Closed", `not within ${limitMs} ms`)));
    work.then(resolve, reject).finally(cancel);
  });
}
