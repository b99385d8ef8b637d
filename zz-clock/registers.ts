/** The registers this driver uses, with the section of the data sheet each comes from (Motorola MC146818, ADI-1026). */

/** Offsets in the window "cmos": which register, and its value. */
export const index = 0;
export const data = 1;

/** "Address Map", figure 12. */
export const Register = {
  seconds: 0, secondsAlarm: 1, minutes: 2, minutesAlarm: 3, hours: 4, hoursAlarm: 5, day: 7, month: 8, year: 9, a: 10, b: 11, c: 12,
} as const;

/** "Register A ($0A)": an update is going on or due within 244 us; the divider setting of a PC's crystal. */
export const updating = 0x80;
export const pcDivider = 0x20;

/** "Register B ($0B)": stops updates; the interrupt enables, which are also the flags of register C; 24-hour mode. */
export const set = 0x80;
export const periodic = 0x40;
export const alarm = 0x20;
export const update = 0x10;
export const hours24 = 0x02;
