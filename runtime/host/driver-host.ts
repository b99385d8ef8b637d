/** The driver host as the control plane sees it: one generation of one driver in a sandbox, and the factory of hosts. */
import type { FaultPoint, LogLevel } from "../api/bridge.ts";
import type { Failure } from "../api/failure.ts";
import type { DriverSetup } from "../api/grants.ts";
import type { MessageRecord } from "../api/records.ts";
import type { GuestCode, SandboxLimits, TierName } from "../sandbox/sandbox.ts";

/** A driver's code: one script or module, and the map back to its author's files. */
export interface DriverBundle {
  readonly code: GuestCode;
  /** Source map v3 as JSON. That of a module has one line, whose columns are offsets in its file; "" where there is none. */
  readonly map: string;
  /** Name in stack traces: "<driver package>/bundle.js". */
  readonly name: string;
}

/** The bundle of a driver in JavaScript. */
export interface ScriptBundle extends DriverBundle {
  readonly code: string;
}

/** Limits a host enforces on top of the sandbox's own. */
export interface HostLimits extends SandboxLimits {
  /** Wall time in one turn after which the watchdog looks at the thread; see host/watchdog.ts. */
  readonly hangMs: number;
  readonly initMs: number;
  readonly logPerSecond: number;
}

/** Everything about a driver that stays the same over its generations. */
export interface HostSpec {
  readonly driver: string;
  readonly tier: TierName;
  readonly bundle: DriverBundle;
  readonly limits: HostLimits;
  /** Warm spares to keep: loaded sandboxes that wait. None saves memory and costs a load at each restart. */
  readonly spares: number;
}

export interface HostEvents {
  /** The sandbox is loaded and init begins. */
  started(): void;
  /** init has finished. */
  ready(): void;
  /** Replies and events, framing checked, contents hostile. */
  records(records: readonly MessageRecord[]): void;
  /** The driver has let go of its device, as it was told to by a `remove` record. */
  removed(): void;
  log(level: LogLevel, text: string): void;
  /** The instance is finished. At most once; nothing follows it. */
  failed(failure: Failure): void;
}

/** One generation. After `failed` or `terminate` it sends nothing more. */
export interface DriverHost {
  readonly generation: bigint;
  /** Queues one record for the driver; false when the queue is full. */
  send(kind: number, id: number, tag: number, payload: Uint8Array): boolean;
  /** Hands over, in this call, what the driver has sent before it: a failure must not lose what was delivered already. */
  drain(): void;
  /** Arms a fault (fault injection only). */
  inject(where: FaultPoint, code: string): void;
  /** Ends the instance whatever it is doing; resolves when its thread is free or gone. Idempotent. */
  terminate(): Promise<void>;
}

/** Makes hosts; keeps warm spares, so that a start needs no load. */
export interface HostFactory<Handle = unknown> {
  /** Makes sure a spare of this driver is loaded or loading; one that fails is dropped, and a `start` then loads anew. */
  warm(spec: HostSpec): void;
  /** Whether no spare of this driver is still loading. */
  isWarm(driver: string): boolean;
  /** Starts a generation on a connection's handle. `events` are called from later turns only. */
  start(spec: HostSpec, generation: bigint, setup: DriverSetup, handle: Handle, faults: readonly ArmedFault[], events: HostEvents): DriverHost;
  close(): Promise<void>;
}

/** A fault to be armed before init runs. */
export interface ArmedFault {
  readonly where: FaultPoint;
  readonly code: string;
}
