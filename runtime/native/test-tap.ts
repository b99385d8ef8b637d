/** TAP interfaces for tests: whether this machine allows them, a network namespace to put one into, and who answers pings. */
import { execFileSync } from "node:child_process";
import { closeSync } from "node:fs";
import { addonMissing, programMissing } from "../../test/clients/client.ts";
import { errorText } from "../api/errors.ts";
import { loadAddon } from "./addon.ts";

/** The `ip` program answers at once, or something is wrong with the machine. */
const programMs = 20_000;

/** Why no TAP interface can be made here, or undefined. */
export function tapMissing(): string | undefined {
  const missing = addonMissing() ?? programMissing("ip", "iproute2");
  if (missing !== undefined) return missing;
  try {
    closeSync(loadAddon().openTap({ name: "airtest%d", mtu: 1_500, up: false }).fd);
    ip("netns", "list");
    return undefined;
  } catch (error) {
    return `no TAP interface can be made (${errorText(error)}); it needs /dev/net/tun and root or CAP_NET_ADMIN`;
  }
}

/** Runs `ip`; what it prints. */
export function ip(...args: string[]): string {
  return execFileSync("ip", args, { encoding: "utf8", timeout: programMs, stdio: ["ignore", "pipe", "pipe"] });
}

/** A network namespace of the test; its interfaces go with it. */
export class TestNamespace implements Disposable {
  readonly name: string;

  constructor(name: string) {
    this.name = `${name}-${process.pid}`;
    ip("netns", "add", this.name);
  }

  /** Moves an interface in and gives it an address like "10.1.2.1/24". */
  take(device: string, address: string): void {
    ip("link", "set", device, "netns", this.name);
    ip("-n", this.name, "address", "add", address, "dev", device);
    ip("-n", this.name, "link", "set", device, "up");
  }

  [Symbol.dispose](): void {
    ip("netns", "delete", this.name);
  }
}

/** What a host with this address answers to an Ethernet frame: to ARP who it is, to a ping the same; undefined to all else. */
export function answerTo(frame: Uint8Array, mac: Uint8Array, address: Uint8Array): Uint8Array | undefined {
  const type = frame[12]! * 256 + frame[13]!;
  const isFor = (at: number): boolean => address.every((byte, i) => frame[at + i] === byte);
  const reply = Uint8Array.from(frame);
  reply.set(frame.subarray(6, 12), 0);
  reply.set(mac, 6);
  // ARP (RFC 826): operation at 20, sender at 22, target at 32.
  if (type === 0x0806 && frame[21] === 1 && isFor(38)) {
    reply[21] = 2;
    reply.set(mac, 22);
    reply.set(address, 28);
    reply.set(frame.subarray(22, 32), 32);
    return reply;
  }
  // IPv4 without options, ICMP echo request (RFC 792): a type less by 8 is a checksum (in ones' complement) greater by 8 << 8.
  if (type !== 0x0800 || frame[14] !== 0x45 || frame[23] !== 1 || frame[34] !== 8 || !isFor(30)) return undefined;
  reply.set(frame.subarray(30, 34), 26);
  reply.set(frame.subarray(26, 30), 30);
  reply[34] = 0;
  const sum = frame[36]! * 256 + frame[37]! + 0x0800;
  const checksum = (sum & 0xffff) + (sum >>> 16);
  reply[36] = checksum >>> 8;
  reply[37] = checksum & 0xff;
  return reply;
}
