/** The IOMMU of simulated hardware: every access of a model to memory passes through the domain of whoever drives it. */
import { AirlockError } from "../../api/errors.ts";
import type { DmaPort } from "../../bus/device.ts";
import { DomainMap } from "../../bus/domain-map.ts";
import type { DmaFault, DmaMapping, IommuDomain } from "../../bus/iommu.ts";
import type { RamAccess } from "../../bus/ram.ts";

/** Faults reported of one domain; the first already ends the driver, more would only be a flood. */
const maxReports = 16;

export class SimIommu {
  readonly #ram: RamAccess;
  readonly #units = new Map<string, DeviceUnit>();

  constructor(ram: RamAccess) {
    this.#ram = ram;
  }

  /** The device's way to memory; `isMaster` tells whether it may use it now. */
  port(device: string, isMaster: () => boolean): DmaPort {
    const unit = new DeviceUnit(device, this.#ram, isMaster);
    this.#units.set(device, unit);
    return unit;
  }

  isOpen(device: string): boolean {
    return this.#units.get(device)?.isOpen ?? false;
  }

  /** @throws AirlockError NotFound */
  open(device: string, fault: (fault: DmaFault) => void): IommuDomain {
    const unit = this.#units.get(device);
    if (unit === undefined) throw new AirlockError("NotFound", `there is no device "${device}" with DMA`, { device });
    return unit.open(fault);
  }
}

/** One device's translation. Without a domain nothing is mapped and nobody is told. */
class DeviceUnit implements DmaPort {
  readonly #device: string;
  readonly #ram: RamAccess;
  readonly #isMaster: () => boolean;
  readonly #all: Uint8Array | undefined;
  #domain: Domain | undefined;

  constructor(device: string, ram: RamAccess, isMaster: () => boolean) {
    this.#device = device;
    this.#ram = ram;
    this.#isMaster = isMaster;
    this.#all = ram.view(0, ram.sizeBytes);
  }

  get isOpen(): boolean {
    return this.#domain?.isOpen ?? false;
  }

  open(fault: (fault: DmaFault) => void): IommuDomain {
    this.#domain?.close();
    this.#domain = new Domain(this.#ram.sizeBytes, fault);
    return this.#domain;
  }

  read(iova: number, into: Uint8Array): boolean {
    const at = this.#translate(iova, into.length, "read");
    if (at < 0) return false;
    if (this.#all === undefined) this.#ram.read(at, into);
    else into.set(this.#all.subarray(at, at + into.length));
    return true;
  }

  write(iova: number, from: Uint8Array): boolean {
    const at = this.#translate(iova, from.length, "write");
    if (at < 0) return false;
    if (this.#all === undefined) this.#ram.write(at, from);
    else this.#all.set(from, at);
    return true;
  }

  /** The offset in RAM, or -1 after the fault was reported. */
  #translate(iova: number, sizeBytes: number, direction: DmaFault["direction"]): number {
    const mapping = this.#isMaster() ? this.#domain?.ranges.find(iova, sizeBytes, direction) : undefined;
    if (mapping !== undefined) return mapping.ramOffset + (iova - mapping.iova);
    this.#domain?.blocked({ device: this.#device, iova, direction, sizeBytes });
    return -1;
  }
}

class Domain implements IommuDomain {
  readonly ranges: DomainMap;
  readonly #fault: (fault: DmaFault) => void;
  #reports = 0;
  isOpen = true;

  constructor(ramBytes: number, fault: (fault: DmaFault) => void) {
    this.ranges = new DomainMap(ramBytes);
    this.#fault = fault;
  }

  map(mapping: DmaMapping): void {
    if (!this.isOpen) throw new AirlockError("Closed", "the domain is closed");
    this.ranges.add(mapping);
  }

  /** Nothing is cached here: what is not in the map any more is not translated any more. */
  unmap(iova: number, sizeBytes: number): void {
    this.ranges.remove(iova, sizeBytes);
  }

  close(): void {
    this.isOpen = false;
    for (const { iova, sizeBytes } of this.ranges.mappings) this.ranges.remove(iova, sizeBytes);
  }

  blocked(fault: DmaFault): void {
    if (!this.isOpen || this.#reports >= maxReports) return;
    this.#reports++;
    this.#fault(fault);
  }
}
