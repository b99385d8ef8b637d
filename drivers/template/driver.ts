/** A small complete driver to start from: a PC's clock in BCD and 24-hour mode. Yours starts by replacing this sentence. */
import { defineDriver } from "airlock/driver";
import { rtc } from "airlock/driver/rtc";
import { Register, alarm, data, hours24, index, pcDivider, periodic, set, update, updating } from "./registers.ts";

// `init` runs at every start: also after this driver crashed, on a device in whatever state the crash left it.
export default defineDriver(rtc, ({ window, irq, clock, emit }) => {
  const cmos = window("cmos");
  const tick = irq("tick");
  // Writes are posted and cost next to nothing; each read is a round trip to the device.
  const write = (register: number, value: number): void => {
    cmos.write8(index, register);
    cmos.write8(data, value);
  };
  const read = (register: number): number => {
    cmos.write8(index, register);
    return cmos.read8(data);
  };

  let enabled: number = hours24;
  const enable = (interrupt: number, on: boolean): Record<string, never> => {
    enabled = on ? enabled | interrupt : enabled & ~interrupt;
    write(Register.b, enabled);
    return {};
  };
  /** Resolves outside an update; every wait has an end, and what is thrown restarts the driver. */
  const quiet = async (): Promise<void> => {
    for (let attempt = 0; attempt < 10; attempt++) {
      if ((read(Register.a) & updating) === 0) return;
      await clock.sleep(1);
    }
    throw new Error("the clock does not stop updating");
  };

  write(Register.b, enabled);
  read(Register.c);
  tick.attach(() => {
    // Find and clear the cause first, then ack.
    const causes = read(Register.c) & enabled;
    if ((causes & update) !== 0) emit("update", {});
    if ((causes & alarm) !== 0) emit("alarm", {});
    if ((causes & periodic) !== 0) emit("periodic", { count: 1 });
    tick.ack();
  });

  return {
    async readTime() {
      for (let attempt = 0; attempt < 3; attempt++) {
        await quiet();
        const second = read(Register.seconds);
        const date = { year: fullYear(fromBcd(read(Register.year))), month: fromBcd(read(Register.month)), day: fromBcd(read(Register.day)) };
        const time = { hour: fromBcd(read(Register.hours)), minute: fromBcd(read(Register.minutes)), second: fromBcd(second) };
        // A thread that was not scheduled for a while may have read all of it during one update.
        if (read(Register.seconds) === second && (read(Register.a) & updating) === 0) return { ...date, ...time };
      }
      throw new Error("the time changed during each of three readings");
    },
    setTime({ year, month, day, hour, minute, second }) {
      write(Register.b, enabled | set);
      write(Register.seconds, toBcd(second));
      write(Register.minutes, toBcd(minute));
      write(Register.hours, toBcd(hour));
      write(Register.day, toBcd(day));
      write(Register.month, toBcd(month));
      write(Register.year, toBcd(year % 100));
      write(Register.b, enabled);
      return {};
    },
    async setAlarm({ hour, minute, second }) {
      await quiet();
      write(Register.secondsAlarm, toBcd(second));
      write(Register.minutesAlarm, toBcd(minute));
      write(Register.hoursAlarm, toBcd(hour));
      return enable(alarm, true);
    },
    clearAlarm: () => enable(alarm, false),
    setPeriodic({ rateHz }) {
      // "Table 5": 16 - log2(rate) with a 32.768 kHz crystal.
      if (rateHz !== 0) write(Register.a, pcDivider | (16 - Math.log2(rateHz)));
      return enable(periodic, rateHz !== 0);
    },
    setUpdateEvents: ({ on }) => enable(update, on),
  };
});

function fromBcd(byte: number): number {
  return (byte >> 4) * 10 + (byte & 0x0f);
}

function toBcd(value: number): number {
  return (Math.trunc(value / 10) << 4) | value % 10;
}

/** The chip holds two digits; the class's years are 1970..2069. */
function fullYear(digits: number): number {
  return digits >= 70 ? 1900 + digits : 2000 + digits;
}
