/** A tiny IPv4 host at the far end of a network cable: it answers ARP and ICMP echo, and reflects frames of the experimental EtherType. */
import { AirlockError } from "../api/errors.ts";

/** IEEE 802 local experimental EtherType 1: what workloads measure with; it means nothing to anyone else. */
export const reflectedEtherType = 0x88b5;
export const defaultHostAddress = "10.77.0.2";

const etherTypeIpv4 = 0x0800;
const etherTypeArp = 0x0806;
const headerBytes = 14;
const arpBytes = 28;
const ipHeaderBytes = 20;
const icmpHeaderBytes = 8;
const protocolIcmp = 1;
const icmpEchoReply = 0;
const icmpEchoRequest = 8;
/** Hops of what it sends (RFC 1700). */
const timeToLive = 64;

/** What it counts. */
export interface NetworkHostCounters {
  arpReplies: number;
  echoReplies: number;
  reflected: number;
  ignored: number;
}

export class NetworkHost {
  /** Locally administered, from the IPv4 address: two hosts on one wire differ. */
  readonly mac: Uint8Array;
  readonly #ip: Uint8Array;
  readonly counters: NetworkHostCounters = { arpReplies: 0, echoReplies: 0, reflected: 0, ignored: 0 };

  /** @throws AirlockError InvalidArgument when `address` is no IPv4 address */
  constructor(address: string = defaultHostAddress) {
    this.#ip = parseIpv4(address);
    this.mac = Uint8Array.of(0x02, 0x00, ...this.#ip);
  }

  /** What it sends back for a frame, undefined for nothing. The answer is made in the frame's own bytes. */
  answer(frame: Uint8Array): Uint8Array | undefined {
    const reply = this.#answer(frame);
    if (reply === undefined) this.counters.ignored++;
    return reply;
  }

  #answer(frame: Uint8Array): Uint8Array | undefined {
    if (frame.length < headerBytes) return undefined;
    const type = word(frame, 12);
    if (type === reflectedEtherType) return this.#reflect(frame);
    if (type === etherTypeArp) return this.#answerArp(frame);
    return type === etherTypeIpv4 ? this.#answerEcho(frame) : undefined;
  }

  /** Sent to whomever: the addresses are swapped, but a group is no sender. */
  #reflect(frame: Uint8Array): Uint8Array {
    this.counters.reflected++;
    const toGroup = (frame[0]! & 1) !== 0;
    for (let at = 0; at < 6; at++) {
      const destination = frame[at]!;
      frame[at] = frame[6 + at]!;
      frame[6 + at] = toGroup ? this.mac[at]! : destination;
    }
    return frame;
  }

  /** RFC 826: Ethernet and IPv4, a request for this address. */
  #answerArp(frame: Uint8Array): Uint8Array | undefined {
    const arp = headerBytes;
    if (frame.length < arp + arpBytes) return undefined;
    const fits = word(frame, arp) === 1 && word(frame, arp + 2) === etherTypeIpv4 && frame[arp + 4] === 6 && frame[arp + 5] === 4;
    if (!fits || word(frame, arp + 6) !== 1 || !equal(frame, arp + 24, this.#ip)) return undefined;
    if ((frame[6]! & 1) !== 0) return undefined;
    frame.copyWithin(0, 6, 12);
    frame.set(this.mac, 6);
    setWord(frame, arp + 6, 2);
    frame.copyWithin(arp + 18, arp + 8, arp + 18);
    frame.set(this.mac, arp + 8);
    frame.set(this.#ip, arp + 14);
    this.counters.arpReplies++;
    return frame;
  }

  /** RFC 791, RFC 792: an echo request to this host, whole and with both checksums right. Options and fragments are not for it. */
  #answerEcho(frame: Uint8Array): Uint8Array | undefined {
    const ip = headerBytes;
    if (frame.length < ip + ipHeaderBytes + icmpHeaderBytes || !equal(frame, 0, this.mac) || (frame[6]! & 1) !== 0) return undefined;
    const total = word(frame, ip + 2);
    if (frame[ip] !== 0x45 || total < ipHeaderBytes + icmpHeaderBytes || ip + total > frame.length) return undefined;
    // All of the fragment word but "don't fragment".
    if ((word(frame, ip + 6) & 0xbfff) !== 0 || frame[ip + 9] !== protocolIcmp || !equal(frame, ip + 16, this.#ip)) return undefined;
    const icmp = ip + ipHeaderBytes;
    if (frame[icmp] !== icmpEchoRequest || frame[icmp + 1] !== 0) return undefined;
    if (sum(frame, ip, icmp) !== 0xffff || sum(frame, icmp, ip + total) !== 0xffff) return undefined;
    frame.copyWithin(0, 6, 12);
    frame.set(this.mac, 6);
    frame.copyWithin(ip + 16, ip + 12, ip + 16);
    frame.set(this.#ip, ip + 12);
    frame[ip + 8] = timeToLive;
    setChecksum(frame, ip + 10, ip, icmp);
    frame[icmp] = icmpEchoReply;
    setChecksum(frame, icmp + 2, icmp, ip + total);
    this.counters.echoReplies++;
    return frame;
  }
}

/** @throws AirlockError InvalidArgument */
function parseIpv4(address: string): Uint8Array {
  const parts = address.split(".");
  const good = parts.length === 4 && parts.every((part) => /^(?:0|[1-9]\d{0,2})$/.test(part) && Number(part) < 256);
  if (good) return Uint8Array.from(parts, Number);
  throw new AirlockError("InvalidArgument", `option address is "${address}", not an IPv4 address such as "${defaultHostAddress}"`, { address, option: "address" });
}

function word(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!;
}

function setWord(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >> 8;
  bytes[at + 1] = value & 0xff;
}

function equal(bytes: Uint8Array, at: number, wanted: Uint8Array): boolean {
  for (let byte = 0; byte < wanted.length; byte++) if (bytes[at + byte] !== wanted[byte]) return false;
  return true;
}

/** RFC 1071: the ones' complement sum of bytes `start` to `end`; 0xffff when they hold their own checksum. */
function sum(bytes: Uint8Array, start: number, end: number): number {
  let total = 0;
  for (let at = start; at + 1 < end; at += 2) total += (bytes[at]! << 8) | bytes[at + 1]!;
  if ((end - start) % 2 !== 0) total += bytes[end - 1]! << 8;
  while (total > 0xffff) total = (total & 0xffff) + (total >>> 16);
  return total;
}

function setChecksum(bytes: Uint8Array, at: number, start: number, end: number): void {
  setWord(bytes, at, 0);
  setWord(bytes, at, ~sum(bytes, start, end) & 0xffff);
}
