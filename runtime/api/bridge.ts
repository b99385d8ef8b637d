/**
 * The bridge: the whole border between a sandbox's guest code and its trusted host. Numbers and strings only, no host
 * object crosses. A sandbox gives the guest one object of this shape; everything a guest passes is hostile to the host.
 */
import type { AccessWidth } from "./grants.ts";

export const IrqOp = { attach: 0, mask: 1, unmask: 2, ack: 3 } as const;
export type IrqOp = (typeof IrqOp)[keyof typeof IrqOp];

export const LogLevel = { debug: 20, info: 30, warn: 40, error: 50 } as const;
export type LogLevel = (typeof LogLevel)[keyof typeof LogLevel];

/** Where in a driver's life something was thrown. */
export type Phase = "load" | "init" | "operation" | "irq" | "timer" | "job";
export const phases: readonly Phase[] = ["load", "init", "operation", "irq", "timer", "job"];

/** Bytes of the inbox and of the outbox in the sandbox's memory. One batch never exceeds this. */
export const mailboxBytes = 65_536;

/** What the host implements and the guest calls. Denials are thrown in the guest at the call. */
export interface Bridge {
  /** Reads register `offset` of window number `window`. Completes after every earlier write. */
  read(window: number, offset: number, width: AccessWidth): number;
  /** Writes a register; posted: returns before the device has seen it. */
  write(window: number, offset: number, width: AccessWidth, value: number): void;
  irq(line: number, op: IrqOp): void;
  /**
   * Makes `sizeBytes` of DMA region `region` from `offset` the same for driver and device: with `toDevice` 1 what the
   * driver wrote, with 0 what the device wrote. Does nothing where both have the same pages.
   */
  sync(region: number, offset: number, sizeBytes: number, toDevice: 0 | 1): void;
  /** 1 when driver and device have the same pages of that region, so that `sync` has nothing to do; else 0. */
  shared(region: number): number;
  log(level: LogLevel, text: string): void;
  /** Microseconds of the machine's clock; starts at an arbitrary value and never goes back. */
  nowMicros(): number;
  /** Sends a timer record with tag `id` after `delayMicros`; a negative delay cancels it. */
  timer(id: number, delayMicros: number): void;
  /** Hands the first `length` bytes of the outbox to the host, which copies them before it returns. */
  flush(length: number): void;
  /** Reports something thrown in driver code. The instance is finished. */
  fail(phase: Phase, name: string, message: string, stack: string): void;
  /** The DriverSetup as JSON. */
  setup(): string;
  /** The source of the fault to arm, as JSON `{where, code}`; only valid while a fault record is being handled. */
  fault(): string;
}

/** The bridge as guest code sees it: the host's calls and the two mailboxes in its own memory. */
export interface GuestBridge extends Bridge {
  readonly inbox: ArrayBuffer;
  readonly outbox: ArrayBuffer;
  /** The guest's view of DMA region number `region`; the same object at every call. */
  memory(region: number): ArrayBuffer;
}

/** What the guest gives the host: handle `length` bytes of records in the inbox. Flushes what it wrote before it returns. */
export type Dispatch = (length: number) => void;

/** A driver bundle is a script whose value is this function. */
export type DriverEntry = (bridge: GuestBridge) => Dispatch;

/** Where an injected fault replaces the driver's own code. */
export type FaultPoint = "init" | "operation" | "irq" | "now";
