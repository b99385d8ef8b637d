/** A machine brought up: its I/O manager, supervisors, shadows and logs. The same over threads and in one thread. */
import { LogLevel } from "../api/bridge.ts";
import type { Clock } from "../api/clock.ts";
import { AirlockError } from "../api/errors.ts";
import type { Failure } from "../api/failure.ts";
import { dmaPageBytes } from "../bus/iommu.ts";
import type { Platform } from "../bus/platform.ts";
import type { Shadow, ShadowEnvironment } from "../classes/shadow.ts";
import type { RamAccess } from "../bus/ram.ts";
import { type FaultDefinition, faultCode } from "../faults/fault.ts";
import type { DriverBundle, HostFactory, HostSpec } from "../host/driver-host.ts";
import { IoManager, type PageGrants } from "../io-manager/io-manager.ts";
import { Ledger } from "../io-manager/ledger.ts";
import { type Assignment, matchDrivers } from "../io-manager/match.ts";
import { type LoadedDriver, type LoadedMachine, tierFor } from "../machine/load.ts";
import type { LoadedManifest } from "../machine/manifest.ts";
import { advice } from "../machine/suggest.ts";
import { openRam } from "../native/ram.ts";
import { DriverSupervisor } from "../supervisor/driver-supervisor.ts";
import { LeasedBus } from "../supervisor/leased-bus.ts";
import { MachineSupervisor, type ShutdownReport } from "../supervisor/machine-supervisor.ts";
import type { RestartOptions } from "../supervisor/restart-policy.ts";
import { standardTeardown } from "../supervisor/teardown.ts";
import type { TraceSink } from "../trace/entry.ts";
import { type ClassModule, loadClass } from "./class-modules.ts";
import { classBuffers } from "./class-buffers.ts";
import type { LogBook } from "./log-book.ts";

/** What a machine is assembled from. */
export interface MachineParts<Handle> {
  readonly loaded: LoadedMachine;
  readonly clock: Clock;
  readonly platform: Platform<Handle>;
  readonly hosts: HostFactory<Handle>;
  readonly logs: LogBook;
  /** How pages get into sandboxes; without it drivers see their DMA memory by copies. */
  readonly pages?: PageGrants;
  bundle(driver: LoadedManifest): Promise<DriverBundle>;
  /** The control plane's flight recorder of a driver. */
  trace(driver: string): TraceSink;
  /** Takes its copy of the recorders in this call; what it writes is not waited for. */
  dump(driver: MachineDriver, failure: Failure, generation: bigint): void;
  lastGeneration(driver: string): bigint;
  /** Changes a driver's restart policy: a soak lifts its limits. */
  restart?(driver: LoadedDriver): RestartOptions;
  /** Puts another shadow in the place of its class's: a bench that feeds a driver by itself. */
  shadow?(environment: ShadowEnvironment): Shadow;
}

/** One driver of a machine, from its file to its shadow. */
export interface MachineDriver {
  /** The driver's name; "<driver>.<device>" when it matched several devices. */
  readonly name: string;
  readonly assignment: Assignment;
  readonly class: ClassModule;
  readonly shadow: Shadow;
  readonly supervisor: DriverSupervisor;
}

export class Machine<Handle = unknown> {
  readonly loaded: LoadedMachine;
  readonly clock: Clock;
  readonly platform: Platform<Handle>;
  readonly io: IoManager<Handle>;
  readonly logs: LogBook;
  readonly drivers: ReadonlyMap<string, MachineDriver>;
  readonly supervisor: MachineSupervisor;
  readonly #hosts: HostFactory<Handle>;
  readonly #unwatch: () => void;
  /** The control plane's own view of the memory that devices reach: where classes keep their buffers. */
  readonly #ram: RamAccess | undefined;
  #closed: Promise<ShutdownReport> | undefined;
  /** Why the platform was lost, once it was. */
  lost: string | undefined;
  /** What asked for the machine's reset last, which nobody here does: a watchdog that ran out. */
  resetRequest: { readonly device: string; readonly atMicros: number; readonly count: number } | undefined;

  private constructor(parts: MachineParts<Handle>, io: IoManager<Handle>, ram: RamAccess | undefined, drivers: readonly MachineDriver[]) {
    this.loaded = parts.loaded;
    this.clock = parts.clock;
    this.platform = parts.platform;
    this.io = io;
    this.#ram = ram;
    this.logs = parts.logs;
    this.drivers = new Map(drivers.map((driver) => [driver.name, driver]));
    this.#hosts = parts.hosts;
    this.supervisor = new MachineSupervisor({
      clock: parts.clock, drivers: drivers.map(({ supervisor, assignment }) => ({ supervisor, dependsOn: dependencies(assignment, drivers) })),
    });
    this.#unwatch = parts.platform.watch({ lost: (reason) => this.#lose(reason), resetRequested: (device) => this.#noteReset(device) });
  }

