/** Processes that hold a compiler in WebAssembly ready and do one job after the other: to load it takes as long as to compile five files. */
// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
import { type ChildProcess, fork } from "node:child_process";
import type { Socket } from "node:net";
import { inTurn } from "./parallel.ts";
import { collect, programTimeoutMs } from "./run-program.ts";
import type { ToolResult } from "./toolchain.ts";

/** What a process is sent; it answers with a ToolResult. */
export interface ToolJob {
  /** "clang" or "wasm-ld". */
  readonly tool: string;
  readonly args: readonly string[];
}

/** Started as they are needed, never more than may run at once, and at rest in between; they end with this process. */
export class ToolProcesses {
  readonly #file: string;
  readonly #timeoutMs: number;
  #idle: ToolProcess[] = [];

  /** `file`: a program that answers each message, a ToolJob, with a ToolResult. */
  constructor(file: string, timeoutMs = programTimeoutMs) {
    this.#file = file;
    this.#timeoutMs = timeoutMs;
  }

  /** Never rejects: a process that ends instead of answering is a result too, and is replaced. */
  run(tool: string, args: readonly string[]): Promise<ToolResult> {
    return inTurn(async () => {
      this.#idle = this.#idle.filter(({ isAlive }) => isAlive);
      // The last used: its code is the fastest by now.
      const process = this.#idle.pop() ?? new ToolProcess(this.#file);
      const result = await process.run({ tool, args }, this.#timeoutMs);
      this.#idle.push(process);
      return result;
    });
  }
}

class ToolProcess {
  readonly #child: ChildProcess;
  readonly #err: () => string;
  #answered: ((result: ToolResult) => void) | undefined;
  #isAlive = true;

  constructor(file: string) {
    // Its stdout is the package telling how it loads.
    this.#child = fork(file, { execArgv: [], stdio: ["ignore", "ignore", "pipe", "ipc"] });
    this.#err = collect(this.#child.stderr!);
    this.#child.on("message", (result: ToolResult) => this.#answer(result));
    this.#child.on("error", (error) => this.#ended(error.message));
    this.#child.on("close", (code, signal) => this.#ended(`${this.#err()}\nended ${signal === null ? `with code ${code}` : `by ${signal}`}`.trim()));
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  async run(job: ToolJob, timeoutMs: number): Promise<ToolResult> {
    this.#hold("ref");
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), timeoutMs);
    const result = await new Promise<ToolResult>((resolve) => {
      this.#answered = resolve;
      this.#child.send(job, (error) => { if (error !== null) this.#ended(error.message); });
    });
    clearTimeout(timer);
    this.#hold("unref");
    return result;
  }

  #answer(result: ToolResult): void {
    this.#answered?.(result);
    this.#answered = undefined;
  }

  #ended(why: string): void {
    this.#isAlive = false;
    this.#answer({ ok: false, diagnostics: why });
  }

  /** A process at rest keeps nobody from ending, and ends then itself: what it hears from is closed. */
  #hold(how: "ref" | "unref"): void {
    this.#child[how]();
    this.#child.channel?.[how]();
    (this.#child.stderr as Socket)[how]();
  }
}
