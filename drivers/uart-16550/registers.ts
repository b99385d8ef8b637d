/** Registers of the 16550A UART. Source: National Semiconductor PC16550D data sheet (June 1995), section 8. */

/** Offsets in the window "regs" (table I). Offsets 0 and 1 are the divisor latch while LCR bit 7 is set. */
export const Offset = {
  data: 0, interruptEnable: 1, interruptIdentification: 2, fifoControl: 2, lineControl: 3, modemControl: 4,
  lineStatus: 5, modemStatus: 6, divisorLow: 0, divisorHigh: 1,
} as const;

/** Interrupt Enable Register (8.7). */
export const Ier = { receivedData: 0x01, transmitterEmpty: 0x02, lineStatus: 0x04, modemStatus: 0x08 } as const;

/** Interrupt Identification Register (8.6, table IV): the most urgent cause in bits 3-0, FIFOs on in bits 7-6. */
export const Iir = {
  none: 0x01, causeMask: 0x0f,
  modemStatus: 0x00, transmitterEmpty: 0x02, receivedData: 0x04, lineStatus: 0x06, characterTimeout: 0x0c,
  fifosOn: 0xc0,
} as const;

/** FIFO Control Register (8.5): interrupt at 8 received characters, which leaves 8 character times to answer it. */
export const Fcr = { enable: 0x01, triggerAt8: 0x80 } as const;
export const triggerLevel = 8;

/** Characters either FIFO holds. */
export const fifoSize = 16;

/** Line Control Register (8.1). */
export const Lcr = { twoStopBits: 0x04, parity: 0x08, evenParity: 0x10, format: 0x3f, break: 0x40, divisorLatch: 0x80 } as const;

/** Modem Control Register (8.8). OUT2 lets the interrupt through to the bus on every PC. */
export const Mcr = { dtr: 0x01, rts: 0x02, out2: 0x08 } as const;

/** Line Status Register (8.4). Errors are those of the oldest character; reading clears bits 4-1. */
export const Lsr = {
  dataReady: 0x01, overrun: 0x02, parity: 0x04, framing: 0x08, break: 0x10, errors: 0x1e,
  transmitHoldingEmpty: 0x20, transmitterEmpty: 0x40,
  /** Some character in the FIFO has an error. */
  fifoError: 0x80,
} as const;

/** Modem Status Register (8.9): changes since the last read in bits 3-0. */
export const Msr = { deltas: 0x0f, cts: 0x10, dsr: 0x20, ri: 0x40, dcd: 0x80 } as const;

/** The baud generator divides the crystal by the divisor; each bit takes 16 of its cycles (8.3). */
export const clocksPerBit = 16;
export const maxDivisor = 0xffff;
