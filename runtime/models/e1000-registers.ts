/** Registers of the 82540EM. Source: Intel PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's Manual (317453), chapter 13. */

/** Offsets in the window "bar0" (table 13-2); all registers are 32 bits wide. */
export const Reg = {
  CTRL: 0x0000, CTRL_ALIAS: 0x0004, STATUS: 0x0008, EECD: 0x0010, EERD: 0x0014, CTRL_EXT: 0x0018, FLA: 0x001c, MDIC: 0x0020,
  FCAL: 0x0028, FCAH: 0x002c, FCT: 0x0030, VET: 0x0038,
  ICR: 0x00c0, ITR: 0x00c4, ICS: 0x00c8, IMS: 0x00d0, IMC: 0x00d8,
  RCTL: 0x0100, FCTTV: 0x0170, TXCW: 0x0178, RXCW: 0x0180, TCTL: 0x0400, TIPG: 0x0410, AIT: 0x0458, LEDCTL: 0x0e00, PBA: 0x1000,
  FCRTL: 0x2160, FCRTH: 0x2168,
  RDBAL: 0x2800, RDBAH: 0x2804, RDLEN: 0x2808, RDH: 0x2810, RDT: 0x2818, RDTR: 0x2820, RXDCTL: 0x2828, RADV: 0x282c, RSRPD: 0x2c00,
  TXDMAC: 0x3000, TDBAL: 0x3800, TDBAH: 0x3804, TDLEN: 0x3808, TDH: 0x3810, TDT: 0x3818, TIDV: 0x3820, TXDCTL: 0x3828, TADV: 0x382c,
  TSPMT: 0x3830,
  /** First and last of the statistics counters (13.7). */
  STATISTICS: 0x4000, STATISTICS_LAST: 0x40fc,
  RXCSUM: 0x5000, MTA: 0x5200, RA: 0x5400, VFTA: 0x5600, WUC: 0x5800, WUFC: 0x5808, WUS: 0x5810, IPAV: 0x5838, MANC: 0x5820,
} as const;

/** Sizes of the tables: 128 words of multicast hash, 16 addresses of two words, 128 words of VLAN filter. */
export const mtaWords = 128;
export const receiveAddresses = 16;
export const vftaWords = 128;

/** Device Control (13.4.1). */
export const Ctrl = {
  fullDuplex: 1 << 0, setLinkUp: 1 << 6, speed1000: 1 << 9, swdPin0: 1 << 18, swdPin2: 1 << 20,
  reset: 1 << 26, vlanMode: 1 << 30, phyReset: 2 ** 31,
} as const;

/** Device Status (13.4.2). */
export const Status = { fullDuplex: 1 << 0, linkUp: 1 << 1, speed1000: 2 << 6, asdv1000: 2 << 8 } as const;

/** EEPROM/Flash Control and EEPROM Read (13.4.3, 13.4.4). */
export const Eecd = {
  clock: 1 << 0, select: 1 << 1, dataIn: 1 << 2, dataOut: 1 << 3, flashWrite: 1 << 4, request: 1 << 6, grant: 1 << 7, present: 1 << 8, writable: 0x77,
} as const;
export const Eerd = { start: 1 << 0, done: 1 << 4, addressShift: 8, dataShift: 16 } as const;

/** MDI Control (13.4.7). */
export const Mdic = {
  data: 0xffff, registerShift: 16, phyShift: 21, field: 0x1f, write: 1 << 26, read: 1 << 27, operation: 3 << 26, ready: 1 << 28, interrupt: 1 << 29,
  error: 1 << 30,
} as const;

/** Interrupt causes (13.4.17). */
export const Cause = {
  txDescriptorWritten: 1 << 0, txQueueEmpty: 1 << 1, linkChange: 1 << 2, rxSequence: 1 << 3, rxMinimum: 1 << 4, rxOverrun: 1 << 6, rxTimer: 1 << 7,
  mdioDone: 1 << 9, all: 0x1_ffff,
} as const;

/** Receive Control (13.4.22). */
export const Rctl = {
  enable: 1 << 1, storeBad: 1 << 2, unicastPromiscuous: 1 << 3, multicastPromiscuous: 1 << 4, longPackets: 1 << 5, loopback: 3 << 6,
  minimumShift: 8, hashShift: 12, broadcast: 1 << 15, sizeShift: 16, vlanFilter: 1 << 18, sizeExtension: 1 << 25, stripCrc: 1 << 26,
} as const;

/** Transmit Control (13.4.33). */
export const Tctl = { enable: 1 << 1, padShort: 1 << 3 } as const;

/** Receive Address High (13.5.3). */
export const Rah = { valid: 2 ** 31 } as const;

/** RDTR: flush what waits (13.4.30). */
export const rdtrFlush = 2 ** 31;

/** Transmit descriptors, second half: command bits above the length, status and options in the last word (3.3.3, 3.3.6, 3.3.7). */
export const TxCommand = {
  endOfPacket: 1 << 24, insertFcs: 1 << 25, insertChecksum: 1 << 26, reportStatus: 1 << 27, extended: 1 << 29, vlan: 1 << 30, delay: 2 ** 31,
  typeMask: 0xf << 20, typeData: 1 << 20,
} as const;
export const TxStatus = { done: 1 << 0 } as const;
export const TxOption = { ipChecksum: 1 << 8, transportChecksum: 1 << 9 } as const;

/** Receive descriptor status (3.2.3.1). */
export const RxStatus = { done: 1 << 0, endOfPacket: 1 << 1, ignoreChecksum: 1 << 2, vlan: 1 << 3, inexact: 1 << 7 } as const;

export const descriptorBytes = 16;
/** Destination, source and type. */
export const ethernetHeaderBytes = 14;
/** A frame's check sequence. */
export const fcsBytes = 4;
/** The smallest frame, without its check sequence. */
export const minFrameBytes = 60;
/** The largest frame without long packets, without check sequence: 1522 with it (13.4.22, LPE). */
export const maxFrameBytes = 1_518;
/** The largest frame the controller carries, without its check sequence (3.3: 16288 bytes). */
export const maxLongFrameBytes = 16_288 - fcsBytes;
/** VLAN tag. */
export const vlanTagBytes = 4;

/** Units of the timers: 256 ns for ITR (13.4.18), 1.024 us for the delays (13.4.30). */
export const throttleUnitMicros = 0.256;
export const delayUnitMicros = 1.024;
