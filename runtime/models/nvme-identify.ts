/** Identify data structures of an NVMe controller and its namespaces (NVMe 1.4, 5.15.2). */
import type { NvmeNamespace } from "./nvme-options.ts";
import {
  abortLimit, asyncEventLimit, completionEntryShift, errorLogEntries, maxTransferShift, submissionEntryShift, versionNumber,
} from "./nvme-registers.ts";

export const identifyBytes = 4_096;

/** CNS values (figure 245). */
export const Cns = { namespace: 0, controller: 1, activeNamespaces: 2, descriptors: 3 } as const;

export const vendorId = 0x1b36;
export const subsystemVendorId = 0x1af4;

/** Temperatures at which the controller warns and at which it is too hot, in kelvin. */
const [warningKelvin, criticalKelvin] = [343, 373];

/** ONCS: compare, dataset management, write zeroes, select and save fields of features. */
const optionalCommands = (1 << 0) | (1 << 2) | (1 << 3) | (1 << 4);

/** VWC: present; a flush of all namespaces works, which is said whether a cache is there or not. */
const [cachePresent, flushAll] = [1, 3 << 1];

/** LPA: Get Log Page knows lengths and offsets of 32 bits. */
const extendedLogData = 1 << 2;

/** Figure 247. */
export function identifyController(serial: string, namespaceCount: number, hasCache: boolean): Uint8Array {
  const bytes = new Uint8Array(identifyBytes);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, vendorId, true);
  view.setUint16(2, subsystemVendorId, true);
  text(bytes, 4, 20, serial);
  text(bytes, 24, 40, "Airlock simulated NVMe disk");
  text(bytes, 64, 8, "1.0");
  bytes[72] = 6; // RAB: 64 commands in a burst
  bytes[77] = maxTransferShift;
  view.setUint32(80, versionNumber, true);
  view.setUint16(256, 0, true); // OACS: no optional admin command
  bytes[258] = abortLimit - 1;
  bytes[259] = asyncEventLimit - 1;
  bytes[260] = (1 << 1) | 1; // FRMW: one firmware slot, read only
  bytes[261] = extendedLogData;
  bytes[262] = errorLogEntries - 1;
  view.setUint16(266, warningKelvin, true);
  view.setUint16(268, criticalKelvin, true);
  bytes[512] = (submissionEntryShift << 4) | submissionEntryShift;
  bytes[513] = (completionEntryShift << 4) | completionEntryShift;
  view.setUint32(516, namespaceCount, true);
  view.setUint16(520, optionalCommands, true);
  bytes[525] = flushAll | (hasCache ? cachePresent : 0);
  text(bytes, 768, 256, `nqn.2014-08.org.example:airlock:${serial.trim().replaceAll(/[^\w.-]/g, "-")}`, 0);
  view.setUint16(2048, 2_500, true); // Power state 0: at most 25 W
  return bytes;
}

/** Figure 249: one format, its size, and no protection. */
export function identifyNamespace({ id, blocks, blockShift, media }: NvmeNamespace, serial: string): Uint8Array {
  const bytes = new Uint8Array(identifyBytes);
  const view = new DataView(bytes.buffer);
  for (const offset of [0, 8, 16]) view.setBigUint64(offset, BigInt(blocks), true); // NSZE, NCAP, NUSE
  bytes[33] = media.store.discardsToZeros ? (1 << 3) | 1 : 0; // DLFEAT: deallocated blocks read as zeros; write zeroes may deallocate
  bytes.set(uniqueId(serial, id), 104);
  bytes[128 + 2] = blockShift;
  return bytes;
}

/** Numbers of the namespaces above one, ascending. */
export function activeNamespaces(above: number, namespaceCount: number): Uint8Array {
  const bytes = new Uint8Array(identifyBytes);
  const view = new DataView(bytes.buffer);
  for (let id = above + 1; id <= namespaceCount; id++) view.setUint32((id - above - 1) * 4, id, true);
  return bytes;
}

/** Figure 251: one descriptor, the namespace's NGUID. */
export function namespaceDescriptors(serial: string, id: number): Uint8Array {
  const bytes = new Uint8Array(identifyBytes);
  const guid = uniqueId(serial, id);
  bytes[0] = 2;
  bytes[1] = guid.length;
  bytes.set(guid, 4);
  return bytes;
}

/** An NGUID of our own making: the serial number's hash, and which namespace. */
function uniqueId(serial: string, id: number): Uint8Array {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  let hash = 0x811c_9dc5;
  for (let index = 0; index < 12; index++) {
    for (let at = 0; at < serial.length; at++) hash = Math.imul(hash ^ serial.charCodeAt(at), 0x0100_0193);
    bytes[index] = hash >>> 24;
  }
  view.setUint32(12, id);
  return bytes;
}

/** ASCII, filled up with spaces (or zeros). */
function text(bytes: Uint8Array, offset: number, sizeBytes: number, value: string, fill = 0x20): void {
  bytes.fill(fill, offset, offset + sizeBytes);
  for (let at = 0; at < Math.min(sizeBytes, value.length); at++) bytes[offset + at] = value.charCodeAt(at);
}
