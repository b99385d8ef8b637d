/** The baselines of `bench registers`, in a thread like a driver's: a bare SharedArrayBuffer, and a host call that does nothing. */
import { parentPort, workerData } from "node:worker_threads";
import type { SandboxCalls } from "../../sandbox/sandbox.ts";
import { createQuickJsTier } from "../../sandbox/quickjs/tier.ts";

export interface BaselineOptions {
  readonly writes: number;
  readonly reads: number;
}

export interface Baselines {
  /** Plain stores and loads of a byte in a SharedArrayBuffer, in V8. */
  readonly sharedArrayBuffer: { readonly writeNs: number; readonly readNs: number };
  /** A bridge call out of QuickJS whose host does nothing. */
  readonly rawHostCall: { readonly writeNs: number; readonly readNs: number };
}

const { writes, reads } = workerData as BaselineOptions;
parentPort!.postMessage({ sharedArrayBuffer: sharedArrayBuffer(), rawHostCall: await rawHostCall() } satisfies Baselines);

function sharedArrayBuffer(): Baselines["sharedArrayBuffer"] {
  const bytes = new Uint8Array(new SharedArrayBuffer(256));
  let sum = 0;
  const write = (count: number): void => { for (let index = 0; index < count; index++) bytes[index & 0xff] = index; };
  const read = (count: number): void => { for (let index = 0; index < count; index++) sum += bytes[index & 0xff]!; };
  write(writes);
  read(writes);
  const result = { writeNs: nanoseconds(writes, () => write(writes)), readNs: nanoseconds(writes, () => read(writes)) };
  if (sum < 0) throw new Error("a sum of bytes is never negative");
  return result;
}

async function rawHostCall(): Promise<Baselines["rawHostCall"]> {
  const code = `(bridge) => {
    const run = (count, access) => {
      const start = bridge.nowMicros();
      for (let index = 0; index < count; index++) access(index);
      return (bridge.nowMicros() - start) * 1000 / count;
    };
    return () => {
      const write = (index) => bridge.write(0, 0, 8, index & 0x7f);
      const read = () => bridge.read(0, 1, 8);
      run(1000, write); run(1000, read);
      bridge.log(30, JSON.stringify({ writeNs: run(${writes}, write), readNs: run(${reads}, read) }));
    };
  }`;
  const limits = { memoryBytes: 16 * 2 ** 20, turnMs: 60_000, stackBytes: 256 * 1024 };
  const loaded = await createQuickJsTier().load(code, "baseline.js", limits);
  let result: Baselines["rawHostCall"] | undefined;
  const calls: SandboxCalls = {
    read: () => 0, postRead: () => undefined, takeRead: () => 0, write: () => undefined, irq: () => undefined, timer: () => undefined, setup: () => "{}", output: () => undefined, copy: () => undefined,
    nowMicros: () => performance.now() * 1000,
    log: (_level, text) => { result = JSON.parse(text) as Baselines["rawHostCall"]; },
    failed: ({ message }) => { throw new Error(`the baseline failed: ${message}`); },
  };
  loaded.start(calls, []).turn(new Uint8Array(0));
  if (result === undefined) throw new Error("the baseline measured nothing");
  return result;
}

function nanoseconds(count: number, run: () => void): number {
  const start = performance.now();
  run();
  return ((performance.now() - start) * 1e6) / count;
}
