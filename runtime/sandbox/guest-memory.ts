/** The guest's DMA memory on the trusted side: the same for every tier once its pages are laid, or its bytes found. */
import { AirlockError } from "../api/errors.ts";

/** One region as a tier has it. */
export interface GuestBytes {
  readonly sizeBytes: number;
  /** The guest's bytes, found anew at each call because a guest's memory moves when it grows; undefined when the device has the same pages. */
  readonly bytes: ((offset: number, sizeBytes: number) => Uint8Array) | undefined;
}

/** Performs sync calls, whose arguments a guest chose. */
export class GuestMemory {
  readonly #regions: readonly GuestBytes[];

  constructor(regions: readonly GuestBytes[]) {
    this.#regions = regions;
  }

  /** Whether the device has the same pages. @throws AirlockError CapabilityViolation for a region that is not granted */
  isShared(region: number): boolean {
    return this.#region(region).bytes === undefined;
  }

  /**
   * Calls `copy` when there is something to copy.
   * @throws AirlockError CapabilityViolation for a region that is not granted or a range outside of it
   */
  sync(region: number, offset: number, sizeBytes: number, copy: (bytes: Uint8Array) => void): void {
    const found = this.#region(region);
    const isWithin = Number.isInteger(offset) && Number.isInteger(sizeBytes) && offset >= 0 && sizeBytes >= 0 && offset + sizeBytes <= found.sizeBytes;
    if (!isWithin) {
      const what = `sync of ${sizeBytes} bytes at ${offset} of DMA memory number ${region}, which has ${found.sizeBytes}`;
      throw new AirlockError("CapabilityViolation", what, { capability: `dma ${region}`, reason: "bounds", offset: Number(offset) });
    }
    if (found.bytes !== undefined && sizeBytes > 0) copy(found.bytes(offset, sizeBytes));
  }

  #region(region: number): GuestBytes {
    const found = this.#regions[region];
    if (found === undefined) throw new AirlockError("CapabilityViolation", `there is no DMA memory number ${region}`, { capability: `dma ${region}`, reason: "handle" });
    return found;
  }
}
