/** The serial class contract: an asynchronous serial line with modem signals. */
import { defineClass } from "../../api/contract.ts";
import { bool, bytes, oneOf, u16, u32, u8 } from "../../api/layout.ts";

/**
 * Longest a driver may take over one operation, not counting the time characters need on the wire: the shadow adds that
 * from the line settings. Also how long a driver that never answers goes unnoticed.
 */
const answerMs = 400;

/**
 * Most bytes of one transmit. 64 bytes last 5.5 ms at 115200 baud, so the next chunk is there long before the last 16,
 * already in the FIFO, are out; and no more than 64 are uncertain when a driver dies.
 */
export const maxTransmitBytes = 64;

/** Most bytes of one received event: what an interrupt handler finds in several FIFOs' worth of characters. */
export const maxReceivedBytes = 256;

/**
 * A driver gets `transmit` one at a time. `configure` and `setSignals` run alone: nothing else is in progress when they
 * start, and nothing else starts before they are answered.
 */
export const serial = defineClass({
  name: "serial",
  version: 1,
  operations: {
    /** Sets the line once what is in the transmitter is out; the reply says which baud rate the divisor really gives. */
    configure: {
      treatment: "config",
      args: { baudRate: u32(50, 4_000_000), dataBits: u8(5, 8), parity: oneOf("none", "odd", "even"), stopBits: u8(1, 2) },
      reply: { actualBaudRate: u32(1) },
      deadlineMs: answerMs,
    },
    /** Sets all output signals; `break` holds the data line at space until it is cleared. */
    setSignals: { treatment: "config", args: { dtr: bool(), rts: bool(), break: bool() }, reply: {}, deadlineMs: answerMs },
    getSignals: { treatment: "query", args: {}, reply: { cts: bool(), dsr: bool(), ri: bool(), dcd: bool() }, deadlineMs: answerMs },
    /** Answered when every byte was handed to the hardware, in order; `sent` is the number of bytes of the request. */
    transmit: { treatment: "atMostOnce", args: { data: bytes(maxTransmitBytes) }, reply: { sent: u16(0, maxTransmitBytes) }, deadlineMs: answerMs },
  },
  events: {
    received: { data: bytes(maxReceivedBytes) },
    /** What went wrong on the line since the last event. Each overrun lost at least one byte. */
    lineStatus: { overruns: u32(), framing: u32(), parity: u32(), breaks: u32() },
    /** An input signal changed. */
    signals: { cts: bool(), dsr: bool(), ri: bool(), dcd: bool() },
  },
});
