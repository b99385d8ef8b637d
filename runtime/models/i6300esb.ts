/** Watchdog timer of the Intel 6300ESB. Source: Intel 6300ESB I/O Controller Hub data sheet (300641-004US), chapter 16. */
import type { AccessWidth } from "../api/grants.ts";
import type { DeviceDescription, Model, ModelDefinition, ModelEnvironment } from "../bus/device.ts";
import type { PciIdentity } from "../bus/pci.ts";
import type { RegisterSpace } from "../bus/register-space.ts";
import { ConfigReg, Configuration, Lock, Reg, Reload, interruptActive, preloadMask, tickMicros, unlockSequence } from "./i6300esb-registers.ts";

const windowBytes = 0x10;

const pci: PciIdentity = {
  vendorId: 0x8086, deviceId: 0x25ab, classCode: 0x088000, revision: 0, subsystemVendorId: 0x1af4, subsystemId: 0x1100,
  bars: [{ index: 0, kind: "mmio", sizeBytes: windowBytes }],
  // Its interrupt goes to the hub's own I/O APIC, not to a pin of the PCI bus.
  interruptPin: 0,
  functionReset: false,
  deviceRegisters: [{ offset: ConfigReg.configuration, sizeBytes: 2 }, { offset: ConfigReg.lock, sizeBytes: 1 }],
};

/** What the down-counter is doing. */
type Stage = "stopped" | "first" | "second" | "over";

class I6300Esb implements Model {
  readonly spaces: Readonly<Record<string, RegisterSpace>>;
  readonly #environment: ModelEnvironment;
  #preload1 = preloadMask;
  #preload2 = preloadMask;
  #configuration = 0;
  #lock = 0;
  #stage: Stage = "stopped";
  /** When the counter reaches zero, in microseconds of the clock; only while it counts. */
  #endMicros = 0;
  #cancelTimer: () => void = () => undefined;
  /** Writes of the unlocking sequence that were right so far. */
  #unlocked = 0;
  #interrupt = 0;
  /** WDT_TIMEOUT: in the RTC well. */
  #timedOut: boolean;
  readonly #counters = { reloads: 0, firstStages: 0, timeouts: 0, resetRequests: 0 };

