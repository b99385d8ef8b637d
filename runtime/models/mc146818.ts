/** MC146818 real-time clock with CMOS RAM, as in a PC. Source: Motorola MC146818A data sheet (ADI-1026, 1984). */
import type { DeviceDescription, IrqPin, Model, ModelDefinition, ModelEnvironment } from "../bus/device.ts";
import type { RegisterSpace } from "../bus/register-space.ts";
import { Mc146818Calendar, encode } from "./mc146818-calendar.ts";
import {
  Address, Port, RegA, RegB, RegC, RegD, beforeUpdateMicros, firstUpdateMicros, periodicMicros, updateMicros32Khz, updateMicrosFast,
} from "./mc146818-registers.ts";

const secondMicros = 1e6;

/** What nobody drives reads as ones: the address port, and the time bytes during an update cycle. */
const floatingBus = 0xff;

/** The chip has 64 bytes, the clones in PCs 128: option `ramBytes`. */
const smallRamBytes = 64;
const largeRamBytes = 128;

/** Bit 7 of the address port belongs to the PC's NMI mask, not to the clock. */
const indexMask = 0x7f;

/** What PC firmware leaves behind: 32.768 kHz time base, 1.024 kHz periodic rate; BCD and 24-hour mode. */
const firmwareRegisterA = RegA.divider32Khz | 0x06;
const firmwareRegisterB = RegB.hours24;

/**
 * The chip computed lazily: nothing runs between accesses. Every access first performs the update cycles and periodic edges
 * that have passed; the only timer is for the next event that will raise the interrupt pin.
 *
 * The crystal is always the one DV2-0 names. The divider values the data sheet keeps for tests hold the divider like reset.
 * Time, calendar and alarm bytes are off the bus during an update cycle ("Update Cycle"): they read 0xff and ignore writes.
 * The square-wave pin is not modelled; its enable bit is stored.
 */
class Mc146818 implements Model {
  readonly spaces: Readonly<Record<string, RegisterSpace>>;
  readonly #clock: ModelEnvironment["clock"];
  readonly #pin: IrqPin;
  readonly #ram: Uint8Array;
  readonly #calendar: Mc146818Calendar;
  #index = 0;
  #registerA: number = firmwareRegisterA;
  #registerB: number = firmwareRegisterB;
  /** PF, AF and UF; IRQF follows from them and register B. */
  #flags = 0;
  #batteryGood: boolean;
  /** Clock time of the divider's zero; the divider runs when `#dividerRuns`. */
  #dividerZeroMicros: number;
  /** Start of the next update cycle; Infinity while SET or the divider reset inhibits it. */
  #nextUpdateMicros: number;
  /** Next edge of the periodic tap; Infinity when it is off. */
  #nextPeriodicMicros = Infinity;
  #pinHigh = false;
  #cancelTimer: () => void = () => undefined;
  #timerDueMicros = Infinity;
  #interrupts = 0;
  #updates = 0;

  constructor(description: DeviceDescription, environment: ModelEnvironment) {
    this.#clock = environment.clock;
    this.#pin = environment.irq("tick");
    this.#ram = new Uint8Array(description.options["ramBytes"] === smallRamBytes ? smallRamBytes : largeRamBytes);
    this.#batteryGood = description.options["batteryFailed"] !== true;
    this.#calendar = new Mc146818Calendar(this.#ram);
    const now = this.#clock.nowMicros();
    const nowMs = environment.epochMs + now / 1000;
    const intoSecondMicros = (((nowMs % 1000) + 1000) % 1000) * 1000;
    this.#calendar.setCivil(nowMs, this.#registerB);
    this.#ram[Address.century] = encode(Math.trunc(new Date(nowMs).getUTCFullYear() / 100), firmwareRegisterB);
    this.#nextUpdateMicros = now - intoSecondMicros + secondMicros;
    this.#dividerZeroMicros = this.#nextUpdateMicros - firstUpdateMicros;
    this.#restartPeriodic(now);
    this.spaces = {
      cmos: {
        read: (offset) => (offset === Port.data ? this.#read(this.#index) : floatingBus),
        write: (offset, _width, value) => {
          if (offset === Port.index) this.#index = value & indexMask & (this.#ram.length - 1);
          else this.#write(this.#index, value & 0xff);
        },
      },
    };
  }

  /** The RESET pin ("Reset"): clears interrupt enables, flags and SQWE; the calendar keeps running. */
  reset(): void {
    this.#catchUp(this.#clock.nowMicros());
    this.#registerB &= ~(RegB.periodicEnable | RegB.alarmEnable | RegB.updateEnable | RegB.squareWaveEnable);
    this.#flags = 0;
    this.#index = 0;
    this.#settle();
  }

  statistics(): Readonly<Record<string, number>> {
    return { interrupts: this.#interrupts, updates: this.#updates };
  }

  #read(address: number): number {
    const now = this.#clock.nowMicros();
    this.#catchUp(now);
    switch (address) {
      case Address.registerA: return this.#registerA | (now >= this.#nextUpdateMicros - beforeUpdateMicros ? RegA.updateInProgress : 0);
      case Address.registerB: return this.#registerB;
      case Address.registerC: return this.#readCauses();
      case Address.registerD: return this.#readBattery();
      default: return this.#offBus(address, now) ? floatingBus : this.#ram[address]!;
    }
  }

  #write(address: number, value: number): void {
    const now = this.#clock.nowMicros();
    this.#catchUp(now);
    if (address === Address.registerA) this.#writeA(value, now);
    else if (address === Address.registerB) this.#writeB(value, now);
    else if (address !== Address.registerC && address !== Address.registerD && !this.#offBus(address, now)) this.#ram[address] = value;
  }

  /** "The interrupt flag register is cleared by reading": all flags and with them the pin. */
  #readCauses(): number {
    const value = this.#flags | (this.#pinHigh ? RegC.irq : 0);
    this.#flags = 0;
    this.#settle();
    return value;
  }

