/** Registers and descriptors of the 82540EM. Source: Intel PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's Manual (317453). */

/** Offsets in the window "bar0" (13.4, table 13-2). */
export const Offset = {
  control: 0x0000, status: 0x0008, eepromRead: 0x0014, mdi: 0x0020,
  flowAddressLow: 0x0028, flowAddressHigh: 0x002c, flowType: 0x0030, flowTimer: 0x0170,
  interruptCause: 0x00c0, interruptThrottling: 0x00c4, interruptMaskSet: 0x00d0, interruptMaskClear: 0x00d8,
  receiveControl: 0x0100, transmitControl: 0x0400, transmitGap: 0x0410,
  receiveBaseLow: 0x2800, receiveBaseHigh: 0x2804, receiveLength: 0x2808, receiveHead: 0x2810, receiveTail: 0x2818,
  receiveDelay: 0x2820, receiveAbsoluteDelay: 0x282c,
  transmitBaseLow: 0x3800, transmitBaseHigh: 0x3804, transmitLength: 0x3808, transmitHead: 0x3810, transmitTail: 0x3818,
  transmitDelay: 0x3820, transmitAbsoluteDelay: 0x382c,
  receiveChecksum: 0x5000, multicastTable: 0x5200, addressLow: 0x5400, addressHigh: 0x5404,
} as const;

/** What reads of a device that is gone return. No register this driver checks for it may hold it. */
export const allOnes = 0xffff_ffff;

/** Device Control (13.4.1). */
export const Ctrl = { autoSpeed: 1 << 5, setLinkUp: 1 << 6, reset: 1 << 26 } as const;

/** Device Status (13.4.2). */
export const Status = { fullDuplex: 0x01, linkUp: 0x02, speedShift: 6 } as const;
/** Mbit/s by the two bits of the speed. */
export const speeds: readonly number[] = [10, 100, 1_000, 1_000];

/** EEPROM Read (13.4.4), as the 82540EM has it. */
export const Eerd = { start: 0x01, done: 0x10, addressShift: 8, dataShift: 16 } as const;
/** The 16-bit words that the checksum makes 0xbaba in sum (5.6.35). */
export const eepromWords = 0x40;
export const eepromSum = 0xbaba;

/** MDI Control (13.4.12): the way to the PHY's registers. The internal PHY has address 1. */
export const Mdic = { registerShift: 16, phy: 1 << 21, write: 1 << 26, read: 2 << 26, ready: 1 << 28, error: 1 << 30 } as const;
/** PHY Control (13.4.12.1, IEEE 802.3 register 0). */
export const phyControl = 0;
export const PhyControl = { restartNegotiation: 1 << 9, isolate: 1 << 10, powerDown: 1 << 11, negotiate: 1 << 12, loopback: 1 << 14 } as const;

/** Interrupt causes (13.4.17): transmitted, link changed, receive sequence error, few descriptors, overrun, received. */
export const Cause = { transmitted: 0x01, linkChange: 0x04, sequence: 0x08, fewDescriptors: 0x10, overrun: 0x40, received: 0x80 } as const;
/** Interrupt throttling counts in units of 256 ns (13.4.18); its register has 16 bits. */
export const throttleUnitNanos = 256;
export const throttleMost = 0xffff;

/** Receive Control (13.4.22). */
export const Rctl = {
  enable: 1 << 1, unicastPromiscuous: 1 << 3, multicastPromiscuous: 1 << 4, longPackets: 1 << 5, broadcast: 1 << 15, sizeShift: 16,
  sizeExtension: 1 << 25, stripCheck: 1 << 26,
} as const;
/** Buffer sizes by BSIZE, without and with BSEX. Smaller ones than 2048 bytes exist and are of no use here. */
export const bufferSizes: readonly (readonly [number, number])[] = [
  [2_048, 0 << Rctl.sizeShift],
  [4_096, (3 << Rctl.sizeShift) | Rctl.sizeExtension],
  [8_192, (2 << Rctl.sizeShift) | Rctl.sizeExtension],
  [16_384, (1 << Rctl.sizeShift) | Rctl.sizeExtension],
];
/** Longest frame, check sequence included, without RCTL.LPE. */
export const longestPlainFrame = 1_522;

/** Transmit Control (13.4.33): retries, and the collision window of full and half duplex. */
export const Tctl = { enable: 1 << 1, padShort: 1 << 3, retries: 0x0f << 4, windowFull: 0x40 << 12, windowHalf: 0x200 << 12 } as const;
/** Inter-packet gaps for copper (13.4.34): back to back 8, 8 and 6 for the two parts of what follows a reception. */
export const packetGaps = 8 | (8 << 10) | (6 << 20);

/** Receive Address High (13.5.3): the entry is used. There are 16 entries, 8 bytes apart. */
export const addressValid = 0x8000_0000;
export const addressEntries = 16;
/** Words of the Multicast Table Array (13.5.1). */
export const multicastWords = 128;

/** Both kinds of legacy descriptor (3.2.3, 3.3.3) are four words: address in two, length, status. */
export const descriptorBytes = 16;
export const descriptorWords = 4;
export const Descriptor = { addressLow: 0, addressHigh: 1, length: 2, status: 3 } as const;
/** The length of a ring is given in units of 128 bytes. */
export const ringUnit = 8;

/** Received (3.2.3.1, 3.2.3.2): done and end of packet; errors of check sequence, symbol, sequence, carrier extension, data. */
export const Received = { done: 0x01, endOfPacket: 0x02, errors: 0x9700 } as const;
/** To be transmitted (3.3.3): end of packet, insert check sequence, report status; they share a word with the length. */
export const Command = { endOfPacket: 1 << 24, insertCheck: 1 << 25, reportStatus: 1 << 27 } as const;
/** Transmitted (3.3.3.2): done. */
export const transmitDone = 0x01;
