/** What a platform puts behind the virtual buses, in the hardware's own thread: devices, lines, and device time. */
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
  /** Completes all posted writes: when it returns the devices have seen them. */
  flush(): void;
  /** Moves device time up to now and delivers what became due. */
  advance(): void;
  /** How long the thread may sleep before `advance` has something to do; Infinity when nothing is due. */
  idleMicros(): number;
  statistics(device: string): Readonly<Record<string, number>>;
  close(): void;
}
