/** Tests of modules' source maps: as the build writes them, as Node reads them, and as anybody could write them. */
import { SourceMap } from "node:module";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Mapping, encodeMappings } from "../../shims/tools/source-map.ts";
import { ModuleMap } from "./module-map.ts";

const sources = ["drivers/a.c", "shims/emul/b.c", "lib/c.c"];
const text = (mappings: unknown, more: object = {}): string => JSON.stringify({ version: 3, sources, names: [], mappings, ...more });

/** Mappings with ascending offsets, some of no source. */
const written: fc.Arbitrary<Mapping[]> = fc.array(fc.record({
  step: fc.integer({ min: 1, max: 5000 }), source: fc.nat(sources.length - 1), line: fc.integer({ min: 1, max: 100_000 }), column: fc.nat(500), isOfNone: fc.boolean(),
}), { minLength: 1, maxLength: 50 }).map((steps) => {
  let offset = 0;
  return steps.map(({ step, source, line, column, isOfNone }) => {
    offset += step;
    return isOfNone ? { offset } : { offset, source, line, column };
  });
});

test("each offset leads to the last mapping before it, as the build wrote it", () => {
  fc.assert(fc.property(written, fc.nat(300_000), (mappings, offset) => {
    const found = ModuleMap.parse(text(encodeMappings(mappings)))!.find(offset);
    const last = mappings.findLast((mapping) => mapping.offset <= offset);
    const wanted = last?.source === undefined ? undefined : { file: sources[last.source], line: last.line, column: last.column! + 1 };
    expect(found).toEqual(wanted);
  }));
});

test("Node's own reader finds the same, where there is a source", () => {
  fc.assert(fc.property(written.map((mappings) => mappings.filter(({ source }) => source !== undefined)), fc.nat(300_000), (mappings, offset) => {
    fc.pre(mappings.length > 0 && offset >= mappings[0]!.offset);
    const payload = text(encodeMappings(mappings));
    const found = ModuleMap.parse(payload)!.find(offset)!;
    expect(new SourceMap(JSON.parse(payload)).findEntry(0, offset)).toMatchObject({ originalSource: found.file, originalLine: found.line - 1, originalColumn: found.column - 1 });
  }));
});

describe("what is no map of a module is none", () => {
  test.each([
    ["nothing", ""], ["no JSON", "{"], ["null", "null"], ["a list", "[]"], ["a number", "3"], ["another version", text("", { version: 2 })], ["no mappings", text(undefined)],
    ["sections", text("", { sections: [] })], ["sources that are no names", text("", { sources: [1] })], ["no sources", text("", { sources: undefined })],
    ["several lines", text("AAAA;AAAA")], ["no digits", text("A!AA")], ["an end within a number", text("g")], ["an endless number", text("gggggggggA")],
    ["a source there is not", text("AGAA")], ["a negative line", text("AADA")], ["a negative offset", text("D")], ["offsets that descend", text("IAAA,DAAA")],
  ])("%s", (_what, map) => {
    expect(ModuleMap.parse(map)).toBeUndefined();
  });

  test("no mappings at all lead nowhere", () => {
    expect(ModuleMap.parse(text(""))!.find(5)).toBeUndefined();
    expect(ModuleMap.parse(text(",,"))!.find(5)).toBeUndefined();
  });

  test("whatever the mappings are, a search ends", () => {
    const property = fc.property(fc.string({ unit: fc.constantFrom("A", "C", "D", "g", "z", "/", ",", ";", "é") }), fc.nat(), (mappings, offset) => {
      const place = ModuleMap.parse(text(mappings))?.find(offset);
      return place === undefined || sources.includes(place.file);
    });
    expect(fc.check(property, { numRuns: 2000 }).failed).toBe(false);
  });
});
