/** What the daemon does for each request of the control socket. */
import type { LogLevel } from "../../api/bridge.ts";
import { AirlockError, isAirlockError } from "../../api/errors.ts";
import { findFaults } from "../../faults/find-faults.ts";
import { explain } from "../../io-manager/why.ts";
import { judge } from "../../io-manager/match.ts";
import { advice } from "../../machine/suggest.ts";
import type { DriverStatus } from "../../supervisor/driver-status.ts";
import type { LogLine } from "../log-book.ts";
import type { Machine, MachineDriver } from "../machine.ts";
import { applicableFaults } from "../soak/applicable.ts";
import { type ControlRequest, levelNumber } from "./protocol.ts";
import type { Answering, Handle } from "./server.ts";
import { type DriverReport, driverReport, machineReport, type ServedMachine } from "./status.ts";

/** How long a command waits for a driver to get where it was sent; a start may take its init limit and a backoff. */
const settleMs = 10_000;
/** How long a fault that was set off may take to be noticed: every detector's limit is well below. */
const detectMs = 3_000;
/** Longest text of one log line that crosses the socket; a driver decides what it says. */
const lineMostCharacters = 2_000;

/** A line of `logs`. `epochMs` is civil time. */
export interface ShownLine {
  readonly epochMs: number;
  readonly driver: string;
  readonly generation: string;
  readonly source: LogLine["source"];
  readonly level: number;
  readonly text: string;
}

/** What became of `kill`. */
export interface KillResult {
  readonly driver: string;
  /** The fault; "kill" for a plain one. */
  readonly how: string;
  /** False: the fault waits for the driver's next operation or interrupt. */
  readonly detected: boolean;
  readonly kind?: string;
  readonly message?: string;
  /** The driver as it is afterwards. */
  readonly status: DriverReport;
}

/** Answers every request about the machine that `served` gives; undefined while it is brought up or shut down. */
export function machineRequests(served: () => ServedMachine | undefined): Handle {
  return async (request, answering) => {
    const now = served();
    if (request.do === "hello") return { pid: process.pid, machine: now?.machine.loaded.name ?? null, ready: now !== undefined };
    if (now === undefined) throw new AirlockError("DriverUnavailable", "the machine is being brought up or shut down; try again in a moment");
    return answer(now, request, answering);
  };
}

async function answer(served: ServedMachine, request: Exclude<ControlRequest, { do: "hello" }>, answering: Answering): Promise<unknown> {
  const { machine } = served;
  switch (request.do) {
    case "ps": return machineReport(served);
    case "why": return explain(knownDriver(machine, request.driver), judge(machine.loaded, machine.platform.devices), machine.io.ledger);
    case "logs": return logs(machine, request, answering);
    case "kill": return kill(served, machine.driver(request.driver), request.how);
    case "restart": return restart(served, machine.driver(request.driver));
    case "hold": {
      const driver = machine.driver(request.driver);
      await within(machine, settleMs, driver.supervisor.hold(request.reason ?? "held by command"));
      return driverReport(driver, served);
    }
    case "release": {
      const driver = machine.driver(request.driver);
      const released = driver.supervisor.release();
      if (released) await settled(machine, driver, ({ state }) => isSettled(state));
      return { released, status: driverReport(driver, served) };
    }
  }
}

/** `explain` knows drivers by the machine file and by instance; both get a suggestion here. */
function knownDriver(machine: Machine, name: string): string {
  if (machine.loaded.drivers.some((driver) => driver.name === name)) return name;
  return machine.driver(name).name;
}

async function restart(served: ServedMachine, driver: MachineDriver): Promise<DriverReport> {
  const { machine } = served;
  const before = driver.supervisor.status.generation;
  driver.supervisor.restart();
  await settled(machine, driver, ({ state, generation }) => state === "held" || state === "waiting" || (generation > before && isSettled(state)));
  return driverReport(driver, served);
}

function isSettled(state: DriverStatus["state"]): boolean {
  return state === "running" || state === "held" || state === "stopped" || state === "waiting";
}

