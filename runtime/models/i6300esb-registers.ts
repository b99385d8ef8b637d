/** Registers of the Intel 6300ESB's watchdog timer. Source: Intel 6300ESB I/O Controller Hub data sheet (300641-004US), chapter 16. */

/** Offsets in `bar0` (16.4). All of them but the status take one write after the unlocking sequence. */
export const Reg = { preload1: 0x00, preload2: 0x04, interruptStatus: 0x08, reload: 0x0c } as const;

/** Offsets in configuration space (16.3): 16 and 8 bits. */
export const ConfigReg = { configuration: 0x60, lock: 0x68 } as const;

/** WDT Configuration Register. */
export const Configuration = {
  /** WDT_INT_TYPE: 0 IRQ, 2 SMI, 3 none. */
  interruptMask: 3,
  /** WDT_PRE_SEL: 1 counts the PCI clock divided by 2^5, 0 by 2^15. */
  fastClock: 1 << 2,
  /** WDT_OUTPUT: 1 keeps the output pin from being driven. */
  outputDisabled: 1 << 5,
} as const;

/** WDT Lock Register; with `locked` it takes no more writes until a reset. */
export const Lock = { locked: 1 << 0, enable: 1 << 1, freeRunning: 1 << 2 } as const;

/** General Interrupt Status Register: the first stage ended. Written ones clear. */
export const interruptActive = 1 << 0;

/** Reload Register. `timeout` is kept by the battery, so that software finds it after the reset; a written one clears. */
export const Reload = { reload: 1 << 8, timeout: 1 << 9 } as const;

/** The unlocking sequence, both to the Reload Register (16.2). */
export const unlockSequence = [0x80, 0x86] as const;

/** Bits 19:0 of the preload registers. */
export const preloadMask = 0xf_ffff;

/** Of the PCI clock, at 33 1/3 MHz. */
const pciClockMicros = 0.03;

/** One count, in microseconds: some millisecond, or some microsecond. */
export function tickMicros(fast: boolean): number {
  return pciClockMicros * 2 ** (fast ? 5 : 15);
}
