/** QEMU's devices as a HardwareBackend: register accesses, interrupt levels and device time over one qtest connection. */
import { type Clock, TimerQueue } from "../../api/clock.ts";
import { AirlockError } from "../../api/errors.ts";
import type { AccessWidth } from "../../api/grants.ts";
import type { DeviceDescription, DeviceWindow } from "../../bus/device.ts";
import type { HardwareBackend } from "../../bus/hardware-backend.ts";
import type { DmaFault, IommuDomain } from "../../bus/iommu.ts";
import { IrqLine } from "../../bus/irq-line.ts";
import type { RamAccess, RamHandle } from "../../bus/ram.ts";
import type { RegisterSpace } from "../../bus/register-space.ts";
import { Slot } from "../../bus/slot.ts";
import { openRam } from "../../native/ram.ts";
import { DeviceTime, clockAheadMicros } from "./device-time.ts";
import { QemuPciBus } from "./pci-bus.ts";
import { openFifos, type QtestFifos } from "./qtest-channel.ts";
import { QtestConnection } from "./qtest-connection.ts";
import type { Nudge, Quirks, TimeSkip } from "./quirks.ts";

/** Everything needed to reach a started QEMU; plain data, so that the hardware's own thread can make the backend. */
export interface QemuBackendSetup {
  readonly fifos: QtestFifos;
  /** Checked and completed descriptions (describe.ts): QemuProcess.start has put exactly these on the machine. */
  readonly devices: readonly DeviceDescription[];
  /** The machine's RAM, where it has PCI devices. */
  readonly ram?: RamHandle;
  readonly quirks?: Quirks;
  /** Device time is stepped when it is at least this far behind; 0 for tests that move a virtual clock by less. */
  readonly minStepMicros?: number;
  /** How far device time may be behind before the rest is let pass; Infinity for tests that skip days. */
  readonly maxLateMicros?: number;
}

/** A step costs an exchange of 12 us: a thread that polls a register should not spend all its time on steps. */
const defaultMinStepMicros = 50;

/** While only devices are busy whose interrupts are found in RAM, an exchange is for timers and faults alone; less still when none is. */
const messageStepMicros = 500;
const messageQuietStepMicros = 5_000;

/** The longest single step: what a number of nanoseconds holds exactly, and a short list of interrupts. */
const maxStepMicros = 3_600_000_000;

/** Further than this behind, the thread had been stopped: catching up more would only keep it busy. */
const defaultMaxLateMicros = 60_000_000;

/** The PC's timer chip, 8254: channel 0 to mode 0, which ends. Firmware's 18 interrupts per second are of no use to anyone here. */
const timerControl = { port: 0x43, value: 0x30 } as const;
const timerChannel = { port: 0x40, count: [1, 0] } as const;

/**
 * How long the thread may sleep: QEMU says nothing of its deadlines, so its clock is stepped regularly. A device with DMA
 * finishes in its own time, and nothing wakes us when it does: soon after it was given work, it is looked at often.
 */
const dmaIdleMicros = 50;
/** And right after it, without a sleep: a disk in memory answers in 60 us, a sleep takes longer than that however short it is. */
const dmaSpinMicros = 150;
const busyIdleMicros = 1_000;
const quietIdleMicros = 5_000;

/** A device counts as busy for this long after its last register access or interrupt; one with DMA as just given work for this long. */
const busyMicros = 20_000;
const dmaBusyMicros = 5_000;

/** Faults of the IOMMU are looked for at least this often while a device may use DMA, and is or is not busy: a look is a register read. */
const faultPollMicros = 1_000;
const faultQuietPollMicros = 5_000;

const noQuirks = { rests: [], actual: [] };

interface Counters {
  reads: number;
  writes: number;
  interrupts: number;
}

interface LiveDevice {
  readonly description: DeviceDescription;
  readonly counters: Counters;
  readonly slot: Slot;
  readonly spaces: Map<string, RegisterSpace>;
  /** Its interrupts are messages in RAM; else they are known only after an exchange. */
  readonly sendsMessages: boolean;
}

/**
 * @param clock only `nowMicros` is used; timers of interrupt lines run in `advance`
 * @param open how this thread reaches the RAM
 * @throws AirlockError HardwareLost when QEMU is gone already
 */
export function createQemuBackend(setup: QemuBackendSetup, clock: Pick<Clock, "nowMicros">, open: (ram: RamHandle) => RamAccess = openRam): HardwareBackend {
  return new QemuBackend(setup, clock, open);
}

