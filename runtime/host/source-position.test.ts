/** Stacks of both engines, hand-made and hostile, mapped to the author's lines. */
import path from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { bundleDriver } from "./bundle.ts";
import type { ScriptBundle } from "./driver-host.ts";
import { inSources, mapStack, sourceStack } from "./source-position.ts";

let bundle: ScriptBundle;
/** Where `new Error(what)` of the probe's explode.ts stands in the bundle. */
let place: string;

beforeAll(async () => {
  bundle = await bundleDriver(path.join(import.meta.dirname, "../../test/fixtures/drivers/sandbox-probe"), "src/driver.ts");
  const lines = bundle.code.split("\n");
  const line = lines.findIndex((text) => text.includes("new Error(what)"));
  place = `${bundle.name}:${line + 1}:${lines[line]!.indexOf("new Error(what)") + 1}`;
});

describe("mapStack", () => {
  test.each([
    ["QuickJS", (at: string) => `    at explode (${at})\n    at native\n`, "explode"],
    ["V8", (at: string) => `Error: what\n    at explode (${at})\n    at runTurn (node:internal/main:1:1)`, "explode"],
    ["V8 without a name", (at: string) => `Error: what\n    at ${at}`, ""],
    ["V8, async", (at: string) => `    at async Object.transmit (${at})`, "Object.transmit"],
    ["QuickJS without a name", (at: string) => `    at <anonymous> (${at})`, ""],
  ])("%s", (_title, stack, functionName) => {
    expect(mapStack(stack(place), bundle)).toEqual([{ file: "src/explode.ts", line: 3, column: 17, functionName }]);
  });

  test("leaves out frames of Airlock and of other files", () => {
    const lines = bundle.code.split("\n");
    const guest = lines.findIndex((text) => text.includes("readRecords(this.#inbox"));
    expect(guest).toBeGreaterThan(0);
    expect(mapStack(`    at dispatch (${bundle.name}:${guest + 1}:10)\n    at x (other.js:1:1)`, bundle)).toEqual([]);
  });

  test("is bounded and never throws on noise", () => {
    const noise = ["", "at", bundle.name, `${bundle.name}:`, `at (${bundle.name}:0:0)`, `${bundle.name}:999999999:999999999`, `${bundle.name}:-1:NaN`, "x".repeat(100_000)];
    expect(mapStack(noise.join("\n"), bundle)).toEqual(expect.any(Array));
    expect(mapStack(`    at f (${place})\n`.repeat(1000), bundle)).toHaveLength(50);
  });
});

test("a map that names no source for a place has no frame there", () => {
  const map = JSON.stringify({ version: 3, sources: [null], names: [], mappings: "AAAA" });
  expect(mapStack("    at f (p/bundle.js:1:1)", { code: "", map, name: "p/bundle.js" })).toEqual([]);
});

describe("a failure", () => {
  const map = JSON.stringify({ version: 3, sources: ["shims/emul/fail.c", "drivers/w.c"], names: [], mappings: "AAAA,UCAA" });
  const code = { module: {}, facts: { inbox: 0, outbox: 0, leastBytes: 0 }, isCounted: false, checksNull: false, shifts: new Int32Array(0), functions: 1 };
  const module = { code, map, name: "w/driver.wasm" };
  const stack = "    at oops (w/driver.wasm:1:1)\n    at ping (w/driver.wasm:1:11)";

  test("of a script has its stack in terms of its sources", () => {
    expect(inSources({ kind: "exception", message: "what", stack: `    at explode (${place})` }, bundle)).toEqual({ kind: "exception", message: "what", stack: "at explode (src/explode.ts:3:17)" });
    expect(inSources({ message: "what" }, bundle)).toEqual({ message: "what" });
  });

  test("of a module says where in the driver it was, once", () => {
    expect(inSources({ message: "BadPointer: null", stack }, module)).toEqual({
      message: "BadPointer: null; in ping, drivers/w.c:1", stack: "at oops (shims/emul/fail.c:1:1)\nat ping (drivers/w.c:1:1)",
    });
    expect(inSources({ message: "BUG at drivers/w.c:1", stack }, module).message).toBe("BUG at drivers/w.c:1");
    expect(inSources({ message: "oops", stack: stack.split("\n")[0]! }, module).message).toBe("oops; in oops, shims/emul/fail.c:1");
    expect(inSources({ message: "hang", stack: "" }, module)).toEqual({ message: "hang", stack: "" });
  });

  test("of a module without a map says the offset in its file", () => {
    expect(inSources({ message: "oops", stack }, { ...module, map: "" }).message).toBe("oops; in oops, w/driver.wasm:1:1");
  });
});

test("sourceStack writes one frame per line", () => {
  expect(sourceStack(`    at explode (${place})\n    at <eval> (${place})`, bundle)).toBe("at explode (src/explode.ts:3:17)\nat src/explode.ts:3:17");
});
