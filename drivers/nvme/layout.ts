/** How the DMA memory "queues" is divided: rings, pages for data of admin commands, ranges and PRP lists. */
import { AirlockError, type DmaMemory } from "airlock/driver";
import { cqeBytes, rangeBytes, sqeBytes } from "./commands.ts";
import { type Capabilities, pageBytes, pageShift } from "./registers.ts";

export interface Layout {
  /** Most commands outstanding. */
  readonly depth: number;
  /** Entries of either I/O ring, a power of two above `depth`: a ring with no entry free would look empty (4.1.1). */
  readonly ioEntries: number;
  /** Offsets in the memory. */
  readonly adminSubmission: number;
  readonly adminCompletion: number;
  /** `adminDataPages` pages. */
  readonly adminData: number;
  readonly ioSubmission: number;
  readonly ioCompletion: number;
  /** One range of `rangeBytes` for each command. */
  readonly ranges: number;
  /** `listWindows` pages of PRP lists. */
  readonly lists: number;
}

/** Entries of the admin rings: enough for everything this driver has outstanding, and one page holds them. */
export const adminEntries = 32;
/** Identify reads three structures at once. */
export const adminDataPages = 3;

/** Bytes of a PRP list entry (4.3). */
export const prpBytes = 8;

/**
 * PRP lists are not made for each command. Buffers are contiguous, so the list of a transfer is a piece of the list of all pages
 * around it: one page of list for each window of 1 MiB of addresses, which names 2 MiB from the window's start on, so that what
 * begins in the window lies in the list without its end, where a list would have to be chained (4.3).
 */
export const windowShift = 20;
export const windowPages = 1 << (windowShift - pageShift);
/** The class's buffers are one range of 8 MiB, by this package's manifest: 9 windows. Rounded up to a power of two. */
export const listWindows = 16;
/** What one command can move: PRP 1 and a list of up to `windowPages` pages could name one page more. */
export const listTransferBytes = windowPages * pageBytes;

/** @throws AirlockError InvalidArgument when the memory is too small for `wantedDepth` commands */
export function layOut(memory: DmaMemory, capabilities: Capabilities, wantedDepth: number): Layout {
  let ioEntries = 2;
  while (ioEntries <= wantedDepth && ioEntries * 2 <= capabilities.maxEntries) ioEntries *= 2;
  const depth = Math.min(wantedDepth, ioEntries - 1);
  let used = 0;
  const take = (sizeBytes: number): number => {
    const at = used;
    used += Math.ceil(sizeBytes / pageBytes) * pageBytes;
    return at;
  };
  const adminSubmission = take(adminEntries * sqeBytes);
  const adminCompletion = take(adminEntries * cqeBytes);
  const adminData = take(adminDataPages * pageBytes);
  const ioSubmission = take(ioEntries * sqeBytes);
  const ioCompletion = take(ioEntries * cqeBytes);
  const ranges = take(depth * rangeBytes);
  const lists = take(listWindows * pageBytes);
  if (used > memory.sizeBytes) {
    const has = `DMA memory "${memory.name}" has ${memory.sizeBytes} bytes`;
    throw new AirlockError("InvalidArgument", `${has}, ${depth} commands need ${used}; lower queueDepth`);
  }
  return { depth, ioEntries, adminSubmission, adminCompletion, adminData, ioSubmission, ioCompletion, ranges, lists };
}
