/** Commands, completions and their words. Source: NVM Express Base Specification 1.4, sections 4, 5 and 6. */

/** A submission queue entry (4.2, figure 105): sixteen 32-bit words. */
export const sqeBytes = 64;
export const sqeWords = 16;
export const Sqe = { command: 0, namespace: 1, prp1Low: 6, prp1High: 7, prp2Low: 8, prp2High: 9, cdw10: 10, cdw11: 11, cdw12: 12 } as const;

/** A completion queue entry (4.6, figure 122): four words. */
export const cqeBytes = 16;
export const cqeWords = 4;
/** `head`: submission queue head, and its id in the upper half. `status`: command id, phase in bit 16, status field above. */
export const Cqe = { result: 0, head: 2, status: 3 } as const;
export const phaseBit = 0x1_0000;
export const statusShift = 17;

/** Admin commands (5, figure 139). */
export const AdminOpcode = {
  createSubmission: 0x01, getLogPage: 0x02, createCompletion: 0x05, identify: 0x06, abort: 0x08, setFeatures: 0x09, asyncEvent: 0x0c,
} as const;

/** I/O commands of the NVM command set (6, figure 346). */
export const IoOpcode = { flush: 0x00, write: 0x01, read: 0x02, writeZeroes: 0x08, datasetManagement: 0x09 } as const;

/** What an Identify asks for (5.15.1, figure 244). */
export const Cns = { namespace: 0, controller: 1, activeNamespaces: 2 } as const;

/** Features (5.21.1, figure 272). */
export const Feature = { volatileWriteCache: 0x06, numberOfQueues: 0x07, asyncEvents: 0x0b } as const;

/** Word 12 of reads, writes (6.9, 6.15) and Write Zeroes (6.16). */
export const forceUnitAccess = 0x4000_0000;
export const deallocate = 0x0200_0000;
/** Word 11 of Dataset Management (6.7): the ranges may be deallocated. */
export const attributeDeallocate = 4;
/** One range of Dataset Management (6.7, figure 361): attributes, blocks, starting block in two words. */
export const rangeBytes = 16;
/** Blocks of a read, a write or a Write Zeroes are a 16-bit number, one less than there are. */
export const maxCommandBlocks = 0x1_0000;

/** Words 11 of the queue creations (5.3, 5.4): contiguous, interrupts enabled. */
export const queueContiguous = 1;
export const queueInterrupts = 2;

/** Asynchronous events (5.2.1, figures 145 to 151): what the result word says. */
export const EventType = { error: 0, health: 1, notice: 2 } as const;
export const noticeNamespace = 0;
/** Word 11 of the feature (5.21.1.11): all critical health warnings, changes of namespaces. */
export const healthWarnings = 0x1f;
export const namespaceNotices = 0x100;

/** For commands on no namespace in particular. */
export const allNamespaces = 0xffff_ffff;
