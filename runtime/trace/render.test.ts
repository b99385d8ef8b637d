import { describe, expect, test } from "vitest";
import { type TraceEntry, TraceKind } from "./entry.ts";
import { toPerfetto } from "./perfetto.ts";
import { describeEntry, kindName, renderDump } from "./render.ts";
import { sampleDump } from "../../test/fixtures/sample-dump.ts";

describe("text", () => {
  test("a dump shows what failed, then its entries with names and times relative to the failure", () => {
    expect(renderDump(sampleDump())).toBe(`\
machine    lab-pc
driver     clock, generation 7
time       2024-05-01T12:34:56.789Z
failure    exception: the clock\\u001b[31m stopped
detected   driver code threw or trapped, or a promise it returned was rejected
phase      operation
operation  getTime
failures   2
held       false

  Error: x
      at clock.ts:12:3

11 entries, 3 earlier ones are not shown; microseconds relative to the failure

micros  from      kind       what
 -50.0  host      request    getTime #12, 0 bytes
 -47.5  host      write      cmos[0x00] <- 0x0a
 -47.0  hardware  read       cmos[0x01] -> 0x26
 -40.0  host      reply      getTime #12, 8 bytes
 -30.0  host      request    setTime #13, 8 bytes
 -29.0  host      request    getTime #14, 0 bytes
 -20.0  hardware  irq        tick
 -19.0  host      irqOp      tick ack
 -10.0  host      event      alarm, 4 bytes
   0.0  host      failure    exception
   1.5  host      lifecycle  gate

last log lines

-31.0  warn  odd\\u202etime
`);
  });

  test("only the last entries on request", () => {
    const text = renderDump(sampleDump(), { last: 2 });
    expect(text).toContain("2 entries, 12 earlier ones are not shown");
    expect(text).not.toContain("getTime #12");
  });

  test("an empty dump renders", () => {
    expect(renderDump({ ...sampleDump(), entries: [], log: [], sources: [], dropped: 0 })).toContain("0 entries;");
  });

  test("every kind has words of its own, also with numbers that no table knows", () => {
    const none = { windows: [], irqs: [], operations: [], events: [], queues: [] };
    for (const kind of Object.values(TraceKind)) {
      const text = describeEntry({ micros: 0, kind, a: 77, b: 78, c: 79, d: 32 }, none);
      expect(text).not.toMatch(/undefined|^77 78 79 32$/);
      expect(kindName(kind)).not.toMatch(/^kind /);
    }
    const entry: TraceEntry = { micros: 0, kind: TraceKind.write, a: 0, b: 4, c: 0xbeef, d: 32 };
    expect(describeEntry(entry, none)).toBe("window 0[0x04] <- 0x0000beef");
  });
});

describe("Perfetto", () => {
  const trace = toPerfetto(sampleDump());
  const threadName = (tid: number) => trace.traceEvents.find((e) => e.name === "thread_name" && e.tid === tid)?.args["name"];

  test("the process is the machine, and every event is on a named thread", () => {
    expect(trace.traceEvents.find((e) => e.name === "process_name")?.args["name"]).toBe("machine lab-pc");
    for (const event of trace.traceEvents.filter((e) => e.ph !== "M")) {
      expect(threadName(event.tid)).toBeTypeOf("string");
      expect(event.ts).toBeGreaterThanOrEqual(0);
    }
  });

  test("a request and the reply of its tag are one slice; one without a reply lasts to the end, in a lane of its own", () => {
    const slices = trace.traceEvents.filter((e) => e.ph === "X");
    expect(slices.map((s) => [s.name, s.ts, s.dur, s.args["tag"], s.args["answered"], threadName(s.tid)])).toEqual([
      ["getTime", 0, 10, 12, true, "class messages"],
      ["setTime", 20, 31.5, 13, false, "class messages"],
      ["getTime", 21, 30.5, 14, false, "class messages 2"],
    ]);
  });

  test("slices of one thread never overlap", () => {
    const entries = Array.from({ length: 60 }, (_, i) => ({
      source: 0, micros: i, kind: i % 3 === 2 ? TraceKind.reply : TraceKind.request, a: 0, b: i % 3 === 2 ? i - 2 : i, c: 0, d: 0,
    }));
    const slices = toPerfetto({ ...sampleDump(), entries }).traceEvents.filter((e) => e.ph === "X");
    expect(slices).toHaveLength(40);
    for (const x of slices) {
      const overlapping = slices.filter((y) => y !== x && y.tid === x.tid && x.ts! < y.ts! + y.dur! && y.ts! < x.ts! + x.dur!);
      expect(overlapping).toEqual([]);
    }
  });

  test("accesses are instants of the driver's thread, and the failure is marked across all of them", () => {
    const instants = trace.traceEvents.filter((e) => e.ph === "i");
    expect(instants.filter((e) => threadName(e.tid) === "driver clock").map((e) => e.name)).toEqual(["cmos[0x00] <- 0x0a", "cmos[0x01] -> 0x26"]);
    expect(instants.filter((e) => e.s === "g").map((e) => e.name)).toEqual(["failure: exception: the clock\u001b[31m stopped"]);
    expect(instants.find((e) => threadName(e.tid) === "log")?.args["level"]).toBe("warn");
  });

  test("it is plain JSON", () => {
    expect(JSON.parse(JSON.stringify(trace))).toEqual(trace);
  });
});
