/** One driver instance inside its host: the bridge's calls on one side, the bus port and the links on the other. */
import { type FaultPoint, LogLevel } from "../api/bridge.ts";
import type { Clock } from "../api/clock.ts";
import type { Failure, FailureKind } from "../api/failure.ts";
import type { DriverSetup } from "../api/grants.ts";
import { RecordKind, putRecord, recordBytes } from "../api/records.ts";
import type { BusPort } from "../bus/bus-port.ts";
import type { GuestFailure, LoadedSandbox, Sandbox, SandboxCalls } from "../sandbox/sandbox.ts";
import { TraceKind, type TraceSink } from "../trace/entry.ts";
import type { HostLimits } from "./driver-host.ts";
import type { GuestRegions } from "./guest-regions.ts";
import { LogLimit } from "./log-limit.ts";

/** Timers one driver may have pending; a driver that needs more has lost count. */
const maxTimers = 1_024;

/** Where an instance's output goes. All are called from within a turn and must not throw. */
export interface InstanceLink {
  /** Framed records, ready and replies and events, unchecked. */
  output(records: Uint8Array): void;
  log(level: LogLevel, text: string): void;
  /** The stack is in terms of the bundle: mapping it takes time that the recovery should not wait for. */
  failed(failure: Failure): void;
  /** A turn of guest code begins or has ended; brackets nest never. For the watchdog. */
  turn(running: boolean): void;
}

export interface InstanceParts {
  readonly setup: DriverSetup;
  readonly port: BusPort;
  readonly memory: GuestRegions;
  readonly clock: Clock;
  readonly trace: TraceSink;
  readonly limits: HostLimits;
  readonly link: InstanceLink;
}

const noPayload = new Uint8Array(0);

/** Runs one loaded sandbox. Everything happens in the thread that calls; nothing runs after it failed. */
export class DriverInstance {
  readonly #parts: InstanceParts;
  readonly #sandbox: Sandbox;
  readonly #logLimit: LogLimit;
  readonly #timers = new Map<number, () => void>();
  #finished = false;

  constructor(loaded: LoadedSandbox, parts: InstanceParts) {
    this.#parts = parts;
    this.#logLimit = new LogLimit(parts.clock, parts.limits.logPerSecond);
    this.#sandbox = loaded.start(this.#calls(), parts.memory.regions);
  }

  /** Runs the driver's init. */
  start(): void {
    this.#deliver(RecordKind.init, 0, 0);
  }

  /** Delivers framed records from the shadow. */
  deliver(records: Uint8Array): void {
    this.#turn(() => this.#sandbox.turn(records));
  }

  /** Delivers the interrupts that wait at the port. */
  pollIrqs(): void {
    for (const line of this.#parts.port.takeIrqs()) {
      if (this.#finished) return;
      this.#parts.trace.record(TraceKind.irq, line, 0, 0, 0);
      this.#deliver(RecordKind.irq, line, 0);
    }
  }

  inject(where: FaultPoint, code: string): void {
    this.#turn(() => this.#sandbox.inject(where, code));
  }

  /** Drops the instance without running any of its code. */
  dispose(): void {
    this.#finish();
    this.#sandbox.dispose();
    this.#parts.memory.close();
  }

  #deliver(kind: number, id: number, tag: number): void {
    const record = new Uint8Array(recordBytes(0));
    putRecord(record, 0, kind, id, tag, noPayload);
    this.#turn(() => this.#sandbox.turn(record));
  }

  #turn(run: () => void): void {
    if (this.#finished) return;
    this.#parts.link.turn(true);
    try {
      run();
    } finally {
      this.#parts.link.turn(false);
    }
  }

