/** Driver for the watchdog timer of the Intel 6300ESB. Source: Intel 6300ESB I/O Controller Hub data sheet (300641-004US), chapter 16. */
import { type DriverContext, type RegisterWindow, defineDriver } from "airlock/driver";
import { watchdog } from "airlock/driver/watchdog";
import { ConfigReg, Lock, Reg, Reload, countMs, mostCounts, noDevice, plainConfiguration, unlockSequence } from "./registers.ts";

export default defineDriver(watchdog, (context) => {
  const timer = new Timer(context);
  return {
    identify: () => timer.identity,
    configure: ({ running, timeoutMs, noWayOut }) => timer.configure(running, timeoutMs, noWayOut),
    ping: ({ timeoutMs }) => timer.ping(timeoutMs),
    // The counter cannot be read.
    timeLeft: () => ({ leftMs: 0 }),
  };
});

/** A stage of no counts is none, and there are two. */
const fewestCounts = 2;

class Timer {
  readonly #context: DriverContext<typeof watchdog>;
  readonly #bar0: RegisterWindow;
  readonly #config: RegisterWindow;
  readonly #hasExpired: boolean;
  /** Counts of both stages as last written; unknown of a device that a predecessor left running. */
  #counts: number | undefined;

  constructor(context: DriverContext<typeof watchdog>) {
    this.#context = context;
    this.#bar0 = context.window("bar0");
    this.#config = context.window("config");
    // A predecessor may have died between the sequence and its write: this write locks whatever it left unlocked.
    this.#bar0.write16(Reg.reload, 0);
    this.#hasExpired = this.#takeExpiry();
  }

  get identity() {
    return {
      minTimeoutMs: Math.ceil(fewestCounts * countMs), maxTimeoutMs: Math.floor(2 * mostCounts * countMs),
      canStop: (this.#lock() & Lock.locked) === 0, hasPretimeout: false, tellsTimeLeft: false, hasExpired: this.#hasExpired, isRunning: this.#isRunning(),
    };
  }

  configure(running: boolean, timeoutMs: number, noWayOut: boolean) {
    // What it finds later is of this countdown.
    this.#tellExpiry();
    if (running) {
      if (this.#config.read16(ConfigReg.configuration) !== plainConfiguration) this.#config.write16(ConfigReg.configuration, plainConfiguration);
      this.#setTimeout(timeoutMs);
      this.#config.write8(ConfigReg.lock, noWayOut ? Lock.enable | Lock.locked : Lock.enable);
      // One that was counting goes on with what it had, until it is reloaded.
      this.#write16(Reload.reload);
    } else this.#config.write8(ConfigReg.lock, 0);
    return { timeoutMs: Math.floor((this.#counts ?? countsOf(timeoutMs)) * countMs), isRunning: this.#isRunning() };
  }

  ping(timeoutMs: number): Record<string, never> {
    this.#setTimeout(timeoutMs);
    this.#write16(Reload.reload);
    // Also flushes: when this is answered the device has been told.
    this.#tellExpiry();
    return {};
  }

  #tellExpiry(): void {
    if (this.#takeExpiry()) this.#context.emit("expired", {});
  }

  #setTimeout(timeoutMs: number): void {
    const counts = countsOf(timeoutMs);
    if (this.#counts === counts) return;
    this.#counts = counts;
    const first = Math.ceil(counts / 2);
    for (const [register, value] of [[Reg.preload1, first], [Reg.preload2, counts - first]] as const) {
      this.#unlock();
      this.#bar0.write32(register, value);
    }
  }

  /** Whether it has run out, once each time. It went through a reset then, and has forgotten its timeout. */
  #takeExpiry(): boolean {
    if (!this.#hasFlag()) return false;
    this.#write16(Reload.timeout);
    if (this.#hasFlag()) throw new Error("the device says that it has run out, whatever it is told");
    this.#counts = undefined;
    return true;
  }

  #hasFlag(): boolean {
    const value = this.#bar0.read16(Reg.reload);
    if (value === noDevice) throw new Error("the device is gone: its reload register reads as nothing does");
    return (value & Reload.timeout) !== 0;
  }

  #write16(bits: number): void {
    this.#unlock();
    this.#bar0.write16(Reg.reload, bits);
  }

  #unlock(): void {
    for (const value of unlockSequence) this.#bar0.write16(Reg.reload, value);
  }

  #isRunning(): boolean {
    return (this.#lock() & Lock.enable) !== 0;
  }

  #lock(): number {
    return this.#config.read8(ConfigReg.lock);
  }
}

/** Counts of both stages together: rounded up, so that it never runs out early. */
function countsOf(timeoutMs: number): number {
  return Math.min(2 * mostCounts, Math.max(fewestCounts, Math.ceil(timeoutMs / countMs)));
}
