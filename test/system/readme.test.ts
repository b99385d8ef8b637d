/** Carries out README.md: its commands work as written, in this order, and print what it says. */
import assert from "node:assert/strict";
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadMachineFile } from "../../runtime/cli/bring-up.ts";
import { type Block, applyEdit, isShown, paragraphs, readBlocks, shownCommands } from "./readme-blocks.ts";

const root = path.join(import.meta.dirname, "../..");
const blocks = readBlocks(readFileSync(path.join(root, "README.md"), "utf8"));

/** The slowest command is a trial of every fault. */
const commandMs = 60_000;
const startMs = 15_000;

describe("README.md", () => {
  let folder: string;
  let daemon: ChildProcess | undefined;

  beforeAll(() => {
    folder = checkout();
  });

  afterAll(async () => {
    if (daemon?.exitCode === null) {
      const ended = once(daemon, "exit");
      // The whole group: npx starts a shell, which starts the daemon.
      process.kill(-daemon.pid!, "SIGTERM");
      await ended;
    }
    rmSync(folder, { recursive: true, force: true });
  });

  test.each(blocks)("line $line: $verb $argument", async (block) => {
    await expect(carryOut(block)).resolves.toBeUndefined();
  }, 2 * commandMs);

  test("machine files load", async () => {
    const files = blocks.filter(({ verb, argument }) => verb === "file" && argument.endsWith(".yaml"));
    expect(files.length).toBeGreaterThanOrEqual(2);
    for (const { argument } of files) await expect(loadMachineFile(path.join(folder, argument))).resolves.toHaveProperty("name");
  });

  async function carryOut({ verb, argument, text }: Block): Promise<void> {
    const file = path.join(folder, argument);
    if (verb === "file") writeFileSync(file, text);
    else if (verb === "excerpt") for (const part of paragraphs(text)) assert(readFileSync(file, "utf8").includes(part), `${argument} does not have:\n${part}`);
    else if (verb === "edit") writeFileSync(file, applyEdit(readFileSync(file, "utf8"), text));
    else if (verb === "run") await run(text);
    else if (verb === "start") await start(text);
    else for (const { command, output } of shownCommands(text)) await expectShown(command, output);
  }

  async function expectShown(command: string, output: string): Promise<void> {
    const { stdout } = await run(command);
    assert(isShown(output, stdout), `${command} printed\n${stdout}\nand README.md shows\n${output}`);
  }

  async function start(command: string): Promise<void> {
    daemon = spawn("bash", ["-c", command], { cwd: folder, env: environment(), stdio: "ignore", detached: true });
    const endMs = performance.now() + startMs;
    while (!/\brunning\b/.test((await run("npx airlock ps", false)).stdout)) {
      if (performance.now() > endMs) throw new Error(`"${command.trim()}" is not running after ${startMs} ms`);
      await sleep(100);
    }
  }

  function run(script: string, mustSucceed = true): Promise<{ stdout: string }> {
    return new Promise((resolve, reject) => {
      execFile("bash", ["-euo", "pipefail", "-c", script], { cwd: folder, env: environment(), timeout: commandMs }, (error, stdout, stderr) => {
        if (error !== null && mustSucceed) reject(new Error(`${script.trim()}\n${stdout}${stderr}`, { cause: error }));
        else resolve({ stdout });
      });
    });
  }

  /** A user's environment with a state directory of its own, and nothing of the test runner that runs this. */
  function environment(): NodeJS.ProcessEnv {
    const own = Object.entries(process.env).filter(([name]) => !/^(?:VITEST|NODE_ENV$|NODE_OPTIONS$|TEST$|DEV$|npm_)/.test(name));
    return { ...Object.fromEntries(own), XDG_STATE_HOME: path.join(folder, "state"), NO_COLOR: "1" };
  }
});

/** A checkout to work in: the real one by links, with drivers and machine files of its own. */
function checkout(): string {
  const folder = mkdtempSync(path.join(os.tmpdir(), "airlock-readme-"));
  for (const name of ["node_modules", "dist", "runtime", "test", "native", "shims"]) symlinkSync(path.join(root, name), path.join(folder, name));
  for (const name of ["package.json", "tsconfig.json", "vitest.config.ts"]) cpSync(path.join(root, name), path.join(folder, name));
  mkdirSync(path.join(folder, "state"));
  cpSync(path.join(root, "drivers"), path.join(folder, "drivers"), { recursive: true });
  return folder;
}

describe("the reader of blocks", () => {
  test("finds marked blocks, and refuses a mark without one", () => {
    const text = "x\n<!-- test: file a.txt -->\n```yaml\na: 1\n```\n\n```sh\nnot this\n```\n";
    expect(readBlocks(text)).toEqual([{ verb: "file", argument: "a.txt", text: "a: 1\n", line: 2 }]);
    expect(() => readBlocks("<!-- test: run -->\n\n```sh\n```\n")).toThrow("line 1: no block follows");
    expect(() => readBlocks("<!-- test: walk -->\n```sh\n```\n")).toThrow('no verb "walk"');
  });

  test("applies edits whose place is there once", () => {
    expect(applyEdit("a\n  b\nc\n", " a\n-  b\n+  d\n+  e\n\n-c\n+f\n")).toBe("a\n  d\n  e\nf\n");
    expect(() => applyEdit("a\na\n", "-a\n+b\n")).toThrow("found not once");
  });

  test("compares what was printed with what is shown", () => {
    expect(shownCommands("$ a b\none\n$ c\n")).toEqual([{ command: "a b", output: "one" }, { command: "c", output: "" }]);
    expect(isShown("one\n...\nlast (1)", "one\ntwo\nthree\nlast   (1)\n")).toBe(true);
    expect(isShown("one\n...\nlast", "one\ntwo\nlast!\n")).toBe(false);
    expect(isShown("one", "one\ntwo")).toBe(false);
  });
});
