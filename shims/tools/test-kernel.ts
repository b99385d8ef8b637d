/** A kernel's source tree made for a test: the files that make it one, and those that the test gives. */
// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";

const always: Readonly<Record<string, string>> = {
  "Kbuild": "", "Makefile": "VERSION = 6\nPATCHLEVEL = 1\nSUBLEVEL = 7\n", "include/linux/module.h": "", "drivers/Kconfig": "",
};

/** A folder of its own, removed at the end. */
export class TestFolder implements Disposable {
  readonly path = mkdtempSync(path.join(os.tmpdir(), "airlock-tools-"));

  constructor(files: Readonly<Record<string, string>> = {}) {
    for (const [name, text] of Object.entries(files)) this.write(name, text);
  }

  static kernel(files: Readonly<Record<string, string>>): TestFolder {
    return new TestFolder({ ...always, ...files });
  }

  /** Writes a file below the folder; its whole path. */
  write(name: string, text: string, mode = 0o644): string {
    const file = path.join(this.path, name);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, text, { mode });
    return file;
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}
