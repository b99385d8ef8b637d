/** Registers of the Intel 6300ESB's watchdog timer. Source: Intel 6300ESB I/O Controller Hub data sheet (300641-004US), chapter 16. */

/** Offsets in the window "bar0" (16.4). Each write to them needs the unlocking sequence before it. */
export const Reg = { preload1: 0x00, preload2: 0x04, reload: 0x0c } as const;

/** Offsets in the window "config" (16.3): 16 and 8 bits. */
export const ConfigReg = { configuration: 0x60, lock: 0x68 } as const;

/** WDT Configuration: the output pin driven, some millisecond per count, no interrupt after the first stage. */
export const plainConfiguration = 0x0003;

/** WDT Lock. Once `locked` is set the register takes no writes until the next reset. */
export const Lock = { locked: 1 << 0, enable: 1 << 1 } as const;

/** Reload. `timeout` says that it ran out, and outlives the reset that follows; a written one clears it. */
export const Reload = { reload: 1 << 8, timeout: 1 << 9 } as const;

/** What is read where no device answers. */
export const noDevice = 0xffff;

/** The unlocking sequence, written to the reload register (16.2). */
export const unlockSequence = [0x80, 0x86] as const;

/** Most counts of one stage: 20 bits. */
export const mostCounts = 0xf_ffff;

/** One count: 2^15 cycles of the PCI clock of 33 1/3 MHz. On a slower clock it runs out later, never early. */
export const countMs = (2 ** 15 * 30e-9) * 1e3;
