/** What a driver is told about its grants: names and sizes, never addresses. Plain data that crosses any border. */

export type AccessWidth = 8 | 16 | 32;
export type Rights = "read" | "write" | "readwrite";

/** One register window: a granted port range or MMIO window. Offsets are relative to it. */
export interface WindowGrant {
  readonly name: string;
  readonly sizeBytes: number;
  readonly rights: Rights;
  /** Access widths in bits that the device decodes here. */
  readonly widths: readonly AccessWidth[];
  /** True for a port range, which its drivers reach by port instructions elsewhere. */
  readonly isPorts?: boolean;
}

/** One interrupt line. */
export interface IrqGrant {
  readonly name: string;
}

/** DMA memory of the driver's own, in its IOMMU domain. */
export interface DmaGrant {
  readonly name: string;
  /** Where the device finds it: an address of the driver's own IOMMU domain, page-aligned. */
  readonly iova: number;
  /** Whole pages of 4096 bytes. */
  readonly sizeBytes: number;
  /** True for the class's buffers, where the package asked to see them. */
  readonly isBuffers?: boolean;
}

/** Everything a driver instance starts with. The index of a window or line is its handle at the bridge. */
export interface DriverSetup {
  /** The driver's name in the machine file; also the holder of its capabilities. */
  readonly driver: string;
  readonly windows: readonly WindowGrant[];
  readonly irqs: readonly IrqGrant[];
  /** Memory that both the driver and its device reach. The class's buffers are among it only where the package asks for that. */
  readonly dma: readonly DmaGrant[];
  /** Hard limit of the sandbox's memory. */
  readonly memoryBytes: number;
  /** The `options` of this driver in the machine file. */
  readonly options: Readonly<Record<string, string | number | boolean>>;
}
