/** How long characters take on a serial line, and what follows from it for chunks and deadlines. */
import type { Args } from "../../api/contract.ts";
import { maxTransmitBytes, type serial } from "./contract.ts";

export type LineSettings = Args<typeof serial, "configure">;

/** What a line has until a client configures it. */
export const defaultSettings: LineSettings = { baudRate: 115_200, dataBits: 8, parity: "none", stopBits: 1 };

/** Characters that may be ahead of a request in the hardware: a FIFO of 16 and the shift register, and as many again for rounding up. */
const hardwareCharacters = 34;

/**
 * A transmit chunk lasts about this long at most: a change of settings waits for the chunk in progress, and a client's
 * bytes are uncertain by chunks. It is still several times what a round trip to the driver takes.
 */
const chunkMs = 50;

/** Milliseconds one character takes: a start bit, data, parity, stop bits (ISO 1177 framing). */
export function characterMs({ baudRate, dataBits, parity, stopBits }: LineSettings): number {
  return ((1 + dataBits + (parity === "none" ? 0 : 1) + stopBits) * 1000) / baudRate;
}

/** Bytes to give to the driver at a time. */
export function chunkBytes(settings: LineSettings): number {
  return Math.max(1, Math.min(maxTransmitBytes, Math.floor(chunkMs / characterMs(settings))));
}

/** Longest the line itself can hold up a request that comes with `bytes` of its own. */
export function lineDelayMs(settings: LineSettings, bytes: number): number {
  return (bytes + hardwareCharacters) * characterMs(settings);
}
