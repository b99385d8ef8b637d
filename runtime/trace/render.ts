/** A crash dump as text: what failed, then one line per entry with names instead of numbers. */
import { IrqOp } from "../api/bridge.ts";
import { failureKinds } from "../api/failure.ts";
import { type TraceEntry, TraceKind, lifecycleSteps } from "./entry.ts";
import type { CrashDump, DumpNames } from "./dump.ts";

export interface RenderOptions {
  /** Last entries to show; default all. */
  readonly last?: number;
}

/** The whole dump, ending in a newline. Times are microseconds before (-) or after the failure. */
export function renderDump(dump: CrashDump, options: RenderOptions = {}): string {
  const { failure } = dump;
  const about: [string, string | undefined][] = [
    ["machine", dump.machine], ["driver", `${dump.driver}, generation ${dump.generation}`],
    ["time", new Date(dump.epochMs).toISOString()], ["failure", `${failure.kind}: ${failure.message}`],
    ["detected", failureKinds[failure.kind]], ["phase", failure.phase], ["operation", failure.operation],
    ["capability", failure.capability],
    ...Object.entries(dump.status).map(([key, value]): [string, string] => [key, String(value)]),
  ];
  const known = about.flatMap(([key, value]): [string, string][] =>
    (value === undefined ? [] : [[printable(key), printable(value)]]));
  const keyWidth = Math.max(...known.map(([key]) => key.length));
  const lines = known.map(([key, value]) => `${key.padEnd(keyWidth)}  ${value}`);
  if (failure.stack !== undefined) lines.push("", ...failure.stack.split("\n").map((line) => `  ${printable(line)}`));

  const zero = zeroMicros(dump);
  const shown = options.last === undefined ? dump.entries : dump.entries.slice(-Math.max(1, options.last));
  const hidden = dump.dropped + dump.entries.length - shown.length;
  lines.push("", `${shown.length} entries${hidden > 0 ? `, ${hidden} earlier ones are not shown` : ""}; microseconds relative to the failure`, "");
  const rows = shown.map((entry) => [
    (entry.micros - zero).toFixed(1), dump.sources[entry.source] ?? "?", kindName(entry.kind), describeEntry(entry, dump.names),
  ]);
  lines.push(...table([["micros", "from", "kind", "what"], ...rows]));

  if (dump.log.length > 0) {
    lines.push("", "last log lines", "", ...table(dump.log.map((l) => [(l.micros - zero).toFixed(1), logLevelName(l.level), l.text])));
  }
  return `${lines.join("\n")}\n`;
}

/** One entry in words: `cmos[0x01] -> 0x26` for a read, `cmos[0x00] <- 0x0a` for a write, `getTime #12` for a request. */
export function describeEntry(entry: TraceEntry, names: DumpNames): string {
  const { a, b, c, d } = entry;
  const window = names.windows[a] ?? `window ${a}`;
  const irq = names.irqs[a] ?? `line ${a}`;
  switch (entry.kind) {
    case TraceKind.read: return `${window}[${hex(b, 8)}] -> ${hex(c, d)}`;
    case TraceKind.postedRead: return `${window}[${hex(b, 8)}], value not used`;
    case TraceKind.write: return `${window}[${hex(b, 8)}] <- ${hex(c, d)}`;
    case TraceKind.irq: return irq;
    case TraceKind.irqOp: return `${irq} ${Object.keys(IrqOp).find((key) => IrqOp[key as keyof typeof IrqOp] === b) ?? `operation ${b}`}`;
    case TraceKind.request:
    case TraceKind.reply: return `${names.operations[a] ?? `operation ${a}`} #${b}, ${c} bytes`;
    case TraceKind.event: return `${names.events[a] ?? `event ${a}`}, ${c} bytes`;
    case TraceKind.requests:
    case TraceKind.completions: return `${names.queues[a] ?? `queue ${a}`}, ${b} ${b === 1 ? "entry" : "entries"}`;
    case TraceKind.timerSet: return `timer ${a} in ${b} us`;
    case TraceKind.timer: return `timer ${a}`;
    case TraceKind.log: return `${logLevelName(a)}, ${c} bytes`;
    case TraceKind.lifecycle: return lifecycleSteps[a] ?? `step ${a}`;
    case TraceKind.failure: return Object.keys(failureKinds)[a] ?? `failure ${a}`;
    case TraceKind.denied: return `${window}[${hex(b, 8)}], ${d} bits`;
    default: return `${a} ${b} ${c} ${d}`;
  }
}

/** Time of the failure: its entry's, or else the last entry's. */
export function zeroMicros(dump: CrashDump): number {
  return (dump.entries.findLast((entry) => entry.kind === TraceKind.failure) ?? dump.entries.at(-1))?.micros ?? 0;
}

export function kindName(kind: TraceKind): string {
  return Object.keys(TraceKind).find((key) => TraceKind[key as keyof typeof TraceKind] === kind) ?? `kind ${kind}`;
}

export function logLevelName(level: number): string {
  return level >= 50 ? "error" : level >= 40 ? "warn" : level >= 30 ? "info" : "debug";
}

/** Text that a driver or a file gave, safe for a terminal: control and direction-changing characters become escapes. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (char) => `\\u${char.codePointAt(0)!.toString(16).padStart(4, "0")}`);
}

function hex(value: number, widthBits: number): string {
  return `0x${value.toString(16).padStart(widthBits === 16 ? 4 : widthBits === 32 ? 8 : 2, "0")}`;
}

/** Columns aligned with two spaces between them; the first, a number, to the right. */
function table(rows: readonly (readonly string[])[]): string[] {
  const widths = rows.reduce<number[]>((all, row) => row.map((cell, i) => Math.max(all[i] ?? 0, cell.length)), []);
  return rows.map((row) => row.map((cell, i) => {
    const text = printable(cell);
    return i === 0 ? text.padStart(widths[i]!) : i === row.length - 1 ? text : text.padEnd(widths[i]!);
  }).join("  "));
}
