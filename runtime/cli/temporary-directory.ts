/** A temporary directory that is gone when the process is, however it ends, but for SIGKILL. */
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";

export interface TemporaryDirectory {
  readonly path: string;
  /** Removes it now; idempotent. */
  remove(): void;
}

export function makeTemporaryDirectory(parent: string = os.tmpdir()): TemporaryDirectory {
  const directory = mkdtempSync(path.join(parent, "airlock-"));
  const remove = (): void => {
    process.off("exit", remove);
    rmSync(directory, { recursive: true, force: true });
  };
  process.on("exit", remove);
  return { path: directory, remove };
}
