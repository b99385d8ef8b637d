/** The net class contract: an Ethernet interface. Frames travel in two queues, their bytes in the class's buffers. */
import { defineClass } from "../../api/contract.ts";
import { bool, bytes, u16, u32, u53 } from "../../api/layout.ts";
import { wordLayout } from "../../api/words.ts";

/** Longest a driver may take over one operation; also how long a driver that never answers goes unnoticed. */
const answerMs = 400;

/** Longest a frame may wait for its transmission: a link at 10 Mbit/s sends a full ring of 256 frames in 0.4 s. */
const transmitMs = 2_000;

/** Most frames a driver has at once in each direction; the device may say less, in `identify`. */
export const maxRingDepth = 1_024;
/** Largest frame without its check sequence: a payload of 9216 bytes, header and a VLAN tag. */
export const maxFrameBytes = 9_216 + 18;
/** The least an Ethernet frame has before its check sequence; shorter ones are padded by the device. */
export const headerBytes = 14;
/** Multicast addresses a client may ask for; more, and it should ask for all. */
export const maxMulticast = 64;

/** A transmit completion's `status`. */
export const TransmitStatus = { ok: 0, dropped: 1, linkDown: 2 } as const;

/**
 * `transmit`: one frame each, `sizeBytes` at `iova*`, in order. Completed when the device has taken its bytes for good.
 * `receive`: empty buffers; completed with the size of the frame received into it, in the order of arrival. Buffers are used
 * more or less in the order they came: one that many later ones overtake counts as lost. A driver that goes down completes
 * nothing: the shadow takes its buffers back when the device is reset.
 * The check sequence is the device's: it is neither in a frame sent nor in one received.
 */
export const net = defineClass({
  name: "net",
  version: 1,
  operations: {
    /** `mac`: the permanent address as a 48-bit number, first byte on the wire highest. */
    identify: {
      treatment: "query", args: {}, deadlineMs: answerMs,
      reply: { mac: u53(0, 2 ** 48 - 1), maxMtu: u16(68, 9_216), transmitDepth: u16(1, maxRingDepth), receiveDepth: u16(1, maxRingDepth) },
    },
    /** All of the configuration at once. `mac` 0: the permanent one. `multicast`: addresses of six bytes each, one after the other. */
    configure: {
      treatment: "config", deadlineMs: answerMs, reply: {},
      args: {
        up: bool(), promiscuous: bool(), allMulticast: bool(), mtu: u16(68, 9_216), mac: u53(0, 2 ** 48 - 1), multicast: bytes(6 * maxMulticast),
      },
    },
    getLink: { treatment: "query", args: {}, reply: { up: bool(), speedMbps: u32(), fullDuplex: bool() }, deadlineMs: answerMs },
    /** The device's own counters since its driver started. */
    statistics: {
      treatment: "query", args: {}, deadlineMs: answerMs,
      reply: { received: u53(), transmitted: u53(), receiveErrors: u53(), transmitErrors: u53(), missed: u53() },
    },
  },
  events: {
    /** The carrier came, went, or changed its speed. */
    link: { up: bool(), speedMbps: u32(), fullDuplex: bool() },
  },
  queues: {
    transmit: {
      request: wordLayout("tag", "sizeBytes", "iovaLow", "iovaHigh"), completion: wordLayout("tag", "status"),
      deadlineMs: transmitMs, depth: maxRingDepth,
    },
    receive: {
      request: wordLayout("tag", "capacityBytes", "iovaLow", "iovaHigh"), completion: wordLayout("tag", "sizeBytes"),
      // A buffer waits for a frame, which may never come.
      deadlineMs: Infinity, depth: maxRingDepth,
    },
  },
});
