/** A class's part of a driver's DMA memory, as its shadow uses it. */
import type { DmaMapping } from "../bus/iommu.ts";
import type { RamAccess } from "../bus/ram.ts";
import type { DmaBuffers } from "../classes/shadow.ts";
import { holdsBuffers } from "../io-manager/dma-memory.ts";

/** The region that is the class's; undefined when there is none. */
export function classBuffers(mappings: readonly DmaMapping[], ram: RamAccess | undefined): DmaBuffers | undefined {
  const region = mappings.find(holdsBuffers);
  if (region === undefined || ram === undefined) return undefined;
  const { iova, sizeBytes, ramOffset } = region;
  const check = (offset: number, length: number): void => {
    if (!(Number.isInteger(offset) && offset >= 0 && offset + length <= sizeBytes)) throw new RangeError(`${length} bytes at ${offset} are outside of the buffers' ${sizeBytes}`);
  };
  return {
    iova, sizeBytes,
    write: (offset, bytes) => { check(offset, bytes.length); ram.write(ramOffset + offset, bytes); },
    read: (offset, into) => { check(offset, into.length); ram.read(ramOffset + offset, into); },
  };
}
