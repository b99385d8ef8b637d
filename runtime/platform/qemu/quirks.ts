/** What is particular about QEMU's devices, as plain data: from the devices' files to the hardware's thread. */

/** A wait that QEMU's device makes in its own time after a write, and that real hardware does not have. */
export interface TimeSkip {
  readonly device: string;
  readonly window: string;
  readonly offset: number;
  /** Only after writes that set one of these bits. */
  readonly mask: number;
  readonly micros: number;
}

/** A 32-bit write that helps to bring a device to rest which has no reset of its own. */
export interface RestStep {
  readonly device: string;
  readonly window: string;
  readonly offset: number;
  readonly value: number;
}

export interface Quirks {
  readonly skips: readonly TimeSkip[];
  readonly rests: readonly RestStep[];
  /** Whether some device tells the time, which then must not run far ahead. */
  readonly keepsTime: boolean;
}
