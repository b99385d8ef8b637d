/** What the supervisor of one driver is made from, and its limits. */
import type { LogLevel } from "../api/bridge.ts";
import type { Clock } from "../api/clock.ts";
import { controlStepMs } from "../bus/platform.ts";
import type { Shadow } from "../classes/shadow.ts";
import type { HostFactory, HostSpec } from "../host/driver-host.ts";
import type { TraceSink } from "../trace/entry.ts";
import type { DriverBus } from "./driver-bus.ts";
import type { BringUpLimits } from "./generation.ts";
import type { RestartOptions } from "./restart-policy.ts";
import type { TeardownStep } from "./teardown.ts";

export interface SupervisorOptions<Handle> {
  readonly clock: Clock;
  readonly spec: HostSpec;
  readonly restart: RestartOptions;
  /** What it runs as once its intensity was exceeded, if its escalation is not to hold: another tier, another package. */
  readonly escalated?: { readonly spec: HostSpec; readonly bus: DriverBus<Handle> };
  readonly bus: DriverBus<Handle>;
  readonly hosts: HostFactory<Handle>;
  /** Owned from here on: closed with the supervisor. Its environment's `fail` and `served` lead to the methods here. */
  readonly shadow: Shadow;
  readonly trace: TraceSink;
  /** The last generation of this driver that an earlier process started; the next is one higher. */
  readonly lastGeneration?: bigint;
  readonly limits?: Partial<BringUpLimits>;
  /** Default: `standardTeardown()`, which dumps nothing. */
  readonly teardown?: readonly TeardownStep[];
  log?(level: LogLevel, text: string, generation: bigint): void;
  /** Irregularities of trusted parts, in one line each. */
  note?(text: string): void;
}

/** Why a driver may not run now although it should: the state of one it depends on. */
export interface Block {
  readonly by: string;
  /** `waiting`: that driver is on its way back. Otherwise only an operator brings it back. */
  readonly state: "waiting" | "held" | "stopped";
  readonly reason: string;
}

/** A warm spare connects and starts within milliseconds; a cold one loads its sandbox in init's own limit. */
export const standardLimits: BringUpLimits = { connectMs: controlStepMs, loadMs: 60_000, attachMs: 5_000, terminateMs: 1_000, removeMs: 500 };
