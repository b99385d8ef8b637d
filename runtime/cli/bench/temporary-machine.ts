/** A machine file written for one measurement, brought up, and gone afterwards, whatever happens. */
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { type BringUpOptions, type BroughtUp, bringUp } from "../bring-up.ts";
import { closeOnSignal } from "../interrupt.ts";
import { makeTemporaryDirectory } from "../temporary-directory.ts";

/** Writes what `text` makes of the path from the file to the project's folder, brings it up, and measures. */
export async function withMachine<T>(
  text: (root: string) => string, measure: (up: BroughtUp) => Promise<T>, options: Pick<BringUpOptions, "shadow"> = {},
): Promise<T> {
  const { path: directory, remove } = makeTemporaryDirectory();
  try {
    const file = path.join(directory, "machine.yaml");
    await writeFile(file, text(path.relative(directory, projectFolder())));
    const up = await bringUp({ file, state: directory, ...options });
    const close = async (): Promise<void> => { await up.close(); remove(); };
    const ignoreSignals = closeOnSignal(close);
    try {
      return await measure(up);
    } finally {
      await close();
      ignoreSignals();
    }
  } finally {
    remove();
  }
}

/** The folder with drivers/ and runtime/, also when this runs from dist/. */
export function projectFolder(): string {
  const parent = fileURLToPath(new URL("../../../", import.meta.url));
  return path.basename(parent) === "dist" ? path.dirname(path.resolve(parent)) : path.resolve(parent);
}
