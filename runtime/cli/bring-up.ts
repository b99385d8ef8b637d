/** Brings a machine file up over threads: platform, hosts, state directory and crash dumps. Exported as "airlock/machine". */
import { existsSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { type Clock, realClock } from "../api/clock.ts";
import { AirlockError, isAirlockError } from "../api/errors.ts";
import type { ChannelHandle } from "../bus/channel-port.ts";
import type { DeviceDescription } from "../bus/device.ts";
import type { Platform } from "../bus/platform.ts";
import type { Shadow, ShadowEnvironment } from "../classes/shadow.ts";
import { loadAddon } from "../native/addon.ts";
import { findExports } from "../exports/find-exports.ts";
import { packageCode } from "./package-code.ts";
import type { PageGrants } from "../io-manager/io-manager.ts";
import { matchDrivers } from "../io-manager/match.ts";
import { lowerPriority } from "../host/thread-cpu.ts";
import { ThreadHostFactory } from "../host/thread-host-factory.ts";
import { type LoadedDriver, type LoadedMachine, loadMachine, tierFor } from "../machine/load.ts";
import type { TierName } from "../sandbox/sandbox.ts";
import type { RestartOptions } from "../supervisor/restart-policy.ts";
import { FlightRecorder } from "../trace/flight-recorder.ts";
import { DumpKeeper } from "./dump-keeper.ts";
import { LogBook } from "./log-book.ts";
import { Machine } from "./machine.ts";
import { placed } from "./placed-errors.ts";
import { GenerationStore, type StateDirectory, makeStateDirectory, stateDirectory } from "./state-directory.ts";

export interface BringUpOptions {
  /** Path of the machine file. */
  readonly file: string;
  /** The state directory; by XDG rules when left out. */
  readonly state?: string;
  /** Runs every driver in this tier, whatever the machine file says. */
  readonly sandbox?: TierName;
  readonly clock?: Clock;
  /** Replaces a driver's restart policy. */
  restart?(driver: LoadedDriver): RestartOptions;
  /** Puts another shadow in the place of its class's. */
  shadow?(environment: ShadowEnvironment): Shadow;
}

/** A machine with the state that outlives its drivers. */
export interface BroughtUp {
  readonly machine: Machine<ChannelHandle>;
  readonly state: StateDirectory;
  readonly dumps: DumpKeeper;
  /** Ends everything in order; a second call at once. Idempotent. */
  close(): Promise<void>;
}

/** A control-plane recorder holds class messages, lifecycle and failures: far fewer than register accesses. */
const controlRecorderSlots = 1024;

/** What every `platform/<type>/start.ts` exports as `startPlatform`. */
export type StartPlatform = (spec: LoadedMachine["platform"], devices: readonly DeviceDescription[], clock: Clock, directory: string) => Promise<Platform<ChannelHandle>>;

/** What every `platform/<type>/describe.ts` exports as `describeDevices`: adds what the platform knows of its devices before it runs. */
export type DescribeDevices = (devices: readonly DeviceDescription[]) => Promise<readonly DeviceDescription[]>;

/** Loads a machine file with the exports this installation has. @throws AirlockError MachineFileInvalid, NotFound */
export async function loadMachineFile(file: string): Promise<LoadedMachine> {
  const exports = await findExports();
  return loadMachine(file, { exports: Object.fromEntries([...exports].map(([type, definition]) => [type, definition.options])) });
}

/** The same, and refuses drivers that do not match: before anything is made that would have to be removed again. */
export async function loadMatchingMachine(file: string): Promise<LoadedMachine> {
  const loaded = await loadDescribedMachine(file);
  matchDrivers(loaded, loaded.devices);
  return loaded;
}

/** A machine file with its devices as its platform knows them. @throws AirlockError MachineFileInvalid, NotFound, PlatformUnavailable */
export async function loadDescribedMachine(file: string): Promise<LoadedMachine> {
  const loaded = await loadMachineFile(file);
  const { describeDevices } = (await platformModule(loaded, "describe")) as { describeDevices: DescribeDevices };
  try {
    return { ...loaded, devices: await describeDevices(loaded.devices) };
  } catch (error) {
    throw placed(loaded, error);
  }
}

/**
 * Brings a machine up and starts its drivers; resolves when they are starting. Leaves nothing behind when it rejects.
 * @throws AirlockError MachineFileInvalid, BundleInvalid, PlatformUnavailable, StateUnusable, ...
 */
export async function bringUp(options: BringUpOptions): Promise<BroughtUp> {
  const clock = options.clock ?? realClock;
  const loaded = overrideTier(await loadMatchingMachine(options.file), options.sandbox);
  const state = stateDirectory(loaded.name, options.state);
  makeStateDirectory(state);
  const generations = new GenerationStore(state);
  const platform = await startPlatform(loaded, clock);
  const logs = new LogBook(clock);
  const hosts = new ThreadHostFactory(clock, demotion());
  const control = new Map<string, FlightRecorder>();
  const recorder = (driver: string): FlightRecorder => {
    let found = control.get(driver);
    if (found === undefined) control.set(driver, (found = FlightRecorder.create(controlRecorderSlots, () => clock.nowMicros())));
    return found;
  };
  const dumps = new DumpKeeper(loaded.name, state.dumps, logs, clock, (driver) => ({ host: hosts.recorder(driver), supervisor: recorder(driver) }));
  try {
    const machine = await Machine.assemble<ChannelHandle>({
      loaded, clock, platform, hosts, logs, restart: options.restart, shadow: options.shadow, pages: pageGrants(),
      bundle: (loaded) => packageCode(loaded, { isCounted: false }),
      trace: recorder,
      dump: (driver, failure, generation) => dumps.keep(driver, failure, generation),
      lastGeneration: (driver) => generations.last(driver),
    });
    // Numbers are reserved ahead, so that a crash of the whole process does not lead to one being used again.
    generations.save(Object.fromEntries([...machine.drivers.keys()].map((name) => [name, generations.last(name) + reservedGenerations])));
    machine.start();
    return { machine, state, dumps, close: () => closeAll(machine, dumps, generations) };
  } catch (error) {
    await Promise.allSettled([hosts.close(), platform.close()]);
    throw placed(loaded, error);
  }
}

/** Generations one run may use: a restart a minute for two years. */
const reservedGenerations = 1_000_000n;

async function closeAll(machine: Machine<ChannelHandle>, dumps: DumpKeeper, generations: GenerationStore): Promise<void> {
  try {
    await machine.close();
  } finally {
    await dumps.settled();
  }
  generations.save(Object.fromEntries([...machine.drivers.values()].map(({ name, supervisor }) => [name, supervisor.status.generation])));
}

/** How pages get into sandboxes; undefined without the addon. */
function pageGrants(): PageGrants | undefined {
  try {
    const addon = loadAddon();
    return { create: () => addon.createPageGrant(), revoke: (grant) => void addon.revokePages(grant) };
  } catch (error) {
    if (!isAirlockError(error, "AddonMissing")) throw error;
    return undefined;
  }
}

/** How a thread that cannot be stopped gives way: with the addon it runs only when nothing else wants to. */
function demotion(): ((threadId: number) => void) | undefined {
  try {
    const addon = loadAddon();
    return (threadId) => {
      try {
        addon.setThreadIdle(threadId);
      } catch {
        lowerPriority(threadId); // a system that does not let its threads idle
      }
    };
  } catch (error) {
    if (!isAirlockError(error, "AddonMissing")) throw error;
    return undefined;
  }
}

function overrideTier(loaded: LoadedMachine, sandbox: TierName | undefined): LoadedMachine {
  if (sandbox === undefined) return loaded;
  return { ...loaded, drivers: loaded.drivers.map((driver) => ({ ...driver, entry: { ...driver.entry, sandbox: tierFor(driver.package.manifest, sandbox) } })) };
}

/** A file of the platform's folder. @throws AirlockError PlatformUnavailable */
async function platformModule(loaded: LoadedMachine, name: string): Promise<unknown> {
  const extension = path.extname(fileURLToPath(import.meta.url));
  const file = new URL(`../platform/${loaded.platform.type}/${name}${extension}`, import.meta.url);
  if (!existsSync(file)) throw new AirlockError("PlatformUnavailable", `this build has no platform "${loaded.platform.type}"`, { platform: loaded.platform.type });
  return import(file.href);
}

async function startPlatform(loaded: LoadedMachine, clock: Clock): Promise<Platform<ChannelHandle>> {
  const { startPlatform: start } = (await platformModule(loaded, "start")) as { startPlatform: StartPlatform };
  try {
    return await start(loaded.platform, loaded.devices, clock, path.dirname(path.resolve(loaded.file)));
  } catch (error) {
    throw placed(loaded, error);
  }
}
