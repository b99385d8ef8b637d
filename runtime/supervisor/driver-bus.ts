/** What the supervisor needs of the I/O manager: one driver's way to its device, a connection per generation. */
import type { Failure } from "../api/failure.ts";
import type { DriverSetup } from "../api/grants.ts";
import type { BusReport } from "../bus/platform.ts";

/** The grants of one driver; the I/O manager knows them and the device's quiesce recipe. */
export interface DriverBus<Handle = unknown> {
  /**
   * Opens the driver's grants for one generation. `report` is called for what the hardware's side notices about it.
   * The supervisor never asks for a connection before it has closed the one before, or has given up waiting for that.
   */
  connect(generation: bigint, report: (report: BusReport) => void): Promise<DriverConnection<Handle>>;
}

/** One generation's live connection: a lease of the I/O manager with its setup. Called in the order written here. */
export interface DriverConnection<Handle = unknown> {
  /** What the driver is told about its grants. */
  readonly setup: DriverSetup;
  /** What the driver host needs to open its port. */
  readonly handle: Handle;
  /** Closes every capability at once, in this call. `reason` is for the ledger. */
  gate(reason: string): void;
  /** Masks every line and resolves when no access of the driver is in progress any more. */
  mask(): Promise<void>;
  /** Brings the device to rest with its quiesce recipe. */
  quiesce(): Promise<void>;
  /** The device starts no DMA any more. */
  stopDma(): Promise<void> | undefined;
  /** Takes all memory from the device; resolves when no access of it is translated any more. Both: undefined when it has no DMA. */
  unmap(): Promise<void> | undefined;
  /** Acks what the driver left unacked, so that sharers of its lines go on. */
  forceAck(): Promise<void>;
  /** Gives the grants back: revocations in the ledger, shared memory freed. Idempotent. */
  close(): Promise<void>;
  /** Gives the grants back without the platform, when `close` threw or exceeded its limit. Idempotent. */
  abandon(reason: string): void;
}

/** The failure that a report of the hardware's side is. */
export function busFailure(report: BusReport): Failure {
  switch (report.kind) {
    case "irq-storm":
      return { kind: "irq-storm", capability: report.irq, message: `line "${report.irq}" was delivered ${report.perSecond} times per second` };
    case "irq-unacked":
      return { kind: "irq-unacked", capability: report.irq, message: `line "${report.irq}" was not acked within ${report.afterMs} ms` };
    case "dma-fault": {
      const { direction, iova, sizeBytes, device } = report.fault;
      const bytes = sizeBytes === 0 ? "" : ` of ${sizeBytes} bytes`;
      return { kind: "dma-fault", message: `device "${device}" was kept from a DMA ${direction}${bytes} at 0x${iova.toString(16)}, outside of the driver's domain` };
    }
    case "violation":
      return { kind: "capability-violation", capability: report.capability, message: report.reason };
  }
}
