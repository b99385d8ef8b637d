/** What a platform puts behind the virtual buses, in the hardware's own thread: devices, lines, and device time. */
import type { DmaFault, IommuDomain } from "./iommu.ts";
import type { IrqLine } from "./irq-line.ts";
import type { RegisterSpace } from "./register-space.ts";

/**
 * The live hardware of one platform. All methods are synchronous and are called from one thread only, the hardware's.
 * A backend that loses its hardware throws AirlockError HardwareLost from any of them.
 */
export interface HardwareBackend {
  /** The register space behind a window of a device; undefined when there is none of these names. */
  space(device: string, window: string): RegisterSpace | undefined;
  /** The interrupt line of that number; made on first use. */
  line(number: number): IrqLine;
  /** The line number of a device's interrupt by resource name; undefined when there is none. */
  irqNumber(device: string, irq: string): number | undefined;
  /**
   * Opens an empty IOMMU domain for the device's DMA and closes the one it had, if its driver was given up without being torn
   * down. `fault` is called for each access that was blocked.
   * Undefined for a device without DMA.
   */
  openDomain(device: string, fault: (fault: DmaFault) => void): IommuDomain | undefined;
  /** Lets a PCI device master the bus, or takes that from it. Without effect on others. */
  setBusMaster(device: string, on: boolean): void;
  /** Resets a PCI device where it can be reset by itself, and puts its windows and interrupts back where they were. */
  resetDevice(device: string): void;
  /** @throws AirlockError Unsupported where the platform can't, or the device loses nothing */
  powerCut(device: string): void;
  /**
   * Pulls a PCI device out of its slot, or puts it back in, as it is after power-on. Meanwhile its registers read ones and take nothing, and it
   * neither reaches memory nor interrupts. Whoever drove it has to start again. @throws AirlockError Unsupported for one that is soldered on
   */
  plug(device: string, isIn: boolean): void;
  /** Completes all posted writes: when it returns the devices have seen them. */
  flush(): void;
  /** Moves device time up to now and delivers what became due. */
  advance(): void;
  /** How long the thread may sleep before `advance` has something to do; Infinity when nothing is due. */
  idleMicros(): number;
  statistics(device: string): Readonly<Record<string, number>>;
  /** Sets who is told that a device asked for the machine's reset; not there where the platform hears of it in another way. */
  onResetRequest?(listener: (device: string) => void): void;
  close(): void;
}