async function kill(served: ServedMachine, driver: MachineDriver, how: string | undefined): Promise<KillResult> {
  const { machine } = served;
  const { supervisor } = driver;
  const { state, reason } = supervisor.status;
  if (state === "held" || state === "stopped") {
    throw new AirlockError("DriverUnavailable", `driver "${driver.name}" is ${state}: ${reason}; start it first`, { driver: driver.name, state });
  }
  const fault = how === undefined || how === "kill" ? undefined : await faultNamed(how);
  const before = supervisor.status.lastFailure;
  const failed = (status: DriverStatus): boolean => status.lastFailure !== before;
  if (fault !== undefined) {
    if (applicableFaults([fault], driver).length === 0) {
      throw new AirlockError("Unsupported", `driver "${driver.name}" cannot have the fault ${fault.name}, which needs an interrupt, a wire, a queue, an option or a tier that it has not; choose another`, { driver: driver.name, how: fault.name });
    }
    machine.inject(driver.name, fault);
    if (fault.where === "operation" || fault.where === "now") void provoke(machine, driver);
    await settled(machine, driver, failed, detectMs);
  } else if (!supervisor.kill()) {
    throw new AirlockError("DriverUnavailable", `driver "${driver.name}" is ${state} and has nothing to kill; wait for its restart`, { driver: driver.name, state });
  }
  const detected = failed(supervisor.status);
  const failure = detected ? supervisor.status.lastFailure!.failure : undefined;
  if (detected) await settled(machine, driver, (status) => isSettled(status.state));
  return { driver: driver.name, how: how ?? "kill", detected, ...(failure && { kind: failure.kind, message: failure.message }), status: driverReport(driver, served) };
}

async function faultNamed(how: string) {
  const faults = await findFaults();
  const fault = faults.get(how);
  if (fault === undefined) throw new AirlockError("InvalidArgument", `there is no fault "${how}"; ${advice(how, faults.keys(), "fault")} (--how list shows all)`, { how });
  return fault;
}

/** Makes the driver do something, because an armed fault waits for its next operation. What goes wrong then is the fault's doing. */
async function provoke(machine: Machine, driver: MachineDriver): Promise<void> {
  try {
    await within(machine, detectMs, driver.shadow.probe());
  } catch (error) {
    if (!isAirlockError(error)) throw error;
    machine.logs.note(driver.name, driver.supervisor.status.generation, `fault injection: ${error.message}`, 20);
  }
}

/** Sends the lines kept, in the order of their times, and then every later one until the client has gone. */
async function logs(machine: Machine, request: ControlRequest & { do: "logs" }, { send, ended }: Answering): Promise<{ lines: number }> {
  const names = request.driver === undefined ? undefined : instancesOf(machine, request.driver);
  const least: LogLevel = levelNumber(request.level);
  const wanted = (line: LogLine): boolean => line.level >= least && (names === undefined || names.has(line.driver));
  const offsetMs = Date.now() - machine.clock.nowMicros() / 1000;
  const kept = [...machine.drivers.keys()].flatMap((name) => machine.logs.lines(name)).filter(wanted).sort((x, y) => x.micros - y.micros);
  let lines = 0;
  const show = (line: LogLine): boolean => {
    lines++;
    return send(shown(line, offsetMs));
  };
  for (const line of kept.slice(kept.length - Math.min(kept.length, request.lines))) show(line);
  if (!request.follow || ended.aborted) return { lines };
  await new Promise<void>((resolve) => {
    const unfollow = machine.logs.follow((line) => { if (wanted(line) && !show(line)) stop(); });
    const stop = (): void => {
      unfollow();
      resolve();
    };
    ended.addEventListener("abort", stop, { once: true });
  });
  return { lines };
}

function instancesOf(machine: Machine, name: string): ReadonlySet<string> {
  const instances = [...machine.drivers.values()].filter(({ assignment }) => assignment.loaded.name === name).map((driver) => driver.name);
  return new Set(instances.length > 0 ? instances : [machine.driver(name).name]);
}

export function shown({ micros, driver, generation, source, level, text }: LogLine, offsetMs: number): ShownLine {
  const cut = text.length > lineMostCharacters ? `${text.slice(0, lineMostCharacters)}…` : text;
  return { epochMs: Math.round(offsetMs + micros / 1000), driver, generation: String(generation), source, level, text: cut };
}

/** Resolves when the driver's status is so, or the time is over. */
async function settled(machine: Machine, { supervisor }: MachineDriver, done: (status: DriverStatus) => boolean, limitMs: number = settleMs): Promise<void> {
  if (done(supervisor.status)) return;
  let unwatch: () => void = () => undefined;
  const reached = new Promise<void>((resolve) => {
    unwatch = supervisor.onChange((status) => { if (done(status)) resolve(); });
  });
  try {
    await within(machine, limitMs, reached);
  } finally {
    unwatch();
  }
}

/** Resolves with the work or when the time is over, whichever is first. */
function within(machine: Machine, limitMs: number, work: Promise<unknown>): Promise<void> {
  return new Promise((resolve, reject) => {
    const cancel = machine.clock.setTimer(limitMs * 1000, resolve);
    work.then(() => resolve(), reject).finally(cancel);
  });
}
