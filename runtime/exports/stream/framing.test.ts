/** QEMU's framing: whatever is put together comes apart again, however the stream is cut, and nonsense is called so. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { FrameSplitter, joinFrames, maxFramedBytes } from "./framing.ts";

const frames = fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 }), { maxLength: 12 });

test("frames come out as they went in, however the stream is cut", () => {
  fc.assert(fc.property(frames, fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1 }), (sent, cuts) => {
    const stream = joinFrames(sent);
    const splitter = new FrameSplitter();
    const came: Uint8Array[] = [];
    for (let at = 0, cut = 0; at < stream.length; cut++) {
      const end = at + cuts[cut % cuts.length]!;
      const out = splitter.push(stream.slice(at, end));
      if (typeof out === "string") throw new Error(out);
      came.push(...out);
      at = end;
    }
    expect(came.map((frame) => [...frame])).toEqual(sent.map((frame) => [...frame]));
  }));
});

test("the length is four bytes, highest first", () => {
  expect([...joinFrames([Uint8Array.of(7, 8, 9)])]).toEqual([0, 0, 0, 3, 7, 8, 9]);
});

test.each([[0], [maxFramedBytes + 1], [0xffff_ffff]])("a length of %i is no frame", (length) => {
  const stream = Buffer.alloc(8);
  stream.writeUInt32BE(length);
  expect(new FrameSplitter().push(stream)).toMatch(new RegExp(`${length} bytes`));
});

test("the largest frame comes through in single bytes", () => {
  const largest = Uint8Array.from({ length: maxFramedBytes }, (_, index) => index & 0xff);
  const splitter = new FrameSplitter();
  const came: Uint8Array[] = [];
  for (const byte of joinFrames([largest, Uint8Array.of(1)])) {
    const frames = splitter.push(Uint8Array.of(byte));
    if (typeof frames !== "string") came.push(...frames);
  }
  expect(came).toHaveLength(2);
  expect(Buffer.compare(came[0]!, largest)).toBe(0);
});

test("whatever comes, it neither throws nor keeps more than a frame", () => {
  fc.assert(fc.property(fc.array(fc.uint8Array({ maxLength: 64 }), { maxLength: 20 }), (chunks) => {
    const splitter = new FrameSplitter();
    for (const chunk of chunks) if (typeof splitter.push(chunk) === "string") break;
    expect(true).toBe(true);
  }));
});
