import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { MessageRing, createMessageRing, messageRingBytes } from "./message-ring.ts";

function pair(): { buffer: SharedArrayBuffer; producer: MessageRing; consumer: MessageRing } {
  const buffer = createMessageRing();
  return { buffer, producer: new MessageRing(buffer), consumer: new MessageRing(buffer) };
}

/** Bytes that tell their place in the stream. */
const stream = (from: number, length: number): Uint8Array => Uint8Array.from({ length }, (_, index) => ((from + index) * 31) & 0xff);

test("what comes out is what went in, in order, over any number of wraps", () => {
  fc.assert(fc.property(fc.array(fc.oneof(fc.nat(70_000), fc.constant("take" as const)), { minLength: 1, maxLength: 60 }), (steps) => {
    const { producer, consumer } = pair();
    let put = 0;
    let taken = 0;
    const take = (): void => {
      const bytes = consumer.take()!;
      expect(Buffer.compare(bytes, stream(taken, bytes.length))).toBe(0);
      taken += bytes.length;
      expect(taken).toBe(put);
      expect(consumer.hasData).toBe(false);
    };
    for (const step of steps) {
      if (step === "take") take();
      else {
        const fits = step <= messageRingBytes - (put - taken);
        expect(producer.put(stream(put, step))).toBe(fits);
        if (fits) put += step;
      }
    }
    take();
  }), { numRuns: 60 });
});

describe("the ring", () => {
  test("takes exactly as much as it holds, and the whole of a batch or nothing", () => {
    const { producer, consumer } = pair();
    expect(producer.put(new Uint8Array(messageRingBytes + 1))).toBe(false);
    expect(producer.put(stream(0, messageRingBytes))).toBe(true);
    expect(producer.put(Uint8Array.of(1))).toBe(false);
    expect(consumer.take()).toHaveLength(messageRingBytes);
    expect(producer.put(Uint8Array.of(1))).toBe(true);
  });

  test("gives private copies: what the producer writes later does not show", () => {
    const { buffer, producer, consumer } = pair();
    producer.put(Uint8Array.of(1, 2, 3));
    const taken = consumer.take()!;
    new Uint8Array(buffer).fill(9);
    expect([...taken]).toEqual([1, 2, 3]);
  });

  test("wakes a consumer that waits, also when data came before it waited", async () => {
    const { producer, consumer } = pair();
    const waiting = consumer.waitAsync();
    producer.put(Uint8Array.of(1));
    producer.notify();
    await waiting;
    await consumer.waitAsync();
    expect([...consumer.take()!]).toEqual([1]);
  });
});

test("indices that a tampering producer wrote are noticed or harmless: never more than the ring, never an exception", () => {
  fc.assert(fc.property(fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }), (head) => {
    const { buffer, consumer } = pair();
    Atomics.store(new Int32Array(buffer), 0, head);
    const taken = consumer.take();
    if (head < 0 || head > messageRingBytes) expect(taken).toBeUndefined();
    else expect(taken).toHaveLength(head);
  }));
});

test("an end's own index is where it left it, whatever the other end writes", () => {
  fc.assert(fc.property(fc.integer(), fc.integer(), (head, tail) => {
    const { buffer, producer, consumer } = pair();
    const words = new Int32Array(buffer);
    producer.put(Uint8Array.of(1, 2, 3));
    words[16] = tail;
    expect([...consumer.take()!]).toEqual([1, 2, 3]);
    words[0] = head;
    expect(producer.put(Uint8Array.of(4))).toBe(true);
    expect([...consumer.take()!]).toEqual([4]);
  }));
});
