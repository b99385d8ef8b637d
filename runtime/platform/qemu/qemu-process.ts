/** A QEMU process as hardware: started, watched and ended by the main thread; the hardware's thread talks to it by FIFO. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import fs from "node:fs";
import { rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { AirlockError, errorText, isAirlockError } from "../../api/errors.ts";
import type { DeviceDescription } from "../../bus/device.ts";
import { fifoNames, type MachinePlan, type MachineType, planMachine } from "./command-line.ts";
import type { Connector } from "./connector.ts";
import { openDescriptor } from "./descriptors.ts";
import { findQemu, installAdvice } from "./find-qemu.ts";
import { firstFreeOffset, machineRamBytes } from "./memory-map.ts";
import { Peers } from "./peers.ts";
import type { QemuBackendSetup } from "./qemu-backend.ts";
import { performQmp, qmpSocketName } from "./qmp.ts";
import { QmpEvents, qmpEventsSocketName } from "./qmp-events.ts";
import type { QtestFifos } from "./qtest-channel.ts";
import { prepareStoreFile } from "./store-file.ts";
import { waitForQtest } from "./wait-for-qtest.ts";

export interface QemuOptions {
  /** Completed by `describeDevices` where there are PCI devices. */
  readonly devices: readonly DeviceDescription[];
  /** Civil time of the clock at power-on, milliseconds since the Unix epoch; QEMU takes whole seconds. */
  readonly epochMs: number;
  readonly machine?: MachineType;
  /** The machine file's folder. */
  readonly directory?: string;
  /** Where AIRLOCK_QEMU and PATH are looked up. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** The directory that gets the private one; the system's for temporary files when left out. */
  readonly temporaryDirectory?: string;
}

/** Start to first answer takes 40-60 ms on an idle machine. */
const startTimeoutMs = 10_000;

/** QEMU ends within milliseconds of SIGTERM, unless it is stopped or stuck in I/O; then it is killed. */
const terminateMs = 500;
/** Even SIGKILL waits for a process in uninterruptible I/O; closing goes on without it. */
const killMs = 2_000;

/** The end of what QEMU wrote to stderr; its errors are a line or two. */
const stderrBytes = 4_096;

/** What QEMU says of blocked DMA, which is reported elsewhere and no reason to end. */
const aboutFaults = /\bvtd_|compression of faults|Interrupt Mask set/;

const run = promisify(execFile);

/** Processes to be ended, and directories to be removed, when Node exits without closing them. */
const running = new Set<() => void>();
process.on("exit", () => running.forEach((clean) => clean()));

export class QemuProcess implements AsyncDisposable {
  readonly fifos: QtestFifos;
  readonly connectors: readonly Connector[];
  /** What a backend needs to reach the devices. */
  readonly setup: QemuBackendSetup;
  readonly #child: ChildProcess;
  readonly #folder: string;
  readonly #ids: ReadonlyMap<string, string>;
  readonly #exited: Promise<void>;
  readonly #watchers = new Set<(reason: string) => void>();
  readonly #cleanAtExit: () => void;
  #stderr = "";
  #peers: Peers | undefined;
  #events: QmpEvents | undefined;
  readonly #watchdog: string | undefined;
  #resetRequested: (device: string) => void = () => undefined;
  #lost: string | undefined;
  #closing: Promise<void> | undefined;

