/** QEMU's devices as a HardwareBackend: register accesses, interrupt levels and device time over one qtest connection. */
import { type Clock, TimerQueue } from "../../api/clock.ts";
import { AirlockError } from "../../api/errors.ts";
import type { AccessWidth } from "../../api/grants.ts";
import type { DeviceDescription, DeviceWindow } from "../../bus/device.ts";
import type { HardwareBackend } from "../../bus/hardware-backend.ts";
import { IrqLine } from "../../bus/irq-line.ts";
import type { RegisterSpace } from "../../bus/register-space.ts";
import { openFifos, type QtestFifos } from "./qtest-channel.ts";
import { QtestConnection } from "./qtest-connection.ts";

/** Everything needed to reach a started QEMU; plain data, so that the hardware's own thread can make the backend. */
export interface QemuBackendSetup {
  readonly fifos: QtestFifos;
  /** Checked descriptions: QemuProcess.start has put exactly these on the machine. */
  readonly devices: readonly DeviceDescription[];
  /** Device time is stepped when it is at least this far behind; 0 for tests that move a virtual clock by less. */
  readonly minStepMicros?: number;
  /** How far device time may be behind before the rest is let pass; Infinity for tests that skip days. */
  readonly maxLateMicros?: number;
}

/** A step costs an exchange of 12 us: a thread that polls a register should not spend all its time on steps. */
const defaultMinStepMicros = 50;

/** The longest single step: what a number of nanoseconds holds exactly, and a short list of interrupts. */
const maxStepMicros = 3_600_000_000;

/** Further than this behind, the thread had been stopped: catching up more would only keep it busy. */
const defaultMaxLateMicros = 60_000_000;

/** The PC's timer chip, 8254: channel 0 to mode 0, which ends. Firmware's 18 interrupts per second are of no use to anyone here. */
const timerControl = { port: 0x43, value: 0x30 } as const;
const timerChannel = { port: 0x40, count: [1, 0] } as const;

/** How long the thread may sleep: QEMU says nothing of its deadlines, so its clock is stepped regularly. */
const busyIdleMicros = 1_000;
const quietIdleMicros = 5_000;

/** A device counts as busy for this long after its last register access or interrupt. */
const busyMicros = 20_000;

interface Counters {
  reads: number;
  writes: number;
  interrupts: number;
}

/**
 * @param clock only `nowMicros` is used; timers of interrupt lines run in `advance`
 * @throws AirlockError HardwareLost when QEMU is gone already
 */
export function createQemuBackend(setup: QemuBackendSetup, clock: Pick<Clock, "nowMicros">): HardwareBackend {
  return new QemuBackend(setup, clock);
}

class QemuBackend implements HardwareBackend {
  readonly #clock: Pick<Clock, "nowMicros">;
  readonly #timers = new TimerQueue();
  readonly #lineClock: Clock;
  readonly #connection: QtestConnection;
  readonly #minStepMicros: number;
  readonly #maxLateMicros: number;
  readonly #lines = new Map<number, IrqLine>();
  readonly #devices = new Map<string, { description: DeviceDescription; counters: Counters; spaces: Map<string, RegisterSpace> }>();
  readonly #deviceLines = new Map<number, Counters[]>();
  /** Clock time that QEMU's clock has been stepped to. */
  #steppedToMicros: number;
  #busyUntilMicros = 0;