  /** VRT reads 0 once after the battery failed; "it can be set only by reading register D". */
  #readBattery(): number {
    const value = this.#batteryGood ? RegD.validRamAndTime : 0;
    this.#batteryGood = true;
    return value;
  }

  #offBus(address: number, now: number): boolean {
    return address <= Address.year && now >= this.#nextUpdateMicros;
  }

  #writeA(value: number, now: number): void {
    const ran = this.#dividerRuns();
    this.#registerA = value & ~RegA.updateInProgress;
    const runs = this.#dividerRuns();
    if (runs && !ran) this.#dividerZeroMicros = now;
    if (runs !== ran) this.#restartUpdates(now);
    this.#restartPeriodic(now);
    this.#settle();
  }

  #writeB(value: number, now: number): void {
    const wasSet = (this.#registerB & RegB.set) !== 0;
    const isSet = (value & RegB.set) !== 0;
    // "SET going high clears UIE": with SET high no update cycle could end, so the enable stays clear until SET is low.
    this.#registerB = isSet ? value & ~RegB.updateEnable : value;
    if (isSet !== wasSet) this.#restartUpdates(now);
    this.#settle();
  }

  #dividerRuns(): boolean {
    return (this.#registerA & RegA.dividerMask) <= RegA.divider32Khz;
  }

  /** Aborts an update cycle in progress; the next begins at the divider's next whole second that is due from now on. */
  #restartUpdates(now: number): void {
    const inhibited = (this.#registerB & RegB.set) !== 0 || !this.#dividerRuns();
    const first = this.#dividerZeroMicros + firstUpdateMicros;
    this.#nextUpdateMicros = inhibited ? Infinity : first + Math.ceil((now - first) / secondMicros) * secondMicros;
  }

  /**
   * Edges of a tap come half a period after the divider's zero and then once per period: for every rate that puts them half
   * a period from the update cycle ("Update Cycle").
   */
  #restartPeriodic(now: number): void {
    const period = periodicMicros(this.#registerA);
    const first = this.#dividerZeroMicros + period / 2;
    this.#nextPeriodicMicros = period === 0 || !this.#dividerRuns() ? Infinity : first + (Math.floor((now - first) / period) + 1) * period;
  }

  #updateMicros(): number {
    return (this.#registerA & RegA.dividerMask) === RegA.divider32Khz ? updateMicros32Khz : updateMicrosFast;
  }

  /** Performs everything that became due up to `now`. */
  #catchUp(now: number): void {
    let flags = 0;
    if (now >= this.#nextPeriodicMicros) {
      flags |= RegC.periodic;
      this.#restartPeriodic(now);
    }
    const sinceUpdate = now - this.#nextUpdateMicros - this.#updateMicros();
    if (sinceUpdate >= 0) {
      const count = Math.floor(sinceUpdate / secondMicros) + 1;
      flags |= RegC.updateEnded;
      if (this.#calendar.advance(count, this.#registerB)) flags |= RegC.alarm;
      this.#updates += count;
      this.#nextUpdateMicros += count * secondMicros;
    }
    if (flags === 0) return;
    this.#flags |= flags;
    this.#settle();
  }

  /** Drives the pin from flags and enables, and sets the timer for the next event that would raise it. */
  #settle(): void {
    const high = (this.#flags & this.#registerB & RegC.causes) !== 0;
    const due = high ? Infinity : this.#nextCauseMicros();
    if (due !== this.#timerDueMicros) {
      this.#cancelTimer();
      this.#timerDueMicros = due;
      this.#cancelTimer = due === Infinity ? () => undefined : this.#setTimer(due);
    }
    if (high === this.#pinHigh) return;
    this.#pinHigh = high;
    if (high) this.#interrupts++;
    this.#pin.set(high);
  }

  #nextCauseMicros(): number {
    const periodic = (this.#registerB & RegB.periodicEnable) !== 0 ? this.#nextPeriodicMicros : Infinity;
    const eachUpdate = (this.#registerB & (RegB.updateEnable | RegB.alarmEnable)) !== 0;
    return Math.min(periodic, eachUpdate ? this.#nextUpdateMicros + this.#updateMicros() : Infinity);
  }

  #setTimer(dueMicros: number): () => void {
    return this.#clock.setTimer(Math.max(0, dueMicros - this.#clock.nowMicros()), () => {
      this.#timerDueMicros = Infinity;
      // A clock may round the deadline down; what is due is due.
      this.#catchUp(Math.max(dueMicros, this.#clock.nowMicros()));
      this.#settle();
    });
  }
}

const mc146818: ModelDefinition = {
  compatible: ["mc146818"],
  create: (description, environment) => new Mc146818(description, environment),
};

export default mc146818;
