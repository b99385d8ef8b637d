/** The block class contract: a disk of fixed-size blocks. Reads and writes travel in a queue, their data in the class's buffers. */
import { defineClass } from "../../api/contract.ts";
import { bool, bytes, oneOf, u16, u32, u53 } from "../../api/layout.ts";
import { wordLayout } from "../../api/words.ts";

/** Longest a driver may take over one operation; also how long a driver that never answers goes unnoticed. */
const answerMs = 400;

/**
 * Longest a driver may keep one request. It has a time-out of its own well below, after which it aborts the command and then
 * resets the controller; a driver that does not even manage that is taken away.
 */
const requestMs = 3_000;

/** Most requests a driver has at once; its manifest or the device may say less, in `identify`. */
export const maxQueueDepth = 256;

/** Low byte of a request's `op`. */
export const BlockOp = { read: 0, write: 1, flush: 2, writeZeroes: 3, discard: 4 } as const;
export type BlockOp = (typeof BlockOp)[keyof typeof BlockOp];

/** Bits of a request's `flags`. */
export const BlockFlag = {
  /** Write, writeZeroes: complete only when the data is on the medium, past any volatile cache (force unit access). */
  fua: 1,
  /** writeZeroes: the blocks may be deallocated if they read as zeroes afterwards. */
  mayDiscard: 2,
} as const;

/** A completion's `status`. What is not `ok` is the device's word on this request, not a failure of the driver. */
export const BlockStatus = {
  ok: 0, ioError: 1, outOfRange: 2, readOnly: 3, unsupported: 4, mediaError: 5, noSpace: 6,
  /** The device or its driver gave the command up; it may be sent again. */
  aborted: 7,
} as const;
export type BlockStatus = (typeof BlockStatus)[keyof typeof BlockStatus];

/**
 * `io`: one entry per transfer of at most `identify`'s `maxTransferBytes`. `iova*` is where the device finds or puts the
 * data: contiguous in its address space, page-aligned, and `blocks` blocks long; 0 for operations without data. Requests may
 * be performed and completed in any order. `flush` covers every write that was completed before it was submitted.
 */
export const block = defineClass({
  name: "block",
  version: 1,
  operations: {
    /** What the device is and can do. `label`: model and serial number, printable ASCII. */
    identify: {
      treatment: "query",
      args: {},
      reply: {
        blockBytes: u32(512, 65_536), blocks: u53(1), maxTransferBytes: u32(4_096), queueDepth: u16(1, maxQueueDepth), volatileCache: bool(),
        fua: bool(), writeZeroes: bool(), discard: bool(), readOnly: bool(), label: bytes(64),
      },
      deadlineMs: answerMs,
    },
  },
  events: {
    /** The device told of something: its health, or that its size or state may have changed. `code` is the device's own. */
    notice: { kind: oneOf("health", "changed", "error"), code: u32() },
  },
  queues: {
    io: {
      request: wordLayout("tag", "op", "flags", "blocks", "lbaLow", "lbaHigh", "iovaLow", "iovaHigh"),
      /** `detail`: the device's own status word, for the log. */
      completion: wordLayout("tag", "status", "detail"),
      deadlineMs: requestMs,
      depth: maxQueueDepth,
    },
  },
});
