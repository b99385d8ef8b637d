/** The peer "tap": a TAP interface of the machine this runs on. Option `interface` is its name. Needs the addon and CAP_NET_ADMIN. */
import { closeSync } from "node:fs";
import { AirlockError, errorText } from "../../../api/errors.ts";
import type { NetworkPeer, NetworkWire } from "../../../bus/network-peer.ts";
import { type NativeAddon, loadAddon } from "../../../native/addon.ts";
import type { PeerDefinition } from "./peer.ts";

/** Linux's IFNAMSIZ without its terminating zero. */
const longestName = 15;
/** A frame with the largest MTU a TAP interface has, and a VLAN tag. */
const frameRoomBytes = 65_536;
const defaultMtu = 1_500;
/** Jumbo frames beyond this do not go through the card. */
const largestMtu = 16_110;
/** Frames taken from the interface in one poll: other devices want their turn. */
const framesPerPoll = 256;
/** While frames come, soon again; when none came for a while, less and less often. */
const busyPollMicros = 50;
const idlePollMicros = 1_000;

/** What the peer needs of the addon. */
export type TapCalls = Pick<NativeAddon, "read" | "write">;

/** What went through: frames either way, and those the interface did not take. */
export interface TapCounters {
  received: number;
  sent: number;
  refused: number;
}

export class TapPeer implements NetworkPeer {
  readonly #calls: TapCalls;
  readonly #fd: number;
  readonly #room = new Uint8Array(frameRoomBytes);
  readonly #close: (fd: number) => void;
  #wire: NetworkWire | undefined;
  #pollMicros = busyPollMicros;
  #closed = false;
  readonly counters: TapCounters = { received: 0, sent: 0, refused: 0 };

  constructor(calls: TapCalls, fd: number, close: (fd: number) => void = closeSync) {
    this.#calls = calls;
    this.#fd = fd;
    this.#close = close;
  }

  get pollMicros(): number {
    return this.#pollMicros;
  }

  connect(wire: NetworkWire): void {
    this.#wire = wire;
    wire.setCarrier(true);
  }

  /** One frame is one write. An interface that is down, gone or busy loses it, as a cable into nothing would. */
  receive(frame: Uint8Array): void {
    if (!this.#closed && this.#write(frame)) this.counters.sent++;
    else this.counters.refused++;
  }

  /** What the card has no room for stays in the interface's queue, where the kernel drops what is too much. */
  poll(): void {
    let frames = 0;
    while (!this.#closed && frames < framesPerPoll && this.#wire?.hasRoom() === true) {
      const size = this.#read();
      if (size <= 0) break;
      frames++;
      this.#wire.send(this.#room.subarray(0, size));
    }
    this.counters.received += frames;
    this.#pollMicros = frames > 0 ? busyPollMicros : Math.min(idlePollMicros, this.#pollMicros * 2);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#close(this.#fd);
  }

  #write(frame: Uint8Array): boolean {
    try {
      return this.#calls.write(this.#fd, frame, 0) > 0;
    } catch {
      // EIO while the interface is down, EBADFD once it was deleted: nothing here can be done about either.
      return false;
    }
  }

  /** Size of the next frame; 0 or less when there is none, or the interface is down or gone. */
  #read(): number {
    try {
      return this.#calls.read(this.#fd, this.#room, 0);
    } catch {
      return -1;
    }
  }
}

/** @throws AirlockError InvalidArgument, AddonMissing, PlatformUnavailable */
function openTapPeer(options: Readonly<Record<string, string | number | boolean>>): TapPeer {
  const name = options["interface"];
  if (typeof name !== "string" || name === "" || name.length > longestName || /[/\s%]/.test(name)) {
    const rule = `at most ${longestName} characters without "/", "%" and spaces`;
    throw new AirlockError("InvalidArgument", `peer tap: option interface is to name a TAP interface, ${rule}`);
  }
  const mtu = options["mtu"] ?? defaultMtu;
  if (typeof mtu !== "number" || !Number.isInteger(mtu) || mtu < 68 || mtu > largestMtu) {
    throw new AirlockError("InvalidArgument", `peer tap: option mtu is ${String(mtu)}, not a number from 68 to ${largestMtu}`);
  }
  const addon = loadAddon();
  try {
    return new TapPeer(addon, addon.openTap({ name, mtu, up: true }).fd);
  } catch (cause) {
    const message = `peer tap: interface "${name}" does not open (${errorText(cause)}); it needs CAP_NET_ADMIN and /dev/net/tun`;
    throw new AirlockError("PlatformUnavailable", message, { interface: name }, { cause });
  }
}

const tap: PeerDefinition = { name: "tap", createNetwork: openTapPeer };

export default tap;