  /** Matches drivers to devices and makes everything ready; nothing runs before `start`. */
  static async assemble<Handle>(parts: MachineParts<Handle>): Promise<Machine<Handle>> {
    const assignments = matchDrivers(parts.loaded, parts.platform.devices);
    const io = new IoManager<Handle>(parts.platform, assignments, parts.clock, new Ledger(parts.clock), parts.pages);
    const ram = parts.platform.ram && openRam(parts.platform.ram);
    const bundles = new Map<string, Promise<DriverBundle>>();
    const drivers = await Promise.all(assignments.map(async (assignment) => {
      const bundleOf = (loaded: LoadedManifest): Promise<DriverBundle> => {
        if (!bundles.has(loaded.mainFile)) bundles.set(loaded.mainFile, parts.bundle(loaded));
        return bundles.get(loaded.mainFile)!;
      };
      const { package: own, alternative } = assignment;
      const [bundle, other, module] = await Promise.all([bundleOf(own), alternative && bundleOf(alternative.package), loadClass(own.manifest.class)]);
      for (const loaded of [own, alternative?.package]) if (loaded !== undefined) checkContract(loaded, module);
      return superviseDriver(parts, { io, ram }, assignment, module, bundle, other);
    }));
    return new Machine(parts, io, ram, drivers);
  }

  start(): void {
    this.supervisor.start();
  }

  /** @throws AirlockError NotFound, with a suggestion. */
  driver(name: string): MachineDriver {
    const driver = this.drivers.get(name);
    if (driver !== undefined) return driver;
    throw new AirlockError("NotFound", `no driver "${name}" in machine "${this.loaded.name}"; ${advice(name, this.drivers.keys(), "driver")}`, { driver: name });
  }

  /** Whether every driver is in service and its warm spares are loaded. */
  get settled(): boolean {
    return [...this.drivers.values()].every(({ name, supervisor }) => supervisor.status.state === "running" && this.#hosts.isWarm(name));
  }

  /** Makes a running driver fail in that way; one for init is armed for a restart, which this orders. */
  inject(name: string, fault: FaultDefinition): void {
    const { supervisor } = this.driver(name);
    if (fault.revokes === true) {
      const [window] = this.driver(name).assignment.grant.windows;
      if (window === undefined) throw new AirlockError("Unsupported", `driver "${name}" has no window that could be revoked`, { driver: name });
      this.io.revoke(name, window.name, `fault injection: ${fault.name}`);
    }
    supervisor.inject(fault.where, faultCode(fault));
    if (fault.where === "init") supervisor.restart();
  }

  /** A new client of the driver's class. */
  client(name: string): unknown {
    const driver = this.driver(name);
    return driver.class.openClient(driver.shadow);
  }

  /** Stops the drivers in order, then hosts and platform. A second call ends at once what is left. */
  close(): Promise<ShutdownReport> {
    if (this.#closed === undefined) this.#closed = this.#close();
    else void this.supervisor.shutdown();
    return this.#closed;
  }

  async #close(): Promise<ShutdownReport> {
    const report = await this.supervisor.shutdown();
    this.#unwatch();
    try {
      await this.#hosts.close();
    } finally {
      this.#ram?.close();
      await this.platform.close();
    }
    return report;
  }

  #noteReset(device: string): void {
    this.resetRequest = { device, atMicros: this.clock.nowMicros(), count: (this.resetRequest?.count ?? 0) + 1 };
    for (const { name, assignment, shadow, supervisor } of this.drivers.values()) {
      if (assignment.device.name !== device) continue;
      this.logs.note(name, supervisor.status.generation, `device ${device} asked for the machine's reset: the watchdog expired`, LogLevel.error);
      shadow.resetRequested?.();
    }
  }

  #lose(reason: string): void {
    this.lost = reason;
    for (const { name, supervisor } of this.drivers.values()) this.logs.note(name, supervisor.status.generation, `hardware lost: ${reason}`, LogLevel.error);
    this.supervisor.holdAll(`hardware lost: ${reason}`);
  }
}

/** What a driver of a laxer tier is escalated to. */
const strictestTier = "quickjs";

