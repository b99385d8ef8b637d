/** The simulated hardware: models on one clock, their pins wired to interrupt lines. */
import { type Clock, VirtualClock } from "../../api/clock.ts";
import { AirlockError, isAirlockError } from "../../api/errors.ts";
import type { DeviceDescription, DmaPort, IrqPin, Model, ModelDefinition, SerialPeer } from "../../bus/device.ts";
import type { HardwareBackend } from "../../bus/hardware-backend.ts";
import type { DmaFault, IommuDomain } from "../../bus/iommu.ts";
import { IrqLine } from "../../bus/irq-line.ts";
import type { NetworkPeer } from "../../bus/network-peer.ts";
import type { RamAccess } from "../../bus/ram.ts";
import type { RegisterSpace } from "../../bus/register-space.ts";
import { SimPciFunction } from "./pci-function.ts";
import { SimIommu } from "./sim-iommu.ts";

/**
 * Device time never runs further than this past an event that is due: a thread that was not scheduled in time slows
 * the simulated hardware down instead of making it lose characters that real hardware would not have lost.
 */
const maxLateMicros = 200;

/**
 * While an interrupt is delivered and not yet acked, device time goes on for `graceMicros`, then stands still, for at most
 * `holdMicros`: a driver whose thread is not scheduled loses no characters by it. One that is dead or hung gets no such
 * help: its lines are detached, or the hold is over.
 */
const graceMicros = 150;
const holdMicros = 100_000;
/** How long the hardware's thread sleeps while time stands still; an ack wakes it. */
const heldIdleMicros = 200;

/** How much faster than real time simulated hardware runs while it makes up for such a delay. */
const catchUpShare = 0.25;

export interface SimDevice {
  readonly description: DeviceDescription;
  readonly model: ModelDefinition;
  /** What is plugged into its serial connector, and what is at the other end of its network cable. */
  readonly serial: SerialPeer;
  readonly network: NetworkPeer;
}

/** A device that is powered on. */
interface LiveDevice {
  readonly description: DeviceDescription;
  readonly model: Model;
  readonly pci: SimPciFunction | undefined;
  readonly spaces: Readonly<Record<string, RegisterSpace>>;
}

/** A peer that wants to be looked after. */
interface PolledPeer {
  readonly peer: NetworkPeer;
  dueMicros: number;
}

export interface SimOptions {
  readonly devices: readonly SimDevice[];
  /** Civil time at clock time 0, in milliseconds since the Unix epoch. */
  readonly epochMs: number;
  /** The clock that device time follows; in a deterministic world it is also the models' clock. */
  readonly clock: Clock;
  /** The memory devices reach; needed when a device has DMA. */
  readonly ram?: RamAccess;
  /** The machine file's folder. */
  readonly directory: string;
}

export class SimBackend implements HardwareBackend {
  readonly #source: Clock;
  readonly #deviceClock: VirtualClock | undefined;
  readonly #modelClock: Clock;
  readonly #lines = new Map<number, IrqLine>();
  readonly #devices = new Map<string, LiveDevice>();
  readonly #networks: NetworkPeer[] = [];
  readonly #polled: PolledPeer[] = [];
  readonly #iommu: SimIommu | undefined;
  readonly #ram: RamAccess | undefined;
  #resetRequested: (device: string) => void = () => undefined;
  #lastMicros: number;
  /** How far device time is behind. */
  #lagMicros = 0;
  /** Since when some driver has owed an ack without a break. */
  #owedSinceMicros: number | undefined;

  constructor(options: SimOptions) {
    this.#source = options.clock;
    this.#lastMicros = options.clock.nowMicros();
    this.#deviceClock = options.clock instanceof VirtualClock ? undefined : new VirtualClock();
    this.#modelClock = this.#deviceClock ?? options.clock;
    this.#ram = options.ram;
    this.#iommu = options.ram && new SimIommu(options.ram);
    for (const device of options.devices) this.#devices.set(device.description.name, this.#powerOn(device, options));
  }

  space(device: string, window: string): RegisterSpace | undefined {
    const spaces = this.#devices.get(device)?.spaces;
    return spaces !== undefined && Object.hasOwn(spaces, window) ? spaces[window] : undefined;
  }

  line(number: number): IrqLine {
    let line = this.#lines.get(number);
    if (line === undefined) this.#lines.set(number, (line = new IrqLine(number, this.#modelClock)));
    return line;
  }

  irqNumber(device: string, irq: string): number | undefined {
    return this.#devices.get(device)?.description.irqs[irq];
  }

