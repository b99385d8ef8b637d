/** Runs a client program to its end, beside the server that may be in this process. */
import { spawn } from "node:child_process";

/** Longest any client may take; the driver may be made to fail all the time meanwhile. */
const limitMs = 120_000;
/** Output kept for messages and for programs that report in JSON. */
const outputBytes = 1 << 20;

export interface Ran {
  readonly status: number | string;
  readonly stdout: string;
  readonly stderr: string;
}

/** The program's output and exit code, whatever that is; the signal's name where it was killed. */
export function run(program: string, args: readonly string[]): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], timeout: limitMs, killSignal: "SIGKILL" });
    const out = { stdout: "", stderr: "" };
    for (const name of ["stdout", "stderr"] as const) {
      child[name].setEncoding("utf8").on("data", (text: string) => { out[name] = (out[name] + text).slice(-outputBytes); });
    }
    child.on("error", reject).on("close", (code, signal) => resolve({ status: code ?? signal ?? "?", ...out }));
  });
}

/** The same for a program that has to succeed; gives what it printed. @throws Error with its output */
export async function succeed(program: string, ...args: readonly string[]): Promise<string> {
  const { status, stdout, stderr } = await run(program, args);
  if (status !== 0) throw new Error(`${program} ${args.join(" ")} ended with ${status}:\n${stdout.slice(-2_000)}\n${stderr.slice(-2_000)}`);
  return stdout;
}
