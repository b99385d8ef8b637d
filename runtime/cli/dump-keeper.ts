/** Writes a crash dump per failure, beside the recovery and never in its way. */
import { LogLevel } from "../api/bridge.ts";
import type { Clock } from "../api/clock.ts";
import { errorText } from "../api/errors.ts";
import type { Failure } from "../api/failure.ts";
import { createDump } from "../trace/dump.ts";
import { writeDump } from "../trace/dump-files.ts";
import { FlightRecorder, type Snapshot } from "../trace/flight-recorder.ts";
import type { LogBook } from "./log-book.ts";
import type { MachineDriver } from "./machine.ts";

/** Dumps being written at once; a soak fails faster than a disk writes, and the rest is counted, not queued. */
const mostWriting = 4;
/** Log lines in a dump. */
const dumpedLines = 100;
/** Decoding and writing a dump takes some ms of the control plane; by then the driver is back. */
const writeDelayMs = 50;

type Recorders = Readonly<Record<string, FlightRecorder>>;

export class DumpKeeper {
  readonly #machine: string;
  readonly #directory: string;
  readonly #logs: LogBook;
  readonly #clock: Clock;
  readonly #recorders: (driver: string) => Recorders;
  readonly #writing = new Set<Promise<void>>();
  /** Failures without a dump, because too many were being written. */
  skipped = 0;

  constructor(machine: string, directory: string, logs: LogBook, clock: Clock, recorders: (driver: string) => Recorders) {
    this.#machine = machine;
    this.#directory = directory;
    this.#logs = logs;
    this.#clock = clock;
    this.#recorders = recorders;
  }

  keep(driver: MachineDriver, failure: Failure, generation: bigint): void {
    if (this.#writing.size >= mostWriting) {
      this.skipped++;
      return;
    }
    const copies = Object.entries(this.#recorders(driver.name)).map(([name, recorder]) => [name, copyOf(recorder)] as const);
    const lines = this.#logs.lines(driver.name).slice(-dumpedLines);
    const epochMs = Date.now();
    const { restarts } = driver.supervisor.status;
    const writing = new Promise<void>((resolve) => { this.#clock.setTimer(writeDelayMs * 1000, resolve); }).then(() => {
      const recorders = Object.fromEntries(copies.map(([name, copy]) => [name, copy.snapshot()]));
      return this.#write(driver, failure, generation, recorders, lines, epochMs, restarts);
    }).catch((error: unknown) => this.#logs.note(driver.name, generation, `no crash dump was made: ${errorText(error)}`, LogLevel.error));
    this.#writing.add(writing);
    void writing.then(() => this.#writing.delete(writing));
  }

  /** Resolves when nothing is being written any more. */
  async settled(): Promise<void> {
    await Promise.all(this.#writing);
  }

  async #write(
    driver: MachineDriver, failure: Failure, generation: bigint, recorders: Readonly<Record<string, Snapshot>>,
    lines: readonly { readonly micros: number; readonly level: number; readonly text: string }[], epochMs: number, restarts: number,
  ): Promise<void> {
    const { windows, irqs } = driver.assignment.grant;
    const { contract } = driver.shadow;
    const result = await writeDump(this.#directory, createDump({
      machine: this.#machine, driver: driver.name, generation, epochMs, failure, recorders,
      names: {
        windows: windows.map(({ name }) => name), irqs: irqs.map(({ name }) => name),
        operations: contract.operationList.map(({ name }) => name), events: contract.eventList.map(({ name }) => name),
        queues: contract.queueList.map(({ name }) => name),
      },
      log: lines.map(({ micros, level, text }) => ({ micros, level, text })),
      status: { restarts, sandbox: driver.assignment.loaded.entry.sandbox },
    }));
    if (!result.ok) this.#logs.note(driver.name, generation, result.error.message, LogLevel.error);
  }
}

function copyOf(recorder: FlightRecorder): FlightRecorder {
  return FlightRecorder.attach(recorder.buffer.slice(0), () => 0);
}
