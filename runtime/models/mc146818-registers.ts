/** Registers of the MC146818 real-time clock. Source: Motorola MC146818A data sheet (ADI-1026, 1984), "Register" sections named below. */

/** Ports of the window "cmos": the address latch, of which bit 7 is the PC's NMI mask, and the data of the latched address. */
export const Port = { index: 0, data: 1 } as const;

/** Addresses of the time, calendar and alarm bytes ("Address Map"). */
export const Address = {
  seconds: 0x00, secondsAlarm: 0x01, minutes: 0x02, minutesAlarm: 0x03, hours: 0x04, hoursAlarm: 0x05,
  dayOfWeek: 0x06, dayOfMonth: 0x07, month: 0x08, year: 0x09,
  registerA: 0x0a, registerB: 0x0b, registerC: 0x0c, registerD: 0x0d,
  /** Plain RAM that PC firmware uses for the century, in BCD. The chip never changes it. */
  century: 0x32,
} as const;

/** Register A ("Register A ($0A)"). */
export const RegA = {
  /** Update in progress, or due within 244 us. Read only. */
  updateInProgress: 0x80,
  dividerMask: 0x70,
  /** DV2-0: time bases 4.194304 MHz, 1.048576 MHz and 32.768 kHz. */
  divider4Mhz: 0x00, divider1Mhz: 0x10, divider32Khz: 0x20,
  rateMask: 0x0f,
} as const;

/** Register B ("Register B ($0B)"). */
export const RegB = {
  set: 0x80, periodicEnable: 0x40, alarmEnable: 0x20, updateEnable: 0x10,
  squareWaveEnable: 0x08, binary: 0x04, hours24: 0x02, daylightSavings: 0x01,
} as const;

/** Register C ("Register C ($0C)"): reading it clears it and releases the interrupt pin. The enables of B line up with the flags. */
export const RegC = { irq: 0x80, periodic: 0x40, alarm: 0x20, updateEnded: 0x10, causes: 0x70 } as const;

/** Register D ("Register D ($0D)"): bit 7 says that the battery kept RAM and time valid; the others read 0. */
export const RegD = { validRamAndTime: 0x80 } as const;

/** Bit 7 of the hours byte in 12-hour mode. */
export const hoursPm = 0x80;

/** An alarm byte with both upper bits set matches every value ("Time, Calendar, and Alarm Locations"). */
export const alarmDontCare = 0xc0;

/** UIP rises this long before the update cycle begins (table 6, tBUC), for every time base. */
export const beforeUpdateMicros = 244;

/** Length of the update cycle (table 6, tUC) with the 32.768 kHz time base, and with the two faster ones. */
export const updateMicros32Khz = 1984;
export const updateMicrosFast = 248;

/** The divider chain counts from reset to the first update cycle in half a second ("Divider Control"). */
export const firstUpdateMicros = 500_000;

/**
 * Period of the periodic interrupt for RS3-0 (table 5); 0 when it is off. With the 32.768 kHz time base codes 1 and 2 select
 * the same taps as 8 and 9; with the faster ones they continue the series.
 */
export function periodicMicros(registerA: number): number {
  const rate = registerA & RegA.rateMask;
  if (rate === 0) return 0;
  const slow = (registerA & RegA.dividerMask) === RegA.divider32Khz;
  const tap = slow && rate <= 2 ? rate + 7 : rate;
  return (1e6 / 32_768) * 2 ** (tap - 1);
}
