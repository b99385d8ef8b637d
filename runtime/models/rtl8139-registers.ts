/** Registers of the RTL8139C. Source: Realtek RTL8139C(L) data sheet, chapter 5 (registers) and 6 (EEPROM). */

/** Offsets in both windows, table of 5. */
export const Reg = {
  IDR0: 0x00, MAR0: 0x08, TSD0: 0x10, TSAD0: 0x20, RBSTART: 0x30, ERBCR: 0x34, ERSR: 0x36, CR: 0x37, CAPR: 0x38, CBR: 0x3a, IMR: 0x3c, ISR: 0x3e,
  TCR: 0x40, RCR: 0x44, TCTR: 0x48, MPC: 0x4c, CR9346: 0x50, CONFIG0: 0x51, CONFIG1: 0x52, TIMER: 0x54, MSR: 0x58, CONFIG3: 0x59, CONFIG4: 0x5a,
  MULINT: 0x5c, RERID: 0x5e, TSAD: 0x60, BMCR: 0x62, BMSR: 0x64, ANAR: 0x66, ANLPAR: 0x68, ANER: 0x6a, DIS: 0x6c, FCSC: 0x6e, NWAYTR: 0x70,
  REC: 0x72, CSCR: 0x74, PHY1: 0x78, TWISTER: 0x7c, PHY2: 0x80, CONFIG5: 0xd8,
} as const;

export const windowBytes = 0x100;
export const transmitDescriptors = 4;

/** Command register (5.7). */
export const Cr = { empty: 1, transmit: 1 << 2, receive: 1 << 3, reset: 1 << 4 } as const;

/** Interrupt mask and status (5.8, 5.9). */
export const Isr = {
  received: 1, receiveError: 1 << 1, transmitted: 1 << 2, transmitError: 1 << 3, overflow: 1 << 4, linkChange: 1 << 5, fifoOverflow: 1 << 6,
  timer: 1 << 14, systemError: 1 << 15, all: 0xe07f,
} as const;

/** Transmit status of a descriptor (5.5). */
export const Tsd = { size: 0x1fff, own: 1 << 13, ok: 1 << 15, aborted: 1 << 30, settable: 0x003f_1fff } as const;

/** Transmit configuration (5.10). */
export const Tcr = {
  clearAbort: 1 << 0, noCrc: 1 << 16, loopback: 3 << 17, settable: 0x0307_07f0,
  /** HWVERID of an RTL8139C: bits 30 to 26 are 11101, bits 23 and 22 are 0. */
  version: 0x7400_0000,
} as const;

/** Receive configuration (5.11). */
export const Rcr = {
  allPhysical: 1, physicalMatch: 1 << 1, multicast: 1 << 2, broadcast: 1 << 3, runt: 1 << 4, error: 1 << 5, wrap: 1 << 7,
  lengthShift: 11, settable: 0x0f00_ffff & ~(1 << 6),
} as const;

/** Status word in front of a received frame (5.1). */
export const RxStatus = { ok: 1, broadcast: 1 << 13, physical: 1 << 14, multicast: 1 << 15 } as const;

/** 93C46 command (5.13): mode in the two upper bits, then the wires. */
export const Cr9346 = { dataOut: 1, dataIn: 2, clock: 4, select: 8, modeShift: 6, programming: 2, unlocked: 3, autoload: 1 } as const;

/** Media status (5.18): the link bit is inverted. */
export const Msr = { noLink: 1 << 2, writable: 0xc0 } as const;

/** Basic mode control and status, IEEE 802.3 22.2.4. */
export const Bmcr = { reset: 1 << 15, loopback: 1 << 14, speed100: 1 << 13, negotiate: 1 << 12, powerDown: 1 << 11, restart: 1 << 9, fullDuplex: 1 << 8 } as const;
export const Bmsr = { negotiated: 1 << 5, link: 1 << 2 } as const;
