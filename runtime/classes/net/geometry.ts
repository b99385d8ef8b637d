/** How the net class divides its buffers: slots of one size, one half for frames received, the other for frames to send. */
import { AirlockError } from "../../api/errors.ts";
import type { DmaBuffers, ShadowEnvironment } from "../shadow.ts";
import { headerBytes, maxRingDepth } from "./contract.ts";

/** What may come on top of the payload: the header, a VLAN tag, and the check sequence some devices store before they cut it off. */
const aroundPayloadBytes = headerBytes + 4 + 4;

/** Powers of two from here on are the receive buffer sizes that network cards know. */
const leastSlotBytes = 2_048;

export interface Geometry {
  readonly buffers: DmaBuffers;
  readonly slotBytes: number;
  /** Slots from offset 0 on. */
  readonly receiveSlots: number;
  readonly transmitOffset: number;
  readonly transmitSlots: number;
}

/** Largest frame of an interface with this MTU: header, VLAN tag, payload. */
export function frameLimit(mtu: number): number {
  return mtu + headerBytes + 4;
}

export function slotBytesFor(mtu: number): number {
  let slotBytes = leastSlotBytes;
  while (slotBytes < mtu + aroundPayloadBytes) slotBytes *= 2;
  return slotBytes;
}

/** @throws AirlockError ManifestInvalid when the driver has no buffers, or too few for one frame each way */
export function divide({ driver, buffers }: Pick<ShadowEnvironment, "driver" | "buffers">, maxMtu: number): Geometry {
  const slotBytes = slotBytesFor(maxMtu);
  const slots = Math.floor((buffers?.sizeBytes ?? 0) / slotBytes);
  if (buffers === undefined || slots < 2) {
    const what = buffers === undefined ? "it has none" : `${buffers.sizeBytes} bytes are too few for an MTU of ${maxMtu}`;
    const advice = `give it DMA memory with use "buffers" of at least ${2 * slotBytes} bytes`;
    throw new AirlockError("ManifestInvalid", `${driver}: class net keeps frames in the driver's buffers, and ${what}; ${advice}`, { driver });
  }
  const receiveSlots = Math.min(maxRingDepth, Math.floor(slots / 2));
  const transmitSlots = Math.min(maxRingDepth, slots - receiveSlots);
  return { buffers, slotBytes, receiveSlots, transmitOffset: receiveSlots * slotBytes, transmitSlots };
}
