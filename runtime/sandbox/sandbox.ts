/** The Sandbox interface: a place that runs one driver's code and reaches the world only through its bridge. */
import type { Bridge, FaultPoint, Phase } from "../api/bridge.ts";
import type { AccessWidth } from "../api/grants.ts";
import type { PreparedModule } from "./wasm/prepare-module.ts";

export type TierName = "quickjs" | "wasm" | "worker";

/** A driver's code: a script, or a WebAssembly module for the tier that runs these. */
export type GuestCode = string | PreparedModule;

export interface SandboxLimits {
  /** Hard maximum of guest memory in bytes. */
  readonly memoryBytes: number;
  /** Most time one turn may take, checked inside the sandbox where it can check; the watchdog outside is the backstop. */
  readonly turnMs: number;
  /** Guest stack in bytes. */
  readonly stackBytes: number;
  /** DMA memory that is laid into the guest's memory, on top of its own, in whole pages; none when left out. */
  readonly sharedBytes?: number;
}

/** A region of DMA memory that the guest shares with its device. */
export interface GuestRegion {
  /** Whole pages of 4096 bytes. */
  readonly sizeBytes: number;
  /** Lays its pages over this page-aligned part of a WebAssembly memory; false where that cannot be done: then it is copied. */
  layOver(memory: { readonly buffer: ArrayBuffer }, byteOffset: number): boolean;
  /** Its pages as a buffer of this thread; undefined where that cannot be done: then it is copied. */
  map(): ArrayBuffer | undefined;
}

/** Why an instance is finished, as the sandbox saw it. `stack` is in terms of the bundle; the host maps it to sources. */
export interface GuestFailure {
  readonly kind: "exception" | "memory" | "stack" | "turn-limit" | "protocol";
  readonly phase: Phase;
  readonly name: string;
  readonly message: string;
  readonly stack: string;
  /** Set when the guest's exception is one of Airlock's own denials. */
  readonly code?: string;
}

/** What the host does for a guest. All arguments come from the guest unchecked except where stated. */
export interface SandboxCalls extends Omit<Bridge, "flush" | "fail" | "fault" | "sync" | "shared"> {
  /** A read that is posted like a write; `takeRead` waits for the value of the last one, and is 0 when there was none. */
  postRead(window: number, offset: number, width: AccessWidth): void;
  takeRead(): number;
  /** Copies between the guest's own bytes and what the device sees of a region; only for regions that have no pages in common. */
  copy(region: number, offset: number, bytes: Uint8Array, toDevice: boolean): void;
  /** A private copy of what the guest wrote to its outbox, at most `mailboxBytes` long. */
  output(records: Uint8Array): void;
  /** The instance is finished. Called once; nothing of the guest runs afterwards. */
  failed(failure: GuestFailure): void;
}

/** One driver instance's sandbox. Everything is synchronous; after `failed` or `dispose` calls do nothing. */
export interface Sandbox {
  readonly tier: TierName;
  /** Runs the guest on these records until its jobs are idle, the turn limit hits, or it fails. */
  turn(records: Uint8Array): void;
  /** Arms injected fault code: it replaces driver code at that point, once, or runs at once. */
  inject(where: FaultPoint, code: string): void;
  /** Bytes of memory the guest has now, as far as the tier can tell. */
  memoryBytes(): number;
  /** Drops the instance without running any guest code. */
  dispose(): void;
}

/**
 * Loads a bundle (a script whose value is a DriverEntry, or a module) so that its top-level code has run and it waits for records.
 * `name` is the file name in stack traces. What the load itself throws is thrown here as a GuestLoadError, also for code of another tier.
 */
export interface SandboxTier {
  readonly name: TierName;
  load(bundle: GuestCode, name: string, limits: SandboxLimits): Promise<LoadedSandbox>;
}

/** A bundle that is evaluated and waits: what a warm spare is. `start` gives it its world. */
export interface LoadedSandbox {
  start(calls: SandboxCalls, regions: readonly GuestRegion[]): Sandbox;
  dispose(): void;
}

/** The error of a tier that is given another tier's code. */
export function wrongCode(name: string, tier: TierName): GuestLoadError {
  const what = tier === "wasm" ? "a script, which the wasm tier does not run" : `a WebAssembly module, which the ${tier} tier does not run`;
  return new GuestLoadError({ kind: "exception", phase: "load", name: "BundleInvalid", message: `${name} is ${what}`, stack: "", code: "BundleInvalid" });
}

/** Thrown by `load`: the bundle itself failed to evaluate. */
export class GuestLoadError extends Error {
  readonly failure: GuestFailure;
  constructor(failure: GuestFailure) {
    super(failure.message);
    this.name = "GuestLoadError";
    this.failure = failure;
  }
}
