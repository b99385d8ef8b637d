/** What `airlock run` shows while it runs: pino's JSON lines for programs, a table that redraws itself for people. */
import type tty from "node:tty";
import { pino } from "pino";
import { LogLevel } from "../api/bridge.ts";
import type { RecoveryTimes } from "./control/recovery-times.ts";
import type { MachineReport } from "./control/status.ts";
import type { LogLine } from "./log-book.ts";
import type { Machine } from "./machine.ts";
import { escapedJson, plainText } from "./output.ts";
import { liveTable, machineLine, shortDuration } from "./text-table.ts";

/** Told by the daemon what happens. */
export interface DaemonView {
  /** The machine is up, and the control socket serves. */
  ready(machine: Machine, recoveryTimes: RecoveryTimes, report: () => MachineReport): void;
  /** A remark of the daemon itself. */
  say(level: "info" | "warn" | "error", text: string): void;
  /** Nothing more follows. */
  end(): void;
}

/** JSON that a reader does not take is dropped above this: a daemon must not grow, or stand still, with its log. */
const unreadBytes = 4 * 1_048_576;
/** Redraws are no more frequent; and the table's times move this often without any event. */
const redrawMs = 250;

/** JSON lines on file descriptor `fd`. */
export function jsonView(level: string, fd: number): DaemonView {
  const destination = pino.destination({ fd, sync: false, maxLength: unreadBytes });
  // The reader has gone: the daemon's work is not its log.
  destination.on("error", () => undefined);
  const log = pino({ level, base: { pid: process.pid }, hooks: { streamWrite: escapedJson } }, destination);
  return {
    ready: (machine, recoveryTimes, report) => {
      const { machine: name, platform, state, exports } = report();
      log.info({ machine: name, platform, state, exports }, "ready");
      followMachine(machine, recoveryTimes, (fields, least, text) => log[least](fields, text));
    },
    say: (least, text) => log[least](text),
    end: () => {
      try {
        destination.flushSync();
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EPIPE") process.stderr.write(`airlock: the log cannot be written: ${plainText(String(error))}\n`);
      }
    },
  };
}

type Level = "debug" | "info" | "warn" | "error";
type Tell = (fields: Readonly<Record<string, unknown>>, level: Level, text: string) => void;

/** Lifecycle, failures and recovery times, drivers' logs and remarks about them. */
function followMachine(machine: Machine, recoveryTimes: RecoveryTimes, tell: Tell): void {
  // A remark at debug level about a state is what the supervisor tells below, with fields.
  machine.logs.follow((line) => { if (line.source === "driver" || line.level > LogLevel.debug) tell(fieldsOf(line), levelOf(line), line.text); });
  for (const { name: driver, supervisor } of machine.drivers.values()) {
    let { state, lastFailure } = supervisor.status;
    supervisor.onChange((status) => {
      const generation = String(status.generation);
      if (status.lastFailure !== undefined && status.lastFailure !== lastFailure) {
        const { failure, generation: failed } = status.lastFailure;
        tell({ driver, generation: String(failed), failure }, "warn", `failed: ${failure.kind}: ${failure.message}`);
      }
      if (status.state !== state) {
        const isBack = status.state === "running" && status.lastFailure?.generation === status.generation - 1n;
        const recoveryMs = isBack ? recoveryTimes.last(driver) : undefined;
        const why = status.reason === undefined ? "" : `: ${status.reason}`;
        const text = `${status.state}${why}${recoveryMs === undefined ? "" : `, ${recoveryMs.toFixed(1)} ms after its failure`}`;
        tell({ driver, generation, state: status.state, ...(recoveryMs !== undefined && { recoveryMs }) }, status.state === "held" ? "error" : "info", text);
      }
      ({ state, lastFailure } = status);
    });
    supervisor.onRecovery(({ kind, generation, firstServedMicros }) => {
      const servedMs = Math.round(firstServedMicros ?? 0) / 1000;
      tell({ driver, generation: String(generation), kind, servedMs }, "info", "recovered: the first call since the failure was served");
    });
  }
}

function fieldsOf({ driver, generation, source }: LogLine): Record<string, unknown> {
  return { driver, generation: String(generation), source };
}

function levelOf({ level }: LogLine): Level {
  return level >= LogLevel.error ? "error" : level >= LogLevel.warn ? "warn" : level >= LogLevel.info ? "info" : "debug";
}

/** A table at the bottom of a terminal, redrawn in place, with what drivers say scrolling above it. */
export function terminalView(terminal: tty.WriteStream): DaemonView {
  let drawn = 0;
  let report: (() => MachineReport) | undefined;
  let timer: NodeJS.Timeout | undefined;
  const erase = (): string => {
    const text = drawn === 0 ? "" : `\u001b[${drawn}A\u001b[J`;
    drawn = 0;
    return text;
  };
  const fit = (line: string): string => line.slice(0, Math.max(20, (terminal.columns || 80) - 1));
  const draw = (above: readonly string[] = []): void => {
    const lines = report === undefined ? [] : statusLines(report()).slice(0, Math.max(4, (terminal.rows || 24) - 2)).map(fit);
    terminal.write([erase(), ...[...above, ...lines].map((line) => `${line}\n`)].join(""));
    drawn = lines.length;
  };
  return {
    ready: (machine, _recoveryTimes, reporter) => {
      report = reporter;
      machine.logs.follow((line) => {
        if (line.level >= LogLevel.info) draw([plainText(`${line.driver} (${line.generation}): ${line.text}`)]);
      });
      timer = setInterval(draw, redrawMs);
      draw();
    },
    say: (_level, text) => draw([`airlock: ${plainText(text)}`]),
    end: () => {
      clearInterval(timer);
      draw();
    },
  };
}

function statusLines(report: MachineReport): string[] {
  const failures = report.drivers.reduce((sum, { failures: count }) => sum + count, 0);
  return [
    "", machineLine(report), ...report.exports.map(({ name, type, driver, address }) => plainText(`export ${name} (${type}) of ${driver}: ${address}`)), "",
    ...liveTable(report.drivers), "",
    failures === 0 ? "Ctrl-C stops it. Try, in another terminal: airlock kill <driver> --how hang"
      : `Ctrl-C stops it. Failures in ${shortDuration(report.uptimeMs)}: ${failures}.`,
  ];
}