  openDomain(device: string, fault: (fault: DmaFault) => void): IommuDomain | undefined {
    if (this.#devices.get(device)?.pci === undefined || this.#iommu === undefined) return undefined;
    // A driver that was given up without being torn down has left its device at work.
    if (this.#iommu.isOpen(device)) {
      this.setBusMaster(device, false);
      this.resetDevice(device);
    }
    return this.#iommu.open(device, fault);
  }

  setBusMaster(device: string, on: boolean): void {
    const pci = this.#devices.get(device)?.pci;
    if (pci !== undefined) pci.busMaster = on;
  }

  resetDevice(device: string): void {
    const found = this.#devices.get(device);
    if (found?.pci?.identity.functionReset === true) found.model.reset();
  }

  powerCut(device: string): void {
    const found = this.#found(device);
    if (found.model.powerCut === undefined) throw new AirlockError("Unsupported", `device "${device}" loses nothing by a power cut`, { device });
    found.model.powerCut();
  }

  plug(device: string, isIn: boolean): void {
    const { pci, model } = this.#found(device);
    if (pci === undefined) throw new AirlockError("Unsupported", `device "${device}" is in no slot that it could be pulled out of`, { device });
    if (pci.isPluggedIn === isIn) return;
    pci.isPluggedIn = isIn;
    if (isIn) return;
    // Without power it is off at once, and on as it always is.
    model.powerCut?.();
    model.reset();
  }

  /** Nothing to do: models see a write when it is performed. */
  flush(): void {}

  advance(): void {
    if (this.#deviceClock === undefined) return;
    const now = this.#source.nowMicros();
    const elapsed = now - this.#lastMicros;
    this.#lastMicros = now;
    const due = this.#deviceClock.nextDueMicros();
    const limit = due === undefined ? Infinity : Math.max(0, due - this.#deviceClock.nowMicros()) + maxLateMicros;
    const step = this.#isHeld(now) ? 0 : Math.min(elapsed + Math.min(this.#lagMicros, elapsed * catchUpShare), limit);
    this.#lagMicros = Math.max(0, this.#lagMicros + elapsed - step);
    this.#deviceClock.advance(step);
    this.#poll(now);
  }

  idleMicros(): number {
    const now = this.#source.nowMicros();
    return this.#polled.reduce((least, { dueMicros }) => Math.min(least, Math.max(0, dueMicros - now)), this.#timersIdleMicros());
  }

  #timersIdleMicros(): number {
    const due = this.#deviceClock?.nextDueMicros();
    if (this.#deviceClock === undefined || due === undefined) return Infinity;
    if (this.#isHeld(this.#source.nowMicros())) return heldIdleMicros;
    const behind = this.#source.nowMicros() - this.#lastMicros;
    const pace = this.#lagMicros > 0 ? 1 + catchUpShare : 1;
    return Math.max(0, (due - this.#deviceClock.nowMicros()) / pace - behind);
  }

  /** Whether a driver owes an ack for longer than the grace, and not yet for longer than the hold. */
  #isHeld(nowMicros: number): boolean {
    let owed = false;
    for (const line of this.#lines.values()) owed ||= line.owed;
    if (!owed) this.#owedSinceMicros = undefined;
    else this.#owedSinceMicros ??= nowMicros;
    const owedMicros = nowMicros - (this.#owedSinceMicros ?? nowMicros);
    return owedMicros > graceMicros && owedMicros < graceMicros + holdMicros;
  }

  statistics(device: string): Readonly<Record<string, number>> {
    return this.#found(device).model.statistics();
  }

  onResetRequest(listener: (device: string) => void): void {
    this.#resetRequested = listener;
  }

  close(): void {
    for (const { model } of this.#devices.values()) model.reset();
    for (const peer of this.#networks) peer.close?.();
    this.#ram?.close();
  }

  #powerOn({ description, model, serial, network }: SimDevice, { epochMs, directory }: SimOptions): LiveDevice {
    const pci = model.pci && new SimPciFunction(model.pci);
    this.#networks.push(network);
    if (network.pollMicros !== undefined) this.#polled.push({ peer: network, dueMicros: 0 });
    const live = named(description, () => model.create(description, {
      clock: this.#modelClock, epochMs, serial, network, directory, dma: this.#dma(description.name, pci), irq: (name) => this.#pin(description, name, pci),
      requestReset: () => this.#resetRequested(description.name),
    }));
    if (live.spaces["config"] !== undefined) pci?.addRegisters(live.spaces["config"]);
    const spaces = pci === undefined ? live.spaces : {
      ...Object.fromEntries(Object.entries(live.spaces).map(([name, space]) => [name, name.startsWith("bar") ? pci.decoded(Number(name.slice(3)), space) : space])),
      config: pci.config,
    };
    return { description, model: live, pci, spaces };
  }

  #dma(device: string, pci: SimPciFunction | undefined): DmaPort {
    if (pci === undefined || this.#iommu === undefined) return noDma;
    return this.#iommu.port(device, () => pci.busMaster);
  }

  #pin(description: DeviceDescription, name: string, pci: SimPciFunction | undefined): IrqPin {
    const number = description.irqs[name];
    if (number === undefined) return unconnected;
    const line = this.line(number);
    const source = `${description.name}.${name}`;
    const pin: IrqPin = { set: (asserted) => line.setLevel(source, asserted), pulse: () => line.pulse() };
    if (pci === undefined) return pin;
    return name === "intx" ? pci.intx(pin) : pci.message(pin);
  }

  #poll(nowMicros: number): void {
    for (const each of this.#polled) {
      if (nowMicros < each.dueMicros) continue;
      each.peer.poll?.();
      each.dueMicros = nowMicros + each.peer.pollMicros!;
    }
  }

  #found(device: string): LiveDevice {
    const found = this.#devices.get(device);
    if (found === undefined) throw new AirlockError("NotFound", `there is no device "${device}"`, { device });
    return found;
  }
}

const unconnected: IrqPin = { set: () => undefined, pulse: () => undefined };

/** A device outside of PCI reaches no memory. */
const noDma: DmaPort = { read: () => false, write: () => false };

/** What a model refuses is told with its device's name. */
function named<T>({ name }: DeviceDescription, create: () => T): T {
  try {
    return create();
  } catch (error) {
    if (!isAirlockError(error) || error.fields.device !== undefined) throw error;
    throw new AirlockError(error.code, `device "${name}": ${error.message}`, { ...error.fields, device: name }, { cause: error });
  }
}
