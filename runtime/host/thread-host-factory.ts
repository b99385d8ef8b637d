/** Makes driver hosts in threads of Piscina pools and keeps each driver's warm spares. */
import { Piscina } from "piscina";
import type { Clock } from "../api/clock.ts";
import type { DriverSetup } from "../api/grants.ts";
import type { ChannelHandle } from "../bus/channel-port.ts";
import { threadEntry } from "../bus/thread-entry.ts";
import { quickJsModule } from "../sandbox/quickjs/engine.ts";
import { FlightRecorder, defaultRecorderSlots } from "../trace/flight-recorder.ts";
import type { ArmedFault, DriverHost, HostEvents, HostFactory, HostSpec } from "./driver-host.ts";
import { LoadSlots } from "./load-slots.ts";
import { lowerPriority } from "./thread-cpu.ts";
import { ThreadHost } from "./thread-host.ts";
import { Watchdog } from "./watchdog.ts";

/** Threads of one pool: a thread per driver and per spare, and one being replaced, of the largest machine. */
const maxThreads = 4_096;

/** A thread without a task is kept this long: the next spare of the pool takes it over and needs no new isolate. */
const idleTimeoutMs = 30_000;

/** From the call for spares to their making: by then a driver that was restarted is back in service. */
const warmDelayMs = 25;

/** V8 stack of a host thread: leaves 512 KiB of guest stack inside the sandbox's own check. */
const threadStackMb = 4;
/** V8 heap of a host thread of an untrusted tier, whose guest's memory is outside of it. */
const hostHeapMb = 64;
/**
 * Piscina tries `require` before `import`, and Node 20.20 aborts the whole process ("IsGraphAsync must be used on an
 * instantiated module") when a thread is terminated while it requires an ES module. Without the feature, import is taken.
 */
const workerFlags = ["--no-experimental-require-module"];
/** A worker-tier isolate needs some MiB before any driver code runs. */
const leastWorkerHeapMb = 16;
const youngGenerationMb = 8;

const mebibyte = 2 ** 20;

export class ThreadHostFactory implements HostFactory<ChannelHandle> {
  readonly #clock: Clock;
  readonly #watchdog: Watchdog;
  readonly #slots = new LoadSlots();
  readonly #pools = new Map<string, Piscina>();
  readonly #spares = new Map<HostSpec, ThreadHost[]>();
  /** Spares about to be made. */
  readonly #warming = new Map<HostSpec, () => void>();
  readonly #recorders = new Map<string, FlightRecorder>();
  readonly #demote: (threadId: number) => void;
  #closed = false;

  /** `demote` replaces the way a thread that cannot be stopped gives way; without it, by the lowest priority. */
  constructor(clock: Clock, demote: (threadId: number) => void = lowerPriority) {
    this.#clock = clock;
    this.#watchdog = new Watchdog(clock);
    this.#demote = demote;
  }

  /** Soon, not now: making a thread takes the control plane some ms, which a driver that is coming back needs itself. */
  warm(spec: HostSpec): void {
    if (this.#closed || this.#warming.has(spec)) return;
    this.#warming.set(spec, this.#clock.setTimer(warmDelayMs * 1000, () => {
      this.#warming.delete(spec);
      const spares = this.#sparesOf(spec);
      while (spares.length < spec.spares) spares.push(this.#make(spec, false));
    }));
  }

  isWarm(driver: string): boolean {
    return [...this.#spares].every(([spec, spares]) => spec.driver !== driver || (spares.length >= spec.spares && spares.every((spare) => spare.loaded)));
  }

  start(spec: HostSpec, generation: bigint, setup: DriverSetup, handle: ChannelHandle, faults: readonly ArmedFault[], events: HostEvents): DriverHost {
    this.#dropOthers(spec);
    const spares = this.#sparesOf(spec);
    // A spare that still waits for its turn to load has a place behind every start.
    const chosen = spares.find((spare) => spare.loaded) ?? spares.find((spare) => spare.begun);
    if (chosen !== undefined) spares.splice(spares.indexOf(chosen), 1);
    const host = chosen ?? this.#make(spec, true);
    host.start(generation, setup, handle, this.recorder(spec.driver), faults, events);
    return host;
  }

  /** The flight recorder that the driver's generations write to, one after the other. */
  recorder(driver: string): FlightRecorder {
    let recorder = this.#recorders.get(driver);
    if (recorder === undefined) this.#recorders.set(driver, (recorder = FlightRecorder.create(defaultRecorderSlots, () => this.#clock.nowMicros())));
    return recorder;
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const cancel of this.#warming.values()) cancel();
    await Promise.all([...this.#spares.values()].flat().map((spare) => spare.terminate()));
    this.#spares.clear();
    await Promise.all([...this.#pools.values()].map((pool) => pool.destroy()));
    this.#pools.clear();
  }

  /** The spares that can be used. What made another one fail shows again in the next load, if it is the driver's own fault. */
  #sparesOf(spec: HostSpec): ThreadHost[] {
    const spares = this.#spares.get(spec) ?? [];
    const usable = spares.filter((spare) => spare.usable);
    for (const spare of spares) if (!spare.usable) void spare.terminate();
    this.#spares.set(spec, usable);
    return usable;
  }

  /** A driver that was escalated to another tier or package needs its old spares no more. */
  #dropOthers(spec: HostSpec): void {
    for (const [other, spares] of this.#spares) {
      if (other === spec || other.driver !== spec.driver) continue;
      this.#spares.delete(other);
      this.#warming.get(other)?.();
      this.#warming.delete(other);
      for (const spare of spares) void spare.terminate();
    }
  }

  #make(spec: HostSpec, isUrgent: boolean): ThreadHost {
    return new ThreadHost(spec, {
      pool: this.#pool(spec), clock: this.#clock, watchdog: this.#watchdog, slots: this.#slots, isUrgent, demote: this.#demote, engine: spec.tier === "quickjs" ? quickJsModule() : undefined,
    });
  }

  /** One pool for all drivers with the same thread limits. */
  #pool(spec: HostSpec): Piscina {
    const heapMb = spec.tier !== "worker" ? hostHeapMb : Math.max(leastWorkerHeapMb, Math.ceil(spec.limits.memoryBytes / mebibyte));
    const key = `${spec.tier} ${heapMb}`;
    let pool = this.#pools.get(key);
    if (pool === undefined) {
      pool = new Piscina({
        filename: threadEntry("host/host-thread"), minThreads: 0, maxThreads, idleTimeout: idleTimeoutMs, concurrentTasksPerWorker: 1, atomics: "disabled", execArgv: workerFlags,
        resourceLimits: { maxOldGenerationSizeMb: heapMb, maxYoungGenerationSizeMb: youngGenerationMb, stackSizeMb: threadStackMb },
      });
      this.#pools.set(key, pool);
    }
    return pool;
  }
}
