/** DMA memory: where each driver's regions lie in its IOMMU domain, and which pages of the platform's RAM they are. */
import { AirlockError } from "../api/errors.ts";
import { type DmaMapping, dmaPageBytes } from "../bus/iommu.ts";
import type { RamHandle } from "../bus/ram.ts";
import type { Manifest } from "../machine/manifest-schema.ts";

/** A region of a driver before it has a place in RAM. */
export type DmaPlan = Omit<DmaMapping, "ramOffset">;

/** First address of every domain. Below it nothing is mapped, so that small numbers taken for addresses fault. */
const firstIova = 0x10_0000;

/** Unmapped addresses between regions: a device that runs over an end faults at once. */
const guardBytes = dmaPageBytes;

/**
 * The regions of a package's domain in the order of its manifest, page-aligned. The device may read and write all of them. An
 * alternative is given the plan of the package it replaces: its class's buffers stay what and where they are, since the shadow does.
 */
export function planDma({ needs }: Manifest, replaced: readonly DmaPlan[] = []): readonly DmaPlan[] {
  const buffers = replaced.find(holdsBuffers);
  let iova = replaced.reduce((end, plan) => Math.max(end, plan.iova + plan.sizeBytes + guardBytes), firstIova);
  return Object.entries(needs.dma).map(([name, { size, use, visible }]) => {
    const buffersOf = (plan: DmaPlan): DmaPlan => ({ ...plan, guest: visible === true, ...(visible === true && { isBuffers: true }) });
    if (use === "buffers" && buffers !== undefined) return buffersOf({ name, iova: buffers.iova, sizeBytes: buffers.sizeBytes, rights: buffers.rights, guest: false });
    const sizeBytes = Math.ceil(size / dmaPageBytes) * dmaPageBytes;
    const plan: DmaPlan = { name, iova, sizeBytes, rights: "readwrite", guest: use === "driver" };
    iova += sizeBytes + guardBytes;
    return use === "buffers" ? buffersOf(plan) : plan;
  });
}

/** Whether a region is its class's, where requests' data are; the driver may see it only when its package asked for that. */
export function holdsBuffers({ guest, isBuffers }: Pick<DmaPlan, "guest" | "isBuffers">): boolean {
  return !guest || isBuffers === true;
}

/** Hands out pages of the platform's RAM, each once: a driver keeps its pages over all its generations. */
export class RamPages {
  readonly #ram: RamHandle | undefined;
  #next: number;

  constructor(ram: RamHandle | undefined) {
    this.#ram = ram;
    this.#next = ram?.firstFreeOffset ?? 0;
  }

  /**
   * Places an alternative's class buffers on the pages of the package that it replaces.
   * @throws AirlockError PlatformUnavailable when the platform has no memory for it
   */
  place(driver: string, plans: readonly DmaPlan[], replaced: readonly DmaMapping[] = []): readonly DmaMapping[] {
    const buffers = replaced.find(holdsBuffers);
    return plans.map((plan) => {
      if (holdsBuffers(plan) && buffers !== undefined) return { ...plan, ramOffset: buffers.ramOffset };
      const ramOffset = this.#next;
      const end = ramOffset + plan.sizeBytes;
      if (this.#ram === undefined || end > this.#ram.sizeBytes) {
        const has = this.#ram === undefined ? "has no memory for DMA" : `has ${this.#ram.sizeBytes} bytes of memory, which other drivers hold`;
        throw new AirlockError("PlatformUnavailable", `driver "${driver}" needs ${plan.sizeBytes} bytes of DMA memory "${plan.name}", but the platform ${has}`, { driver });
      }
      this.#next = end;
      return { ...plan, ramOffset };
    });
  }
}
