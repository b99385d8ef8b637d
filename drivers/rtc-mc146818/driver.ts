/** Driver for the MC146818 real-time clock of every PC. Source: Motorola MC146818 data sheet (ADI-1026). */
import { type DriverContext, type RegisterWindow, defineDriver } from "airlock/driver";
import { rtc } from "airlock/driver/rtc";
import { type Encoding, encodingOf } from "./encoding.ts";
import { Address, Port, RegA, RegB, RegC, RegD, rateSelect } from "./registers.ts";

export default defineDriver(rtc, (context) => {
  const clock = new Clock(context);
  return {
    readTime: () => clock.readTime(),
    setTime: (time) => clock.setTime(time),
    setAlarm: (time) => clock.setAlarm(time),
    clearAlarm: () => clock.enable(RegB.alarmEnable, false),
    setPeriodic: ({ rateHz }) => clock.setPeriodic(rateHz),
    setUpdateEvents: ({ on }) => clock.enable(RegB.updateEnable, on),
  };
});

type Time = { year: number; month: number; day: number; hour: number; minute: number; second: number };
type TimeOfDay = Pick<Time, "hour" | "minute" | "second">;

/** An update cycle and its warning last 2.2 ms once a second ("Update Cycle"); a clock busy for longer is broken. */
const maxAttempts = 10;
const retryMs = 1;

/** Most periodic events per second; faster ticks are counted and told together, as the contract asks. */
const maxEventsPerSecond = 64;

class Clock {
  readonly #context: DriverContext<typeof rtc>;
  readonly #cmos: RegisterWindow;
  readonly #encoding: Encoding;
  /** Register B as last written: nobody else writes it. */
  #registerB: number;
  #ticks = 0;
  #ticksPerEvent = 1;

  constructor(context: DriverContext<typeof rtc>) {
    this.#context = context;
    this.#cmos = context.window("cmos");
    const found = this.#read(Address.registerB);
    // The data mode stays: changing it would garble every byte there is. A SET left behind by a driver that died goes.
    this.#registerB = found & (RegB.binary | RegB.hours24);
    this.#encoding = encodingOf(found);
    this.#write(Address.registerB, this.#registerB);
    this.#startDivider();
    this.#read(Address.registerC);
    if ((this.#read(Address.registerD) & RegD.validRamAndTime) === 0) context.clock.after(0, () => context.emit("batteryLow", {}));
    const tick = context.irq("tick");
    tick.attach(() => {
      this.#service();
      tick.ack();
    });
  }

  /** Consistent when no update began between the first access and the last ("Update Cycle", method 3). */
  async readTime(): Promise<Time> {
    for (let attempt = 0; attempt < maxAttempts; attempt++) {
      if (!this.#updating()) {
        const second = this.#read(Address.seconds);
        const minute = this.#read(Address.minutes);
        const hour = this.#read(Address.hours);
        const day = this.#read(Address.dayOfMonth);
        const month = this.#read(Address.month);
        const year = this.#read(Address.year);
        if (this.#read(Address.seconds) === second && !this.#updating()) {
          const { parseHours, parseNumber, parseYear } = this.#encoding;
          return {
            year: parseYear(year), month: parseNumber(month), day: parseNumber(day),
            hour: parseHours(hour), minute: parseNumber(minute), second: parseNumber(second),
          };
        }
      }
      await this.#context.clock.sleep(retryMs);
    }
    throw new Error(`the clock was updating at each of ${maxAttempts} looks, ${retryMs} ms apart`);
  }

  /** "Setting the time": with SET the bytes may be written at any time, and the new time starts when it is cleared. */
  setTime({ year, month, day, hour, minute, second }: Time): Record<string, never> {
    const { hours, number } = this.#encoding;
    this.#write(Address.registerB, this.#registerB | RegB.set);
    this.#write(Address.seconds, number(second));
    this.#write(Address.minutes, number(minute));
    this.#write(Address.hours, hours(hour));
    this.#write(Address.dayOfWeek, number(new Date(Date.UTC(year, month - 1, day)).getUTCDay() + 1));
    this.#write(Address.dayOfMonth, number(day));
    this.#write(Address.month, number(month));
    this.#write(Address.year, number(year % 100));
    this.#write(Address.registerB, this.#registerB);
    return {};
  }

  async setAlarm({ hour, minute, second }: TimeOfDay): Promise<Record<string, never>> {
    this.enable(RegB.alarmEnable, false);
    await this.#untilReachable();
    this.#write(Address.secondsAlarm, this.#encoding.number(second));
    this.#write(Address.minutesAlarm, this.#encoding.number(minute));
    this.#write(Address.hoursAlarm, this.#encoding.hours(hour));
    return this.enable(RegB.alarmEnable, true);
  }

  setPeriodic(rateHz: number): Record<string, never> {
    this.enable(RegB.periodicEnable, false);
    this.#tellTicks();
    if (rateHz === 0) return {};
    this.#ticksPerEvent = Math.max(1, rateHz / maxEventsPerSecond);
    this.#write(Address.registerA, RegA.divider32kHz | rateSelect(rateHz));
    return this.enable(RegB.periodicEnable, true);
  }

  /** Flags rise whether enabled or not; one from before must not interrupt now ("Register C"). */
  enable(interrupt: number, on: boolean): Record<string, never> {
    this.#service();
    this.#registerB = on ? this.#registerB | interrupt : this.#registerB & ~interrupt;
    this.#write(Address.registerB, this.#registerB);
    return {};
  }

  #service(): void {
    const causes = this.#read(Address.registerC) & this.#registerB;
    if ((causes & RegC.updateEnded) !== 0) this.#context.emit("update", {});
    if ((causes & RegC.alarm) !== 0) this.#context.emit("alarm", {});
    if ((causes & RegC.periodic) !== 0 && ++this.#ticks >= this.#ticksPerEvent) this.#tellTicks();
  }

  #tellTicks(): void {
    if (this.#ticks > 0) this.#context.emit("periodic", { count: this.#ticks });
    this.#ticks = 0;
  }

  /** Alarm bytes, too, are off the bus during an update cycle. */
  async #untilReachable(): Promise<void> {
    for (let attempt = 0; attempt < maxAttempts; attempt++) {
      if (!this.#updating()) return;
      await this.#context.clock.sleep(retryMs);
    }
    throw new Error(`the clock was updating at each of ${maxAttempts} looks, ${retryMs} ms apart`);
  }

  #startDivider(): void {
    const registerA = this.#read(Address.registerA);
    if ((registerA & RegA.dividerMask) === RegA.divider32kHz) return;
    this.#context.log.warn("the clock's divider was stopped; it runs now, the time is wrong until it is set");
    this.#write(Address.registerA, RegA.divider32kHz | (registerA & 0x0f));
  }

  #updating(): boolean {
    return (this.#read(Address.registerA) & RegA.updateInProgress) !== 0;
  }

  #read(address: number): number {
    this.#cmos.write8(Port.index, address);
    return this.#cmos.read8(Port.data);
  }

  #write(address: number, value: number): void {
    this.#cmos.write8(Port.index, address);
    this.#cmos.write8(Port.data, value);
  }
}
