/** The foreground daemon behind `airlock run`: machine, exports and control socket, and the way they end. */
import { stop as stopBundler } from "esbuild";
import { realClock } from "../api/clock.ts";
import { AirlockError, errorText } from "../api/errors.ts";
import type { TierName } from "../sandbox/sandbox.ts";
import { type BroughtUp, bringUp, loadMatchingMachine } from "./bring-up.ts";
import { RecoveryTimes } from "./control/recovery-times.ts";
import { machineRequests } from "./control/requests.ts";
import { ControlServer } from "./control/server.ts";
import { machineReport, type ServedMachine } from "./control/status.ts";
import type { DaemonView } from "./daemon-view.ts";
import { exitCodes } from "./exit-codes.ts";
import { type RunningExports, startExports } from "./exports-runner.ts";
import { makeStateDirectory, stateDirectory } from "./state-directory.ts";

/** Everything in order may take this long: drivers by level of dependency, exports, hosts, QEMU. Then it ends at once. */
const orderlyMs = 15_000;
/** Ending at once is some terminations of threads and a signal to QEMU. */
const atOnceMs = 3_000;

export interface DaemonOptions {
  readonly file: string;
  readonly state?: string;
  readonly sandbox?: TierName;
  readonly view: DaemonView;
}

/** Why a daemon ends, and `again` once somebody asks a second time. */
interface Stop {
  readonly asked: Promise<{ readonly reason: string; readonly error?: unknown }>;
  readonly again: Promise<void>;
  ask(reason: string, error?: unknown): void;
  dispose(): void;
}

/**
 * Runs a machine until a signal ends it; gives whether it ended in order. Leaves nothing behind, also when it rejects.
 * @throws what bringing it up throws; AirlockError HardwareLost after an orderly teardown; AddressInUse, StateUnusable
 */
export async function runDaemon({ file, state: chosen, sandbox, view }: DaemonOptions): Promise<boolean> {
  const loaded = await loadMatchingMachine(file);
  const state = stateDirectory(loaded.name, chosen);
  makeStateDirectory(state);
  const stop = watchSignals();
  let served: ServedMachine | undefined;
  let control: ControlServer | undefined;
  const leave = (): void => control?.abandon();
  process.on("exit", leave);
  try {
    // Before the machine, so that two daemons never use one state directory.
    control = await ControlServer.listen({ socket: state.socket, handle: machineRequests(() => served), note: (text) => view.say("warn", text) });
    const startedMicros = realClock.nowMicros();
    let isUp = false;
    // What is half brought up has nothing to end in order: handlers of "exit" end QEMU and remove what is in the file system.
    void stop.again.then(() => { if (!isUp) process.exit(exitCodes.negative.code); });
    const up = await bringUp({ file, state: state.path, sandbox });
    isUp = true;
    const { machine } = up;
    // The bundler is a process of its own, and has done its work.
    await stopBundler();
    const recoveryTimes = new RecoveryTimes(machine);
    machine.platform.watch({ lost: (reason) => stop.ask("the hardware was lost", hardwareLost(loaded.name, reason)) });
    let exports: RunningExports | undefined;
    try {
      exports = await startExports(machine, state.path, realClock);
    } catch (error) {
      stop.ask("an export cannot start", error);
    }
    const context = { machine, stateDirectory: state.path, startedMicros, exports, recoveryTimes };
    served = context;
    if (exports !== undefined) view.ready(machine, recoveryTimes, () => machineReport(context));
    const { reason, error } = await stop.asked;
    view.say(error === undefined ? "info" : "error", `stopping: ${reason}`);
    served = undefined;
    const inOrder = await shutDown(up, exports, control, stop, view);
    if (error !== undefined) throw error;
    return inOrder;
  } finally {
    await control?.close();
    process.off("exit", leave);
    stop.dispose();
    view.end();
  }
}

function hardwareLost(machine: string, reason: string): AirlockError {
  return new AirlockError("HardwareLost", `the hardware of machine "${machine}" was lost: ${reason}; the machine is shut down`, { machine });
}

/** Whether everything ended in order; false when it was cut short by a second signal or its deadline. */
async function shutDown(up: BroughtUp, exports: RunningExports | undefined, control: ControlServer, stop: Stop, view: DaemonView): Promise<boolean> {
  const orderly = (async () => {
    await exports?.close();
    await up.close();
    await control.close();
    return true;
  })();
  orderly.catch((error: unknown) => view.say("error", `shutting down: ${errorText(error)}`));
  const deadline = after(orderlyMs);
  const cut = Promise.race([stop.again.then(() => "a second signal"), deadline.over.then(() => `${orderlyMs} ms have passed`)]);
  const first = await Promise.race([orderly, cut]);
  deadline.cancel();
  if (first === true) return true;
  view.say("warn", `stopping at once: ${String(first)}`);
  // The first call starts the end if it has not begun, the second ends what is left.
  void exports?.close();
  void up.machine.close();
  void up.machine.close();
  const limit = after(atOnceMs);
  await Promise.race([orderly, limit.over]);
  limit.cancel();
  return false;
}

function watchSignals(): Stop {
  let ask: (asked: { reason: string; error?: unknown }) => void = () => undefined;
  let again: () => void = () => undefined;
  const asked = new Promise<{ reason: string; error?: unknown }>((resolve) => { ask = resolve; });
  const askedAgain = new Promise<void>((resolve) => { again = resolve; });
  let times = 0;
  const stop = (reason: string, error?: unknown): void => {
    times++;
    ask({ reason, error });
    if (times > 1 && error === undefined) again();
  };
  const onSignal = (signal: string): void => stop(signal);
  const onBug = (error: unknown): void => stop("an internal error", error);
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) process.on(signal, onSignal);
  process.on("uncaughtException", onBug);
  return {
    asked, again: askedAgain, ask: stop,
    dispose: () => {
      for (const signal of signals) process.off(signal, onSignal);
      process.off("uncaughtException", onBug);
    },
  };
}

function after(ms: number): { readonly over: Promise<void>; cancel(): void } {
  let timer: NodeJS.Timeout | undefined;
  const over = new Promise<void>((resolve) => { timer = setTimeout(resolve, ms); });
  return { over, cancel: () => clearTimeout(timer) };
}
