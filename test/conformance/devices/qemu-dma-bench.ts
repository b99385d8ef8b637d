/** The DMA bench on QEMU's own PCI devices: the QEMU backend used in this thread, its clock stepped by hand. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import path from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { VirtualClock } from "../../../runtime/api/clock.ts";
import type { AccessWidth, Rights } from "../../../runtime/api/grants.ts";
import type { DeviceDescription } from "../../../runtime/bus/device.ts";
import type { HardwareBackend } from "../../../runtime/bus/hardware-backend.ts";
import { type DmaFault, type DmaMapping, type IommuDomain, dmaPageBytes } from "../../../runtime/bus/iommu.ts";
import type { IrqBinding } from "../../../runtime/bus/irq-line.ts";
import type { RamAccess } from "../../../runtime/bus/ram.ts";
import type { RegisterSpace } from "../../../runtime/bus/register-space.ts";
import { openRam } from "../../../runtime/native/ram.ts";
import { openConnector } from "../../../runtime/platform/qemu/connector.ts";
import { describeDevices } from "../../../runtime/platform/qemu/describe.ts";
import { createQemuBackend } from "../../../runtime/platform/qemu/qemu-backend.ts";
import { QemuProcess } from "../../../runtime/platform/qemu/qemu-process.ts";
import { StreamFrames } from "../../../runtime/platform/qemu/stream-frames.ts";
import type { DmaBenchFactory, DmaBlock, DmaDeviceBench, DmaDifference } from "./dma-bench.ts";

/** Real time a condition may take: QEMU's disks and sockets work in real time. */
const untilMs = 10_000;

/** Turns of QEMU's event loop until what it has on a socket or in a queue of its own is done. */
const settlingTurns = 4;

/** Device time passed while waiting for a condition: interrupt delays of a card, each turn. */
const untilStepMicros = 100;

/** First address given to devices; not 0, so that a forgotten address is noticed. */
const firstIova = 0x10_0000;

/** A device at 00:04.0; `options` of the factory's `open` come on top of these. */
export function qemuDmaBench(compatible: string, differences: readonly DmaDifference[], base: DeviceDescription["options"] = {}): DmaBenchFactory {
  return {
    platform: "qemu", differences: new Set(differences),
    open: (options = {}) => openQemu({ name: "device", compatible: [compatible], windows: {}, irqs: {}, pci: { address: "00:04.0" }, options: { ...base, ...options } }),
  };
}

async function openQemu(description: DeviceDescription): Promise<DmaDeviceBench> {
  const devices = await describeDevices([description]);
  const qemu = await QemuProcess.start({ devices, epochMs: 0 });
  const clock = new VirtualClock();
  try {
    const connector = qemu.connectors[0];
    // With another peer the cable is taken.
    const socket = connector?.peer === "none" ? await openConnector(connector) : undefined;
    const backend = createQemuBackend({ ...qemu.setup, minStepMicros: 0, maxLateMicros: Infinity }, clock);
    const received: Uint8Array[] = [];
    const wire = socket && new StreamFrames(socket, (frame) => received.push(frame));
    return new QemuDmaBench(qemu, backend, clock, devices[0]!, wire && { send: (frame) => assert.equal(wire.send(frame), true), received, end: () => socket.destroy() });
  } catch (error) {
    await qemu.close();
    throw error;
  }
}

interface Wire {
  send(frame: Uint8Array): void;
  readonly received: Uint8Array[];
  end(): void;
}

type MappedPart = Pick<DmaMapping, "iova" | "ramOffset" | "sizeBytes" | "rights">;

class QemuDmaBench implements DmaDeviceBench {
  readonly #qemu: QemuProcess;
  readonly #backend: HardwareBackend;
  readonly #clock: VirtualClock;
  readonly #ram: RamAccess;
  readonly #domain: IommuDomain;
  readonly #wire: Wire | undefined;
  readonly #faults: DmaFault[] = [];
  readonly #messages = new Map<string, number>();
  /** Delivered, and acked outside of the delivery, as a driver does. */
  readonly #unacked: IrqBinding[] = [];
  readonly #blocks: { iova: number; ramOffset: number; sizeBytes: number }[] = [];
  #mapped: MappedPart[] = [];
  #nextIova = firstIova;
  #nextOffset: number;
  #resetRequests = 0;
  sendToDevice?: (frame: Uint8Array) => Promise<void>;
  takeFromDevice?: () => Promise<readonly Uint8Array[]>;
  setCarrier?: (up: boolean) => Promise<void>;

  constructor(qemu: QemuProcess, backend: HardwareBackend, clock: VirtualClock, description: DeviceDescription, wire: Wire | undefined) {
    this.#qemu = qemu;
    this.#backend = backend;
    this.#clock = clock;
    this.#ram = openRam(qemu.setup.ram!);
    this.#nextOffset = qemu.setup.ram!.firstFreeOffset;
    this.#wire = wire;
    this.#domain = backend.openDomain("device", (fault) => this.#faults.push(fault))!;
    for (const name of Object.keys(description.irqs)) if (name.startsWith("msix")) this.#listen(name);
    backend.setBusMaster("device", true);
    qemu.onResetRequest((name) => {
      assert.equal(name, "device");
      this.#resetRequests++;
    });
    this.#settle();
    if (wire === undefined) return;
    this.sendToDevice = async (frame) => {
      wire.send(frame);
      await turn();
      this.#settle();
    };
    this.setCarrier = async (up) => {
      await qemu.setLink("device", up);
      this.#settle();
    };
    this.takeFromDevice = async () => {
      this.#settle();
      for (let count = 0; count < 2; count++) await turn();
      return wire.received.splice(0);
    };
  }