  /**
   * Starts QEMU with these devices, plugs in their serial peers, and returns when it answers.
   * @throws AirlockError PlatformUnavailable when there is no usable QEMU or it does not start (with its own words);
   *   InvalidArgument or NotFound for a device QEMU cannot provide as described. Nothing is left behind.
   */
  static async start(options: QemuOptions): Promise<QemuProcess> {
    const binary = await findQemu(options.environment);
    const folder = privateFolder(options.temporaryDirectory ?? os.tmpdir());
    // Until there is a process that owns it.
    const removeAtExit = (): void => fs.rmSync(folder, { recursive: true, force: true });
    running.add(removeAtExit);
    let qemu: QemuProcess | undefined;
    try {
      const plan = await planMachine({ ...options, machine: options.machine ?? "q35", folder });
      for (const file of plan.files) prepareStoreFile(file);
      const fifos = { commandPath: path.join(folder, fifoNames.command), replyPath: path.join(folder, fifoNames.reply) };
      await run("mkfifo", ["-m", "600", fifos.commandPath, fifos.replyPath]);
      const command = [...(await deathWatch()), binary.path, ...plan.args];
      qemu = launch(command, plan, options, folder, fifos);
      await qemu.#bringUp();
      return qemu;
    } catch (error) {
      await qemu?.close();
      await rm(folder, { recursive: true, force: true });
      if (isAirlockError(error)) throw error;
      throw new AirlockError("PlatformUnavailable", `QEMU cannot be started: ${errorText(error)}`, { platform: "qemu" }, { cause: error });
    } finally {
      running.delete(removeAtExit);
    }
  }

  /** Takes over the process, its folder, and the descriptor of its RAM. */
  constructor(child: ChildProcess, folder: string, plan: MachinePlan, setup: QemuBackendSetup) {
    this.#child = child;
    this.#folder = folder;
    this.#ids = plan.ids;
    this.#watchdog = plan.watchdog;
    this.fifos = setup.fifos;
    this.connectors = plan.connectors;
    this.setup = setup;
    this.#cleanAtExit = () => {
      // Its end also frees a hardware thread that waits for an answer and would keep the process from exiting.
      child.kill("SIGKILL");
      fs.rmSync(folder, { recursive: true, force: true });
    };
    running.add(this.#cleanAtExit);
    child.stderr?.on("data", (chunk: Buffer) => (this.#stderr = (this.#stderr + chunk.toString("utf8")).slice(-stderrBytes)));
    this.#exited = new Promise((resolve) => {
      child.once("error", (error) => {
        this.#noteExit(errorText(error));
        resolve();
      });
      child.once("close", (code, signal) => {
        this.#noteExit(signal === null ? `exited with code ${String(code)}` : `was ended by ${signal}`);
        resolve();
      });
    });
  }

  /** Undefined when it could not be started at all. */
  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Why the process is gone, when it went by itself. */
  get lost(): string | undefined {
    return this.#lost;
  }

