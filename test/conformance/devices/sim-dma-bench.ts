/** The DMA bench on our own models, under a virtual clock and behind an IOMMU of the bench's own. */
import { tmpdir } from "node:os";
import { expect } from "vitest";
import { VirtualClock } from "../../../runtime/api/clock.ts";
import type { Rights } from "../../../runtime/api/grants.ts";
import type { DeviceDescription, DeviceWindow, DmaPort, Model, ModelDefinition, ModelEnvironment } from "../../../runtime/bus/device.ts";
import { type DmaFault, dmaPageBytes } from "../../../runtime/bus/iommu.ts";
import type { NetworkPeer, NetworkWire } from "../../../runtime/bus/network-peer.ts";
import type { DmaBenchFactory, DmaBlock, DmaDeviceBench } from "./dma-bench.ts";

export interface SimDmaSettings {
  /** Options of the device; those of `open` come on top. */
  readonly options?: DeviceDescription["options"];
  /** False: MSI-X stays off, and the device uses its INTx pin. Default: on where the model has it. */
  readonly msix?: boolean;
  /** Where a model that keeps its contents in a file finds it. */
  readonly directory?: string;
  /** Called inside each message, as a driver in the device's own thread would be. */
  readonly onMessage?: (name: string) => void;
}

/** A factory of benches around a model. */
export function simDmaBench(definition: ModelDefinition, settings: SimDmaSettings = {}): DmaBenchFactory {
  return {
    platform: "sim", differences: new Set(),
    open: (options = {}) => openSimDma(definition, { ...settings, options: { ...settings.options, ...options } }).bench,
  };
}

/** A bench together with the model and the clock it runs on, for unit tests that look closer than a suite may. */
export interface SimDmaWorld {
  readonly bench: DmaDeviceBench;
  readonly model: Model;
  readonly clock: VirtualClock;
  readonly memory: DmaMemory;
}

export function openSimDma(definition: ModelDefinition, settings: SimDmaSettings = {}): SimDmaWorld {
  const clock = new VirtualClock();
  const memory = new DmaMemory("device");
  const cable = new Cable();
  const levels = new Map<string, boolean>();
  const messages = new Map<string, number>();
  let resets = 0;
  const environment: ModelEnvironment = {
    clock, epochMs: 0, serial: { connect: () => undefined, receive: () => undefined, outputs: () => undefined },
    network: cable, dma: memory, requestReset: () => { resets++; }, directory: settings.directory ?? tmpdir(),
    irq: (name) => ({
      set: (asserted) => levels.set(name, asserted),
      pulse: () => {
        messages.set(name, (messages.get(name) ?? 0) + 1);
        settings.onMessage?.(name);
      },
    }),
  };
  const model = definition.create(describeDevice(definition, settings), environment);
  const space = (window: string): NonNullable<(typeof model.spaces)[string]> => {
    const found = model.spaces[window];
    if (found === undefined) throw new Error(`the model of ${definition.compatible[0]} has no window "${window}"`);
    return found;
  };
  const bench: DmaDeviceBench = {
    read: (window, offset, width) => space(window).read(offset, width),
    write: (window, offset, width, value) => space(window).write(offset, width, value),
    allocate: (sizeBytes, rights) => memory.allocate(sizeBytes, rights),
    readMemory: (iova, sizeBytes) => memory.peek(iova, sizeBytes),
    writeMemory: (iova, bytes) => memory.poke(iova, bytes),
    unmap: (block) => memory.unmap(block),
    takeFaults: () => memory.faults.splice(0),
    messages: (name) => messages.get(name) ?? 0,
    irqLevel: (name) => levels.get(name) ?? false,
    resetRequests: () => resets,
    advanceMicros: (micros) => clock.advance(micros),
    until: (condition, what) => until(clock, condition, what),
    sendToDevice: (frame) => { cable.wire?.send(frame); },
    takeFromDevice: () => cable.received.splice(0),
    setCarrier: (up) => cable.wire?.setCarrier(up),
    ...(model.powerCut === undefined ? {} : { powerCut: () => model.powerCut!() }),
    close: () => {
      model.reset();
      expect(clock.pending).toBe(0);
      expect([...levels.values()].every((level) => !level)).toBe(true);
    },
  };
  return { bench, model, clock, memory };
}

/** What a platform would make of the model's identity: a window per base address register, an interrupt per pin or vector. */
function describeDevice({ compatible, pci }: ModelDefinition, { options = {}, msix = true }: SimDmaSettings): DeviceDescription {
  const windows: Record<string, DeviceWindow> = {};
  let base = 0xe000_0000;
  for (const bar of pci?.bars ?? []) {
    windows[`bar${bar.index}`] = { kind: bar.kind, base, sizeBytes: bar.sizeBytes, widths: [8, 16, 32] };
    base += Math.max(bar.sizeBytes, dmaPageBytes);
  }
  const irqs: Record<string, number> = {};
  if (pci?.msix !== undefined && msix) for (let vector = 0; vector < pci.msix.vectors; vector++) irqs[`msix${vector}`] = 64 + vector;
  else if (pci !== undefined && pci.interruptPin !== 0) irqs["intx"] = 20;
  return { name: "device", compatible, windows, irqs, options, ...(pci === undefined ? {} : { pci: { address: "00:04.0", identity: pci } }) };
}

