/** A hostile producer or consumer of the message ring between a driver's thread and the control plane. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { maxPayloadBytes, putRecord, readRecords, recordBytes, RecordKind } from "../../runtime/api/records.ts";
import { MessageRing, createMessageRing, messageRingBytes } from "../../runtime/host/message-ring.ts";

/** Words of the ring as message-ring.ts lays them out. */
const head = 0;
const tail = 16;

const record = (length: number): Uint8Array => {
  const bytes = new Uint8Array(recordBytes(length));
  putRecord(bytes, 0, RecordKind.event, 0, 0, new Uint8Array(length));
  return bytes;
};

describe("indices", () => {
  test("any pair of them gives a copy of at most the ring, or a refusal", () => {
    fc.assert(fc.property(fc.integer(), fc.integer(), (newHead, newTail) => {
      const buffer = createMessageRing();
      const words = new Int32Array(buffer, 0, 32);
      words[head] = newHead;
      words[tail] = newTail;
      const taken = new MessageRing(buffer).take();
      const length = (newHead - newTail) | 0;
      if (length < 0 || length > messageRingBytes) expect(taken).toBeUndefined();
      else expect(taken).toHaveLength(length);
      expect(taken?.buffer).not.toBe(buffer);
    }));
  });

  test("any pair of them lets the other side put a record or not, and never outside the ring", () => {
    fc.assert(fc.property(fc.integer(), fc.integer(), fc.nat(1_000), (newHead, newTail, length) => {
      const buffer = createMessageRing();
      const words = new Int32Array(buffer, 0, 32);
      words[head] = newHead;
      words[tail] = newTail;
      const put = new MessageRing(buffer).put(record(length));
      expect(words[head]).toBe(put ? (newHead + recordBytes(length)) | 0 : newHead);
    }));
  });

  test("across the end of 32 bits nothing is lost", () => {
    const buffer = createMessageRing();
    const words = new Int32Array(buffer, 0, 32);
    words[head] = words[tail] = 2 ** 31 - 24;
    const ring = new MessageRing(buffer);
    for (let round = 0; round < 10; round++) {
      expect(ring.put(record(round))).toBe(true);
      expect(ring.take()).toEqual(record(round));
    }
  });
});

describe("framing", () => {
  test("any bytes are records within the bytes given, or a reason", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
      const framed = readRecords(bytes);
      if (framed.ok) expect(framed.records.reduce((sum, { payload }) => sum + recordBytes(payload.length), 0)).toBe(bytes.length);
      else expect(framed.reason).toMatch(/\S/);
    }));
  });

  test.each([0xffff_ffff, 0x8000_0000, 0x7fff_ffff, maxPayloadBytes + 1, maxPayloadBytes])("a length of %i that is not there is refused", (length) => {
    const bytes = new Uint8Array(64);
    new DataView(bytes.buffer).setUint32(0, length, true);
    expect(readRecords(bytes).ok).toBe(false);
  });

  test("what was taken does not change when the producer goes on writing", () => {
    const buffer = createMessageRing();
    const ring = new MessageRing(buffer);
    ring.put(record(8));
    const taken = ring.take()!;
    const before = Uint8Array.from(taken);
    new Uint8Array(buffer).fill(0xff);
    expect(taken).toEqual(before);
  });
});