  /**
   * Plugs a network card's cable in or pulls it.
   * @throws AirlockError NotFound for no such device, InvalidArgument for one without a cable, HardwareLost when QEMU is gone
   */
  async setLink(device: string, up: boolean): Promise<void> {
    const name = this.#ids.get(device);
    if (name === undefined) throw new AirlockError("NotFound", `there is no device "${device}"`, { device });
    await performQmp(path.join(this.#folder, qmpSocketName), "set_link", { name, up });
  }

  /** Calls back once when QEMU goes by itself, at once when it has; returns a function that stops that. */
  onLost(watcher: (reason: string) => void): () => void {
    if (this.#lost !== undefined) watcher(this.#lost);
    else this.#watchers.add(watcher);
    return () => void this.#watchers.delete(watcher);
  }

  /** Sets who is told that a watchdog ran out. */
  onResetRequest(listener: (device: string) => void): void {
    this.#resetRequested = listener;
  }

  /**
   * Ends QEMU and removes its directory; idempotent. The hardware's thread gets HardwareLost from whatever it does next, or
   * is waiting for: stop it first, or let it go down by that.
   */
  close(): Promise<void> {
    return (this.#closing ??= this.#end());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #bringUp(): Promise<void> {
    const gone = (): string | undefined => this.#lost;
    const plugIn = async (): Promise<void> => {
      this.#peers = await Peers.plugIn(this.connectors);
    };
    const problem = await waitForQtest(this.fifos, { timeoutMs: startTimeoutMs, gone, opened: plugIn });
    if (problem === undefined) return this.#hearEvents();
    throw new AirlockError("PlatformUnavailable", `QEMU does not start: ${problem}. Are its firmware files installed (${installAdvice})?`, { platform: "qemu" });
  }

  async #hearEvents(): Promise<void> {
    const device = this.#watchdog;
    if (device === undefined) return;
    this.#events = await QmpEvents.open(path.join(this.#folder, qmpEventsSocketName), (name) => { if (name === "WATCHDOG") this.#resetRequested(device); });
  }

  #noteExit(how: string): void {
    if (this.#closing !== undefined || this.#lost !== undefined) return;
    const lines = this.#stderr.split("\n").map((line) => line.trim()).filter((line) => line !== "" && !aboutFaults.test(line));
    const words = lines.join("; ").replaceAll(/[^\x20-\x7e]/g, "?");
    this.#lost = words === "" ? `QEMU ${how}` : `QEMU ${how}: ${words}`;
    this.#peers?.[Symbol.dispose]();
    this.#events?.[Symbol.dispose]();
    for (const watcher of this.#watchers) watcher(this.#lost);
    this.#watchers.clear();
  }

  async #end(): Promise<void> {
    this.#watchers.clear();
    this.#peers?.[Symbol.dispose]();
    this.#events?.[Symbol.dispose]();
    for (const [signal, waitMs] of [["SIGTERM", terminateMs], ["SIGKILL", killMs]] as const) {
      if (this.#child.exitCode !== null || this.#child.signalCode !== null || this.#child.pid === undefined) break;
      this.#child.kill(signal);
      await within(this.#exited, waitMs);
    }
    await rm(this.#folder, { recursive: true, force: true });
    if (this.setup.ram?.fd !== undefined) fs.closeSync(this.setup.ram.fd);
    running.delete(this.#cleanAtExit);
  }
}

/** Starts QEMU with the descriptors it wants; of those, only the machine's RAM stays open with us. */
function launch(command: readonly string[], plan: MachinePlan, options: QemuOptions, folder: string, fifos: QtestFifos): QemuProcess {
  const fds: number[] = [];
  let ramFd: number | undefined;
  try {
    for (const descriptor of plan.descriptors) fds.push(openDescriptor(folder, descriptor));
    // In a group of its own: a terminal's Ctrl-C is for us, and QEMU stays until exports have flushed and drivers are down.
    const child = spawn(command[0]!, command.slice(1), { stdio: ["ignore", "ignore", "pipe", ...fds], cwd: "/", detached: true });
    ramFd = plan.hasRam ? fds.shift() : undefined;
    const ram = ramFd === undefined ? undefined : { sizeBytes: machineRamBytes, firstFreeOffset, fd: ramFd };
    return new QemuProcess(child, folder, plan, { fifos, devices: options.devices, ram, quirks: plan.quirks });
  } finally {
    for (const fd of fds) fs.closeSync(fd);
  }
}

/** @throws AirlockError PlatformUnavailable when it cannot be made */
function privateFolder(parent: string): string {
  try {
    return fs.mkdtempSync(path.join(parent, "airlock-qemu-"));
  } catch (error) {
    throw new AirlockError("PlatformUnavailable", `no directory for QEMU's sockets in ${parent}: ${errorText(error)}; set TMPDIR`, { platform: "qemu" }, { cause: error });
  }
}

/** The words before QEMU's that make it die with us, even when we are killed; none where setpriv is missing or too old. */
async function deathWatch(): Promise<readonly string[]> {
  const prefix = ["--pdeathsig", "KILL", "--"];
  try {
    await run("setpriv", [...prefix, "true"]);
    return ["setpriv", ...prefix];
  } catch {
    return [];
  }
}

async function within(promise: Promise<void>, limitMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<void>((resolve) => (timer = setTimeout(resolve, limitMs)));
  await Promise.race([promise, limit]);
  clearTimeout(timer);
}
