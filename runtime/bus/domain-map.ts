/** What a domain maps: the ranges of one driver's DMA address space, checked as they come and found by address. */
import { AirlockError } from "../api/errors.ts";
import { type DmaMapping, dmaPageBytes } from "./iommu.ts";

/** Ranges of one domain; a driver has a few regions, each mapped whole. */
const maxMappings = 256;

/** Addresses of a domain: what the narrowest devices here reach with 32 bits. */
export const domainBytes = 2 ** 32;

/** The books of one domain, the same on every platform. Enforcing them is the platform's. */
export class DomainMap {
  readonly #ramBytes: number;
  /** In order of their addresses. */
  #mappings: DmaMapping[] = [];

  constructor(ramBytes: number) {
    this.#ramBytes = ramBytes;
  }

  get mappings(): readonly DmaMapping[] {
    return this.#mappings;
  }

  /** @throws AirlockError InvalidArgument when it is not whole pages, overlaps another, or leaves the domain or the RAM */
  add(mapping: DmaMapping): void {
    const reason = this.#refusal(mapping);
    if (reason !== undefined) throw new AirlockError("InvalidArgument", `DMA mapping "${mapping.name}": ${reason}`, { capability: mapping.name });
    this.#mappings = [...this.#mappings, mapping].sort((a, b) => a.iova - b.iova);
  }

  /** Takes away the mappings that lie within the range; those that were there. @throws AirlockError InvalidArgument when one lies partly within it */
  remove(iova: number, sizeBytes: number): readonly DmaMapping[] {
    const end = iova + sizeBytes;
    const touched = this.#mappings.filter((one) => one.iova < end && iova < one.iova + one.sizeBytes);
    const partly = touched.find((one) => one.iova < iova || one.iova + one.sizeBytes > end);
    if (partly !== undefined) throw new AirlockError("InvalidArgument", `DMA mapping "${partly.name}" can only be unmapped whole`, { capability: partly.name });
    this.#mappings = this.#mappings.filter((one) => !touched.includes(one));
    return touched;
  }

  /** The mapping that holds all of the range and allows that; undefined when there is none. */
  find(iova: number, sizeBytes: number, direction: "read" | "write"): DmaMapping | undefined {
    for (const one of this.#mappings) {
      if (iova >= one.iova && iova + sizeBytes <= one.iova + one.sizeBytes) {
        return one.rights === "readwrite" || one.rights === direction ? one : undefined;
      }
    }
    return undefined;
  }

  #refusal({ iova, ramOffset, sizeBytes }: DmaMapping): string | undefined {
    const isPages = (value: number): boolean => Number.isSafeInteger(value) && value >= 0 && value % dmaPageBytes === 0;
    if (!isPages(iova) || !isPages(ramOffset) || !isPages(sizeBytes) || sizeBytes === 0) return `not whole pages of ${dmaPageBytes} bytes`;
    if (iova === 0) return "address 0 stays unmapped, so that a forgotten address is noticed";
    if (iova + sizeBytes > domainBytes) return "it leaves the domain's 4 GiB of addresses";
    if (ramOffset + sizeBytes > this.#ramBytes) return "it leaves the platform's RAM";
    if (this.#mappings.length >= maxMappings) return `a domain has at most ${maxMappings} mappings`;
    const other = this.#mappings.find((one) => one.iova < iova + sizeBytes && iova < one.iova + one.sizeBytes);
    return other === undefined ? undefined : `it overlaps "${other.name}"`;
  }
}
