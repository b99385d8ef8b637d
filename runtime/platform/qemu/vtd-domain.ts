/** One device's IOMMU domain on QEMU: the books of every platform, enforced by VT-d tables. */
import { AirlockError } from "../../api/errors.ts";
import { DomainMap } from "../../bus/domain-map.ts";
import { type DmaFault, type DmaMapping, type IommuDomain, dmaPageBytes } from "../../bus/iommu.ts";
import { interruptRange, messageIova } from "./memory-map.ts";
import type { TableMemory } from "./table-memory.ts";
import { VtdTables } from "./vtd-tables.ts";
import type { VtdFault, VtdUnit } from "./vtd-unit.ts";

/** Faults reported of one domain; the first already ends the driver, more would only be a flood. */
const maxReports = 16;

export interface DomainSetup {
  readonly device: string;
  readonly slot: number;
  readonly ramBytes: number;
  /** First byte that may be mapped: below are the tables themselves. */
  readonly firstFreeOffset: number;
  /** The page that the device's messages go to; undefined for a device without. */
  readonly messagePage: number | undefined;
}

export class VtdDomain implements IommuDomain {
  readonly #setup: DomainSetup;
  readonly #unit: VtdUnit;
  readonly #tables: VtdTables;
  readonly #map: DomainMap;
  readonly #fault: (fault: DmaFault) => void;
  #reports = 0;
  #isOpen = true;

  constructor(setup: DomainSetup, unit: VtdUnit, memory: TableMemory, fault: (fault: DmaFault) => void) {
    this.#setup = setup;
    this.#unit = unit;
    this.#fault = fault;
    this.#map = new DomainMap(setup.ramBytes);
    this.#tables = new VtdTables(memory);
    try {
      if (setup.messagePage !== undefined) this.#tables.map(messageIova, setup.messagePage, dmaPageBytes, "write");
      unit.attach(setup.slot, this.#tables.root);
    } catch (error) {
      this.#tables.release();
      throw error;
    }
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  map(mapping: DmaMapping): void {
    if (!this.#isOpen) throw new AirlockError("Closed", "the domain is closed");
    const { name, iova, ramOffset, sizeBytes, rights } = mapping;
    const reserved = [{ first: messageIova, sizeBytes: dmaPageBytes }, interruptRange].some((one) => iova < one.first + one.sizeBytes && one.first < iova + sizeBytes);
    if (reserved) throw new AirlockError("InvalidArgument", `DMA mapping "${name}": 0x${iova.toString(16)} is where the device's interrupts go`, { capability: name });
    if (ramOffset < this.#setup.firstFreeOffset) {
      throw new AirlockError("InvalidArgument", `DMA mapping "${name}": RAM below 0x${this.#setup.firstFreeOffset.toString(16)} is the platform's own`, { capability: name });
    }
    this.#map.add(mapping);
    try {
      this.#tables.map(iova, ramOffset, sizeBytes, rights);
    } catch (error) {
      this.#map.remove(iova, sizeBytes);
      throw error;
    }
    // An entry that was not present is not cached (VT-d 6.1, caching mode off): there is nothing to invalidate.
  }

  unmap(iova: number, sizeBytes: number): void {
    for (const mapping of this.#map.remove(iova, sizeBytes)) this.#tables.unmap(mapping.iova, mapping.sizeBytes);
    if (this.#isOpen) this.#unit.invalidateDomain(this.#setup.slot);
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#unit.detach(this.#setup.slot);
    this.#tables.release();
  }

  blocked({ iova, direction }: VtdFault): void {
    if (!this.#isOpen || this.#reports >= maxReports) return;
    this.#reports++;
    this.#fault({ device: this.#setup.device, iova, direction, sizeBytes: 0 });
  }
}
