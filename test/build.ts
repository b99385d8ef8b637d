/** Vitest global setup: brings dist/ up to date, because worker threads and child processes load their entry files from there. */
import { execFileSync } from "node:child_process";
import path from "node:path";

export default function setup(): void {
  const prepare = path.join(import.meta.dirname, "../runtime/cli/prepare.mjs");
  execFileSync(process.execPath, [prepare, "--dist"], { stdio: "inherit" });
}
