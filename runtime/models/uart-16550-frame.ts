/** The serial frame of the 16550A: how long a character takes on the wire at the programmed rate and format. */
import { Lcr, clocksPerBit, zeroDivisor } from "./uart-16550-registers.ts";

/** Times of one frame, in microseconds. PC16550D 8.1 (format) and 8.3 (baud generator). */
export interface FrameTimes {
  /** Start bit, 5 to 8 data bits, parity, and 1, 1.5 or 2 stop bits. */
  readonly characterMicros: number;
  /** The last stop bit (half of it for the half of 1.5). */
  readonly lastStopMicros: number;
  /** The data bits that exist: 0x1f to 0xff. */
  readonly dataMask: number;
}

export function frameTimes(lineControl: number, divisor: number, clockHz: number): FrameTimes {
  const bitMicros = ((divisor === 0 ? zeroDivisor : divisor) * clocksPerBit * 1e6) / clockHz;
  const dataBits = 5 + (lineControl & Lcr.wordLengthMask);
  const longStop = (lineControl & Lcr.twoStopBits) !== 0;
  const stopBits = longStop ? (dataBits === 5 ? 1.5 : 2) : 1;
  const parityBits = (lineControl & Lcr.parity) !== 0 ? 1 : 0;
  return {
    characterMicros: (1 + dataBits + parityBits + stopBits) * bitMicros,
    lastStopMicros: (stopBits === 1.5 ? 0.5 : 1) * bitMicros,
    dataMask: (1 << dataBits) - 1,
  };
}
