/** Hostile class messages: whatever a driver says, no client sees what its contract does not allow, and nothing throws. */
import * as fc from "fast-check";
import { readdirSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { VirtualClock } from "../../runtime/api/clock.ts";
import type { ClassContract } from "../../runtime/api/contract.ts";
import type { Failure } from "../../runtime/api/failure.ts";
import { type MessageRecord, RecordKind } from "../../runtime/api/records.ts";
import type { DmaBuffers } from "../../runtime/classes/shadow.ts";
import { Boundary } from "../../runtime/classes/boundary.ts";
import { classNames, loadClass } from "../../runtime/cli/class-modules.ts";

const classes = await Promise.all(classNames().map((name) => loadClass(name)));

/** Memory for the classes whose requests carry something. */
function buffers(): DmaBuffers {
  const bytes = new Uint8Array(2 ** 20);
  return { iova: 0x10_0000, sizeBytes: bytes.length, write: (offset, from) => bytes.set(from, offset), read: (offset, into) => into.set(bytes.subarray(offset, offset + into.length)) };
}

const anyRecord: fc.Arbitrary<MessageRecord> = fc.record({
  kind: fc.oneof(fc.constantFrom<number>(RecordKind.reply, RecordKind.event, RecordKind.completions, RecordKind.ready), fc.nat(0xffff)),
  id: fc.oneof(fc.nat(6), fc.nat(0xffff)), tag: fc.oneof(fc.nat(12), fc.nat(0xffff_ffff)),
  payload: fc.oneof(fc.nat(24).map((length) => new Uint8Array(length)), fc.uint8Array({ maxLength: 24 }), fc.uint8Array({ maxLength: 600 }), fc.constant(new Uint8Array(16_384))),
});

test("every class is here", () => {
  expect(classes.map(({ name }) => name)).toEqual(expect.arrayContaining(["block", "net", "rtc", "serial"]));
  expect(readdirSync(new URL("../../runtime/classes/", import.meta.url))).toEqual(expect.arrayContaining(classes.map(({ name }) => name)));
});

describe.each(classes)("$name", ({ contract, createShadow, openClient }) => {
  test("the boundary judges any record without throwing, and what it takes is what the contract describes", () => {
    fc.assert(fc.property(fc.array(anyRecord, { maxLength: 60 }), (records) => {
      const boundary = new Boundary(contract);
      for (const operation of contract.operationList) boundary.issue(operation);
      const answered = new Set<number>();
      // Each comes twice, so that a second answer to the same request is among them.
      for (const record of records.flatMap((one) => [one, one])) {
        const examined = boundary.examine(record);
        if (examined.kind === "violation") expect(examined.reason).toMatch(/^[^\n]{1,500}$/);
        else if (examined.kind === "reply") {
          expect(answered.has(record.tag)).toBe(false);
          answered.add(record.tag);
          expect(reencoded(contract, record, examined.value)).toEqual(record.payload);
        } else {
          expect(record.tag).toBe(0);
          expect(reencoded(contract, record, examined.value)).toEqual(record.payload);
        }
      }
    }), { numRuns: 500 });
  });

  test("a shadow with open calls survives any sequence, and says what is wrong instead of throwing", async () => {
    await fc.assert(fc.asyncProperty(fc.array(anyRecord, { maxLength: 40 }), fc.nat(40), async (records, detachAt) => {
      const clock = new VirtualClock();
      const failures: Failure[] = [];
      const shadow = createShadow({ driver: "evil", clock, buffers: buffers(), note: () => undefined, fail: (failure) => failures.push(failure), served: () => undefined });
      const client = openClient(shadow);
      const attaching = shadow.attach({ send: () => true });
      for (const [index, record] of records.entries()) {
        if (index === detachAt) shadow.detach();
        const wrong = shadow.receive(record);
        expect(wrong === undefined || /^[^\n]{1,500}$/.test(wrong), String(wrong)).toBe(true);
        await Promise.resolve();
      }
      shadow.detach();
      expect(await attaching).toBeTypeOf("boolean");
      shadow.close();
      expect(client).toBeDefined();
    }), { numRuns: 150 });
  });
});

/** The payload again from the values that were decoded: equal when decoding lost and invented nothing. */
function reencoded(contract: ClassContract, record: MessageRecord, value: Readonly<Record<string, unknown>>): Uint8Array {
  const layout = record.kind === RecordKind.reply ? contract.operationList[record.id]!.reply : contract.eventList[record.id]!.payload;
  return layout.encode(value);
}
