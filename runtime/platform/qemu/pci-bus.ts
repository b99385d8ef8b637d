/** QEMU's PCI bus 0 with the described devices on it, behind the IOMMU: what the backend asks for DMA, messages and resets. */
import type { DeviceDescription } from "../../bus/device.ts";
import type { DmaFault, IommuDomain } from "../../bus/iommu.ts";
import type { RamAccess } from "../../bus/ram.ts";
import type { RegisterSpace } from "../../bus/register-space.ts";
import { firstFreeOffset, tablesOffset } from "./memory-map.ts";
import { QemuPciFunction } from "./pci-function.ts";
import type { PortAccess } from "./pci-probe.ts";
import type { Quirks } from "./quirks.ts";
import { TableMemory } from "./table-memory.ts";
import { VtdDomain } from "./vtd-domain.ts";
import { type MemoryPort, VtdUnit } from "./vtd-unit.ts";

/** Called with the resource name of an interrupt: "msix0". */
export type MessageListener = (device: string, irq: string) => void;

export class QemuPciBus {
  readonly #ram: RamAccess;
  readonly #pages: TableMemory;
  readonly #unit: VtdUnit;
  readonly #functions = new Map<string, QemuPciFunction>();
  readonly #withMessages: readonly QemuPciFunction[];
  readonly #domains = new Map<string, VtdDomain>();
  readonly #listener: MessageListener;

  /**
   * Translation is on before any function may master the bus.
   * @throws AirlockError PlatformUnavailable when the bus is not what the descriptions say
   */
  constructor(
    connection: PortAccess & MemoryPort, ram: RamAccess, devices: readonly DeviceDescription[], quirks: Pick<Quirks, "rests" | "actual">, listener: MessageListener,
  ) {
    this.#ram = ram;
    this.#listener = listener;
    this.#pages = new TableMemory(ram, tablesOffset, firstFreeOffset);
    this.#unit = new VtdUnit(connection, this.#pages);
    for (const device of devices) {
      const rests = quirks.rests.filter((rest) => rest.device === device.name);
      const actual = quirks.actual.find((one) => one.device === device.name)?.identity ?? {};
      this.#functions.set(device.name, new QemuPciFunction(device, connection, this.#pages, rests, actual));
    }
    this.#withMessages = [...this.#functions.values()].filter(({ messages }) => messages !== undefined);
  }

  has(device: string): boolean {
    return this.#functions.has(device);
  }

  /** Whether any device may reach memory now. */
  get inUse(): boolean {
    return this.#domains.size > 0;
  }

  config(device: string): RegisterSpace | undefined {
    return this.#functions.get(device)?.config;
  }

  openDomain(device: string, fault: (fault: DmaFault) => void): IommuDomain | undefined {
    const found = this.#functions.get(device);
    if (found === undefined) return undefined;
    if (this.#domains.has(device)) this.#takeOver(device);
    const { slot, messagePage } = found;
    const domain = new VtdDomain({ device, slot, messagePage, ramBytes: this.#ram.sizeBytes, firstFreeOffset }, this.#unit, this.#pages, fault);
    this.#domains.set(device, domain);
    return {
      get isOpen() { return domain.isOpen; },
      map: (mapping) => domain.map(mapping),
      unmap: (iova, sizeBytes) => domain.unmap(iova, sizeBytes),
      close: () => {
        if (!domain.isOpen) return;
        // Faults that happened until now are this domain's.
        this.pollFaults();
        domain.close();
        this.#domains.delete(device);
      },
    };
  }

  /** The device's last driver was given up without being torn down. */
  #takeOver(device: string): void {
    this.setBusMaster(device, false);
    this.resetDevice(device);
    this.pollFaults();
    this.#domains.get(device)?.close();
    this.#domains.delete(device);
  }

  setBusMaster(device: string, on: boolean): void {
    this.#functions.get(device)?.setBusMaster(on);
  }

  resetDevice(device: string): void {
    this.#functions.get(device)?.reset();
  }

  /** Tells of messages that have arrived. Faults first: a device may say that it is done with what was blocked. */
  pollMessages(): boolean {
    let arrived = false;
    for (const { device, messages } of this.#withMessages) {
      for (const vector of messages!.take()) {
        if (!arrived) this.pollFaults();
        arrived = true;
        this.#listener(device, `msix${vector}`);
      }
    }
    return arrived;
  }

  /** One register read when there is nothing. A fault of a device without a domain is nobody's. */
  pollFaults(): void {
    for (const fault of this.#unit.takeFaults()) {
      for (const { device, slot } of this.#functions.values()) if (slot === fault.slot) this.#domains.get(device)?.blocked(fault);
    }
  }

  /** Faults that were lost, of any device. */
  get faultOverflows(): number {
    return this.#unit.overflows;
  }

  close(): void {
    this.#ram.close();
  }
}
