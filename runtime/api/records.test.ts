/** Records: what is put is read, and no bytes at all make reading throw or run past their end. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { cutRecords, maxPayloadBytes, putRecord, readRecords, recordBytes, recordHeaderBytes } from "./records.ts";

const record = fc.record({ kind: fc.integer({ min: 0, max: 0xffff }), id: fc.integer({ min: 0, max: 0xffff }), tag: fc.integer({ min: 0, max: 0xffff_ffff }), payload: fc.uint8Array({ maxLength: 64 }) });

describe("records", () => {
  test("a batch comes back in order", () => {
    fc.assert(fc.property(fc.array(record, { maxLength: 20 }), (records) => {
      const batch = new Uint8Array(records.reduce((sum, { payload }) => sum + recordBytes(payload.length), 0));
      let at = 0;
      for (const { kind, id, tag, payload } of records) at = putRecord(batch, at, kind, id, tag, payload);
      expect(at).toBe(batch.length);
      expect(readRecords(batch)).toEqual({ ok: true, records });
    }));
  });

  test("any bytes give records inside them, or a reason", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), (data) => {
      const framed = readRecords(data);
      if (!framed.ok) {
        expect(framed.reason).not.toBe("");
        return;
      }
      expect(framed.records.reduce((sum, { payload }) => sum + recordBytes(payload.length), 0)).toBe(data.length);
    }));
  });

  test("pieces have whole records, keep their order, and are no longer than asked for", () => {
    fc.assert(fc.property(fc.array(record, { maxLength: 30 }), fc.integer({ min: 80, max: 400 }), (records, mostBytes) => {
      const batch = new Uint8Array(records.reduce((sum, { payload }) => sum + recordBytes(payload.length), 0));
      let at = 0;
      for (const { kind, id, tag, payload } of records) at = putRecord(batch, at, kind, id, tag, payload);
      const pieces = cutRecords(batch, mostBytes);
      expect(pieces.every((piece) => piece.length > 0 && piece.length <= mostBytes)).toBe(true);
      const framed = pieces.map((piece) => readRecords(piece));
      expect(framed.flatMap((piece) => (piece.ok ? piece.records : []))).toEqual(records);
    }));
  });

  test("a record that does not fit is not put", () => {
    const target = new Uint8Array(recordHeaderBytes + 7);
    expect(putRecord(target, 0, 1, 1, 1, new Uint8Array(1))).toBe(-1);
    expect(target.every((byte) => byte === 0)).toBe(true);
  });

  test("a length beyond the limit is refused although the bytes are there", () => {
    const large = new Uint8Array(recordBytes(maxPayloadBytes + 8));
    putRecord(large, 0, 1, 1, 1, new Uint8Array(maxPayloadBytes + 8));
    expect(readRecords(large)).toMatchObject({ ok: false, reason: expect.stringContaining("limit") as string });
  });
});
