/** Hostile words on their way out: what commands print cannot control the terminal that shows it. */
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { jsonView } from "../../runtime/cli/daemon-view.ts";
import { CommandOutput } from "../../runtime/cli/output.ts";
import { textTable } from "../../runtime/cli/text-table.ts";
import { createDump } from "../../runtime/trace/dump.ts";
import { printable, renderDump } from "../../runtime/trace/render.ts";

/** What a terminal would obey: C0, C1 and DEL, bidirectional and invisible formatting, line separators. */
const controls = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;
const hostile = "\u001b[2J\u009b31m\u0007\r\u202eevil\u2066\u2028\u2029\u200b\u0085\u007f\ufeff";
const anyText = fc.oneof(fc.string({ unit: "binary", maxLength: 60 }), fc.constant(hostile));

describe("text", () => {
  test("printable leaves nothing a terminal obeys, and everything else as it is", () => {
    fc.assert(fc.property(anyText, (text) => {
      expect(printable(text)).not.toMatch(controls);
      if (!controls.test(text)) expect(printable(text)).toBe(text);
    }));
  });

  test("a dump whose every text is hostile renders to lines without controls", () => {
    fc.assert(fc.property(anyText, (text) => {
      const dump = createDump({
        machine: text, driver: text, generation: 1n, epochMs: 0, recorders: { [text]: { entries: [], dropped: 0 } },
        failure: { kind: "exception", message: text, stack: `${text}\n    at ${text}`, operation: text, capability: text },
        names: { windows: [text], irqs: [text], operations: [text], events: [text], queues: [] }, log: [{ micros: 1, level: 30, text }], status: { [text]: text },
      });
      for (const line of renderDump(dump).split("\n")) expect(line).not.toMatch(controls);
    }));
  });

  test("commands' results, remarks and tables", () => {
    for (const json of [true, false]) {
      let printed = "";
      const sink = { write: (text: string) => { printed += text; } };
      const output = new CommandOutput(json, sink, sink);
      output.result({ [hostile]: hostile }, () => textTable([["A", "B"], [hostile, `two\nlines${hostile}`]]).join("\n"));
      output.remark(`${hostile}\nforged`);
      for (const line of printed.split("\n")) expect(line).not.toMatch(controls);
      expect(printed).not.toMatch(/^forged/m);
    }
  });
});

test("the daemon's JSON lines", () => {
  const directory = mkdtempSync(path.join(os.tmpdir(), "airlock-output-"));
  const file = path.join(directory, "log");
  const fd = openSync(file, "w");
  try {
    const view = jsonView("debug", fd);
    view.say("error", hostile);
    view.end();
    const text = readFileSync(file, "utf8");
    expect(text).toContain("evil");
    for (const line of text.split("\n")) expect(line).not.toMatch(controls);
  } finally {
    closeSync(fd);
    rmSync(directory, { recursive: true });
  }
});
