/** Nothing a driver says reaches the terminal as a command. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CommandOutput, jsonText, plainText } from "./output.ts";

function sink() {
  const texts: string[] = [];
  return { texts, write: (text: string) => texts.push(text) };
}

describe("output", () => {
  test("a result is one line of JSON, or its text", () => {
    const [json, plain] = [sink(), sink()];
    new CommandOutput(true, json, sink()).result({ generation: 7n }, () => "text");
    new CommandOutput(false, plain, sink()).result({ generation: 7n }, () => "text\n\n");
    expect(json.texts).toEqual(['{"generation":"7"}\n']);
    expect(plain.texts).toEqual(["text\n"]);
  });

  test("remarks and text for people are left out with --json", () => {
    const [stdout, stderr] = [sink(), sink()];
    const output = new CommandOutput(true, stdout, stderr);
    output.print("a");
    output.remark("b");
    expect([...stdout.texts, ...stderr.texts]).toEqual([]);
  });

  test("escape sequences are written out", () => {
    expect(plainText("\u001b]0;owned\u0007 \u009b31m \u202e")).toBe("\\u001b]0;owned\\u0007 \\u009b31m \\u202e");
    expect(plainText("two\nlines", true)).toBe("two\nlines");
    expect(plainText("two\nlines")).toBe("two\\u000alines");
  });

  test("JSON of any text holds no control character and reads back the same", () => {
    fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => {
      const line = jsonText({ text });
      expect(line).not.toMatch(/[\p{Cc}\p{Cf}]/u);
      expect(JSON.parse(line)).toEqual({ text });
    }));
  });
});
