/** The measurements of `bench grants`, in a thread like a driver's: pages laid and taken, and registers read through them. */
import { closeSync } from "node:fs";
import { parentPort, workerData } from "node:worker_threads";
import type { GuestRegion, SandboxCalls } from "../../sandbox/sandbox.ts";
import { type NativeAddon, loadAddon } from "../../native/addon.ts";
import { createQuickJsTier } from "../../sandbox/quickjs/tier.ts";
import { wasm } from "../../sandbox/web-assembly.ts";

/** Reads per measurement, and grants made and revoked. */
export interface GrantWork {
  readonly reads: number;
  readonly grants: number;
}

export interface GrantFigures {
  /** One page laid into a WebAssembly memory, and taken away again. */
  readonly mapMicros: number;
  readonly unmapMicros: number;
  /** A loop in V8 that reads nothing, and one that reads a mapped page. */
  readonly v8LoopNs: number;
  readonly v8PageNs: number;
  /** The same in QuickJS, and one that reads by a bridge call whose host does nothing. */
  readonly quickjsLoopNs: number;
  readonly quickjsPageNs: number;
  readonly quickjsCallNs: number;
}

const pageBytes = 4096;

const { reads, grants } = workerData as GrantWork;
const addon = loadAddon();
const fd = addon.createSharedMemory("airlock-bench", pageBytes);
try {
  parentPort!.postMessage({ ...layAndRevoke(addon), ...v8Reads(addon), ...(await quickjsReads(addon)) } satisfies GrantFigures);
} finally {
  closeSync(fd);
}

/** A page into a WebAssembly memory and out of it again, each time under a grant of its own, as a generation has it. */
function layAndRevoke({ createPageGrant, layPages, revokePages }: NativeAddon): Pick<GrantFigures, "mapMicros" | "unmapMicros"> {
  const memory = new wasm.Memory({ initial: 16, maximum: 16 });
  let mapMs = 0;
  let unmapMs = 0;
  for (let index = 0; index < grants; index++) {
    const grant = createPageGrant();
    const start = performance.now();
    layPages(grant, memory, pageBytes, fd, 0, pageBytes);
    const laid = performance.now();
    revokePages(grant);
    mapMs += laid - start;
    unmapMs += performance.now() - laid;
  }
  return { mapMicros: (mapMs * 1000) / grants, unmapMicros: (unmapMs * 1000) / grants };
}

function v8Reads({ createPageGrant, mapGranted, revokePages }: NativeAddon): Pick<GrantFigures, "v8LoopNs" | "v8PageNs"> {
  const grant = createPageGrant();
  const page = new Uint32Array(mapGranted(grant, fd, 0, pageBytes));
  let sum = 0;
  const loop = (): void => { for (let index = 0; index < reads; index++) sum = (sum + index) | 0; };
  const read = (): void => { for (let index = 0; index < reads; index++) sum = (sum + page[index & 1023]!) | 0; };
  loop();
  read();
  const result = { v8LoopNs: nanoseconds(loop), v8PageNs: nanoseconds(read) };
  revokePages(grant);
  if (sum === 0.5) throw new Error("a sum of whole numbers is whole");
  return result;
}

async function quickjsReads(addonNow: NativeAddon): Promise<Pick<GrantFigures, "quickjsLoopNs" | "quickjsPageNs" | "quickjsCallNs">> {
  const code = `(bridge) => () => {
    const page = new Uint32Array(bridge.memory(0));
    const count = ${reads};
    const time = (run) => { const start = bridge.nowMicros(); run(); return (bridge.nowMicros() - start) * 1000 / count; };
    let sum = 0;
    const loop = () => { for (let index = 0; index < count; index++) sum = (sum + index) | 0; };
    const read = () => { for (let index = 0; index < count; index++) sum = (sum + page[index & 1023]) | 0; };
    const call = () => { for (let index = 0; index < count; index++) sum = (sum + bridge.read(0, 0, 32)) | 0; };
    loop(); read(); call();
    bridge.log(30, JSON.stringify({ quickjsLoopNs: time(loop), quickjsPageNs: time(read), quickjsCallNs: time(call) }));
  }`;
  const grant = addonNow.createPageGrant();
  const region: GuestRegion = {
    sizeBytes: pageBytes, map: () => undefined,
    layOver: (memory, byteOffset) => {
      addonNow.layPages(grant, memory, byteOffset, fd, 0, pageBytes);
      return true;
    },
  };
  const loaded = await createQuickJsTier().load(code, "grants.js", { memoryBytes: 16 * 2 ** 20, turnMs: 60_000, stackBytes: 256 * 1024, sharedBytes: 2 * pageBytes });
  let result: Pick<GrantFigures, "quickjsLoopNs" | "quickjsPageNs" | "quickjsCallNs"> | undefined;
  const calls: SandboxCalls = {
    read: () => 0, postRead: () => undefined, takeRead: () => 0, write: () => undefined, irq: () => undefined, timer: () => undefined, setup: () => "{}", output: () => undefined, copy: () => undefined,
    nowMicros: () => performance.now() * 1000,
    log: (_level, text) => { result = JSON.parse(text) as typeof result; },
    failed: ({ message }) => { throw new Error(`the measurement failed: ${message}`); },
  };
  loaded.start(calls, [region]).turn(new Uint8Array(0));
  addonNow.revokePages(grant);
  if (result === undefined) throw new Error("the guest measured nothing");
  return result;
}

function nanoseconds(run: () => void): number {
  const start = performance.now();
  run();
  return ((performance.now() - start) * 1e6) / reads;
}
