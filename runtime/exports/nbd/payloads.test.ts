/** Memory for payloads: sizes, what is used again, what never is. */
import { expect, test } from "vitest";
import { Payloads } from "./payloads.ts";
import { maxPayloadBytes } from "./protocol.ts";

test("any size up to the longest payload, in powers of two", () => {
  const payloads = new Payloads();
  const sizes = [0, 1, 4_096, 4_097, 65_536, 1_000_000, maxPayloadBytes];
  expect(sizes.map((size) => payloads.take(size)).map(({ length, buffer }) => [length, buffer.byteLength])).toEqual(
    [[0, 4_096], [1, 4_096], [4_096, 4_096], [4_097, 8_192], [65_536, 65_536], [1_000_000, 2 ** 20], [maxPayloadBytes, maxPayloadBytes]]);
});

test("what is given back is used again, once, however often it is given", () => {
  const payloads = new Payloads();
  const first = payloads.take(5_000);
  payloads.give(first);
  payloads.give(first.subarray(100));
  expect(payloads.freeBytes).toBe(8_192);
  const [second, third] = [payloads.take(8_000), payloads.take(8_000)];
  expect([second.buffer === first.buffer, third.buffer === first.buffer, payloads.freeBytes]).toEqual([true, false, 0]);
});

test("memory of others is not taken, and not more is kept than the limit", () => {
  const payloads = new Payloads();
  payloads.give(new Uint8Array(4_096));
  expect(payloads.freeBytes).toBe(0);
  for (const data of [payloads.take(maxPayloadBytes), payloads.take(maxPayloadBytes)]) payloads.give(data);
  expect(payloads.freeBytes).toBe(maxPayloadBytes);
});
