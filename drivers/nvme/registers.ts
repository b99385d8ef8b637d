/** Registers of an NVM Express controller. Source: NVM Express Base Specification 1.4, section 3. */

/** Offsets in the window "bar0" (3.1, figure 68). 64-bit registers take two. */
export const Offset = {
  capabilitiesLow: 0x00, capabilitiesHigh: 0x04, version: 0x08, configuration: 0x14, status: 0x1c,
  adminQueueAttributes: 0x24, adminSubmissionLow: 0x28, adminSubmissionHigh: 0x2c, adminCompletionLow: 0x30, adminCompletionHigh: 0x34,
  /** Submission queue y's tail at 2y strides from here, completion queue y's head at 2y + 1 (3.1.24, 3.1.25). */
  doorbells: 0x1000,
} as const;

/** Controller Configuration (3.1.5). Memory page size 0 is 4 KiB, command set 0 is NVM, arbitration 0 is round robin. */
export const Cc = { enable: 1, submissionEntryShift: 16, completionEntryShift: 20 } as const;

/** Controller Status (3.1.6). */
export const Csts = { ready: 0x01, fatal: 0x02, shutdownMask: 0x0c } as const;

/** What reads of a device that is gone return. No register of this device may hold it. */
export const allOnes = 0xffff_ffff;

/** What the capabilities say (3.1.1). */
export interface Capabilities {
  /** Entries an I/O queue can have. */
  readonly maxEntries: number;
  /** How long enabling and disabling may take. */
  readonly readyTimeoutMs: number;
  readonly doorbellStrideBytes: number;
  readonly nvmCommandSet: boolean;
  /** Memory page sizes are 2^(12 + n). */
  readonly minPageShift: number;
}

/** Milliseconds in a unit of CAP.TO. */
const timeoutUnitMs = 500;

export function decodeCapabilities(low: number, high: number): Capabilities {
  return {
    maxEntries: (low & 0xffff) + 1,
    // 0 is no sensible answer; one unit is the least a device can state.
    readyTimeoutMs: Math.max(1, low >>> 24) * timeoutUnitMs,
    doorbellStrideBytes: 4 << (high & 0xf),
    nvmCommandSet: (high & 0x20) !== 0,
    minPageShift: 12 + ((high >>> 16) & 0xf),
  };
}

/** The only page size this driver uses: that of the IOMMU. */
export const pageShift = 12;
export const pageBytes = 1 << pageShift;
