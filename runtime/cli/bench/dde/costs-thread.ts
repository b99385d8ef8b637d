/** The measurements in WebAssembly of `bench dde`, in a thread like a driver's: loops with and without accesses, and with asyncify. */
import { closeSync } from "node:fs";
import { parentPort, workerData } from "node:worker_threads";
import { loadAddon } from "../../../native/addon.ts";
import { GuestCalls } from "../../../sandbox/guest-calls.ts";
import { GuestMemory } from "../../../sandbox/guest-memory.ts";
import type { SandboxCalls } from "../../../sandbox/sandbox.ts";
import { wasm } from "../../../sandbox/web-assembly.ts";
import { ModuleImports } from "../../../sandbox/wasm/bind-imports.ts";

export interface CostsWork {
  /** shims: the C functions of costs.c, as compiled and as asyncify leaves them. */
  readonly plain: Uint8Array;
  readonly asyncified: Uint8Array;
  readonly count: number;
}

export interface CostsFigures {
  readonly loopNs: number;
  readonly pageNs: number;
  /** An import whose host does nothing, and one with the tier's checks, as far as the bus. */
  readonly importNs: number;
  readonly checkedNs: number;
  /** What asyncify adds to code without calls, and to code that calls by pointers all the time. */
  readonly straightPercent: number;
  readonly indirectPercent: number;
}

type Function = (count: number) => number;
type Exports = Readonly<Record<"cost_page" | "cost_loop" | "cost_read_page" | "cost_read_import" | "cost_indirect" | "cost_straight", Function>>;

const memoryPages = 64;
const pageBytes = 4_096;
/** Keys that are sorted, and frames summed, per measurement; how often, alternating. */
const keys = 4_096;
const frames = 500;
const repeats = 15;

const { plain, asyncified, count } = workerData as CostsWork;
parentPort!.postMessage({ ...(await accesses()), ...(await suspending()) } satisfies CostsFigures);

async function accesses(): Promise<Pick<CostsFigures, "loopNs" | "pageNs" | "importNs" | "checkedNs">> {
  const addon = loadAddon();
  const bare = await instantiate(plain, () => 0);
  const fd = addon.createSharedMemory("airlock-bench", pageBytes);
  try {
    const grant = addon.createPageGrant();
    addon.layPages(grant, bare.memory, bare.exports.cost_page(0), fd, 0, pageBytes);
    const page = each(bare.exports.cost_read_page);
    addon.revokePages(grant);
    const checked = await instantiate(plain, checkedRead());
    return { loopNs: each(bare.exports.cost_loop), pageNs: page, importNs: each(bare.exports.cost_read_import), checkedNs: each(checked.exports.cost_read_import) };
  } finally {
    closeSync(fd);
  }
}

/** The tier's own import, on calls that answer at once. */
function checkedRead(): (window: number, offset: number, width: number) => number {
  const calls = new GuestCalls(() => new Uint8Array(0), () => "");
  calls.start({ read: () => 0 } as unknown as SandboxCalls, new GuestMemory([]));
  const imports = new ModuleImports({ calls, bytes: () => new Uint8Array(0), stack: () => "", setup: () => new Uint8Array(0), hasWorld: () => true });
  return imports.functions().read as (window: number, offset: number, width: number) => number;
}

async function suspending(): Promise<Pick<CostsFigures, "straightPercent" | "indirectPercent">> {
  const [one, other] = [await instantiate(plain, () => 0), await instantiate(asyncified, () => 0)];
  return {
    straightPercent: added(() => one.exports.cost_straight(frames), () => other.exports.cost_straight(frames)),
    indirectPercent: added(() => one.exports.cost_indirect(keys), () => other.exports.cost_indirect(keys)),
  };
}

async function instantiate(code: Uint8Array, read: (window: number, offset: number, width: number) => number): Promise<{ exports: Exports; memory: InstanceType<typeof wasm.Memory> }> {
  const memory = new wasm.Memory({ initial: memoryPages, maximum: memoryPages });
  const module = await wasm.compile(code);
  const instance = await wasm.instantiate(module, { airlock: { memory, read } });
  return { exports: instance.exports as unknown as Exports, memory };
}

/** Nanoseconds of one round of a loop, warm. */
function each(run: Function): number {
  run(count);
  run(count);
  const start = performance.now();
  run(count);
  return ((performance.now() - start) * 1e6) / count;
}

/** By how many percent the second takes longer than the first: medians of alternating runs. */
function added(first: () => unknown, second: () => unknown): number {
  const times = [first, second].map((run): { run: () => unknown; ms: number[] } => ({ run, ms: [] }));
  for (let round = 0; round < repeats; round++) {
    for (const { run, ms } of times) {
      const start = performance.now();
      run();
      ms.push(performance.now() - start);
    }
  }
  const [base, longer] = times.map(({ ms }) => ms.sort((a, b) => a - b)[repeats >> 1]!);
  return (longer! / base! - 1) * 100;
}
