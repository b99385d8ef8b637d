/** The tiny host: what it answers, byte by byte, and that nothing sent to it does harm. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { NetworkHost, reflectedEtherType } from "./network-host.ts";

const client = [0x52, 0x54, 0x00, 0x12, 0x34, 0x56];
const clientIp = [10, 77, 0, 1];
const hostIp = [10, 77, 0, 2];
const hostMac = [0x02, 0x00, ...hostIp];
const everyone = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff];

function ones(bytes: readonly number[]): number {
  let sum = 0;
  bytes.forEach((byte, at) => { sum += at % 2 === 0 ? byte << 8 : byte; });
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return sum;
}

/** The bytes with their checksum at `at`. */
function checked(bytes: readonly number[], at: number): number[] {
  const sum = ~ones(bytes) & 0xffff;
  return bytes.map((byte, index) => (index === at ? sum >> 8 : index === at + 1 ? sum & 0xff : byte));
}

interface Echo {
  readonly destination?: readonly number[];
  readonly to?: readonly number[];
  readonly fragment?: number;
  readonly type?: number;
  readonly payload?: readonly number[];
  readonly trailer?: readonly number[];
}

function echoRequest(echo: Echo = {}): Uint8Array {
  const { destination = hostMac, to = hostIp, fragment = 0x4000, type = 8, payload = [1, 2, 3, 4, 5], trailer = [] } = echo;
  const icmp = checked([type, 0, 0, 0, 0x12, 0x34, 0, 7, ...payload], 2);
  const total = 20 + icmp.length;
  const ip = checked([0x45, 0, total >> 8, total & 0xff, 0xab, 0xcd, fragment >> 8, fragment & 0xff, 17, 1, 0, 0, ...clientIp, ...to], 10);
  return Uint8Array.from([...destination, ...client, 0x08, 0x00, ...ip, ...icmp, ...trailer]);
}

function arpRequest(target: readonly number[] = hostIp, operation = 1): Uint8Array {
  return Uint8Array.from([
    ...everyone, ...client, 0x08, 0x06, 0, 1, 0x08, 0x00, 6, 4, 0, operation, ...client, ...clientIp,
    0, 0, 0, 0, 0, 0, ...target, ...Array.from({ length: 18 }, () => 0),
  ]);
}

describe("ARP", () => {
  test("answers for its own address", () => {
    const reply = new NetworkHost().answer(arpRequest())!;
    expect([...reply.subarray(0, 42)]).toEqual([
      ...client, ...hostMac, 0x08, 0x06, 0, 1, 0x08, 0x00, 6, 4, 0, 2, ...hostMac, ...hostIp, ...client, ...clientIp,
    ]);
    expect(reply.length).toBe(60);
  });

  test("ignores requests for others, replies, and what is cut short", () => {
    const host = new NetworkHost();
    expect(host.answer(arpRequest([10, 77, 0, 3]))).toBeUndefined();
    expect(host.answer(arpRequest(hostIp, 2))).toBeUndefined();
    expect(host.answer(arpRequest().subarray(0, 41))).toBeUndefined();
    expect(host.counters).toEqual({ arpReplies: 0, echoReplies: 0, reflected: 0, ignored: 3 });
  });
});

describe("ICMP echo", () => {
  test.each([0, 1, 2, 55, 56, 1_400])("answers with %i bytes of payload, checksums right", (length) => {
    const payload = Array.from({ length }, (_, at) => (at * 37) & 0xff);
    const reply = new NetworkHost().answer(echoRequest({ payload }))!;
    expect([...reply.subarray(0, 14)]).toEqual([...client, ...hostMac, 0x08, 0x00]);
    const ip = [...reply.subarray(14, 34)];
    expect(ones(ip)).toBe(0xffff);
    expect(ip.slice(12)).toEqual([...hostIp, ...clientIp]);
    const icmp = [...reply.subarray(34)];
    expect(ones(icmp)).toBe(0xffff);
    expect(icmp.slice(0, 2)).toEqual([0, 0]);
    expect(icmp.slice(4)).toEqual([0x12, 0x34, 0, 7, ...payload]);
  });

  test("leaves a short frame's padding out of the checksum", () => {
    const reply = new NetworkHost().answer(echoRequest({ payload: [9], trailer: [0xde, 0xad, 0xbe] }))!;
    expect(ones([...reply.subarray(34, 43)])).toBe(0xffff);
  });

  test.each<[string, Echo]>([
    ["another address", { to: [10, 77, 0, 9] }], ["another station", { destination: [2, 0, 0, 0, 0, 1] }], ["a broadcast", { destination: everyone }],
    ["a first fragment", { fragment: 0x2000 }], ["a later fragment", { fragment: 0x0010 }], ["a reply", { type: 0 }],
  ])("ignores %s", (_name, echo) => {
    expect(new NetworkHost().answer(echoRequest(echo))).toBeUndefined();
  });

  test("ignores wrong checksums, wherever a bit is wrong", () => {
    for (let at = 14; at < echoRequest().length; at++) {
      const frame = echoRequest();
      frame[at]! ^= 0x10;
      expect(new NetworkHost().answer(frame)).toBeUndefined();
    }
  });

  test("another address by option", () => {
    const host = new NetworkHost("192.168.1.9");
    expect([...host.mac]).toEqual([2, 0, 192, 168, 1, 9]);
    expect(host.answer(echoRequest({ to: [192, 168, 1, 9], destination: [...host.mac] }))).toBeDefined();
  });

  test.each(["", "10.77.0", "10.77.0.256", "10.77.0.02", "10.77.0.2.1", "host"])("address %o is refused", (address) => {
    expect(() => new NetworkHost(address)).toThrow(/not an IPv4 address/);
  });
});

describe("reflection", () => {
  test("sends the experimental type back with the addresses swapped", () => {
    const frame = Uint8Array.from([...hostMac, ...client, reflectedEtherType >> 8, reflectedEtherType & 0xff, 1, 2, 3]);
    expect([...new NetworkHost().answer(frame)!]).toEqual([...client, ...hostMac, 0x88, 0xb5, 1, 2, 3]);
  });

  test("a group never becomes the sender", () => {
    const frame = Uint8Array.from([...everyone, ...client, 0x88, 0xb5, 1]);
    expect([...new NetworkHost().answer(frame)!]).toEqual([...client, ...hostMac, 0x88, 0xb5, 1]);
  });
});

test("any frame is answered in its own bytes or not at all", () => {
  const host = new NetworkHost();
  const types = fc.constantFrom([0x08, 0x00], [0x08, 0x06], [0x88, 0xb5], [0x86, 0xdd]);
  const counted = (): number => Object.values(host.counters).reduce((sum, count) => sum + count, 0);
  fc.assert(fc.property(fc.uint8Array({ maxLength: 120 }), types, fc.boolean(), (bytes, type, asRequest) => {
    const frame = asRequest ? Uint8Array.from([...echoRequest().subarray(0, 30), ...bytes]) : bytes;
    if (!asRequest) frame.set(type.slice(0, Math.max(0, frame.length - 12)), Math.min(12, frame.length));
    const before = counted();
    const answer = host.answer(frame);
    expect([undefined, frame]).toContain(answer);
    expect(counted()).toBe(before + 1);
  }));
});