  read(window: string, offset: number, width: AccessWidth): number {
    const value = this.#space(window).read(offset, width);
    this.#settle();
    return value;
  }

  write(window: string, offset: number, width: AccessWidth, value: number): void {
    this.#space(window).write(offset, width, value);
    this.#settle();
  }

  allocate(sizeBytes: number, rights: Rights = "readwrite"): DmaBlock {
    const whole = Math.ceil(sizeBytes / dmaPageBytes) * dmaPageBytes;
    const block = { iova: this.#nextIova, ramOffset: this.#nextOffset, sizeBytes: whole };
    this.#map({ ...block, rights });
    // One page between blocks stays unmapped, so that a device that runs over an end is caught.
    this.#nextIova += whole + dmaPageBytes;
    this.#nextOffset += whole;
    this.#blocks.push(block);
    return { iova: block.iova, sizeBytes: whole };
  }

  readMemory(iova: number, sizeBytes: number): Uint8Array {
    const bytes = new Uint8Array(sizeBytes);
    this.#ram.read(this.#offset(iova, sizeBytes), bytes);
    return bytes;
  }

  writeMemory(iova: number, bytes: Uint8Array): void {
    this.#ram.write(this.#offset(iova, bytes.length), bytes);
  }

  /** A domain unmaps what was mapped, whole; of a block that goes in part the rest is mapped again. */
  unmap({ iova, sizeBytes }: DmaBlock): void {
    const end = iova + sizeBytes;
    const touched = this.#mapped.filter((one) => one.iova < end && iova < one.iova + one.sizeBytes);
    this.#mapped = this.#mapped.filter((one) => !touched.includes(one));
    for (const one of touched) {
      this.#domain.unmap(one.iova, one.sizeBytes);
      const after = one.iova + one.sizeBytes - end;
      if (one.iova < iova) this.#map({ ...one, sizeBytes: iova - one.iova });
      if (after > 0) this.#map({ ...one, iova: end, ramOffset: one.ramOffset + (end - one.iova), sizeBytes: after });
    }
  }

  takeFaults(): readonly DmaFault[] {
    this.#pollFaults();
    return this.#faults.splice(0);
  }

  messages(name: string): number {
    this.#settle();
    return this.#messages.get(name) ?? 0;
  }

  irqLevel(name: string): boolean {
    this.#settle();
    const number = this.#backend.irqNumber("device", name);
    if (number === undefined) throw new Error(`the device has no interrupt "${name}"`);
    return this.#backend.line(number).asserted;
  }

  /** QEMU tells by its control socket: it takes this thread's loop a turn to read it. */
  async resetRequests(): Promise<number> {
    for (let count = 0; count < 2; count++) await turn();
    return this.#resetRequests;
  }

  reset(): void {
    this.#backend.resetDevice("device");
    this.#settle();
  }

  advanceMicros(micros: number): void {
    this.#clock.advance(micros);
    this.#settle();
  }

  async until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
    const deadline = performance.now() + untilMs;
    while (!(await condition())) {
      if (performance.now() > deadline) throw new Error(`did not happen within ${untilMs} ms: ${what}`);
      await turn();
      this.advanceMicros(untilStepMicros);
    }
  }

  async close(): Promise<void> {
    this.#backend.setBusMaster("device", false);
    this.#domain.close();
    this.#backend.close();
    this.#ram.close();
    this.#wire?.end();
    await this.#qemu.close();
    assert.equal(this.#qemu.lost, undefined);
    assert.equal(existsSync(path.dirname(this.#qemu.fifos.commandPath)), false);
    assert.throws(() => process.kill(this.#qemu.pid!, 0), { code: "ESRCH" });
  }

  #listen(name: string): void {
    const line = this.#backend.line(this.#backend.irqNumber("device", name)!);
    const binding: IrqBinding = line.attach({
      raise: () => {
        this.#messages.set(name, (this.#messages.get(name) ?? 0) + 1);
        this.#unacked.push(binding);
      },
      storm: (perSecond) => assert.fail(`${name}: a storm of ${perSecond} per second`),
      unacked: () => assert.fail(`${name} was not acked`),
    }, { stormPerSecond: 1e9, ackMs: 1_000 });
    binding.unmask();
  }

  #map(part: MappedPart): void {
    this.#domain.map({ name: `0x${part.iova.toString(16)}`, ...part, guest: true });
    this.#mapped.push(part);
  }

  #offset(iova: number, sizeBytes: number): number {
    const block = this.#blocks.find((one) => iova >= one.iova && iova + sizeBytes <= one.iova + one.sizeBytes);
    if (block === undefined) throw new Error(`the test has no memory at 0x${iova.toString(16)}`);
    return block.ramOffset + (iova - block.iova);
  }

  #space(window: string): RegisterSpace {
    const space = this.#backend.space("device", window);
    if (space === undefined) throw new Error(`the device has no window "${window}"`);
    return space;
  }

  /** The backend looks for faults at least every 5 ms of its clock. */
  #pollFaults(): void {
    this.#clock.advance(5_000);
    this.#settle();
  }

  /** Each step of no time is a turn of QEMU's event loop. */
  #settle(): void {
    for (let count = 0; count < settlingTurns; count++) {
      this.#backend.advance();
      for (const binding of this.#unacked.splice(0)) binding.ack();
    }
  }
}
