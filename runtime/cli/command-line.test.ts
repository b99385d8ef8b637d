/** Commands are found by their files, and every one of them keeps the rules. */
import { describe, expect, test } from "vitest";
import { commandNames, findCommands, runCommandLine } from "./command-line.ts";

function sink() {
  const texts: string[] = [];
  return { write: (text: string) => texts.push(text), text: () => texts.join("") };
}

async function run(...words: string[]) {
  const [stdout, stderr] = [sink(), sink()];
  const code = await runCommandLine(words, stdout, stderr);
  return { code, stdout: stdout.text(), stderr: stderr.text() };
}

describe("commands", () => {
  test("every file is a command of that name with a summary and examples that begin with it", async () => {
    const commands = await findCommands();
    expect(commands.map(({ name }) => name)).toEqual(commandNames());
    for (const { name, summary, examples } of commands) {
      expect(summary).toMatch(/^[a-z].*[^.]$/);
      expect(examples.length).toBeGreaterThan(0);
      for (const example of examples) expect(example.startsWith(`airlock ${name}`)).toBe(true);
    }
  });

  test("only the named one is loaded", async () => {
    expect((await findCommands("schema")).map(({ name }) => name)).toEqual(["schema"]);
    expect((await findCommands("shcema")).length).toBe(commandNames().length);
  });
});

describe("mistakes", () => {
  test.each([
    [["sceham"], "Did you mean schema?"],
    [["schema", "machina"], "Allowed choices are machine, manifest"],
    [["schema", "--josn"], "Did you mean --json?"],
    [["check"], "missing required argument 'package'"],
    [["ps", "too", "many"], "too many arguments"],
    [["logs", "--lines", "lots"], "whole number from 0 to 1000"],
  ])("%j", async (words, text) => {
    const { code, stdout, stderr } = await run(...words);
    expect(code).toBe(2);
    expect(stdout).toBe("");
    expect(stderr).toContain(text);
    expect(stderr.trim().split("\n")).toHaveLength(1);
    const json = await run(...words, "--json");
    expect(json).toMatchObject({ code: 2, stderr: "" });
    expect(JSON.parse(json.stdout)).toMatchObject({ error: { code: "InvalidArgument" } });
  });

  test("a hostile name in a message stays text", async () => {
    const { stderr } = await run("\u001b[31mred");
    expect(stderr).toContain("\\u001b[31mred");
  });
});
