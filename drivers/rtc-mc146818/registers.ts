/** Registers of the MC146818 real-time clock. Source: Motorola MC146818 data sheet (ADI-1026); sections named below. */

/** Offsets in the window "cmos": the address latch, and the data of the latched address. */
export const Port = { index: 0, data: 1 } as const;

/** "Address Map", figure 12. Time, calendar and alarm bytes are read and written in the data mode of register B. */
export const Address = {
  seconds: 0x00, secondsAlarm: 0x01, minutes: 0x02, minutesAlarm: 0x03, hours: 0x04, hoursAlarm: 0x05,
  dayOfWeek: 0x06, dayOfMonth: 0x07, month: 0x08, year: 0x09,
  registerA: 0x0a, registerB: 0x0b, registerC: 0x0c, registerD: 0x0d,
} as const;

/** "Register A ($0A)". */
export const RegA = {
  /** Read only. While it is 0, the time bytes stay valid for at least 244 us. */
  updateInProgress: 0x80,
  dividerMask: 0x70,
  /** DV2-0 for the 32.768 kHz crystal of every PC; the divider runs. */
  divider32kHz: 0x20,
} as const;

/** "Register B ($0B)". */
export const RegB = {
  /** Stops the update cycle, so that time bytes can be written. */
  set: 0x80,
  periodicEnable: 0x40, alarmEnable: 0x20, updateEnable: 0x10,
  /** DM: 1 binary, 0 BCD. */
  binary: 0x04,
  /** 1 for 24 hours; 0 for 12 hours with bit 7 of the hours byte for PM. */
  hours24: 0x02,
} as const;

/** "Register C ($0C)": what happened since it was last read. Reading it clears it and releases the interrupt. */
export const RegC = { periodic: 0x40, alarm: 0x20, updateEnded: 0x10 } as const;

/** "Register D ($0D)": 0 when the battery failed since the last read. */
export const RegD = { validRamAndTime: 0x80 } as const;

/** Bit 7 of an hours byte in 12-hour mode. */
export const hoursPm = 0x80;

/** RS3-0 of register A for a rate of 2..8192 per second, a power of two (table 5, 32.768 kHz time base). */
export function rateSelect(rateHz: number): number {
  return 16 - Math.log2(rateHz);
}
