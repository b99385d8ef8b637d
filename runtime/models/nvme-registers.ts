/** Registers, commands and status values of an NVMe controller. Source: NVM Express Base Specification 1.4 (June 2019). */

/** Offsets in "bar0" (3.1). */
export const Offset = {
  capabilitiesLow: 0x00, capabilitiesHigh: 0x04, version: 0x08, interruptMaskSet: 0x0c, interruptMaskClear: 0x10,
  configuration: 0x14, status: 0x1c, adminQueueAttributes: 0x24, adminSubmissionLow: 0x28, adminSubmissionHigh: 0x2c,
  adminCompletionLow: 0x30, adminCompletionHigh: 0x34, doorbells: 0x1000, messageTable: 0x2000, messagePending: 0x3000,
} as const;

/** Version 1.4.0 (3.1.2). */
export const versionNumber = 0x0001_0400;

/** CAP, low half (3.1.1): contiguous queues required; the timeout counts 500 ms. */
export const CapLow = { contiguousQueues: 1 << 16, timeoutShift: 24 } as const;

/** CAP, high half: NVM command set; page sizes are 4 KiB shifted by these. */
export const CapHigh = { doorbellStrideShift: 0, nvmCommandSet: 1 << 5, minPageShift: 16, maxPageShift: 20 } as const;

/** CC (3.1.5). */
export const Cc = {
  enable: 1 << 0, commandSetShift: 4, commandSetMask: 7, pageShift: 7, pageMask: 15, arbitrationShift: 11, arbitrationMask: 7,
  shutdownMask: 3 << 14, submissionEntryShift: 16, completionEntryShift: 20, entryMask: 15, writable: 0x00ff_fff1,
} as const;

/** CSTS (3.1.6). */
export const Csts = { ready: 1 << 0, fatal: 1 << 1, shutdownMask: 3 << 2, shutdownComplete: 2 << 2 } as const;

/** Sizes of queue entries, as exponents of two: what IOSQES and IOCQES have to be (4.1). */
export const submissionEntryShift = 6;
export const completionEntryShift = 4;

/** Most entries of an I/O queue, less one: CAP.MQES. */
export const maxQueueEntries = 1_023;
/** Admin queues may have as many as their size field says (3.1.8). */
export const adminSizeMask = 0xfff;

/** I/O queue pairs the controller has; it has an interrupt vector for each and one for the admin queue. */
export const ioQueuePairs = 31;
export const vectorCount = 32;

/** Memory pages are from 4 KiB to 64 KiB: CAP.MPSMAX. */
export const maxPageShift = 4;
export const minPageBytes = 4_096;

/** Identify's MDTS: a transfer has at most 2^8 pages of 4 KiB. */
export const maxTransferShift = 8;
export const maxTransferBytes = minPageBytes << maxTransferShift;

/** Admin commands (5, figure 139). */
export const Admin = {
  deleteSubmissionQueue: 0x00, createSubmissionQueue: 0x01, getLogPage: 0x02, deleteCompletionQueue: 0x04, createCompletionQueue: 0x05,
  identify: 0x06, abort: 0x08, setFeatures: 0x09, getFeatures: 0x0a, asyncEventRequest: 0x0c,
} as const;

/** NVM commands (6, figure 346). */
export const Nvm = { flush: 0x00, write: 0x01, read: 0x02, compare: 0x05, writeZeroes: 0x08, datasetManagement: 0x09 } as const;

/** Words of a submission queue entry (4.2). */
export const Word = { opcode: 0, namespace: 1, prp1Low: 6, prp1High: 7, prp2Low: 8, prp2High: 9, cdw10: 10, cdw11: 11, cdw12: 12, cdw13: 13, cdw14: 14 } as const;

/** In CDW0 (4.2): bits that say fused (9:8) or SGL instead of PRP (15:14); neither is supported. */
export const unsupportedTransferBits = 0xc300;

/** CDW12 of read, write and compare: force unit access (6.9). CDW12 of write zeroes: deallocate (6.16). */
export const ioForceUnitAccess = 2 ** 30;

/** CDW11 of dataset management: deallocate (6.7). */
export const deallocateAttribute = 1 << 2;

/** An NSID that means all namespaces (6.1). */
export const allNamespaces = 0xffff_ffff;

const doNotRetry = 0x4000;

/** Status fields (4.6.1): code in bits 7:0, type in 10:8, do not retry in 14. */
export const Status = {
  success: 0, invalidOpcode: 0x001 | doNotRetry, invalidField: 0x002 | doNotRetry, dataTransferError: 0x004, internalError: 0x006,
  abortRequested: 0x007, invalidNamespace: 0x00b | doNotRetry, commandSequence: 0x00c | doNotRetry, invalidPrpOffset: 0x013 | doNotRetry,
  lbaOutOfRange: 0x080 | doNotRetry, invalidCompletionQueue: 0x100 | doNotRetry, invalidQueueId: 0x101 | doNotRetry,
  invalidQueueSize: 0x102 | doNotRetry, asyncEventLimit: 0x105 | doNotRetry, invalidVector: 0x108 | doNotRetry, invalidLogPage: 0x109 | doNotRetry,
  invalidQueueDeletion: 0x10c | doNotRetry, featureNotSaveable: 0x10d | doNotRetry, featureNotPerNamespace: 0x10f | doNotRetry,
  writeFault: 0x280, unrecoveredRead: 0x281, compareFailure: 0x285 | doNotRetry,
} as const;

/** Feature identifiers (5.21.1). */
export const Feature = {
  arbitration: 0x01, powerManagement: 0x02, temperatureThreshold: 0x04, errorRecovery: 0x05, volatileWriteCache: 0x06, numberOfQueues: 0x07,
  interruptCoalescing: 0x08, interruptVector: 0x09, writeAtomicity: 0x0a, asyncEvents: 0x0b,
} as const;

/** Log pages (5.14.1). */
export const Log = { errors: 0x01, health: 0x02, firmware: 0x03, changedNamespaces: 0x04 } as const;

/** Asynchronous events (5.2.1): type, and information within it. */
export const EventType = { error: 0, health: 1 } as const;
export const EventInfo = { invalidDoorbellRegister: 0, invalidDoorbellValue: 1, temperatureThreshold: 1 } as const;

/** Critical warnings of the health log and of the asynchronous event configuration (5.14.1.2). */
export const temperatureWarning = 1 << 1;

/** What the controller's thermometer shows, in kelvin: 40 degrees Celsius. */
export const temperatureKelvin = 313;

/** Entries of the error log, commands that may wait for events, and abort commands at once: identify's ELPE, AERL and ACL, plus one. */
export const errorLogEntries = 16;
export const asyncEventLimit = 4;
export const abortLimit = 4;
