/** `airlock bench grants`: what it costs to lay a page into a sandbox and take it away, and to read a register through it. */
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import Table from "cli-table3";
import { threadEntry } from "../../bus/thread-entry.ts";
import { loadAddon } from "../../native/addon.ts";
import type { BenchCall, BenchDefinition } from "./bench.ts";
import type { GrantFigures, GrantWork } from "./grants-thread.ts";
import { median } from "./median.ts";

const work: GrantWork = { reads: 500_000, grants: 2_000 };
/** Rounds in threads of their own; the median is reported. */
const rounds = 5;

const titles: Readonly<Record<keyof GrantFigures, readonly [string, string]>> = {
  mapMicros: ["a page laid into a sandbox's memory", "us"],
  unmapMicros: ["and taken away again", "us"],
  v8LoopNs: ["V8: loop without a read", "ns"],
  v8PageNs: ["V8: register read through a mapped page", "ns"],
  quickjsLoopNs: ["quickjs: loop without a read", "ns"],
  quickjsPageNs: ["quickjs: register read through a mapped page", "ns"],
  quickjsCallNs: ["quickjs: register read by a host call that does nothing", "ns"],
};

const bench: BenchDefinition<GrantFigures> = {
  name: "grants", summary: "pages laid into a sandbox and taken away, and a register read through one, by a host call, and a bare loop", run, text,
};

export default bench;

async function run({ progress }: BenchCall): Promise<GrantFigures> {
  loadAddon();
  const found: GrantFigures[] = [];
  for (let round = 1; round <= rounds; round++) {
    progress(`round ${round} of ${rounds}`);
    const worker = new Worker(threadEntry("cli/bench/grants-thread"), { workerData: work });
    const [figures] = (await once(worker, "message")) as [GrantFigures];
    found.push(figures);
    await worker.terminate();
  }
  return Object.fromEntries(Object.keys(titles).map((key) => [key, median(found.map((one) => one[key as keyof GrantFigures]))])) as unknown as GrantFigures;
}

function text(figures: GrantFigures): string {
  const table = new Table({ head: ["", "each"], style: { head: [], border: [] }, colAligns: ["left", "right"] });
  for (const [key, [title, unit]] of Object.entries(titles)) table.push([title, `${figures[key as keyof GrantFigures]} ${unit}`]);
  return table.toString();
}