class QemuBackend implements HardwareBackend {
  readonly #clock: Pick<Clock, "nowMicros">;
  readonly #timers = new TimerQueue();
  readonly #lineClock: Clock;
  readonly #connection: QtestConnection;
  readonly #minStepMicros: number | undefined;
  readonly #lines = new Map<number, IrqLine>();
  readonly #devices = new Map<string, LiveDevice>();
  readonly #deviceLines = new Map<number, Counters[]>();
  readonly #skips: readonly TimeSkip[];
  readonly #nudges: readonly Nudge[];
  readonly #time: DeviceTime;
  readonly #bus: QemuPciBus | undefined;
  /** Whether any device has interrupts that are not messages. */
  readonly #hasWires: boolean;
  #busyUntilMicros = 0;
  /** The same for devices whose interrupts are not messages. */
  #wireBusyUntilMicros = 0;
  #dmaBusyUntilMicros = 0;
  #faultsDueMicros = 0;

  constructor(setup: QemuBackendSetup, clock: Pick<Clock, "nowMicros">, open: (ram: RamHandle) => RamAccess) {
    this.#clock = clock;
    this.#lineClock = {
      nowMicros: () => clock.nowMicros(),
      setTimer: (delayMicros, callback) => this.#timers.add(clock.nowMicros() + Math.max(0, delayMicros), callback),
    };
    this.#minStepMicros = setup.minStepMicros;
    this.#skips = setup.quirks?.skips ?? [];
    this.#nudges = setup.quirks?.nudges ?? [];
    for (const description of setup.devices) this.#addDevice(description);
    this.#hasWires = [...this.#devices.values()].some(({ sendsMessages }) => !sendsMessages);
    this.#connection = new QtestConnection(openFifos(setup.fifos), (gsi, asserted) => this.#irqChange(gsi, asserted));
    try {
      this.#connection.interceptIrqs();
      this.#connection.writePort(timerControl.port, 8, timerControl.value);
      for (const count of timerChannel.count) this.#connection.writePort(timerChannel.port, 8, count);
      this.#connection.flush();
      this.#bus = this.#makeBus(setup, open);
    } catch (error) {
      this.#connection.close();
      throw error;
    }
    this.#time = new DeviceTime(clock.nowMicros(), setup.maxLateMicros ?? defaultMaxLateMicros, setup.quirks?.keepsTime === true ? clockAheadMicros : Infinity);
  }

  space(device: string, window: string): RegisterSpace | undefined {
    const found = this.#devices.get(device);
    if (found === undefined || !Object.hasOwn(found.description.windows, window)) return undefined;
    let space = found.spaces.get(window);
    if (space === undefined) {
      const registers = this.#makeSpace(found, window, found.description.windows[window]!);
      if (registers !== undefined) found.spaces.set(window, (space = found.slot.space(registers)));
    }
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

  openDomain(device: string, fault: (fault: DmaFault) => void): IommuDomain | undefined {
    return this.#bus?.openDomain(device, fault);
  }

  setBusMaster(device: string, on: boolean): void {
    this.#bus?.setBusMaster(device, on && this.#devices.get(device)?.slot.isEmpty !== true);
  }

  resetDevice(device: string): void {
    this.#bus?.resetDevice(device);
  }

  powerCut(device: string): void {
    this.#found(device);
    throw new AirlockError("Unsupported", `device "${device}": QEMU keeps what a device was told to keep; cut the power of a device on platform sim`, { device });
  }

  plug(device: string, isIn: boolean): void {
    const { slot, description } = this.#found(device);
    if (description.pci === undefined) throw new AirlockError("Unsupported", `device "${device}" is in no slot that it could be pulled out of`, { device });
    // For QEMU it stays where it is, at rest; nobody reaches it, and it reaches nobody.
    this.#bus?.setBusMaster(device, false);
    if (slot.isEmpty === isIn) this.#bus?.resetDevice(device);
    slot.isEmpty = !isIn;
  }

  flush(): void {
    this.#connection.flush();
  }

  advance(): void {
    const now = this.#clock.nowMicros();
    if (this.#time.behind(now) >= this.#stepMicros(now)) this.#step(now);
    else this.#connection.flush();
    if (this.#bus !== undefined) this.#pollBus(this.#bus, now);
    for (let due = this.#timers.takeDue(now); due !== undefined; due = this.#timers.takeDue(now)) due.callback();
  }

  idleMicros(): number {
    const now = this.#clock.nowMicros();
    let idle = quietIdleMicros;
    if (now < this.#dmaBusyUntilMicros) idle = now < this.#dmaBusyUntilMicros - dmaBusyMicros + dmaSpinMicros ? 0 : dmaIdleMicros;
    else if (now < this.#busyUntilMicros || this.#bus?.inUse === true || this.#isPending()) idle = busyIdleMicros;
    return Math.max(0, Math.min(idle, (this.#timers.nextDueMicros() ?? Infinity) - now));
  }

  statistics(device: string): Readonly<Record<string, number>> {
    return { ...this.#found(device).counters };
  }

  close(): void {
    this.#connection.close();
    this.#bus?.close();
  }

  #makeBus({ devices, ram, quirks }: QemuBackendSetup, open: (ram: RamHandle) => RamAccess): QemuPciBus | undefined {
    const functions = devices.filter(({ pci }) => pci !== undefined);
    if (functions.length === 0) return undefined;
    if (ram === undefined) throw new AirlockError("PlatformUnavailable", "QEMU's PCI devices need RAM in a file", { platform: "qemu" });
    const access = open(ram);
    try {
      return new QemuPciBus(this.#connection, access, functions, quirks ?? noQuirks, (device, irq) => this.#message(device, irq));
    } catch (error) {
      access.close();
      throw error;
    }
  }

  /** Steps QEMU's clock in whole nanoseconds. Zero is a step too: see the connection. */
  #step(nowMicros: number): void {
    do this.#connection.stepClock(this.#time.take(nowMicros, maxStepMicros));
    while (this.#time.behind(nowMicros) >= 1);
  }

  #stepMicros(nowMicros: number): number {
    if (this.#minStepMicros !== undefined) return this.#minStepMicros;
    const isBusy = nowMicros < this.#dmaBusyUntilMicros;
    if (!this.#hasWires) return isBusy ? messageStepMicros : messageQuietStepMicros;
    return isBusy && nowMicros >= this.#wireBusyUntilMicros ? messageStepMicros : defaultMinStepMicros;
  }

  #pollBus(bus: QemuPciBus, nowMicros: number): void {
    if (bus.pollMessages()) this.#noteBusy(true, true);
    if (!bus.inUse || nowMicros < this.#faultsDueMicros) return;
    this.#faultsDueMicros = nowMicros + (nowMicros < this.#dmaBusyUntilMicros ? faultPollMicros : faultQuietPollMicros);
    bus.pollFaults();
  }

  #addDevice(description: DeviceDescription): void {
    const counters = { reads: 0, writes: 0, interrupts: 0 };
    this.#devices.set(description.name, { description, counters, slot: new Slot(), spaces: new Map(), sendsMessages: description.pci?.identity?.msix !== undefined });
    for (const irq of Object.values(description.irqs)) this.#deviceLines.set(irq, [...(this.#deviceLines.get(irq) ?? []), counters]);
  }

  #found(device: string): LiveDevice {
    const found = this.#devices.get(device);
    if (found === undefined) throw new AirlockError("NotFound", `there is no device "${device}"`, { device });
    return found;
  }

  #makeSpace({ description, counters, sendsMessages }: LiveDevice, name: string, window: DeviceWindow): RegisterSpace | undefined {
    const { base } = window;
    const connection = this.#connection;
    const hasDma = description.pci !== undefined;
    const note = (direction: "reads" | "writes"): void => {
      counters[direction]++;
      this.#noteBusy(hasDma, sendsMessages);
    };
    if (window.kind === "config") {
      const config = this.#bus?.config(description.name);
      return config && {
        read: (offset, width) => (note("reads"), config.read(offset, width)),
        write: (offset, width, value) => (note("writes"), config.write(offset, width, value)),
      };
    }
    const [read, write] = window.kind === "port"
      ? [(address: number, width: AccessWidth) => connection.readPort(address, width), connection.writePort.bind(connection)]
      : [(address: number, width: AccessWidth) => connection.readMemory(address, width), connection.writeMemory.bind(connection)];
    const skips = this.#skips.filter((skip) => skip.device === description.name && skip.window === name);
    const nudges = this.#nudges.filter((nudge) => nudge.device === description.name && nudge.window === name);
    return {
      read: (offset, width) => (note("reads"), read(base + offset, width)),
      write: (offset, width, value) => {
        note("writes");
        write(base + offset, width, value);
        for (const skip of skips) if (skip.offset === offset && (value & skip.mask) !== 0 && this.#time.skip(skip.micros)) connection.stepClock(skip.micros * 1_000);
        for (const { offset: at, mask, by } of nudges) if (at === offset && (value & mask) !== 0) write(base + by.offset, by.width, read(base + by.offset, by.width));
      },
    };
  }

  #noteBusy(hasDma: boolean, sendsMessages: boolean): void {
    const now = this.#clock.nowMicros();
    this.#busyUntilMicros = now + busyMicros;
    if (hasDma) this.#dmaBusyUntilMicros = now + dmaBusyMicros;
    if (!sendsMessages) this.#wireBusyUntilMicros = now + busyMicros;
  }

  #message(device: string, irq: string): void {
    const found = this.#devices.get(device);
    const number = this.irqNumber(device, irq);
    if (found === undefined || number === undefined) return;
    found.counters.interrupts++;
    this.line(number).pulse();
  }

  /** QEMU has one wire per input, already the wired-or of its devices: it is one source of our line. */
  #irqChange(gsi: number, asserted: boolean): void {
    const counters = this.#deviceLines.get(gsi);
    if (counters === undefined) return;
    if (asserted) for (const counter of counters) counter.interrupts++;
    this.#noteBusy(false, false);
    this.line(gsi).setLevel("qemu", asserted);
  }

  #isPending(): boolean {
    for (const gsi of this.#deviceLines.keys()) if (this.#lines.get(gsi)?.asserted === true) return true;
    return false;
  }
}
