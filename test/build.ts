/** Vitest global setup: builds dist/ incrementally, because worker threads load their entry files from there. */
import { execFileSync } from "node:child_process";
import { createRequire } from "node:module";
import path from "node:path";

export default function setup(): void {
  const tsc = path.join(path.dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin/tsc");
  execFileSync(process.execPath, [tsc, "-p", "tsconfig.build.json"], { cwd: path.join(import.meta.dirname, ".."), stdio: "inherit" });
}
