/** Registers of the 16550A UART. Source: National Semiconductor PC16550D data sheet (June 1995), section 8. */

/** Offsets in the window "regs" (table I). Offsets 0 and 1 are the divisor latch while LCR bit 7 is set. */
export const Offset = {
  data: 0, interruptEnable: 1, interruptIdentification: 2, fifoControl: 2, lineControl: 3, modemControl: 4,
  lineStatus: 5, modemStatus: 6, scratch: 7, divisorLow: 0, divisorHigh: 1,
} as const;

/** Interrupt Enable Register (8.7). */
export const Ier = { receivedData: 0x01, transmitterEmpty: 0x02, lineStatus: 0x04, modemStatus: 0x08, all: 0x0f } as const;

/** Interrupt Identification Register (8.6, table IV), highest priority first; 0xc0 is added while the FIFOs are on. */
export const Iir = {
  lineStatus: 0x06, receivedData: 0x04, characterTimeout: 0x0c, transmitterEmpty: 0x02, modemStatus: 0x00, none: 0x01, fifosOn: 0xc0,
} as const;

/** FIFO Control Register (8.5), write only. */
export const Fcr = { enable: 0x01, clearReceiver: 0x02, clearTransmitter: 0x04 } as const;

/** Characters in the receiver's FIFO that raise the interrupt, by FCR bits 7-6 (8.5). */
export const triggerLevels = [1, 4, 8, 14] as const;

/** Both FIFOs hold this many characters. */
export const fifoSize = 16;

/** Line Control Register (8.1). */
export const Lcr = { wordLengthMask: 0x03, twoStopBits: 0x04, parity: 0x08, break: 0x40, divisorLatch: 0x80 } as const;

/** Modem Control Register (8.8). */
export const Mcr = { dtr: 0x01, rts: 0x02, out1: 0x04, out2: 0x08, loopback: 0x10, all: 0x1f } as const;

/** Line Status Register (8.4). */
export const Lsr = {
  dataReady: 0x01, overrun: 0x02, parity: 0x04, framing: 0x08, break: 0x10,
  transmitHoldingEmpty: 0x20, transmitterEmpty: 0x40, fifoError: 0x80, errors: 0x1e,
} as const;

/** Modem Status Register (8.9): changes since the last read below, the inputs themselves above. */
export const Msr = { deltas: 0x0f, trailingEdgeRi: 0x04, cts: 0x10, dsr: 0x20, ri: 0x40, dcd: 0x80, inputs: 0xf0 } as const;

/** The baud generator divides the crystal by the divisor, and each bit takes 16 of its cycles (8.3). */
export const clocksPerBit = 16;

/** The crystal of a PC's serial port; option `clockHz`. */
export const pcClockHz = 1_843_200;

/** What a PC's firmware leaves in the divisor latch, which the chip's reset does not touch: 9600 baud. */
export const firmwareDivisor = 12;

/** A divisor of 0 counts through the whole 16-bit counter. */
export const zeroDivisor = 0x1_0000;
