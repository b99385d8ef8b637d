import { mkdtemp, readFile, readdir, rm, stat, writeFile, mkdir } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import * as fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type CrashDump, createDump, decodeDump, encodeDump, maxLogLines, maxTextLength } from "./dump.ts";
import { listDumps, readDump, writeDump } from "./dump-files.ts";
import { sampleDump } from "../../test/fixtures/sample-dump.ts";

let directory = "";
beforeEach(async () => { directory = await mkdtemp(path.join(os.tmpdir(), "airlock-dump-")); });
afterEach(() => rm(directory, { recursive: true }));

describe("the format", () => {
  test("what is encoded decodes to the same", () => {
    const dump = sampleDump();
    expect(decodeDump(encoded(dump))).toEqual({ ok: true, dump });
    expect(decodeDump(encoded({ ...dump, entries: [] }))).toEqual({ ok: true, dump: { ...dump, entries: [] } });
    const many = Array.from({ length: 1500 }, (_, i) => ({ ...dump.entries[1]!, micros: i / 8, c: i }));
    expect(decodeDump(encoded({ ...dump, entries: many }))).toEqual({ ok: true, dump: { ...dump, entries: many } });
  });

  test("recorders are merged in time order, ties in the order recorded", () => {
    const at = (micros: number, a: number) => ({ micros, kind: 1 as const, a, b: 0, c: 0, d: 0 });
    const { recorders: _, ...parts } = { ...sampleDump(), recorders: {} };
    const dump = createDump({
      ...parts,
      recorders: {
        host: { entries: [at(1, 1), at(3, 2), at(3, 3), at(9, 4)], dropped: 5 },
        hardware: { entries: [at(2, 5), at(3, 6)], dropped: 1 },
      },
    });
    expect(dump.entries.map((e) => [e.source, e.a])).toEqual([[0, 1], [1, 5], [0, 2], [0, 3], [1, 6], [0, 4]]);
    expect(dump.sources).toEqual(["host", "hardware"]);
    expect(dump.dropped).toBe(6);
  });

  test("long texts and logs are cut, so that what is written can be read", () => {
    const long = "x".repeat(maxTextLength * 2);
    const parts = sampleDump();
    const dump = createDump({
      ...parts, recorders: {}, failure: { ...parts.failure, message: long, stack: long },
      log: Array.from({ length: maxLogLines + 5 }, (_, i) => ({ micros: i, level: 30, text: long })),
    });
    expect(dump.log).toHaveLength(maxLogLines);
    expect(dump.log[0]!.micros).toBe(5);
    expect(decodeDump(encoded(dump))).toEqual({ ok: true, dump });
  });

  test("a bad file is refused with the place", () => {
    const broken = (change: (file: Record<string, unknown>) => void): string => {
      const file = JSON.parse(encoded(sampleDump())) as Record<string, unknown>;
      change(file);
      const decoded = decodeDump(JSON.stringify(file));
      return decoded.ok ? "accepted" : decoded.reason;
    };
    expect(broken(() => undefined)).toBe("accepted");
    expect(broken((file) => { file["airlockDump"] = 2; })).toMatch(/version 2/);
    expect(broken((file) => { delete file["airlockDump"]; })).toBe("is not a crash dump");
    expect(broken((file) => { file["extra"] = 1; })).toMatch(/extra/);
    expect(broken((file) => { file["generation"] = "-1"; })).toMatch(/^generation: /);
    expect(broken((file) => { file["epochMs"] = 1e300; })).toMatch(/^epochMs: /);
    expect(broken((file) => { (file["failure"] as { kind: string }).kind = "bored"; })).toMatch(/^failure.kind: /);
    expect(broken((file) => { (file["entries"] as number[][])[0]![2] = 99; })).toMatch(/^entries.0.2: /);
    expect(broken((file) => { (file["entries"] as number[][])[1]![0] = 7; })).toMatch(/^entries.1.0: .*source/);
    expect(broken((file) => { (file["entries"] as number[][])[0]![3] = -1; })).toMatch(/^entries.0.3: /);
  });

  test("no text makes decoding throw", () => {
    const valid = encoded(sampleDump());
    fc.assert(fc.property(fc.oneof(fc.string(), fc.json(), mutated(valid)), (source) => {
      expect(typeof decodeDump(source).ok).toBe("boolean");
    }));
  });
});

describe("the directory", () => {
  test("a written dump reads back; it is private and nothing else is left", async () => {
    const target = path.join(directory, "state/crashes");
    const result = await writeDump(target, sampleDump());
    if (!result.ok) throw result.error;
    expect(await readDump(result.path)).toEqual(sampleDump());
    expect(path.basename(result.path)).toBe("20240501T123456789Z-clock-g000007.json");
    expect((await stat(result.path)).mode & 0o777).toBe(0o600);
    expect(await readdir(target)).toHaveLength(1);
  });

  test("the newest of each driver are kept, in order of time", async () => {
    const written: CrashDump[] = [5, 3, 9, 1, 7].map((minute, i) => ({ ...sampleDump(), generation: BigInt(i), epochMs: minute * 60_000 }));
    await writeDump(directory, { ...sampleDump(), driver: "console" }, 2);
    await writeDump(directory, { ...sampleDump(), driver: "clock-2" }, 2);
    for (const dump of written) await writeDump(directory, dump, 2);
    const left = (await listDumps(directory)).map((file) => [file.driver, file.generation]);
    expect(left).toEqual([["clock", 4n], ["clock", 2n], ["clock-2", 7n], ["console", 7n]]);
  });

  test("a directory that cannot be made gives an error, not an exception", async () => {
    await writeFile(path.join(directory, "file"), "");
    const result = await writeDump(path.join(directory, "file/crashes"), sampleDump());
    expect(result.ok ? "" : result.error.code).toBe("StateUnusable");
    expect(result.ok ? "" : result.error.message).toMatch(/crash dump of clock .*--state/);
  });

  test("a rename that fails leaves no temporary file", async () => {
    await mkdir(path.join(directory, "20240501T123456789Z-clock-g000007.json"));
    const result = await writeDump(directory, sampleDump());
    expect(result.ok ? "" : result.error.code).toBe("StateUnusable");
    expect(await readdir(directory)).toEqual(["20240501T123456789Z-clock-g000007.json"]);
  });

  test("odd driver names and times stay inside the directory", async () => {
    const result = await writeDump(directory, { ...sampleDump(), driver: "../../etc/x", epochMs: NaN });
    if (!result.ok) throw result.error;
    expect(path.dirname(result.path)).toBe(directory);
    expect(await readFile(result.path, "utf8")).toContain("../../etc/x");
  });

  test("reading what is missing or is no dump says so", async () => {
    const file = path.join(directory, "x.json");
    await expect(readDump(file)).rejects.toMatchObject({ code: "NotFound" });
    await writeFile(file, "{}");
    await expect(readDump(file)).rejects.toMatchObject({ code: "InvalidArgument", message: `${file}: is not a crash dump` });
  });
});

/** A text with one part replaced. */
function mutated(text: string): fc.Arbitrary<string> {
  return fc.tuple(fc.nat(text.length), fc.nat(8), fc.string({ maxLength: 8 }))
    .map(([at, length, put]) => text.slice(0, at) + put + text.slice(at + length));
}

function encoded(dump: CrashDump): string {
  return [...encodeDump(dump)].join("");
}