/** Steps the device's timers until the condition holds; 10 s of device time at most. */
async function until(clock: VirtualClock, condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadlineMicros = clock.nowMicros() + 10e6;
  while (!(await condition())) {
    if (!clock.step(deadlineMicros)) throw new Error(`did not happen within 10 s of device time: ${what}`);
  }
}

interface Page {
  readonly bytes: Uint8Array;
  readonly rights: Rights;
}

/** Memory by pages of one IOMMU domain; also the test's own way to it, which knows no rights. */
export class DmaMemory implements DmaPort {
  readonly faults: DmaFault[] = [];
  readonly #device: string;
  readonly #pages = new Map<number, Page>();
  /** Bytes stay readable for the test after `unmap`: it looks whether they changed. */
  readonly #all = new Map<number, Uint8Array>();
  #next = 0x10_0000;

  constructor(device: string) {
    this.#device = device;
  }

  allocate(sizeBytes: number, rights: Rights = "readwrite"): DmaBlock {
    const pages = Math.ceil(sizeBytes / dmaPageBytes);
    const iova = this.#next;
    // One page between blocks stays unmapped, so that a device that runs over an end is caught.
    this.#next += (pages + 1) * dmaPageBytes;
    const block = new Uint8Array(pages * dmaPageBytes);
    for (let page = 0; page < pages; page++) {
      const bytes = block.subarray(page * dmaPageBytes, (page + 1) * dmaPageBytes);
      this.#pages.set(iova / dmaPageBytes + page, { bytes, rights });
      this.#all.set(iova / dmaPageBytes + page, bytes);
    }
    return { iova, sizeBytes: pages * dmaPageBytes };
  }

  unmap({ iova, sizeBytes }: DmaBlock): void {
    for (let page = 0; page < sizeBytes / dmaPageBytes; page++) this.#pages.delete(iova / dmaPageBytes + page);
  }

  read(iova: number, into: Uint8Array): boolean {
    return this.#transfer(iova, into, "read");
  }

  write(iova: number, from: Uint8Array): boolean {
    return this.#transfer(iova, from, "write");
  }

  peek(iova: number, sizeBytes: number): Uint8Array {
    const into = new Uint8Array(sizeBytes);
    each(iova, sizeBytes, (page, at, from, to) => into.set(this.#own(page).subarray(at, at + to - from), from));
    return into;
  }

  poke(iova: number, bytes: Uint8Array): void {
    each(iova, bytes.length, (page, at, from, to) => this.#own(page).set(bytes.subarray(from, to), at));
  }

  #own(page: number): Uint8Array {
    const bytes = this.#all.get(page);
    if (bytes === undefined) throw new Error(`the test has no memory at 0x${(page * dmaPageBytes).toString(16)}`);
    return bytes;
  }

  /** All or nothing, as the interface says. */
  #transfer(iova: number, bytes: Uint8Array, direction: "read" | "write"): boolean {
    let allowed = true;
    each(iova, bytes.length, (page, at) => {
      const rights = this.#pages.get(page)?.rights;
      if (!allowed || rights === "readwrite" || rights === direction) return;
      allowed = false;
      this.faults.push({ device: this.#device, iova: page * dmaPageBytes + at, direction, sizeBytes: bytes.length });
    });
    if (!allowed) return false;
    each(iova, bytes.length, (page, at, from, to) => {
      const own = this.#pages.get(page)!.bytes;
      if (direction === "read") bytes.set(own.subarray(at, at + to - from), from);
      else own.set(bytes.subarray(from, to), at);
    });
    return true;
  }
}

/** Calls `part` for each page of a range: its number, the offset in it, and which bytes of the range lie there. */
function each(iova: number, sizeBytes: number, part: (page: number, at: number, from: number, to: number) => void): void {
  for (let from = 0; from < sizeBytes;) {
    const page = Math.floor((iova + from) / dmaPageBytes);
    const at = iova + from - page * dmaPageBytes;
    const to = Math.min(sizeBytes, from + dmaPageBytes - at);
    part(page, at, from, to);
    from = to;
  }
}

/** A far end that is there from the start and keeps what it gets. What it sends may be lost, as on a real wire. */
class Cable implements NetworkPeer {
  readonly received: Uint8Array[] = [];
  wire: NetworkWire | undefined;

  connect(wire: NetworkWire): void {
    this.wire = wire;
    wire.setCarrier(true);
  }

  receive(frame: Uint8Array): void {
    this.received.push(frame.slice());
  }
}
