/** The bus port: the driver host's end of a virtual bus. What a sandbox's bridge calls end up in. */
import type { IrqOp } from "../api/bridge.ts";
import type { AccessWidth } from "../api/grants.ts";

/**
 * Reads are synchronous, writes posted. All methods throw AirlockError CapabilityViolation, CapabilityRevoked,
 * HardwareLost or HardwareTimeout, and take arguments a guest chose.
 */
export interface BusPort {
  read(window: number, offset: number, width: AccessWidth): number;
  /** A read that is posted, as writes are. */
  postRead(window: number, offset: number, width: AccessWidth): void;
  /** Waits for the value of the last posted read; 0 when there was none. */
  takeRead(): number;
  write(window: number, offset: number, width: AccessWidth, value: number): void;
  irq(line: number, op: IrqOp): void;
  /** The lines delivered since the last call, in order of their index. */
  takeIrqs(): number[];
}
