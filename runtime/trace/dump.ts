/** Crash dumps: what is known about one failure of one driver generation, and the file it is kept in. */
import { type Failure, type FailureKind, failureKinds } from "../api/failure.ts";
import { phases } from "../api/bridge.ts";
import { z } from "zod";
import { type TraceEntry, TraceKind } from "./entry.ts";
import type { Snapshot } from "./flight-recorder.ts";

/** Changed when an old reader would misread a new file. */
export const dumpVersion = 1;

/** Most log lines in a dump: what a driver said last matters, and it decides how much it says. */
export const maxLogLines = 200;
/** Longest text of one field; messages and stacks are the driver's own and may be of any length. */
export const maxTextLength = 8_192;
/** Most entries in a dump: some full recorders. */
export const maxDumpEntries = 1 << 20;
/** Entries encoded at once. */
const entriesPerPart = 512;
/** Names per table; a driver has a handful of each. */
const maxNames = 1_024;

/** What the numbers of entries stand for: names by handle or id. */
export interface DumpNames {
  readonly windows: readonly string[];
  readonly irqs: readonly string[];
  readonly operations: readonly string[];
  readonly events: readonly string[];
  readonly queues: readonly string[];
}

/** An entry and the recorder it comes from, as an index of the dump's `sources`. */
export interface DumpEntry extends TraceEntry {
  readonly source: number;
}

export interface DumpLogLine {
  readonly micros: number;
  /** A LogLevel: 20 debug, 30 info, 40 warn, 50 error. */
  readonly level: number;
  readonly text: string;
}

export interface CrashDump {
  readonly machine: string;
  readonly driver: string;
  readonly generation: bigint;
  /** Civil time of the failure in milliseconds since the Unix epoch. */
  readonly epochMs: number;
  readonly failure: Failure;
  readonly names: DumpNames;
  /** Where entries were recorded: "host", "hardware", "supervisor". */
  readonly sources: readonly string[];
  /** In time order. */
  readonly entries: readonly DumpEntry[];
  /** Entries that were recorded and overwritten before the dump. */
  readonly dropped: number;
  /** The driver's last log lines, oldest first. */
  readonly log: readonly DumpLogLine[];
  /** The supervisor's status of the driver at this moment, flat. */
  readonly status: Readonly<Record<string, string | number | boolean>>;
}

/** A dump from its parts: recorders' snapshots merged in time order, texts and lists cut to their limits. */
export function createDump(
  parts: Omit<CrashDump, "sources" | "entries" | "dropped"> & { readonly recorders: Readonly<Record<string, Snapshot>> },
): CrashDump {
  const { recorders, ...rest } = parts;
  const sources = Object.keys(recorders);
  const entries = sources.flatMap((name, source) => recorders[name]!.entries.map(
    ({ micros, kind, a, b, c, d }): DumpEntry => ({ source, micros, kind, a, b, c, d }),
  ));
  // Linear, because each recorder's entries are in order; and stable, so those with one time stay in the order recorded.
  entries.sort((x, y) => x.micros - y.micros);
  const cut = Math.max(0, entries.length - maxDumpEntries);
  return {
    ...rest, sources,
    failure: {
      ...rest.failure, message: clip(rest.failure.message),
      ...(rest.failure.stack === undefined ? {} : { stack: clip(rest.failure.stack) }),
    },
    entries: entries.slice(cut),
    dropped: Object.values(recorders).reduce((sum, snapshot) => sum + snapshot.dropped, cut),
    log: rest.log.slice(-maxLogLines).map((line) => ({ ...line, text: clip(line.text) })),
  };
}

function clip(text: string): string {
  return text.length <= maxTextLength ? text : `${text.slice(0, maxTextLength - 1)}…`;
}

const kinds = new Set<number>(Object.values(TraceKind));
const text = z.string().max(maxTextLength);
const names = z.array(text).max(maxNames);
const finite = z.number();
const word = z.number().int().min(0).max(0xffff_ffff);

/** The file: entries are `[source, micros, kind, a, b, c, d]`. */
const dumpFile = z.strictObject({
  airlockDump: z.literal(dumpVersion),
  machine: text,
  driver: text,
  generation: z.string().regex(/^\d{1,20}$/, "is not a decimal generation number"),
  epochMs: finite.min(0).max(8.64e15),
  failure: z.strictObject({
    kind: z.enum(Object.keys(failureKinds) as [FailureKind, ...FailureKind[]]),
    message: text,
    phase: z.enum(phases as [Failure["phase"] & string, ...(Failure["phase"] & string)[]]).optional(),
    stack: text.optional(),
    operation: text.optional(),
    capability: text.optional(),
  }),
  names: z.strictObject({ windows: names, irqs: names, operations: names, events: names, queues: names.default([]) }),
  sources: names,
  dropped: finite.int().min(0),
  log: z.array(z.strictObject({ micros: finite, level: z.number().int().min(0).max(100), text })).max(maxLogLines),
  status: z.record(text, z.union([text, finite, z.boolean()])),
  entries: z.array(z.tuple([
    word, finite, z.number().refine((kind) => kinds.has(kind), "is no kind of trace entry"), word, word, word, word,
  ])).max(maxDumpEntries),
}).superRefine((dump, context) => {
  const stray = dump.entries.findIndex((entry) => entry[0] >= dump.sources.length);
  if (stray >= 0) context.addIssue({ code: "custom", path: ["entries", stray, 0], message: "names a source that the dump does not list" });
});

/**
 * The dump as the text of its file, one line per entry, in parts: a part takes well under a millisecond, so that a writer
 * that waits between them does not hold up the recovery that goes on in the same thread.
 */
export function* encodeDump(dump: CrashDump): Generator<string, void> {
  const { entries, generation, ...rest } = dump;
  const head = JSON.stringify({ airlockDump: dumpVersion, ...rest, generation: String(generation) });
  yield `${head.slice(0, -1)},"entries":[`;
  for (let start = 0; start < entries.length; start += entriesPerPart) {
    let part = "";
    for (let i = start; i < Math.min(start + entriesPerPart, entries.length); i++) {
      const { source, micros, kind, a, b, c, d } = entries[i]!;
      part += `${i === 0 ? "" : ","}\n[${source},${micros},${kind},${a},${b},${c},${d}]`;
    }
    yield part;
  }
  yield "\n]}\n";
}

export type DecodedDump = { readonly ok: true; readonly dump: CrashDump } | { readonly ok: false; readonly reason: string };

/** Reads a dump's text, which may come from anywhere. The reason names the first thing that is wrong. */
export function decodeDump(source: string): DecodedDump {
  let json: unknown;
  try {
    json = JSON.parse(source);
  } catch (error) {
    return { ok: false, reason: `is not JSON: ${(error as SyntaxError).message}` };
  }
  const version = (json as { airlockDump?: unknown } | null)?.airlockDump;
  if (version !== dumpVersion) {
    const other = `is a dump of version ${String(version)}, this reads version ${dumpVersion}`;
    return { ok: false, reason: typeof version === "number" ? other : "is not a crash dump" };
  }
  const parsed = dumpFile.safeParse(json);
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    return { ok: false, reason: `${issue.path.join(".")}: ${issue.message}` };
  }
  const { airlockDump: _, generation, failure, entries, ...rest } = parsed.data;
  return {
    ok: true,
    dump: {
      ...rest, generation: BigInt(generation), failure,
      entries: entries.map(([at, micros, kind, a, b, c, d]) => ({ source: at, micros, kind: kind as TraceKind, a, b, c, d })),
    },
  };
}
