/** Other people's programs in a bench: found on the path, run to their end or ended, servers kept until they are not needed. */
import { type ChildProcess, spawn } from "node:child_process";
import { accessSync, constants } from "node:fs";
import path from "node:path";
import { AirlockError } from "../../api/errors.ts";

/** Output of one program that is kept; reports are far shorter. */
const mostOutputBytes = 4 * 2 ** 20;
/** A server that was asked to end does so within this time; then it is killed. */
const endMs = 2_000;

/** The program's path; undefined when it is not installed. */
export function findProgram(name: string): string | undefined {
  const folders = [...(process.env.PATH ?? "").split(path.delimiter), "/usr/sbin", "/sbin"].filter((one) => one !== "");
  return folders.map((folder) => path.join(folder, name)).find((file) => {
    try {
      accessSync(file, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** The program's path. @throws AirlockError Unsupported that names the Debian package */
export function requireProgram(name: string, debianPackage: string): string {
  const found = findProgram(name);
  if (found === undefined) throw new AirlockError("Unsupported", `"${name}" is not installed; on Debian: apt-get install ${debianPackage}`, { program: name });
  return found;
}

/** Runs a program to its end; its standard output. @throws AirlockError Unsupported when it fails or takes longer than `limitMs` */
export function runProgram(file: string, args: readonly string[], limitMs: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { stdio: ["ignore", "pipe", "pipe"] });
    const end = endWithProcess(child);
    const output = { stdout: "", stderr: "" };
    for (const stream of ["stdout", "stderr"] as const) {
      child[stream].setEncoding("utf8").on("data", (text: string) => {
        if (output[stream].length < mostOutputBytes) output[stream] += text;
      });
    }
    const timer = setTimeout(() => child.kill("SIGKILL"), limitMs);
    const failed = (why: string): void => reject(new AirlockError("Unsupported", `${path.basename(file)} ${why}: ${lastLine(output.stderr) || lastLine(output.stdout)}`, { program: file }));
    child.once("error", (error) => { clearTimeout(timer); end(); failed(error.message); });
    child.once("close", (code, signal) => {
      clearTimeout(timer);
      end();
      if (code === 0) resolve(output.stdout);
      else failed(signal === null ? `ended with ${code}` : `was ended by ${signal}, after ${limitMs} ms at most`);
    });
  });
}

/** A server that runs until it is closed. */
export interface RunningServer {
  readonly pid: number | undefined;
  close(): Promise<void>;
}

/** Starts a server and waits until `isUp`. @throws AirlockError Unsupported when it ends before that or is not up within `limitMs` */
export async function startServer(file: string, args: readonly string[], isUp: () => boolean, limitMs: number): Promise<RunningServer> {
  const child = spawn(file, args, { stdio: ["ignore", "ignore", "pipe"] });
  const forget = endWithProcess(child);
  let errors = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => { if (errors.length < mostOutputBytes) errors += text; });
  const ended = new Promise<void>((resolve) => { child.once("error", () => resolve()).once("exit", () => resolve()); });
  let gone = false;
  void ended.then(() => { gone = true; });
  const close = async (): Promise<void> => {
    child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), endMs);
    await ended;
    clearTimeout(timer);
    forget();
  };
  const end = performance.now() + limitMs;
  while (!isUp()) {
    if (gone || performance.now() > end) {
      await close();
      throw new AirlockError("Unsupported", `${path.basename(file)} did not come up: ${lastLine(errors)}`, { program: file });
    }
    await new Promise((resolve) => { setTimeout(resolve, 10); });
  }
  return { pid: child.pid, close };
}

/** Whatever ends this process ends the child too, but for SIGKILL. Returns what undoes that. */
function endWithProcess(child: ChildProcess): () => void {
  const end = (): void => { child.kill("SIGKILL"); };
  process.on("exit", end);
  return () => process.off("exit", end);
}

function lastLine(text: string): string {
  return text.trim().split("\n").at(-1) ?? "";
}
