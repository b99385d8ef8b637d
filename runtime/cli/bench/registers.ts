/** `airlock bench registers`: what a register access costs a driver, beside the least it could cost. */
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import Table from "cli-table3";
import { AirlockError } from "../../api/errors.ts";
import { threadEntry } from "../../bus/thread-entry.ts";
import type { TierName } from "../../sandbox/sandbox.ts";
import type { BaselineOptions, Baselines } from "./baseline-thread.ts";
import type { BenchCall, BenchDefinition } from "./bench.ts";
import { median } from "./median.ts";
import { withMachine } from "./temporary-machine.ts";

const writes = 200_000;
const reads = 20_000;
/** Runs of each, alternating; the median is reported. */
const rounds = 5;
/** Longest one run may take before it counts as stuck. */
const limitMs = 60_000;

export interface AccessCost {
  readonly writeNs: number;
  readonly readNs: number;
}

export interface RegisterBench {
  readonly sharedArrayBuffer: AccessCost;
  readonly rawHostCall: AccessCost;
  readonly quickjs: AccessCost;
  readonly worker: AccessCost;
}

const titles: Readonly<Record<keyof RegisterBench, string>> = {
  sharedArrayBuffer: "bare SharedArrayBuffer (V8)",
  rawHostCall: "raw quickjs host call, does nothing",
  quickjs: "driver in the quickjs tier",
  worker: "driver in the worker tier",
};

type Case = keyof RegisterBench;

const bench: BenchDefinition<RegisterBench> = {
  name: "registers", summary: "register accesses per tier, beside the least they could cost", run, text,
};

export default bench;

/** Medians of alternating rounds, in nanoseconds per access. */
async function run({ progress }: BenchCall): Promise<RegisterBench> {
  const found: Record<Case, AccessCost[]> = { sharedArrayBuffer: [], rawHostCall: [], quickjs: [], worker: [] };
  for (let round = 1; round <= rounds; round++) {
    progress(`round ${round} of ${rounds}`);
    const baselines = await measureBaselines({ writes, reads });
    found.sharedArrayBuffer.push(baselines.sharedArrayBuffer);
    found.rawHostCall.push(baselines.rawHostCall);
    found.quickjs.push(await registerCost(ownDriver, "quickjs"));
    found.worker.push(await registerCost(ownDriver, "worker"));
  }
  const result = (name: Case): AccessCost => ({ writeNs: median(found[name].map((cost) => cost.writeNs)), readNs: median(found[name].map((cost) => cost.readNs)) });
  return { sharedArrayBuffer: result("sharedArrayBuffer"), rawHostCall: result("rawHostCall"), quickjs: result("quickjs"), worker: result("worker") };
}

async function measureBaselines(options: BaselineOptions): Promise<Baselines> {
  const worker = new Worker(threadEntry("cli/bench/baseline-thread"), { workerData: options });
  const [baselines] = (await once(worker, "message")) as [Baselines];
  await worker.terminate();
  return baselines;
}

const ownDriver = (root: string): string => `${root}/runtime/cli/bench/register-driver`;

/**
 * Runs a driver that measures and logs the result on a simulated clock chip, as any driver runs: host, bridge, checks, flight recorder,
 * channel. `folder` makes its package's path of the project's folder.
 */
export function registerCost(folder: (root: string) => string, sandbox: TierName): Promise<AccessCost> {
  return withMachine((root) => machineText(folder(root), sandbox), async ({ machine }) => {
    const text = await new Promise<string>((resolve, reject) => {
      const cancel = machine.clock.setTimer(limitMs * 1000, () => reject(new AirlockError("HardwareTimeout", `the measuring driver said nothing within ${limitMs} ms`)));
      machine.logs.follow((line) => {
        if (line.source !== "driver") return;
        cancel();
        resolve(line.text);
      });
      machine.driver("measure").supervisor.onChange(({ lastFailure }) => {
        if (lastFailure === undefined) return;
        cancel();
        reject(new AirlockError("Unsupported", `the measuring driver failed: ${lastFailure.failure.message}`));
      });
    });
    return JSON.parse(text) as AccessCost;
  });
}

function text(result: RegisterBench): string {
  const table = new Table({ head: ["", "ns per posted write", "ns per read"], style: { head: [], border: [] }, colAligns: ["left", "right", "right"] });
  for (const [name, title] of Object.entries(titles)) {
    const cost = result[name as keyof RegisterBench];
    table.push([title, cost.writeNs, cost.readNs]);
  }
  return table.toString();
}

function machineText(folder: string, sandbox: TierName): string {
  return `
machine: bench
platform: { type: sim }
devices: { rtc: { compatible: [mc146818], ports: { cmos: { base: 0x70, size: 2 } } } }
drivers:
  measure:
    package: ${JSON.stringify(folder)}
    device: rtc
    sandbox: ${sandbox}
    grants: [cmos]
    options: { writes: ${writes}, reads: ${reads} }
    spares: 0
    restart: { policy: temporary }
    limits: { turn: 10s, init: 60s, hang: 60s }
`;
}
