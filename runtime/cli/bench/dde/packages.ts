/** Builds Linux drivers for a measurement, into a folder that goes with it. */
import path from "node:path";
import { buildModule } from "../../../../shims/tools/build-module.ts";
import { type WrittenPackage, writePackage } from "../../../../shims/tools/package.ts";
import type { Progress } from "../../../../shims/tools/progress.ts";
import { openWorkbench } from "../../../../shims/tools/workbench.ts";

export interface PackagesWanted {
  readonly directory: string;
  readonly kernelSource: string | undefined;
  readonly progress: Progress;
}

/** One package per name, in their order. @throws AirlockError as `airlock build` does */
export async function buildPackages(names: readonly string[], { directory, kernelSource, progress }: PackagesWanted): Promise<WrittenPackage[]> {
  const workbench = await openWorkbench({ kernelSource, progress, nowMs: () => Date.now() });
  const written: WrittenPackage[] = [];
  for (const name of names) {
    const built = await buildModule(name, workbench);
    written.push(await writePackage(built, path.join(directory, built.module.name), { compatible: [], windows: [], irqs: [] }, workbench));
  }
  return written;
}
