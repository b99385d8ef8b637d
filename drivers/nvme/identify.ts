/** The Identify structures: read from copies, every value checked. Source: NVM Express Base Specification 1.4, section 5.15.2. */
import { AirlockError } from "airlock/driver";
import { pageBytes, pageShift } from "./registers.ts";

/** What the controller says it is and can do (figure 247). */
export interface ControllerInfo {
  /** Model and serial number. */
  readonly label: string;
  /** Most bytes of one command; Infinity when the controller sets no limit. */
  readonly maxTransferBytes: number;
  readonly maxAsyncEvents: number;
  readonly maxAborts: number;
  readonly volatileCache: boolean;
  readonly writeZeroes: boolean;
  readonly discard: boolean;
  /** The optional asynchronous events it supports, as in the feature's word. */
  readonly eventMask: number;
}

/** One namespace, as this driver uses it (figure 245). */
export interface Namespace extends Pick<ControllerInfo, "label" | "volatileCache" | "writeZeroes" | "discard"> {
  readonly blockShift: number;
  readonly blocks: number;
  /** What one command moves: a multiple of the page. */
  readonly maxTransferBytes: number;
  readonly readOnly: boolean;
  /** Blocks deallocated by Write Zeroes read as zeroes. */
  readonly deallocateZeroes: boolean;
}

/** Bytes where the structures have what this driver needs. */
const ControllerField = { serial: 4, model: 24, mdts: 77, oaes: 92, acl: 258, aerl: 259, sqes: 512, cqes: 513, oncs: 520, vwc: 525 } as const;
const NamespaceField = { size: 0, flbas: 26, dlfeat: 33, nsattr: 99, formats: 128 } as const;
const serialBytes = 20;
const modelBytes = 40;

/** Optional commands: ONCS. */
const oncsDatasetManagement = 0x04;
const oncsWriteZeroes = 0x08;
/** DLFEAT: deallocated blocks read as zeroes; Write Zeroes can deallocate. */
const readsZeroesMask = 0x07;
const readsZeroes = 0x01;
const writeZeroesDeallocates = 0x08;

/** 2^6 and 2^4 bytes: required (low digit) and largest (high digit) entry sizes have to allow them. */
const submissionEntryShift = 6;
const completionEntryShift = 4;
/** MDTS beyond this is more than any transfer of this driver. */
const maxTransferShift = 30;
/** Block sizes of the block class: 512 bytes to 64 KiB. */
const minBlockShift = 9;
const maxBlockShift = 16;

/** @throws AirlockError Unsupported */
export function parseController(bytes: Uint8Array): ControllerInfo {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  checkEntrySize("submission", bytes[ControllerField.sqes]!, submissionEntryShift);
  checkEntrySize("completion", bytes[ControllerField.cqes]!, completionEntryShift);
  const mdts = bytes[ControllerField.mdts]!;
  const oncs = view.getUint16(ControllerField.oncs, true);
  return {
    label: `${text(bytes, ControllerField.model, modelBytes)} ${text(bytes, ControllerField.serial, serialBytes)}`.trim(),
    maxTransferBytes: mdts === 0 || mdts > maxTransferShift - pageShift ? Infinity : 2 ** (pageShift + mdts),
    maxAsyncEvents: bytes[ControllerField.aerl]! + 1,
    maxAborts: bytes[ControllerField.acl]! + 1,
    volatileCache: (bytes[ControllerField.vwc]! & 1) !== 0,
    writeZeroes: (oncs & oncsWriteZeroes) !== 0,
    discard: (oncs & oncsDatasetManagement) !== 0,
    eventMask: view.getUint32(ControllerField.oaes, true),
  };
}

/** @throws AirlockError Unsupported */
export function parseNamespace(bytes: Uint8Array, id: number, controller: ControllerInfo, mostTransferBytes: number): Namespace {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const blocks = view.getUint32(NamespaceField.size + 4, true) * 2 ** 32 + view.getUint32(NamespaceField.size, true);
  const format = view.getUint32(NamespaceField.formats + 4 * (bytes[NamespaceField.flbas]! & 0xf), true);
  const metadataBytes = format & 0xffff;
  const blockShift = (format >>> 16) & 0xff;
  const unusable = (why: string): AirlockError => new AirlockError("Unsupported", `namespace ${id} ${why}; this driver cannot use it`);
  if (metadataBytes !== 0) throw unusable(`has ${metadataBytes} bytes of metadata with each block`);
  if (blockShift < minBlockShift || blockShift > maxBlockShift) throw unusable(`has blocks of 2^${blockShift} bytes`);
  if (blocks === 0) throw unusable("is empty or not active");
  if (blocks * 2 ** blockShift > Number.MAX_SAFE_INTEGER) throw unusable(`says it has ${blocks} blocks of ${2 ** blockShift} bytes`);
  const maxTransferBytes = Math.min(controller.maxTransferBytes, mostTransferBytes);
  if (maxTransferBytes < Math.max(pageBytes, 2 ** blockShift)) throw unusable(`has blocks larger than the ${maxTransferBytes} bytes of one command`);
  const dlfeat = bytes[NamespaceField.dlfeat]!;
  return {
    label: controller.label, volatileCache: controller.volatileCache, writeZeroes: controller.writeZeroes, discard: controller.discard,
    blockShift, blocks, maxTransferBytes, readOnly: (bytes[NamespaceField.nsattr]! & 1) !== 0,
    deallocateZeroes: (dlfeat & readsZeroesMask) === readsZeroes && (dlfeat & writeZeroesDeallocates) !== 0,
  };
}

/** Whether a list of active namespaces (5.15.2.4: ids in rising order, 0 after the last) has this one. */
export function listsNamespace(bytes: Uint8Array, id: number): boolean {
  return new Uint32Array(bytes.slice().buffer).includes(id);
}

function checkEntrySize(queue: string, sizes: number, shift: number): void {
  if ((sizes & 0xf) > shift || sizes >> 4 < shift) {
    const range = `2^${sizes & 0xf} to 2^${sizes >> 4}`;
    throw new AirlockError("Unsupported", `the NVMe controller's ${queue} queue entries have ${range} bytes, not 2^${shift}`);
  }
}

/** ASCII text padded with spaces, by some devices with NULs; what else is not printable becomes "?". */
function text(bytes: Uint8Array, at: number, sizeBytes: number): string {
  const codes = Array.from(bytes.subarray(at, at + sizeBytes), (code) => (code === 0 ? 0x20 : code >= 0x20 && code < 0x7f ? code : 0x3f));
  return String.fromCharCode(...codes).trimEnd();
}
