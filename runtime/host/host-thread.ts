/** The entry of a driver host's thread: loads a bundle, waits as a warm spare, then serves one generation of a driver. */
import { type MessagePort, receiveMessageOnPort } from "node:worker_threads";
import { mailboxBytes } from "../api/bridge.ts";
import { errorText } from "../api/errors.ts";
import { cutRecords } from "../api/records.ts";
import { AdaptiveWait } from "../bus/adaptive-wait.ts";
import { ChannelWord, wakeHost } from "../bus/channel.ts";
import { ownProcessors } from "../native/processors.ts";
import { GuestLoadError, type LoadedSandbox, type SandboxTier } from "../sandbox/sandbox.ts";
import type { WasmModule } from "../sandbox/web-assembly.ts";
import { watchStrayErrors } from "../sandbox/worker/stray-errors.ts";
import type { WorkerSandbox } from "../sandbox/worker/tier.ts";
import { failureKind } from "./driver-instance.ts";
import { assembleHost } from "./host-assembly.ts";
import type { LoopClock } from "./loop-clock.ts";
import { protectMemory } from "./protect-memory.ts";
import { ownThreadId, threadCpuMs } from "./thread-cpu.ts";
import { rehearse } from "./rehearsal.ts";
import { type FromHost, HostStatus, type HostTask, type StartMessage, type ToHost } from "./thread-messages.ts";

/** Longest sleep of a blocking loop: bounds how late a doorbell that was missed is noticed. */
const maxSleepMs = 100;

/** Wake-ups served before the event loop gets its turn: control messages and timers must not starve under a storm. */
const wakesPerYield = 16;

const nothing = new Uint8Array(0);

/** Once per thread. */
let rehearsed = false;

/** Runs one host; resolves when the thread may be used again. Never rejects because of the driver. */
export default async function runHost(task: HostTask): Promise<void> {
  try {
    await host(task);
  } catch (error) {
    if (task.tier !== "worker") throw error;
    send(task.control, { type: "failed", failure: { kind: "exit", message: `the driver broke its host: ${errorText(error)}` } });
  }
  // What ran in the worker tier may have changed anything in this thread: the pool never gets it back, `terminate` ends it.
  if (task.tier === "worker") await new Promise<never>(() => undefined);
}

async function host(task: HostTask): Promise<void> {
  const status = new Int32Array(task.status);
  Atomics.store(status, HostStatus.threadId, ownThreadId());
  const { control } = task;
  Atomics.add(status, HostStatus.turn, 1);
  const loaded = await load(task);
  Atomics.add(status, HostStatus.turn, 1);
  if (loaded === undefined) return control.close();
  const inbox = new Inbox(control);
  send(control, { type: "loaded" });
  const first = await inbox.first();
  if (first.type === "start") await serve(task, first, loaded, status, inbox);
  else loaded.dispose();
  control.close();
}

async function load({ tier, bundle, limits, control, engine, isUrgent }: HostTask): Promise<LoadedSandbox | undefined> {
  try {
    const implementation = await findTier(tier, engine);
    if (!rehearsed && !isUrgent) {
      await rehearse(implementation, limits);
      rehearsed = true;
    }
    return await implementation.load(bundle.code, bundle.name, limits);
  } catch (error) {
    const guest = error instanceof GuestLoadError ? error.failure : undefined;
    send(control, {
      type: "load-failed",
      failure: guest === undefined
        ? { kind: "start", message: errorText(error) }
        : { kind: guest.kind === "exception" ? "start" : failureKind(guest), message: guest.message, phase: "load", stack: guest.stack },
    });
    return undefined;
  }
}

/** Imports the one tier that is asked for: a thread of the worker tier comes up in half the time without the engine. */
async function findTier(tier: HostTask["tier"], engine: object | undefined): Promise<SandboxTier> {
  if (tier === "worker") return (await import("../sandbox/worker/tier.ts")).workerTier;
  if (tier === "wasm") return (await import("../sandbox/wasm/tier.ts")).createWasmTier({ protect: protectMemory });
  const { createQuickJsTier } = await import("../sandbox/quickjs/tier.ts");
  const thread = ownThreadId();
  return createQuickJsTier({ module: engine as WasmModule, cpuMs: () => threadCpuMs(thread) });
}