  #calls(): SandboxCalls {
    const { port, trace, clock, setup, link } = this.#parts;
    const traced = <T>(target: number, offset: number, width: number, access: () => T): T => {
      try {
        return access();
      } catch (error) {
        trace.record(TraceKind.denied, target, offset, 0, width);
        throw error;
      }
    };
    /** The read that is under way; its width is 0 when there is none. */
    const posted = { window: 0, offset: 0, width: 0 };
    /** Nobody waited for what the last posted read brought. */
    const passed = (): void => {
      if (posted.width === 0) return;
      trace.record(TraceKind.postedRead, posted.window, posted.offset, 0, posted.width);
      posted.width = 0;
    };
    return {
      read: (window, offset, width) => {
        const value = traced(window, offset, width, () => port.read(window, offset, width));
        trace.record(TraceKind.read, window, offset, value, width);
        return value;
      },
      postRead: (window, offset, width) => {
        passed();
        traced(window, offset, width, () => port.postRead(window, offset, width));
        posted.window = window;
        posted.offset = offset;
        posted.width = width;
      },
      takeRead: () => {
        const value = port.takeRead();
        if (posted.width !== 0) trace.record(TraceKind.read, posted.window, posted.offset, value, posted.width);
        posted.width = 0;
        return value;
      },
      write: (window, offset, width, value) => {
        passed();
        traced(window, offset, width, () => port.write(window, offset, width, value));
        trace.record(TraceKind.write, window, offset, value, width);
      },
      irq: (line, op) => {
        traced(line, op, 0, () => port.irq(line, op));
        trace.record(TraceKind.irqOp, line, op, 0, 0);
      },
      copy: (region, offset, bytes, toDevice) => this.#parts.memory.copy(region, offset, bytes, toDevice),
      log: (level, text) => this.#log(level, text),
      nowMicros: () => clock.nowMicros(),
      timer: (id, delayMicros) => this.#setTimer(id, delayMicros),
      setup: () => JSON.stringify(setup),
      output: (records) => { if (!this.#finished) link.output(records); },
      failed: (failure) => this.#failed(failure),
    };
  }

  #log(level: number, text: string): void {
    if (this.#finished) return;
    if (!this.#logLimit.take()) {
      this.#fail({ kind: "log-flood", message: `logged more than ${this.#parts.limits.logPerSecond} lines per second` });
      return;
    }
    const known = Object.values(LogLevel).find((candidate) => candidate === level) ?? LogLevel.info;
    this.#parts.trace.record(TraceKind.log, known, 0, text.length, 0);
    this.#parts.link.log(known, text);
  }

  #setTimer(id: number, delayMicros: number): void {
    this.#timers.get(id)?.();
    this.#timers.delete(id);
    if (!(delayMicros >= 0) || this.#finished) return;
    if (this.#timers.size >= maxTimers) {
      this.#fail({ kind: "message-flood", message: `has more than ${maxTimers} timers pending` });
      return;
    }
    this.#parts.trace.record(TraceKind.timerSet, id, delayMicros, 0, 0);
    this.#timers.set(id, this.#parts.clock.setTimer(delayMicros, () => {
      this.#timers.delete(id);
      this.#parts.trace.record(TraceKind.timer, id, 0, 0, 0);
      this.#deliver(RecordKind.timer, 0, id);
    }));
  }

  #failed(failure: GuestFailure): void {
    this.#fail({
      kind: failureKind(failure), phase: failure.phase, stack: failure.stack,
      message: failure.name === "" || failure.name === "Error" ? failure.message : `${failure.name}: ${failure.message}`,
    });
  }

  #fail(failure: Failure): void {
    if (this.#finished) return;
    this.#finish();
    this.#parts.link.failed(failure);
  }

  #finish(): void {
    this.#finished = true;
    for (const cancel of this.#timers.values()) cancel();
    this.#timers.clear();
  }
}

/** The failure kind of what a sandbox saw: denials by their code, everything else by what it was. */
export function failureKind(failure: Pick<GuestFailure, "kind" | "code">): FailureKind {
  if (failure.kind === "exception") {
    if (failure.code === "CapabilityViolation") return "capability-violation";
    if (failure.code === "CapabilityRevoked") return "capability-revoked";
    if (failure.code === "ProtocolViolation") return "protocol-violation";
    return "exception";
  }
  return failure.kind === "protocol" ? "protocol-violation" : failure.kind;
}
