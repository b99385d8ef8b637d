/** A crash dump as Chrome trace events (Trace Event Format, JSON Object Format), which ui.perfetto.dev loads. */
import { type CrashDump, type DumpEntry } from "./dump.ts";
import { TraceKind } from "./entry.ts";
import { describeEntry, kindName, logLevelName } from "./render.ts";

/** One event of the format; `ts` and `dur` in microseconds. */
export interface ChromeTraceEvent {
  readonly name: string;
  /** M metadata, i instant, X complete (a slice). */
  readonly ph: "M" | "i" | "X";
  readonly pid: number;
  readonly tid: number;
  readonly ts?: number;
  readonly dur?: number;
  /** Of an instant: thread or global. */
  readonly s?: "t" | "g";
  readonly args: Readonly<Record<string, string | number | boolean>>;
}

export interface ChromeTrace {
  readonly displayTimeUnit: "ns";
  readonly traceEvents: readonly ChromeTraceEvent[];
}

const pid = 1;
/** The threads shown; calls that overlap get further lanes from `lane` on. */
const threads = { driver: 1, irq: 2, log: 3, lifecycle: 4, lane: 10 } as const;

/** The process is the machine; its threads are the driver's accesses, interrupts, log, lifecycle, and class messages. */
export function toPerfetto(dump: CrashDump): ChromeTrace {
  const start = Math.min(dump.entries[0]?.micros ?? 0, dump.log[0]?.micros ?? Infinity);
  const end = dump.entries.at(-1)?.micros ?? start;
  const slices = callSlices(dump, start, end);
  const lanes = Math.max(1, ...slices.map((slice) => slice.tid - threads.lane + 1));
  const named: [number, string][] = [
    [threads.driver, `driver ${dump.driver}`], [threads.irq, "irq"], [threads.log, "log"], [threads.lifecycle, "lifecycle"],
    ...Array.from({ length: lanes }, (_, i): [number, string] =>
      [threads.lane + i, i === 0 ? "class messages" : `class messages ${i + 1}`]),
  ];
  const metadata = (name: string, tid: number, value: string): ChromeTraceEvent =>
    ({ name, ph: "M", pid, tid, args: { name: value } });
  return {
    displayTimeUnit: "ns",
    traceEvents: [
      metadata("process_name", 0, `machine ${dump.machine}`),
      ...named.map(([tid, name]) => metadata("thread_name", tid, name)),
      ...slices,
      ...dump.entries.flatMap((entry) => instant(dump, entry, start)),
      ...dump.log.map((line): ChromeTraceEvent => ({
        name: line.text, ph: "i", pid, tid: threads.log, ts: line.micros - start, s: "t", args: { level: logLevelName(line.level) },
      })),
    ],
  };
}

function instant(dump: CrashDump, entry: DumpEntry, start: number): ChromeTraceEvent[] {
  const failed = entry.kind === TraceKind.failure;
  const tid = threadOf(entry.kind);
  if (tid === undefined) return [];
  const what = describeEntry(entry, dump.names);
  return [{
    name: failed ? `failure: ${what}: ${dump.failure.message}` : what,
    ph: "i", pid, tid, ts: entry.micros - start, s: failed ? "g" : "t",
    args: { kind: kindName(entry.kind), recorder: dump.sources[entry.source] ?? "?" },
  }];
}

/** Where an entry is shown as an instant; requests and replies are slices, log entries are shown with their text. */
function threadOf(kind: TraceKind): number | undefined {
  switch (kind) {
    case TraceKind.request:
    case TraceKind.reply:
    case TraceKind.log: return undefined;
    case TraceKind.irq:
    case TraceKind.irqOp: return threads.irq;
    case TraceKind.lifecycle:
    case TraceKind.failure: return threads.lifecycle;
    case TraceKind.event: return threads.lane;
    default: return threads.driver;
  }
}

/** One slice per request up to the reply of its tag; one that got none lasts to the end of the dump. */
function callSlices(dump: CrashDump, start: number, end: number): ChromeTraceEvent[] {
  const slices: ChromeTraceEvent[] = [];
  const laneFreeAt: number[] = [];
  const replies = new Map<number, DumpEntry[]>();
  for (const entry of dump.entries) {
    if (entry.kind === TraceKind.reply) replies.set(entry.b, [...(replies.get(entry.b) ?? []), entry]);
  }
  for (const request of dump.entries) {
    if (request.kind !== TraceKind.request) continue;
    const waiting = replies.get(request.b) ?? [];
    while (waiting.length > 0 && waiting[0]!.micros < request.micros) waiting.shift();
    const reply = waiting.shift();
    const endMicros = reply?.micros ?? end;
    const free = laneFreeAt.findIndex((micros) => micros <= request.micros);
    const lane = free < 0 ? laneFreeAt.length : free;
    laneFreeAt[lane] = endMicros;
    slices.push({
      name: dump.names.operations[request.a] ?? `operation ${request.a}`, ph: "X", pid, tid: threads.lane + lane,
      ts: request.micros - start, dur: endMicros - request.micros,
      args: {
        tag: request.b, requestBytes: request.c, answered: reply !== undefined,
        ...(reply === undefined ? {} : { replyBytes: reply.c }),
      },
    });
  }
  return slices;
}
