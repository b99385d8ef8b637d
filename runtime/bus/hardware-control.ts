/** Messages between the control plane and a hardware thread: plain data over one MessagePort. */
import type { ErrorCode, ErrorFields } from "../api/errors.ts";
import type { ChannelHandle } from "./channel-port.ts";
import type { BusReport, QuiesceStep } from "./platform.ts";

export type HardwareRequest =
  | { readonly op: "connect"; readonly connection: number; readonly handle: ChannelHandle }
  /** Closes capabilities for good: bits as in ChannelWord.gate. */
  | { readonly op: "gate"; readonly connection: number; readonly bits: number }
  | { readonly op: "mask"; readonly connection: number }
  | { readonly op: "quiesce"; readonly connection: number; readonly steps: readonly QuiesceStep[] }
  | { readonly op: "stop-dma"; readonly connection: number }
  | { readonly op: "unmap"; readonly connection: number }
  | { readonly op: "force-ack"; readonly connection: number }
  | { readonly op: "close"; readonly connection: number }
  | { readonly op: "power-cut"; readonly device: string }
  | { readonly op: "plug"; readonly device: string; readonly isIn: boolean }
  | { readonly op: "statistics"; readonly device: string }
  | { readonly op: "stop" };

export interface HardwareCall {
  readonly id: number;
  readonly request: HardwareRequest;
}

export type HardwareMessage =
  | { readonly type: "ready" }
  | { readonly type: "reply"; readonly id: number; readonly value?: Readonly<Record<string, number>> }
  | { readonly type: "error"; readonly id: number; readonly code: ErrorCode; readonly message: string; readonly fields: ErrorFields }
  | { readonly type: "report"; readonly connection: number; readonly report: BusReport }
  | { readonly type: "reset-request"; readonly device: string }
  | { readonly type: "lost"; readonly reason: string };
