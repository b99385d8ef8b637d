/** The Platform interface: where hardware comes from, and the connection that carries one driver generation's grants. */
import type { IrqGrant, WindowGrant } from "../api/grants.ts";
import type { DeviceDescription } from "./device.ts";
import type { DmaFault, DmaMapping } from "./iommu.ts";
import type { RamHandle } from "./ram.ts";

/** Limits on a driver's interrupt lines. */
export interface IrqLimits {
  /** More deliveries per second than this, over 100 ms, is a storm: the line is cut off and reported. So is one that never goes low. */
  readonly stormPerSecond: number;
  /** A delivered interrupt that is not acked within this time is reported and force-acked. */
  readonly ackMs: number;
}

/** What one generation of a driver is granted. Indices of `windows` and `irqs` are its handles. */
export interface BusGrant {
  readonly driver: string;
  readonly generation: bigint;
  readonly device: string;
  readonly windows: readonly WindowGrant[];
  readonly irqs: readonly IrqGrant[];
  /** What its IOMMU domain maps while it is connected; empty for a device without DMA. */
  readonly dma: readonly DmaMapping[];
  /** The number under which its guest's pages are laid into its sandbox; undefined where they are copied at sync calls. */
  readonly pageGrant?: number;
  readonly limits: IrqLimits;
}

/** One step of a device's quiesce recipe, done with the driver's own grants by the I/O manager at teardown. */
export type QuiesceStep =
  | { readonly do: "write"; readonly window: string; readonly offset: number; readonly width: 8 | 16 | 32; readonly value: number }
  /** Reads, then writes back `(value & and) | or`. */
  | { readonly do: "modify"; readonly window: string; readonly offset: number; readonly width: 8 | 16 | 32; readonly and: number; readonly or: number }
  | { readonly do: "read"; readonly window: string; readonly offset: number; readonly width: 8 | 16 | 32 };

/** What the hardware's side noticed about a driver. */
export type BusReport =
  | { readonly kind: "irq-storm"; readonly irq: string; readonly perSecond: number }
  | { readonly kind: "irq-unacked"; readonly irq: string; readonly afterMs: number }
  | { readonly kind: "dma-fault"; readonly fault: DmaFault }
  | { readonly kind: "violation"; readonly capability: string; readonly reason: string };

/**
 * A live connection of one driver generation to its device. `Handle` is what the driver host needs to open its port:
 * shared memory for a host in another thread, an object for one in the same thread.
 */
export interface BusConnection<Handle = unknown> {
  readonly grant: BusGrant;
  readonly handle: Handle;
  /** Closes all capabilities, or those named, at once: what is posted but not yet performed is dropped. */
  gate(names?: readonly string[]): void;
  /** Masks every line of this driver and resolves when no access of it is in progress any more. */
  mask(): Promise<void>;
  /** Performs the recipe on the device, past the gate. */
  quiesce(steps: readonly QuiesceStep[]): Promise<void>;
  /** Takes bus mastering from the device and resets it where it can be reset by itself: no DMA starts any more. */
  stopDma(): Promise<void>;
  /** Unmaps everything of the driver's IOMMU domain and invalidates what the IOMMU had cached, before it resolves. */
  unmap(): Promise<void>;
  /** Acks for the driver every line it left unacked, so that sharers go on; detaches it from its lines. */
  forceAck(): Promise<void>;
  /** Forgets the connection; idempotent. */
  close(): Promise<void>;
}

export interface PlatformEvents {
  /** The platform is gone: every device with it. Once. */
  lost?(reason: string): void;
  /** A device asked for the machine's reset: a watchdog ran out. The platform resets nothing by itself. */
  resetRequested?(device: string): void;
}

/** Where hardware comes from. Each lives in a folder of runtime/platform; the conformance suite is in test/conformance. */
export interface Platform<Handle = unknown> {
  readonly type: string;
  readonly devices: readonly DeviceDescription[];
  /** The memory that devices reach by DMA; undefined for a platform whose devices have none. */
  readonly ram: RamHandle | undefined;
  /** `report` is called for what the hardware's side notices about this driver. */
  connect(grant: BusGrant, report: (report: BusReport) => void): Promise<BusConnection<Handle>>;
  /** Delivers, in this call, every report that the hardware's side has made by now. */
  hearReports(): void;
  /** Cuts a device's power for a moment, where the platform can: its volatile cache is lost. @throws AirlockError Unsupported */
  powerCut(device: string): Promise<void>;
  /**
   * Pulls a PCI device out of its slot without a warning, or puts it back in, as it is after power-on. Its driver is not told: it reads ones.
   * @throws AirlockError Unsupported for a device that is on no such bus, NotFound
   */
  plug(device: string, isIn: boolean): Promise<void>;
  /** Counters of one device, where the platform has them. */
  statistics(device: string): Promise<Readonly<Record<string, number>>>;
  /** Calls back for what happens to the platform as a whole; returns a function that stops that. */
  watch(events: PlatformEvents): () => void;
  /** Ends the hardware; idempotent; within `closeMs`. */
  close(): Promise<void>;
}

/** How long a platform may take for one control step (mask, quiesce, ...) before it counts as lost. */
export const controlStepMs = 1_000;
