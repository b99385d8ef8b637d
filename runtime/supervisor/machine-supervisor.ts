/** The supervisor of a machine: its drivers in dependency order, dependents restarted after what they depend on. */
import type { Clock } from "../api/clock.ts";
import { AirlockError } from "../api/errors.ts";
import { within } from "./deadline.ts";
import { dependencyLevels } from "./dependency-order.ts";
import type { DriverStatus } from "./driver-status.ts";
import type { DriverSupervisor } from "./driver-supervisor.ts";
import type { Block } from "./supervisor-options.ts";

export interface SupervisedDriver {
  readonly supervisor: DriverSupervisor;
  /** Names of drivers that must be in service before this one starts. */
  readonly dependsOn: readonly string[];
}

export interface MachineSupervisorOptions {
  readonly clock: Clock;
  readonly drivers: readonly SupervisedDriver[];
  /** How long the drivers of one level may take to stop before they are ended at once. */
  readonly stopMs?: number;
}

export interface ShutdownReport {
  /** Drivers that did not stop in time, or had not when the second request came. */
  readonly cutShort: readonly string[];
}

/** A teardown whose every step takes its whole limit: three control steps, the dump, the host's end. */
export const standardStopMs = 5_000;

export class MachineSupervisor {
  readonly #clock: Clock;
  readonly #drivers = new Map<string, SupervisedDriver>();
  readonly #levels: readonly (readonly string[])[];
  readonly #stopMs: number;
  readonly #listeners = new Set<(status: DriverStatus) => void>();
  #shutdown: Promise<ShutdownReport> | undefined;
  #atOnce: () => void = () => undefined;
  readonly #hurried: Promise<void>;
  #isHurried = false;

  /** Throws MachineFileInvalid for a cycle of dependencies and NotFound for a dependency that does not exist. */
  constructor(options: MachineSupervisorOptions) {
    this.#clock = options.clock;
    this.#stopMs = options.stopMs ?? standardStopMs;
    this.#hurried = new Promise((resolve) => { this.#atOnce = resolve; });
    for (const driver of options.drivers) this.#drivers.set(driver.supervisor.name, driver);
    this.#levels = dependencyLevels(new Map([...this.#drivers].map(([name, { dependsOn }]) => [name, dependsOn])));
    for (const { supervisor } of this.#drivers.values()) supervisor.onChange((status) => this.#changed(status));
    for (const name of this.#levels.flat()) this.#updateBlock(name);
  }

  get statuses(): readonly DriverStatus[] {
    return [...this.#drivers.values()].map(({ supervisor }) => supervisor.status);
  }

  /** Throws NotFound. */
  driver(name: string): DriverSupervisor {
    return this.#entry(name).supervisor;
  }

  /** Calls back at each change of any driver; returns a function that stops that. */
  onChange(listener: (status: DriverStatus) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Starts every driver that is not held, each as soon as what it depends on is in service. */
  start(): void {
    for (const name of this.#levels.flat()) {
      const { supervisor } = this.#entry(name);
      if (supervisor.status.state !== "held" || supervisor.status.blockedBy !== undefined) supervisor.start();
    }
  }

  /** Holds every driver: the hardware is gone, and no restart brings it back. */
  holdAll(reason: string): void {
    if (this.#shutdown !== undefined) return;
    for (const name of this.#levels.flat()) void this.#entry(name).supervisor.hold(reason, false);
  }

  /**
   * Stops all drivers, dependents before what they depend on. A second call ends what is left at once: capabilities are
   * closed, hosts are told to end, nothing is waited for. Both calls get the same promise.
   */
  shutdown(): Promise<ShutdownReport> {
    if (this.#shutdown === undefined) {
      this.#shutdown = this.#stopLevels();
    } else {
      this.#isHurried = true;
      for (const { supervisor } of this.#drivers.values()) void supervisor.close("atOnce");
      this.#atOnce();
    }
    return this.#shutdown;
  }

  async #stopLevels(): Promise<ShutdownReport> {
    const cutShort: string[] = [];
    for (const level of this.#levels.toReversed()) {
      await Promise.all(level.map(async (name) => {
        const { supervisor } = this.#entry(name);
        const stopping = within(this.#clock, this.#stopMs, () => supervisor.close(this.#isHurried ? "atOnce" : "orderly"));
        const outcome = await Promise.race([stopping, this.#hurried]);
        if (outcome?.kind === "done") return;
        cutShort.push(name);
        void supervisor.close("atOnce");
      }));
    }
    return { cutShort };
  }

  #changed(status: DriverStatus): void {
    for (const [name, { dependsOn }] of this.#drivers) if (dependsOn.includes(status.driver)) this.#updateBlock(name);
    for (const listener of this.#listeners) listener(status);
  }

  /** What keeps a driver from running: of the drivers it depends on, the one that is worst off. */
  #updateBlock(name: string): void {
    const { supervisor, dependsOn } = this.#entry(name);
    const blocks = dependsOn.map((dependency) => blockBy(this.#entry(dependency).supervisor.status)).filter((block) => block !== undefined);
    const worst = (["held", "stopped", "waiting"] as const).map((state) => blocks.find((block) => block.state === state)).find((block) => block !== undefined);
    supervisor.setBlock(worst);
  }

  #entry(name: string): SupervisedDriver {
    const driver = this.#drivers.get(name);
    if (driver !== undefined) return driver;
    const message = `no driver "${name}" in this machine; there are: ${[...this.#drivers.keys()].join(", ")}`;
    throw new AirlockError("NotFound", message, { driver: name });
  }
}

/** What the state of a driver means to those that depend on it. */
function blockBy(dependency: DriverStatus): Block | undefined {
  const { driver, state, target, reason } = dependency;
  if (target !== "running") return { by: driver, state: target, reason: `it depends on "${driver}", which is ${target}: ${reason}` };
  return state === "running" ? undefined : { by: driver, state: "waiting", reason: `it depends on "${driver}", which is on its way back` };
}
