/** Runs one program of the toolchain to its end, within a time limit and with what it says kept within bounds. */
// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
import { spawn } from "node:child_process";
import { inTurn } from "./parallel.ts";

/** The largest file of a kernel compiles in seconds; a program that takes longer than this hangs. */
export const programTimeoutMs = 300_000;
/** What is kept of a program's output: a linker names every missing symbol, thousands of them when the core is. */
const outputMostBytes = 8 * 2 ** 20;

export interface ProgramResult {
  /** 0 when it ended well; undefined when it could not be started or was ended. */
  readonly code: number | undefined;
  /** What it wrote to stdout. */
  readonly out: string;
  /** What it wrote to stderr, or why it did not run. */
  readonly err: string;
}

/** Never rejects: a program that cannot be started is a result too. However many are asked for, only so many run at once. */
export function runProgram(command: string, args: readonly string[], options: { cwd?: string; timeoutMs?: number } = {}): Promise<ProgramResult> {
  return inTurn(() => start(command, args, options));
}

function start(command: string, args: readonly string[], options: { cwd?: string; timeoutMs?: number }): Promise<ProgramResult> {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: options.cwd, stdio: ["ignore", "pipe", "pipe"], timeout: options.timeoutMs ?? programTimeoutMs, killSignal: "SIGKILL",
      // Messages are read by this program.
      env: { ...process.env, LC_ALL: "C", LANG: "C" },
    });
    const out = collect(child.stdout);
    const err = collect(child.stderr);
    child.on("error", (error) => resolve({ code: undefined, out: out(), err: error.message }));
    // What it started itself may outlive it, with its pipes.
    child.on("exit", (_, signal) => { if (signal !== null) for (const stream of [child.stdout, child.stderr]) stream.destroy(); });
    child.on("close", (code, signal) => {
      resolve({ code: code ?? undefined, out: out(), err: signal === null ? err() : `${err()}\nended by ${signal}`.trim() });
    });
  });
}

/** Gathers what a program writes; the result is what it wrote until now, within bounds. */
export function collect(stream: NodeJS.ReadableStream): () => string {
  const chunks: Buffer[] = [];
  let bytes = 0;
  stream.on("data", (chunk: Buffer) => {
    if (bytes < outputMostBytes) chunks.push(chunk);
    bytes += chunk.length;
  });
  return () => Buffer.concat(chunks).toString();
}