  constructor(setup: QemuBackendSetup, clock: Pick<Clock, "nowMicros">) {
    this.#clock = clock;
    this.#lineClock = {
      nowMicros: () => clock.nowMicros(),
      setTimer: (delayMicros, callback) => this.#timers.add(clock.nowMicros() + Math.max(0, delayMicros), callback),
    };
    this.#minStepMicros = setup.minStepMicros ?? defaultMinStepMicros;
    this.#maxLateMicros = setup.maxLateMicros ?? defaultMaxLateMicros;
    for (const description of setup.devices) this.#addDevice(description);
    this.#connection = new QtestConnection(openFifos(setup.fifos), (gsi, asserted) => this.#irqChange(gsi, asserted));
    try {
      this.#connection.interceptIrqs();
      this.#connection.writePort(timerControl.port, 8, timerControl.value);
      for (const count of timerChannel.count) this.#connection.writePort(timerChannel.port, 8, count);
      this.#connection.flush();
    } catch (error) {
      this.#connection.close();
      throw error;
    }
    this.#steppedToMicros = clock.nowMicros();
  }

  space(device: string, window: string): RegisterSpace | undefined {
    const found = this.#devices.get(device);
    if (found === undefined || !Object.hasOwn(found.description.windows, window)) return undefined;
    let space = found.spaces.get(window);
    if (space === undefined) found.spaces.set(window, (space = this.#makeSpace(found.description.windows[window]!, found.counters)));
    return space;
  }

  line(number: number): IrqLine {
    let line = this.#lines.get(number);
    if (line === undefined) this.#lines.set(number, (line = new IrqLine(number, this.#lineClock)));
    return line;
  }

  irqNumber(device: string, irq: string): number | undefined {
    const irqs = this.#devices.get(device)?.description.irqs;
    return irqs !== undefined && Object.hasOwn(irqs, irq) ? irqs[irq] : undefined;
  }

  flush(): void {
    this.#connection.flush();
  }

  advance(): void {
    const now = this.#clock.nowMicros();
    this.#steppedToMicros = Math.max(this.#steppedToMicros, now - this.#maxLateMicros);
    if (now - this.#steppedToMicros >= this.#minStepMicros) this.#step(now);
    else this.#connection.flush();
    for (let due = this.#timers.takeDue(now); due !== undefined; due = this.#timers.takeDue(now)) due.callback();
  }

  idleMicros(): number {
    const now = this.#clock.nowMicros();
    const idle = now < this.#busyUntilMicros || this.#isPending() ? busyIdleMicros : quietIdleMicros;
    return Math.max(0, Math.min(idle, (this.#timers.nextDueMicros() ?? Infinity) - now));
  }

  statistics(device: string): Readonly<Record<string, number>> {
    const found = this.#devices.get(device);
    if (found === undefined) throw new AirlockError("NotFound", `there is no device "${device}"`, { device });
    return { ...found.counters };
  }

  close(): void {
    this.#connection.close();
  }

  /** Steps QEMU's clock in whole nanoseconds; what rounding leaves is stepped the next time. Zero is a step too: see the connection. */
  #step(nowMicros: number): void {
    do {
      const nanos = Math.floor(Math.min(nowMicros - this.#steppedToMicros, maxStepMicros) * 1_000);
      this.#steppedToMicros += nanos / 1_000;
      this.#connection.stepClock(nanos);
    } while (nowMicros - this.#steppedToMicros >= 1);
  }

  #addDevice(description: DeviceDescription): void {
    const counters = { reads: 0, writes: 0, interrupts: 0 };
    this.#devices.set(description.name, { description, counters, spaces: new Map() });
    for (const irq of Object.values(description.irqs)) this.#deviceLines.set(irq, [...(this.#deviceLines.get(irq) ?? []), counters]);
  }

  #makeSpace(window: DeviceWindow, counters: Counters): RegisterSpace {
    const { base } = window;
    const connection = this.#connection;
    const note = (direction: "reads" | "writes"): void => {
      counters[direction]++;
      this.#busyUntilMicros = this.#clock.nowMicros() + busyMicros;
    };
    if (window.kind === "port") {
      return {
        read: (offset: number, width: AccessWidth) => (note("reads"), connection.readPort(base + offset, width)),
        write: (offset: number, width: AccessWidth, value: number) => (note("writes"), connection.writePort(base + offset, width, value)),
      };
    }
    return {
      read: (offset: number, width: AccessWidth) => (note("reads"), connection.readMemory(base + offset, width)),
      write: (offset: number, width: AccessWidth, value: number) => (note("writes"), connection.writeMemory(base + offset, width, value)),
    };
  }

  /** QEMU has one wire per input, already the wired-or of its devices: it is one source of our line. */
  #irqChange(gsi: number, asserted: boolean): void {
    const counters = this.#deviceLines.get(gsi);
    if (counters === undefined) return;
    if (asserted) for (const counter of counters) counter.interrupts++;
    this.#busyUntilMicros = this.#clock.nowMicros() + busyMicros;
    this.line(gsi).setLevel("qemu", asserted);
  }

  #isPending(): boolean {
    for (const gsi of this.#deviceLines.keys()) if (this.#lines.get(gsi)?.asserted === true) return true;
    return false;
  }
}
