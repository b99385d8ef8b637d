/** Driver hosts in the thread of the world they belong to, under its virtual clock: for deterministic worlds only. */
import type { FaultPoint } from "../api/bridge.ts";
import type { Clock } from "../api/clock.ts";
import { errorText } from "../api/errors.ts";
import type { Failure } from "../api/failure.ts";
import type { DriverSetup } from "../api/grants.ts";
import { putRecord, readRecords, recordBytes } from "../api/records.ts";
import type { InlineHandle } from "../bus/inline-connection.ts";
import { GuestLoadError, type LoadedSandbox, type SandboxTier, type TierName } from "../sandbox/sandbox.ts";
import type { TraceSink } from "../trace/entry.ts";
import { deliver } from "./deliver.ts";
import type { ArmedFault, DriverBundle, DriverHost, HostEvents, HostFactory, HostSpec } from "./driver-host.ts";
import { DriverInstance } from "./driver-instance.ts";
import { openGuestRegions } from "./guest-regions.ts";
import { inSources } from "./source-position.ts";

/** What crossing between a world's parts takes in virtual time: the order of a thread's wake-up. */
const crossingMicros = 20;

/** Records one driver may have waiting, as the ring of a host in a thread would hold. */
const queueBytes = 262_144;

export interface InlineParts {
  readonly clock: Clock;
  tier(name: TierName): SandboxTier;
  trace(driver: string): TraceSink;
}

/**
 * Loading a sandbox takes real time, which a virtual clock does not see: the world awaits `settled` before it lets time
 * go on, so that a start always finds its spare.
 */
export class InlineHostFactory implements HostFactory<InlineHandle> {
  readonly #parts: InlineParts;
  readonly #spares = new Set<HostSpec>();
  readonly #ready = new Map<HostSpec, LoadedSandbox | Failure>();
  readonly #loading = new Set<Promise<unknown>>();

  constructor(parts: InlineParts) {
    this.#parts = parts;
  }

  warm(spec: HostSpec): void {
    if (this.#spares.has(spec)) return;
    this.#spares.add(spec);
    const loading = this.#load(spec).then((loaded) => {
      this.#ready.set(spec, loaded);
      this.#loading.delete(loading);
    });
    this.#loading.add(loading);
  }

  isWarm(driver: string): boolean {
    return [...this.#ready.keys()].some((spec) => spec.driver === driver);
  }

  /** Whether a load is in progress. */
  get busy(): boolean {
    return this.#loading.size > 0;
  }

  /** Resolves when no load is in progress. */
  async settled(): Promise<void> {
    while (this.#loading.size > 0) await Promise.all(this.#loading);
  }

  start(spec: HostSpec, generation: bigint, setup: DriverSetup, handle: InlineHandle, faults: readonly ArmedFault[], events: HostEvents): DriverHost {
    const loaded = this.#ready.get(spec);
    this.#ready.delete(spec);
    this.#spares.delete(spec);
    this.warm(spec);
    if (loaded === undefined) throw new Error(`no spare of "${spec.driver}" is loaded yet`);
    return new InlineHost(this.#parts, spec, generation, setup, handle, loaded, faults, events);
  }

  async close(): Promise<void> {
    await this.settled();
    for (const spare of this.#ready.values()) if ("start" in spare) spare.dispose();
    this.#ready.clear();
    this.#spares.clear();
  }

  async #load(spec: HostSpec): Promise<LoadedSandbox | Failure> {
    try {
      return await this.#parts.tier(spec.tier).load(spec.bundle.code, spec.bundle.name, spec.limits);
    } catch (error) {
      const stack = error instanceof GuestLoadError ? { stack: error.failure.stack } : {};
      return { kind: "start", phase: "load", message: errorText(error), ...stack };
    }
  }
}

class InlineHost implements DriverHost {
  readonly generation: bigint;
  readonly #clock: Clock;
  readonly #bundle: DriverBundle;
  readonly #events: HostEvents;
  readonly #pending = new Set<() => void>();
  readonly #output: Uint8Array[] = [];
  #instance: DriverInstance | undefined;
  #queuedBytes = 0;
  #finished = false;

  constructor(
    parts: InlineParts, spec: HostSpec, generation: bigint, setup: DriverSetup, handle: InlineHandle,
    loaded: LoadedSandbox | Failure, faults: readonly ArmedFault[], events: HostEvents,
  ) {
    this.generation = generation;
    this.#clock = parts.clock;
    this.#bundle = spec.bundle;
    this.#events = events;
    if (!("start" in loaded)) {
      this.#failed(loaded);
      return;
    }
    const instance = new DriverInstance(loaded, {
      setup, port: handle.port, memory: openGuestRegions(handle.grant, handle.ram), clock: parts.clock, trace: parts.trace(spec.driver), limits: spec.limits,
      link: {
        output: (records) => {
          this.#output.push(records);
          this.#later(() => this.drain());
        },
        log: (level, text) => this.#later(() => events.log(level, text)),
        failed: (failure) => this.#failed(failure),
        turn: () => undefined,
      },
    });
    this.#instance = instance;
    handle.onIrq(() => this.#later(() => instance.pollIrqs()));
    this.#later(() => {
      events.started();
      for (const { where, code } of faults) instance.inject(where, code);
      instance.start();
    });
  }

  send(kind: number, id: number, tag: number, payload: Uint8Array): boolean {
    const record = new Uint8Array(recordBytes(payload.length));
    if (this.#finished || this.#queuedBytes + record.length > queueBytes) return false;
    putRecord(record, 0, kind, id, tag, payload);
    this.#queuedBytes += record.length;
    this.#later(() => {
      this.#queuedBytes -= record.length;
      this.#instance?.deliver(record);
    });
    return true;
  }

  drain(): void {
    for (const records of this.#output.splice(0)) {
      if (this.#finished) return;
      const framed = readRecords(records);
      if (framed.ok) deliver(framed.records, this.#events);
      else this.#failed({ kind: "protocol-violation", message: `malformed message: ${framed.reason}` });
    }
  }

  inject(where: FaultPoint, code: string): void {
    this.#later(() => this.#instance?.inject(where, code));
  }

  async terminate(): Promise<void> {
    this.#finish();
  }

  #failed(failure: Failure): void {
    this.#later(() => {
      this.drain();
      this.#finish();
      this.#events.failed(inSources(failure, this.#bundle));
    });
  }

  #later(run: () => void): void {
    if (this.#finished) return;
    const cancel = this.#clock.setTimer(crossingMicros, () => {
      this.#pending.delete(cancel);
      run();
    });
    this.#pending.add(cancel);
  }

  #finish(): void {
    if (this.#finished) return;
    this.#finished = true;
    for (const cancel of this.#pending) cancel();
    this.#pending.clear();
    this.#instance?.dispose();
  }
}
