/** What is particular about QEMU's devices, as plain data: from the devices' files to the hardware's thread. */
import type { AccessWidth } from "../../api/grants.ts";
import type { PciIdentity } from "../../bus/pci.ts";

/** A wait that QEMU's device makes in its own time after a write, and that real hardware does not have. */
export interface TimeSkip {
  readonly device: string;
  readonly window: string;
  readonly offset: number;
  /** Only after writes that set one of these bits. */
  readonly mask: number;
  readonly micros: number;
}

/**
 * A write that should make QEMU's device look again at something, and does not. Writing another register, of the same window, does: it is read
 * and written back after such a write.
 */
export interface Nudge {
  readonly device: string;
  readonly window: string;
  readonly offset: number;
  /** Only after writes that set one of these bits. */
  readonly mask: number;
  readonly by: { readonly offset: number; readonly width: AccessWidth };
}

/** A write that helps to bring a device to rest which has no reset of its own. */
export interface RestStep {
  readonly device: string;
  readonly window: string;
  readonly offset: number;
  /** 32 when left out. */
  readonly width?: AccessWidth;
  readonly value: number;
}

/** In what a device on QEMU's bus differs from what its drivers are told. */
export interface ActualIdentity {
  readonly device: string;
  readonly identity: Partial<PciIdentity>;
}

export interface Quirks {
  readonly skips: readonly TimeSkip[];
  readonly nudges: readonly Nudge[];
  readonly rests: readonly RestStep[];
  readonly actual: readonly ActualIdentity[];
  /** Whether some device tells the time, which then must not run far ahead. */
  readonly keepsTime: boolean;
}
