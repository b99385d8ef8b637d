/** The boundary refuses everything the contract does not describe, and takes everything it does. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { defineClass } from "../api/contract.ts";
import { bytes, u8 } from "../api/layout.ts";
import { RecordKind } from "../api/records.ts";
import { Boundary } from "./boundary.ts";

const contract = defineClass({
  name: "thing", version: 1,
  operations: {
    look: { treatment: "query", args: {}, reply: { value: u8(0, 9) }, deadlineMs: 10 },
    push: { treatment: "config", args: {}, reply: {}, deadlineMs: 10 },
  },
  events: { arrived: { data: bytes(4) } },
});
const reply = (id: number, tag: number, ...payload: number[]) => ({ kind: RecordKind.reply, id, tag, payload: Uint8Array.from(payload) });

/** A boundary with one open `look`, and its tag. */
function asked(): { boundary: Boundary; tag: number } {
  const boundary = new Boundary(contract);
  return { boundary, tag: boundary.issue(contract.operations.look) };
}

describe("boundary", () => {
  test("takes a valid reply once, and calls the second one by its name", () => {
    const { boundary, tag } = asked();
    expect(boundary.examine(reply(0, tag, 7))).toMatchObject({ kind: "reply", tag, value: { value: 7 } });
    expect(boundary.examine(reply(0, tag, 7))).toEqual({ kind: "violation", reason: `a second answer with tag ${tag}` });
  });

  test("takes a valid event", () => {
    const record = { kind: RecordKind.event, id: 0, tag: 0, payload: Uint8Array.of(2, 0, 5, 6) };
    expect(asked().boundary.examine(record)).toMatchObject({ kind: "event", value: { data: Uint8Array.of(5, 6) } });
  });

  test.each([
    ["an unknown tag", (tag: number) => reply(0, tag + 1, 7), /never asked/],
    ["tag 0", () => reply(0, 0, 7), /never asked/],
    ["another operation's id", (tag: number) => reply(1, tag), /answer to push with tag \d+, which asked for look/],
    ["an operation that does not exist", (tag: number) => reply(9, tag), /operation 9/],
    ["a value out of range", (tag: number) => reply(0, tag, 10), /malformed answer to look: value is 10/],
    ["a short payload", (tag: number) => reply(0, tag), /malformed/],
    ["a long payload", (tag: number) => reply(0, tag, 1, 2), /malformed/],
    ["an unknown event", () => ({ ...reply(5, 0), kind: RecordKind.event }), /event 5/],
    ["an event with a tag", (tag: number) => ({ ...reply(0, tag, 0, 0), kind: RecordKind.event }), /with tag/],
    ["an event whose length lies", () => ({ ...reply(0, 0, 4, 0, 1), kind: RecordKind.event }), /malformed event/],
    ["a record of the host's own kinds", (tag: number) => ({ ...reply(0, tag), kind: RecordKind.request }), /neither a reply nor an event/],
  ])("refuses %s", (_what, record, reason) => {
    const { boundary, tag } = asked();
    const examined = boundary.examine(record(tag));
    expect(examined).toMatchObject({ kind: "violation", reason: expect.stringMatching(reason) });
  });

  test("knows nothing of an earlier generation's tags", () => {
    const { boundary, tag } = asked();
    boundary.reset();
    expect(boundary.examine(reply(0, tag, 7))).toMatchObject({ kind: "violation", reason: expect.stringMatching(/never asked/) });
  });

  test("never throws, whatever comes", () => {
    fc.assert(fc.property(
      fc.record({ kind: fc.nat(20), id: fc.nat(4), tag: fc.nat(3), payload: fc.uint8Array({ maxLength: 12 }) }),
      (record) => {
        const { boundary } = asked();
        expect(["reply", "event", "violation"]).toContain(boundary.examine(record).kind);
      },
    ));
  });
});
