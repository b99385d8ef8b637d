import * as fc from "fast-check";
import { expect, test } from "vitest";
import { requestBytesOf } from "../../../test/clients/nbd-client.ts";
import { SharedBudget } from "./budget.ts";
import { Payloads } from "./payloads.ts";
import { Command } from "./protocol.ts";
import { type Request, Transmission } from "./transmission.ts";

/** A transmission whose requests are kept, and released at once unless `hold`. */
function lab(hold = false) {
  const requests: Request[] = [];
  const events: string[] = [];
  const shared = new SharedBudget();
  const transmission: Transmission = new Transmission(shared, new Payloads(), {
    request: (request) => {
      requests.push(request);
      if (!hold) transmission.release(1, request.chargedBytes);
    },
    disconnect: () => events.push("disconnect"),
    violation: (reason) => events.push(reason),
    flow: (wanted) => events.push(wanted ? "more" : "stop"),
  });
  return { transmission, requests, events, shared };
}

const text = ({ type, flags, high, low, offset, sizeBytes, data }: Request): string =>
  `${type} ${flags} ${high}:${low} ${offset} ${sizeBytes} ${data === undefined ? "-" : Buffer.from(data).toString("hex")}`;

test("requests are the same however their bytes are cut", () => {
  const request = fc.record({
    type: fc.constantFrom(0, 1, 3, 4, 6, 7, 99), flags: fc.nat(0xffff), cookie: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    offset: fc.bigInt({ min: 0n, max: 2n ** 53n - 1n }), data: fc.uint8Array({ maxLength: 200 }),
  });
  fc.assert(fc.property(fc.array(request, { maxLength: 10 }), fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1 }), (list, cuts) => {
    const bytes = Buffer.concat(list.map((one) =>
      requestBytesOf({ ...one, sizeBytes: one.data.length, data: one.type === Command.write ? one.data : Buffer.alloc(0) })));
    const it = lab();
    for (let at = 0, cut = 0; at < bytes.length; cut++) {
      const length = cuts[cut % cuts.length]!;
      it.transmission.receive(Buffer.from(bytes.subarray(at, at + length)));
      at += length;
    }
    expect(it.requests.map(text)).toEqual(list.map(({ type, flags, cookie, offset, data }) => {
      const payload = type === Command.write ? Buffer.from(data).toString("hex") : "-";
      return `${type} ${flags} ${cookie >> 32n}:${cookie & 0xffff_ffffn} ${offset} ${data.length} ${payload}`;
    }));
    expect([it.events, it.shared.bytes]).toEqual([[], 0]);
  }));
});

test("data that is much shorter than its chunk is copied out of it, other data is not", () => {
  const it = lab();
  const small = requestBytesOf({ type: Command.write, sizeBytes: 512, data: Buffer.alloc(512, 1) });
  it.transmission.receive(Buffer.concat(new Array<Buffer>(40).fill(small)));
  expect(it.requests.map(({ data }) => data!.buffer.byteLength)).toEqual(new Array<number>(40).fill(512));
  const alone = Buffer.from(new Uint8Array(28 + 4096));
  alone.set(requestBytesOf({ type: Command.write, sizeBytes: 4096 }));
  it.transmission.receive(alone);
  expect(it.requests[40]!.data!.buffer).toBe(alone.buffer);
});

test("without room it stops reading, keeps what came, and goes on when there is room", () => {
  const it = lab(true);
  const reads = Array.from({ length: 5 }, (_, index) => requestBytesOf({ type: Command.read, cookie: BigInt(index), sizeBytes: 32 * 2 ** 20 }));
  it.transmission.receive(Buffer.concat(reads.slice(0, 4)));
  expect([it.requests.length, it.events]).toEqual([1, ["stop"]]);
  it.transmission.receive(reads[4]!);
  for (let index = 0; index < 5; index++) {
    expect(it.requests[index]!.low).toBe(index);
    it.transmission.release(1, it.requests[index]!.chargedBytes);
  }
  expect([it.requests.length, it.events.at(-1), it.shared.bytes]).toEqual([5, "more", 0]);
});

test("closing gives back an unfinished write", () => {
  const it = lab(true);
  it.transmission.receive(requestBytesOf({ type: Command.write, sizeBytes: 1000, data: Buffer.alloc(10) }));
  expect([it.shared.bytes, it.transmission.inFlight, it.transmission.receiving]).toEqual([1028, 1, { payload: 1, sizeBytes: 1000 }]);
  it.transmission.close();
  it.transmission.close();
  it.transmission.receive(Buffer.alloc(990));
  expect([it.shared.bytes, it.requests]).toEqual([0, []]);
});

test("a wrong magic, and a write that is too long, end it", () => {
  for (const [bytes, reason] of [
    [requestBytesOf({ type: Command.read, magic: 1 }), "wrong magic of a request"],
    [requestBytesOf({ type: Command.write, sizeBytes: 2 ** 25 + 1 }), "a write that is too long"],
  ] as const) {
    const it = lab();
    it.transmission.receive(Buffer.concat([bytes, requestBytesOf({ type: Command.flush })]));
    expect([it.events, it.requests, it.shared.bytes]).toEqual([[reason], [], 0]);
  }
});
