/** Registers and structures of an Intel VT-d unit. Source: Intel Virtualization Technology for Directed I/O, revision 3.3 (D51397). */

/** Where q35 has its unit. */
export const vtdBase = 0xfed9_0000;

/** Offsets (10.4). 64-bit registers are accessed as two halves, the upper one last: writing it starts what the register starts. */
export const Vtd = {
  version: 0x00, capabilities: 0x08, extendedCapabilities: 0x10, globalCommand: 0x18, globalStatus: 0x1c, rootTable: 0x20, contextCommand: 0x28,
  faultStatus: 0x34, faultControl: 0x38,
} as const;

/** Global Command and Global Status (10.4.4, 10.4.5): the same bits. */
export const Global = { translation: 0x8000_0000, rootTable: 0x4000_0000 } as const;

/** Capability (10.4.2), the lower and the upper half. */
export const Capability = {
  /** SAGAW: 39-bit addresses, three levels of tables. */
  threeLevels: 1 << 9,
  /** FRO: offset of the fault records in units of 16 bytes; bits 33 to 24 of the register. */
  faultOffset: (low: number, high: number) => (((high & 3) << 8) | (low >>> 24)) * 16,
  /** NFR: fault records, less one; bits 47 to 40. */
  faultRecords: (high: number) => ((high >>> 8) & 0xff) + 1,
} as const;

/** Extended Capability (10.4.3): IRO, offset of the IOTLB registers in units of 16 bytes; the invalidation register is the second of them. */
export const iotlbOffset = (low: number): number => ((low >>> 8) & 0x3ff) * 16 + 8;

/** Upper half of Context Command (10.4.7): invalidate, and what. */
export const ContextCommand = { invalidate: 0x8000_0000, global: 0x2000_0000 } as const;

/** Upper half of IOTLB Invalidate (10.4.8.1). */
export const IotlbCommand = { invalidate: 0x8000_0000, global: 0x1000_0000, domain: 0x2000_0000, drain: 0x0003_0000 } as const;

/** Fault Status (10.4.9). */
export const FaultStatus = { overflow: 1 << 0, pending: 1 << 1, indexShift: 8, indexMask: 0xff } as const;

/** A fault record (10.4.14), four words: address low, address high, source, and the last with these bits. */
export const FaultRecord = { sizeBytes: 16, fault: 0x8000_0000, isRead: 0x4000_0000, sourceMask: 0xffff } as const;

/** Root entry (9.1) and context entry (9.3) of the legacy mode: 16 bytes each. */
export const entryBytes = 16;
export const Context = {
  present: 1,
  /** AW: three levels. Upper half. */
  threeLevels: 1,
  domainShift: 8,
} as const;

/** Second-level entries (9.8): 8 bytes, 512 to a table. */
export const Page = { read: 1, write: 2 } as const;
