/** A driver that only measures: times its register accesses in init and says so in its log. It serves no client. */
import { type RegisterWindow, defineDriver } from "airlock/driver";
import { rtc } from "airlock/driver/rtc";

/** Accesses in one go; what a driver does between two looks at the clock. */
const burst = 500;

export default defineDriver(rtc, ({ window, clock, log, options }) => {
  const cmos = window("cmos");
  const nanoseconds = (count: number, access: (registers: RegisterWindow) => void): number => {
    const start = clock.nowMicros();
    for (let done = 0; done < count; done += burst) access(cmos);
    return ((clock.nowMicros() - start) * 1000) / count;
  };
  const write = (registers: RegisterWindow): void => { for (let index = 0; index < burst; index++) registers.write8(0, index & 0x7f); };
  const read = (registers: RegisterWindow): void => { for (let index = 0; index < burst; index++) registers.read8(1); };
  nanoseconds(burst, write);
  nanoseconds(burst, read);
  const result = { writeNs: nanoseconds(Number(options.writes), write), readNs: nanoseconds(Number(options.reads), read) };
  log.info(JSON.stringify(result));
  const refuse = (): never => { throw new Error("this driver only measures"); };
  return { readTime: refuse, setTime: refuse, setAlarm: refuse, clearAlarm: refuse, setPeriodic: refuse, setUpdateEvents: refuse };
});
