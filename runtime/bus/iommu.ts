/** IOMMU domains: one driver's DMA address space. What a domain does not map, its device does not reach. */
import type { Rights } from "../api/grants.ts";

/** Pages are of one size everywhere: that of VT-d and of the processors Airlock runs on. */
export const dmaPageBytes = 4_096;

/** One range of a domain: `sizeBytes` at `iova` are the RAM from `ramOffset`. All three are multiples of `dmaPageBytes`. */
export interface DmaMapping {
  readonly name: string;
  readonly iova: number;
  readonly ramOffset: number;
  readonly sizeBytes: number;
  /** What the device may do. */
  readonly rights: Rights;
  /** Whether the driver itself may touch it; the class's buffers are for the device alone. */
  readonly guest: boolean;
  /** True for the class's buffers where the driver may touch them too. */
  readonly isBuffers?: boolean;
}

/** A blocked access of a device. */
export interface DmaFault {
  readonly device: string;
  readonly iova: number;
  readonly direction: "read" | "write";
  /** Bytes of the access where the IOMMU says so; 0 where it does not. */
  readonly sizeBytes: number;
}

/** The domain of one device, enforced by the platform. Synchronous; only the hardware's thread has one. */
export interface IommuDomain {
  /** @throws AirlockError InvalidArgument when it overlaps what is mapped, is not aligned, or leaves the platform's RAM */
  map(mapping: DmaMapping): void;
  /** When it returns the device cannot reach the range any more, whatever the IOMMU had cached. */
  unmap(iova: number, sizeBytes: number): void;
  /** Unmaps everything; from now on all of the device's DMA is blocked. Idempotent. */
  close(): void;
  /** False once it was closed, or another domain was opened for its device. */
  readonly isOpen: boolean;
}