async function serve(task: HostTask, start: StartMessage, loaded: LoadedSandbox, status: Int32Array, inbox: Inbox): Promise<void> {
  const channel = new Int32Array(start.handle.channel);
  let failed = false;
  let unwatch = (): void => undefined;
  const sandbox: LoadedSandbox = task.tier !== "worker" ? loaded : {
    start: (calls, regions) => {
      const worker = loaded.start(calls, regions) as WorkerSandbox;
      unwatch = watchStrayErrors(worker);
      return worker;
    },
    dispose: () => loaded.dispose(),
  };
  const { instance, toDriver, timers } = assembleHost(sandbox, start, task, ownProcessors(), {
    log: (level, text) => send(task.control, { type: "log", level, text }),
    failed: (failure) => {
      failed = true;
      send(task.control, { type: "failed", failure });
    },
    turn: turnFlag(task, status),
  });
  inbox.wake = () => wakeHost(channel);
  try {
    for (const { where, code } of start.faults) instance.inject(where, code);
    instance.start();
    const pass = (): void => {
      for (const message of inbox.take()) if (message.type === "inject") instance.inject(message.where, message.code);
      if (toDriver.hasData) for (const records of cutRecords(toDriver.take() ?? nothing, mailboxBytes)) instance.deliver(records);
      instance.pollIrqs();
    };
    const isOver = (): boolean => failed || inbox.stopped;
    if (task.tier === "worker") await serveInTurns(channel, pass, isOver);
    else serveBlocking(channel, timers, pass, isOver);
  } finally {
    // Also when the host itself failed: the thread goes back to its pool, and no timer of this driver may fire in the next one.
    instance.dispose();
    unwatch();
  }
}

/**
 * An engine in WebAssembly needs nothing of this thread's event loop: it is left standing, which saves each wake-up its way
 * through it. Whoever wants something, control messages included, rings the channel's doorbell.
 */
function serveBlocking(channel: Int32Array, timers: LoopClock, pass: () => void, isOver: () => boolean): void {
  const doorbell = new AdaptiveWait();
  while (!isOver()) {
    const seen = Atomics.load(channel, ChannelWord.doorbell);
    pass();
    timers.runDue();
    const idleMs = timers.idleMs(maxSleepMs);
    if (idleMs > 0 && !isOver()) doorbell.wait(channel, ChannelWord.doorbell, seen, idleMs);
  }
}

/** A guest in V8 has promise jobs and perhaps timers of its own, which run between two passes. */
async function serveInTurns(channel: Int32Array, pass: () => void, isOver: () => boolean): Promise<void> {
  for (let wakes = 1; !isOver(); wakes++) {
    const seen = Atomics.load(channel, ChannelWord.doorbell);
    pass();
    if (wakes % wakesPerYield === 0) await new Promise((resolve) => { setImmediate(resolve); });
    const wait = Atomics.waitAsync(channel, ChannelWord.doorbell, seen);
    if (wait.async && !isOver()) await wait.value;
  }
}

/** Control messages as a queue that can be waited for. */
class Inbox {
  readonly #control: MessagePort;
  readonly #queue: ToHost[] = [];
  /** Called at every message. */
  wake: () => void = () => undefined;
  stopped = false;

  constructor(control: MessagePort) {
    this.#control = control;
    control.on("message", (message: ToHost) => {
      this.#received(message);
      this.wake();
    });
  }

  /** What has come, also what the event loop has not delivered yet: it was sent before the records in the ring. */
  take(): ToHost[] {
    for (let item = receiveMessageOnPort(this.#control); item !== undefined; item = receiveMessageOnPort(this.#control)) this.#received(item.message as ToHost);
    return this.#queue.splice(0);
  }

  #received(message: ToHost): void {
    if (message.type === "stop") this.stopped = true;
    this.#queue.push(message);
  }

  /** The first message; only before `take` is used. */
  async first(): Promise<ToHost> {
    if (this.#queue.length === 0) await new Promise<void>((resolve) => { this.wake = resolve; });
    return this.#queue.shift()!;
  }
}

/**
 * Publishes turns to the watchdog. In the worker tier a turn's promise jobs run after the dispatch has returned, so the
 * turn ends when the event loop is reached again.
 */
function turnFlag(task: HostTask, status: Int32Array): (running: boolean) => void {
  let depth = 0;
  const set = (running: boolean): void => {
    if (((Atomics.load(status, HostStatus.turn) & 1) === 1) !== running) Atomics.add(status, HostStatus.turn, 1);
  };
  return (running) => {
    depth += running ? 1 : -1;
    if (running || task.tier !== "worker") set(running);
    else setImmediate(() => { if (depth === 0) set(false); });
  };
}

function send(control: MessagePort, message: FromHost): void {
  control.postMessage(message);
}
