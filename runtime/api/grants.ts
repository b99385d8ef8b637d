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
}

/** One interrupt line. */
export interface IrqGrant {
  readonly name: string;
}

/** Everything a driver instance starts with. The index of a window or line is its handle at the bridge. */
export interface DriverSetup {
  /** The driver's name in the machine file; also the holder of its capabilities. */
  readonly driver: string;
  readonly windows: readonly WindowGrant[];
  readonly irqs: readonly IrqGrant[];
  /** Hard limit of the sandbox's memory. */
  readonly memoryBytes: number;
  /** The `options` of this driver in the machine file. */
  readonly options: Readonly<Record<string, string | number | boolean>>;
}
