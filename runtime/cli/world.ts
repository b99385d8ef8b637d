/** A deterministic world: a whole machine in one thread under a virtual clock, from one seed. Exported as "airlock/testing". */
import path from "node:path";
import { VirtualClock } from "../api/clock.ts";
import { AirlockError } from "../api/errors.ts";
import type { InlineHandle } from "../bus/inline-connection.ts";
import { InlineHostFactory } from "../host/inline-host.ts";
import { protectMemory } from "../host/protect-memory.ts";
import { type LoadedDriver, tierFor } from "../machine/load.ts";
import { InlineSimPlatform } from "../platform/sim/inline-platform.ts";
import { createQuickJsTier } from "../sandbox/quickjs/tier.ts";
import type { SandboxTier } from "../sandbox/sandbox.ts";
import { createWasmTier } from "../sandbox/wasm/tier.ts";
import type { RestartOptions } from "../supervisor/restart-policy.ts";
import { HashSink } from "../trace/hash.ts";
import { loadDescribedMachine } from "./bring-up.ts";
import { LogBook } from "./log-book.ts";
import { Machine } from "./machine.ts";
import { packageCode } from "./package-code.ts";
import { uniform } from "./random.ts";

export interface WorldOptions {
  /** Path of the machine file; its platform must be sim. Scripts run in the quickjs tier, modules in the wasm tier. */
  readonly file: string;
  /** Of `random`, and of nothing else: the world itself makes no choices. */
  readonly seed: number;
  /** Civil time at the start, in milliseconds since the Unix epoch; 2026-01-01 when left out. */
  readonly epochMs?: number;
  /** Replaces a driver's restart policy. */
  restart?(driver: LoadedDriver): RestartOptions;
}

/** Interrupt checks a turn may take, in place of a time: about two million steps of a loop. */
const turnInterrupts = 200;
/** Calls and turns of loops that a turn of a module may take, in place of a time: some 50 ms. */
const turnSteps = 20_000_000;

/**
 * Platform, hosts, shadows, supervisors and clients of one machine on one virtual clock. The same seed and the same calls
 * give the same trace, whatever the speed of the machine. A driver that hangs inside a builtin hangs the world with it.
 */
export class World {
  readonly clock: VirtualClock;
  readonly machine: Machine<InlineHandle>;
  /** Uniform in 0..1, from the seed. */
  readonly random: () => number;
  readonly #hosts: InlineHostFactory;
  readonly #hashes: ReadonlyMap<string, HashSink>;

  private constructor(clock: VirtualClock, machine: Machine<InlineHandle>, hosts: InlineHostFactory, hashes: ReadonlyMap<string, HashSink>, seed: number) {
    this.clock = clock;
    this.machine = machine;
    this.#hosts = hosts;
    this.#hashes = hashes;
    this.random = uniform(seed);
  }

  /** Brings the machine up; nothing runs before `run`. @throws AirlockError as bringUp does, Unsupported for another platform */
  static async open(options: WorldOptions): Promise<World> {
    const loaded = await loadDescribedMachine(options.file);
    if (loaded.platform.type !== "sim") {
      throw new AirlockError("Unsupported", `${options.file}: a deterministic world needs platform type "sim", not "${loaded.platform.type}"`, { platform: loaded.platform.type });
    }
    const clock = new VirtualClock();
    const epochMs = options.epochMs ?? Date.UTC(2026, 0, 1);
    const platform = await InlineSimPlatform.start({ devices: loaded.devices, epochMs, directory: path.dirname(path.resolve(options.file)) }, clock);
    const hashes = new Map<string, HashSink>();
    const trace = (driver: string): HashSink => {
      let sink = hashes.get(driver);
      if (sink === undefined) hashes.set(driver, (sink = new HashSink(() => clock.nowMicros())));
      return sink;
    };
    const tiers: readonly SandboxTier[] = [createQuickJsTier({ turnInterrupts }), createWasmTier({ protect: protectMemory, turnSteps })];
    const hosts = new InlineHostFactory({ clock, tier: (name) => tiers.find((tier) => tier.name === name) ?? tiers[0]!, trace });
    const machine = await Machine.assemble<InlineHandle>({
      loaded: { ...loaded, drivers: loaded.drivers.map((driver) => ({ ...driver, entry: { ...driver.entry, sandbox: tierFor(driver.package.manifest, "quickjs") } })) },
      clock, platform, hosts, logs: new LogBook(clock), trace, restart: options.restart,
      bundle: (loaded) => packageCode(loaded, { isCounted: true }),
      dump: () => undefined, lastGeneration: () => 0n,
    });
    for (const { supervisor } of machine.drivers.values()) supervisor.warm();
    await hosts.settled();
    machine.start();
    return new World(clock, machine, hosts, hashes, options.seed);
  }

  /** Lets that much machine time pass, as fast as it goes. */
  async run(micros: number): Promise<void> {
    const end = this.clock.nowMicros() + micros;
    do {
      await settle();
      if (this.#hosts.busy) await this.#hosts.settled();
    } while (this.clock.step(end));
    this.clock.advance(end - this.clock.nowMicros());
    await settle();
  }

  /** Waits for a promise while time passes; rejects with HardwareTimeout when it takes more than `limitMicros`. */
  async until<T>(promise: Promise<T>, limitMicros = 60e6): Promise<T> {
    let settled = false;
    const mark = (): void => { settled = true; };
    promise.then(mark, mark);
    const end = this.clock.nowMicros() + limitMicros;
    while (!settled) {
      await settle();
      if (this.#hosts.busy) await this.#hosts.settled();
      if (!settled && !this.clock.step(end)) throw new AirlockError("HardwareTimeout", `nothing settled the promise within ${limitMicros} us of machine time`);
    }
    return promise;
  }

  /** Everything every driver did and suffered, with its times, as one hash per driver, by name: "clock=... console=...". */
  traceHash(): string {
    return [...this.#hashes].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([driver, sink]) => `${driver}=${sink.digest()}`).join(" ");
  }

  async close(): Promise<void> {
    const closed = this.machine.close();
    await this.until(closed);
  }
}

/** Lets everything run that waits for nothing but its turn. */
function settle(): Promise<void> {
  return new Promise((resolve) => { setImmediate(resolve); });
}
