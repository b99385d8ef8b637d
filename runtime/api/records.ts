/** Records: the framing of messages in a sandbox's inbox and outbox and between threads. Fixed header, padded to 8 bytes. */

/** Header: u32 payload bytes, u16 kind, u16 id (operation, event, line or timer), u32 tag, u32 reserved (0). */
export const recordHeaderBytes = 16;

/** No record carries more payload than this: the largest class message is far smaller, a larger one is an attack. */
export const maxPayloadBytes = 16_384;

export const RecordKind = {
  /** To the driver: run init. */
  init: 1,
  /** To the driver: perform operation `id`, answer with the same tag. */
  request: 2,
  /** To the driver: interrupt line `id` was raised. */
  irq: 3,
  /** To the driver: timer `tag` has expired. */
  timer: 4,
  /** To the driver: requests of queue `id`, whole entries of its request layout. */
  requests: 6,
  /** To the driver, only from fault injection: fetch and arm the fault code. */
  fault: 5,
  /** To the driver, in the wasm tier: let go of the device in order, answer with `removed`. Nothing but interrupts and timers comes in between. */
  remove: 7,
  /** From the driver: init has finished. */
  ready: 16,
  /** From the driver: the answer to the request with this tag. */
  reply: 17,
  /** From the driver: event `id`. */
  event: 18,
  /** From the driver: completions of queue `id`, whole entries of its completion layout. */
  completions: 19,
  /** From the driver: it has let go of its device. */
  removed: 20,
} as const;

export type RecordKind = (typeof RecordKind)[keyof typeof RecordKind];

export interface MessageRecord {
  readonly kind: number;
  readonly id: number;
  readonly tag: number;
  readonly payload: Uint8Array;
}

/** Bytes a record with this payload takes, header and padding included. */
export function recordBytes(payloadBytes: number): number {
  return recordHeaderBytes + ((payloadBytes + 7) & ~7);
}

/** Appends a record at `at`; returns the offset after it, or -1 when it does not fit. */
export function putRecord(target: Uint8Array, at: number, kind: number, id: number, tag: number, payload: Uint8Array): number {
  const end = at + recordBytes(payload.length);
  if (end > target.length) return -1;
  const view = new DataView(target.buffer, target.byteOffset, target.byteLength);
  view.setUint32(at, payload.length, true);
  view.setUint16(at + 4, kind, true);
  view.setUint16(at + 6, id, true);
  view.setUint32(at + 8, tag, true);
  view.setUint32(at + 12, 0, true);
  target.set(payload, at + recordHeaderBytes);
  return end;
}

/** Where to cut framed records so that each piece has whole records and at most `mostBytes`; one longer record stays whole. */
export function cutRecords(bytes: Uint8Array, mostBytes: number): Uint8Array[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const pieces: Uint8Array[] = [];
  let start = 0;
  for (let at = 0; at < bytes.length; ) {
    const end = Math.min(bytes.length, at + recordBytes(view.getUint32(at, true)));
    if (end - start > mostBytes && at > start) {
      pieces.push(bytes.subarray(start, at));
      start = at;
    }
    at = end;
  }
  if (start < bytes.length) pieces.push(bytes.subarray(start));
  return pieces;
}

/**
 * Reads every record of `bytes`. The input must already be a private copy: payloads are views into it.
 * Returns the records, or the reason why the framing is malformed.
 */
export function readRecords(bytes: Uint8Array): { ok: true; records: MessageRecord[] } | { ok: false; reason: string } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const records: MessageRecord[] = [];
  let at = 0;
  while (at < bytes.length) {
    if (bytes.length - at < recordHeaderBytes) return { ok: false, reason: `${bytes.length - at} bytes left, a header has ${recordHeaderBytes}` };
    const length = view.getUint32(at, true);
    if (length > maxPayloadBytes) return { ok: false, reason: `payload of ${length} bytes, the limit is ${maxPayloadBytes}` };
    const end = at + recordBytes(length);
    if (end > bytes.length) return { ok: false, reason: `record of ${length} bytes runs past the end` };
    records.push({
      kind: view.getUint16(at + 4, true), id: view.getUint16(at + 6, true), tag: view.getUint32(at + 8, true),
      payload: bytes.subarray(at + recordHeaderBytes, at + recordHeaderBytes + length),
    });
    at = end;
  }
  return { ok: true, records };
}
