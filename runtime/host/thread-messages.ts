/** Messages between the control plane and a driver host's thread, besides the rings. */
import type { FaultPoint, LogLevel } from "../api/bridge.ts";
import type { Failure } from "../api/failure.ts";
import type { DriverSetup } from "../api/grants.ts";
import type { ChannelHandle } from "../bus/channel-port.ts";
import type { TierName } from "../sandbox/sandbox.ts";
import type { ArmedFault, DriverBundle, HostLimits } from "./driver-host.ts";
import type { MessagePort } from "node:worker_threads";

/** The task a thread of the pool is given: load this bundle, then wait on `control`. */
export interface HostTask {
  readonly tier: TierName;
  /** Its map stays with the control plane. */
  readonly bundle: Pick<DriverBundle, "code" | "name">;
  readonly limits: HostLimits;
  readonly control: MessagePort;
  /** Words of HostStatus, shared with the watchdog. */
  readonly status: SharedArrayBuffer;
  /** Compiled engine code, so that a thread does not compile it again; a WebAssembly.Module. */
  readonly engine: object | undefined;
  /** A client waits for this driver already: nothing is done first that only makes it faster. */
  readonly isUrgent: boolean;
}

export interface StartMessage {
  readonly type: "start";
  readonly setup: DriverSetup;
  readonly handle: ChannelHandle;
  readonly toDriver: SharedArrayBuffer;
  readonly fromDriver: SharedArrayBuffer;
  readonly recorder: SharedArrayBuffer;
  readonly faults: readonly ArmedFault[];
}

export type ToHost =
  | StartMessage
  | { readonly type: "inject"; readonly where: FaultPoint; readonly code: string }
  | { readonly type: "stop" };

export type FromHost =
  | { readonly type: "loaded" }
  | { readonly type: "load-failed"; readonly failure: Failure }
  | { readonly type: "log"; readonly level: LogLevel; readonly text: string }
  | { readonly type: "failed"; readonly failure: Failure };

/** Words the thread publishes for the watchdog. */
export const HostStatus = {
  /** Odd while guest code runs; changes at every begin and end of a turn. */
  turn: 0,
  /** The thread's id at the operating system; 0 when it cannot be known. */
  threadId: 1,
} as const;
export const hostStatusBytes = 8;
