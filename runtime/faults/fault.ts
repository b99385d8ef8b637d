/** What a fault is: a way to make a running driver fail, and what must detect it. One file each, found by its folder. */
import type { FaultPoint } from "../api/bridge.ts";
import type { FailureKind } from "../api/failure.ts";
import type { FaultTools } from "../api/guest.ts";

/** The tiers a fault can be for. */
export type FaultTier = "quickjs" | "wasm" | "worker";
/** Where a driver is a script: what these tiers' engines do wrong, a module cannot. */
export const scriptTiers: readonly FaultTier[] = ["quickjs", "worker"];

/** The default export of every file of this folder that defines a fault. */
export interface FaultDefinition {
  /** What `--how` calls it. */
  readonly name: string;
  /** What the driver does, as a continuation of "the driver ...". */
  readonly title: string;
  /** Where the driver's own code is replaced, once. */
  readonly where: FaultPoint;
  /** Runs inside the sandbox with the driver's own rights; its source text is what crosses, so it must be self-contained. */
  readonly run: (tools: FaultTools) => unknown;
  /** The failure kinds that are a right detection of it; which one depends on the tier and on who is first. */
  readonly detectedAs: readonly FailureKind[];
  /** Makes sense only for a driver with an interrupt line that is a wire: a message does not stay high. */
  readonly needsWire?: boolean;
  /** Makes sense only for a class with queues. */
  readonly needsQueue?: boolean;
  /** Makes sense only in these tiers; in all when left out. */
  readonly tiers?: readonly FaultTier[];
  /** Makes sense only for a driver with this option set. */
  readonly needsOption?: string;
  /** The I/O manager revokes the driver's first window before the fault is injected. */
  readonly revokes?: boolean;
}

/** The guest source of a fault. */
export function faultCode(fault: FaultDefinition): string {
  return String(fault.run);
}