/** Where a driver's resources come from. */
interface Resources<Handle> {
  readonly io: IoManager<Handle>;
  readonly ram: RamAccess | undefined;
}

function superviseDriver<Handle>(
  parts: MachineParts<Handle>, { io, ram }: Resources<Handle>, assignment: Assignment, module: ClassModule, bundle: DriverBundle, other: DriverBundle | undefined,
): MachineDriver {
  const { clock, logs } = parts;
  const { driver: name, loaded } = assignment;
  let supervisor: DriverSupervisor<Handle> | undefined;
  const note = (text: string): void => logs.note(name, supervisor?.status.generation ?? 0n, text);
  const shadow = (parts.shadow ?? module.createShadow)({
    driver: name, clock, note, settings: loaded.entry.shadow, buffers: classBuffers(io.memory(name), ram),
    fail: (failure) => supervisor?.fail(failure),
    isAccused: () => {
      parts.platform.hearReports();
      return supervisor?.isFailing ?? true;
    },
    served: (operation) => supervisor?.served(operation),
  });
  const bus = (which: "package" | "alternative"): LeasedBus<Handle> => {
    const { windows, irqs } = (which === "package" ? assignment : assignment.alternative!).grant;
    const dma = io.memory(name, which).filter(({ guest }) => guest).map(({ name: region, iova, sizeBytes, isBuffers }) => ({ name: region, iova, sizeBytes, ...(isBuffers && { isBuffers }) }));
    return new LeasedBus(io, { driver: name, windows, irqs, dma, memoryBytes: loaded.limits.memoryBytes, options: loaded.options }, which);
  };
  const spec: HostSpec = { driver: name, tier: loaded.entry.sandbox, bundle, limits: { ...loaded.limits, sharedBytes: sharedBytes(assignment) }, spares: loaded.entry.spares };
  supervisor = new DriverSupervisor<Handle>({
    clock, spec, shadow, hosts: parts.hosts, trace: parts.trace(name),
    bus: bus("package"),
    ...(loaded.restart.escalate.to === "stricterTier" && spec.tier === "worker" && { escalated: { spec: { ...spec, tier: strictestTier }, bus: bus("package") } }),
    ...(other !== undefined && { escalated: { spec: { ...spec, bundle: other, tier: tierFor(assignment.alternative!.package.manifest, spec.tier) }, bus: bus("alternative") } }),
    restart: parts.restart?.(loaded) ?? restartOptions(loaded), lastGeneration: parts.lastGeneration(name),
    teardown: standardTeardown(async (failure, generation) => parts.dump(driver, failure, generation)),
    log: (level, text, generation) => logs.add({ driver: name, generation, source: "driver", level, text }),
    note,
  });
  supervisor.onChange((status) => logs.note(name, status.generation, status.reason === undefined ? status.state : `${status.state}: ${status.reason}`, LogLevel.debug));
  const driver: MachineDriver = { name, assignment, class: module, shadow, supervisor };
  return driver;
}

/** Room for a driver's DMA memory inside its sandbox: each region, and what aligning it to a page takes. */
function sharedBytes({ grant, alternative }: Assignment): number {
  const bytes = [grant, alternative?.grant].map((one) => (one?.dma ?? []).reduce((sum, { guest, sizeBytes }) => (guest ? sum + sizeBytes + dmaPageBytes : sum), 0));
  return Math.max(...bytes);
}

/** @throws AirlockError ManifestInvalid when the package was written for another version of its class's contract */
function checkContract({ directory, manifest }: LoadedManifest, { contract }: ClassModule): void {
  if (manifest.contractVersion === contract.version) return;
  throw new AirlockError(
    "ManifestInvalid", `${directory}/driver.json: it is written for version ${manifest.contractVersion} of class "${contract.name}", this build has version ${contract.version}; get a package for that`,
    { file: `${directory}/driver.json`, class: contract.name },
  );
}

/** The instances that an instance depends on: all of each driver its machine file names. */
function dependencies({ loaded }: Assignment, drivers: readonly MachineDriver[]): string[] {
  return drivers.filter(({ assignment }) => loaded.entry.dependsOn.includes(assignment.loaded.name)).map(({ name }) => name);
}

/** The restart policy as the machine file states it. */
export function restartOptions({ restart }: LoadedDriver): RestartOptions {
  const { policy, intensity, periodMs, backoff, escalate } = restart;
  return { policy, intensity, periodMs, backoff, escalation: escalate.to };
}
