import { describe, expect, test } from "vitest";
import { makeStubs, parsePolicies } from "./stubs.ts";
import type { FunctionType } from "./wasm-reader.ts";

const type = (params: FunctionType["params"], results: FunctionType["results"]): FunctionType => ({ params, results });
const missing = (name: string, of: FunctionType) => ({ module: "env", name, type: of });

describe("the policy table", () => {
  test("a number, nothing or trap for each function", () => {
    expect([...parsePolicies(["a 0", "b -1", "c nothing", "d trap"], "t")]).toEqual([["a", 0], ["b", -1], ["c", "nothing"], ["d", "trap"]]);
  });

  test.each([["a", '"a" is no stub policy'], ["a zero", '"a zero" is no stub policy'], ["a-b 0", "no stub policy"]])("%j is refused", (line, text) => {
    expect(() => parsePolicies([line], "t")).toThrow(text);
  });

  test("a function is there once", () => {
    expect(() => parsePolicies(["a 0", "a 1"], "t")).toThrow("a is there twice");
  });
});

describe("stubs", () => {
  test("what nobody defines says its name; what the table has returns its value, with the exact type", () => {
    const { text, missing: names, known } = makeStubs(
      [missing("zed", type(["i32", "i64"], ["i32"])), missing("answer", type([], ["i64"])), missing("quiet", type(["i32"], []))],
      parsePolicies(["answer 42", "quiet nothing", "unused 1"], "t"),
    );
    expect(names).toEqual(["zed"]);
    expect(known).toEqual(["answer", "quiet"]);
    expect(text).toContain(".functype zed (i32, i64) -> (i32)\n\ti32.const 2\n\ti32.const .Lmissing2\n\ti32.const 3\n\tcall airlock_fail\n\tunreachable\n\tend_function");
    expect(text).toContain(".functype answer () -> (i64)\n\ti64.const 42\n\tend_function");
    expect(text).toContain(".functype quiet (i32) -> ()\n\tend_function");
    expect(text).toContain('.ascii "zed"');
  });

  test("a function of which it is known that it is missing traps, and is not reported", () => {
    const { text, missing: names } = makeStubs([missing("deep", type([], []))], parsePolicies(["deep trap"], "t"));
    expect(names).toEqual([]);
    expect(text).toContain("call airlock_fail");
  });

  test.each([["a 0", type([], [])], ["a nothing", type([], ["i32"])]])("%j contradicts the type", (line, of) => {
    expect(() => makeStubs([missing("a", of)], parsePolicies([line], "t"))).toThrow("correct the table");
  });
});