  constructor({ options }: DeviceDescription, environment: ModelEnvironment) {
    this.#environment = environment;
    this.#timedOut = options["timedOut"] === true;
    this.spaces = {
      bar0: {
        read: (offset, width) => narrow(this.#read(offset & ~3), offset, width),
        write: (offset, width, value) => this.#write(offset, width, value),
      },
      config: {
        read: (offset, width) => narrow(this.#readConfig(offset & ~3), offset, width),
        write: (offset, _width, value) => this.#writeConfig(offset, value),
      },
    };
  }

  /** Everything but what the battery keeps. */
  reset(): void {
    this.#stop();
    this.#preload1 = preloadMask;
    this.#preload2 = preloadMask;
    this.#configuration = 0;
    this.#lock = 0;
    this.#unlocked = 0;
    this.#interrupt = 0;
  }

  statistics(): Readonly<Record<string, number>> {
    return { ...this.#counters };
  }

  /** The battery keeps what a reset keeps. */
  powerCut(): void {
    this.reset();
  }

  #read(offset: number): number {
    this.#catchUp();
    switch (offset) {
      case Reg.preload1: return this.#preload1;
      case Reg.preload2: return this.#preload2;
      case Reg.interruptStatus: return this.#interrupt;
      default: return this.#timedOut ? Reload.timeout : 0;
    }
  }

  #write(offset: number, width: AccessWidth, value: number): void {
    this.#catchUp();
    if (offset === Reg.interruptStatus) {
      this.#interrupt &= ~(value & interruptActive);
      return;
    }
    if (this.#unlocked < unlockSequence.length) {
      const isNext = offset === Reg.reload && value === unlockSequence[this.#unlocked];
      this.#unlocked = isNext ? this.#unlocked + 1 : offset === Reg.reload && value === unlockSequence[0] ? 1 : 0;
      return;
    }
    // One write, and it is locked again (16.2).
    this.#unlocked = 0;
    const register = offset & ~3;
    if (register === Reg.reload) this.#writeReload(merge(0, offset, width, value));
    else if (register === Reg.preload1) this.#preload1 = merge(this.#preload1, offset, width, value) & preloadMask;
    else if (register === Reg.preload2) this.#preload2 = merge(this.#preload2, offset, width, value) & preloadMask;
  }

  #writeReload(value: number): void {
    if ((value & Reload.timeout) !== 0) this.#timedOut = false;
    if ((value & Reload.reload) === 0) return;
    this.#counters.reloads++;
    if ((this.#lock & Lock.enable) !== 0) this.#start(this.#isFree ? "second" : "first");
  }

  #readConfig(offset: number): number {
    if (offset === ConfigReg.configuration) return this.#configuration;
    return offset === ConfigReg.lock ? this.#lock : 0;
  }

  #writeConfig(offset: number, value: number): void {
    if (offset === ConfigReg.configuration) {
      this.#configuration = value & (Configuration.interruptMask | Configuration.fastClock | Configuration.outputDisabled);
    } else if (offset === ConfigReg.lock && (this.#lock & Lock.locked) === 0) {
      const was = this.#lock;
      this.#lock = value & (Lock.locked | Lock.enable | Lock.freeRunning);
      if ((this.#lock & Lock.enable) === 0) this.#stop();
      else if ((was & Lock.enable) === 0) this.#start(this.#isFree ? "second" : "first");
    }
  }

  get #isFree(): boolean {
    return (this.#lock & Lock.freeRunning) !== 0;
  }

  #stop(): void {
    this.#cancelTimer();
    this.#cancelTimer = () => undefined;
    this.#stage = "stopped";
  }

  /** Loads the stage's preload into the counter; a preload of 0 counts one tick, so that time goes on. */
  #start(stage: "first" | "second"): void {
    this.#cancelTimer();
    this.#stage = stage;
    this.#endMicros = this.#environment.clock.nowMicros() + this.#periodMicros(stage);
    this.#cancelTimer = this.#environment.clock.setTimer(this.#periodMicros(stage), () => this.#ended());
  }

  #periodMicros(stage: "first" | "second"): number {
    const preload = stage === "first" ? this.#preload1 : this.#preload2;
    return Math.max(1, preload) * tickMicros((this.#configuration & Configuration.fastClock) !== 0);
  }

  #ended(): void {
    if (this.#stage === "first") {
      this.#counters.firstStages++;
      this.#interrupt = interruptActive;
      this.#start("second");
      return;
    }
    this.#stage = "over";
    this.#timedOut = true;
    this.#counters.timeouts++;
    if ((this.#configuration & Configuration.outputDisabled) !== 0) return;
    // The board's wiring: the output pin is the machine's reset, which is this device's too.
    this.#counters.resetRequests++;
    this.reset();
    this.#environment.requestReset();
  }

  /** A free-running counter whose output goes nowhere sets its flag each time round; nobody sees when, so no timer does it. */
  #catchUp(): void {
    if (this.#stage !== "over" || !this.#isFree) return;
    const now = this.#environment.clock.nowMicros();
    const period = this.#periodMicros("second");
    const rounds = Math.floor((now - this.#endMicros) / period);
    if (rounds < 1) return;
    this.#timedOut = true;
    this.#counters.timeouts += rounds;
    this.#endMicros += rounds * period;
  }
}

function narrow(value: number, offset: number, width: AccessWidth): number {
  const shifted = value >>> ((offset & 3) * 8);
  return width === 32 ? shifted : shifted & (width === 16 ? 0xffff : 0xff);
}

/** The register with the written bytes in their place. */
function merge(before: number, offset: number, width: AccessWidth, value: number): number {
  const shift = (offset & 3) * 8;
  const mask = width === 32 ? 0xffff_ffff : (width === 16 ? 0xffff : 0xff) << shift;
  return ((before & ~mask) | ((value << shift) & mask)) >>> 0;
}

const i6300esb: ModelDefinition = {
  compatible: ["i6300esb"],
  pci,
  create: (description, environment) => new I6300Esb(description, environment),
};

export default i6300esb;
