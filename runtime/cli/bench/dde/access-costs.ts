/** What accesses cost in WebAssembly, from a bare loop to a driver in its tier, and what asyncify adds to code. */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { Worker } from "node:worker_threads";
import { threadEntry } from "../../../bus/thread-entry.ts";
import { finishModule } from "../../../../shims/tools/asyncify.ts";
import { buildBareModule, tierExports } from "../../../../shims/tools/bare-module.ts";
import { Cache, defaultCacheFolder } from "../../../../shims/tools/cache.ts";
import { type AccessCost, registerCost } from "../registers.ts";
import { projectFolder } from "../temporary-machine.ts";
import type { CostsFigures, CostsWork } from "./costs-thread.ts";

/** Rounds of each loop. */
const count = 5_000_000;
const functions = ["cost_page", "cost_loop", "cost_read_page", "cost_read_import", "cost_indirect", "cost_straight"] as const;

export type AccessCosts = CostsFigures & AccessCost;

/** What is measured, compiled. */
export interface CostsBuilt {
  readonly work: CostsWork;
  /** The package of the measuring driver. */
  readonly package: string;
}

/** @throws AirlockError Unsupported without a C compiler */
export async function buildCosts(directory: string): Promise<CostsBuilt> {
  const folder = path.join(projectFolder(), "runtime/cli/bench/dde");
  const loops = await buildBareModule([path.join(folder, "costs.c")], functions);
  const { module } = await finishModule(loops.linked, new Cache(defaultCacheFolder()));
  const driver = await buildBareModule([path.join(folder, "registers.c")], tierExports);
  return { work: { plain: loops.bytes, asyncified: module, count }, package: writeDriver(path.join(directory, "registers"), driver.bytes) };
}

export async function measureCosts({ work, package: folder }: CostsBuilt): Promise<AccessCosts> {
  const worker = new Worker(threadEntry("cli/bench/dde/costs-thread"), { workerData: work, trackUnmanagedFds: false });
  const [figures] = (await once(worker, "message")) as [CostsFigures];
  await worker.terminate();
  return { ...figures, ...(await registerCost(() => folder, "wasm")) };
}

function writeDriver(folder: string, bytes: Uint8Array): string {
  mkdirSync(folder);
  writeFileSync(path.join(folder, "driver.wasm"), bytes);
  writeFileSync(path.join(folder, "driver.json"), JSON.stringify({
    name: "register-bench", class: "rtc", apiVersion: 1, contractVersion: 1, tier: "wasm", main: "driver.wasm", sha256: createHash("sha256").update(bytes).digest("hex"),
    compatible: ["mc146818"], needs: { windows: { cmos: { sizeBytes: 2, rights: "readwrite" } }, irqs: [] },
    options: { writes: { type: "number", default: 0, doc: "Not looked at" }, reads: { type: "number", default: 0, doc: "Not looked at" } },
  }));
  return folder;
}
