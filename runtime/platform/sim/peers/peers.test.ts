/** Peers: how they are found, that an echo loses and reorders nothing within its bounds, and that network peers carry frames. */
import { describe, expect, test } from "vitest";
import { type SerialInputs, type SerialPeer, serialLineBytes } from "../../../bus/device.ts";
import type { NetworkPeer } from "../../../bus/network-peer.ts";
import { echoBufferBytes } from "./echo.ts";
import { openNetworkPeer, openSerialPeer } from "./find-peer.ts";
import type { PeerOptions } from "./peer.ts";
import { type TapCalls, TapPeer } from "./tap.ts";

/** A line whose queue has room for `room` characters. */
function plug(peer: SerialPeer): { sent: number[]; room: number; inputs: SerialInputs | undefined } {
  const port = { sent: [] as number[], room: Infinity, inputs: undefined as SerialInputs | undefined };
  peer.connect({
    send: (bytes) => {
      const taken = Math.min(bytes.length, port.room);
      for (const byte of bytes.subarray(0, taken)) port.sent.push(byte);
      port.room -= taken;
      return taken;
    },
    inputs: (signals) => { port.inputs = signals; },
    disturb: () => undefined,
  });
  return port;
}

describe("finding peers", () => {
  test("says what there is when there is no such peer", async () => {
    await expect(openSerialPeer("modem", {})).rejects.toMatchObject({ code: "NotFound" });
    await expect(openSerialPeer("modem", {})).rejects.toThrow(/no serial peer "modem"; there are echo,.* none/);
    await expect(openNetworkPeer("hub", {})).rejects.toThrow(/no network peer "hub"; there are host, none, tap/);
  });

  test("a peer fits only its own connectors", async () => {
    await expect(openNetworkPeer("echo", {})).rejects.toThrow(/no network peer "echo"/);
    await expect(openSerialPeer("host", {})).rejects.toThrow(/no serial peer "host"/);
  });
});

describe("echo", () => {
  test("sends each character back and says ready", async () => {
    const peer = await openSerialPeer("echo", {});
    const port = plug(peer);
    for (const byte of [1, 2, 255]) peer.receive(byte);
    expect(port.sent).toEqual([1, 2, 255]);
    expect(port.inputs).toEqual({ cts: true, dsr: true, ri: false, dcd: true });
  });

  test("keeps what the line has no room for, in order, and drops only beyond its bound", async () => {
    const peer = await openSerialPeer("echo", {});
    const port = plug(peer);
    port.room = 2;
    for (let at = 0; at < echoBufferBytes + 10; at++) peer.receive(at & 0xff);
    expect(port.sent).toEqual([0, 1]);
    port.room = 5;
    peer.ready?.();
    expect(port.sent).toEqual([0, 1, 2, 3, 4, 5, 6]);
    port.room = Infinity;
    peer.receive(0xaa);
    peer.ready?.();
    expect(port.sent.length).toBe(2 + serialLineBytes - 5 + 5 + 1);
    expect(port.sent.at(-1)).toBe(0xaa);
    peer.receive(0xbb);
    expect(port.sent.at(-1)).toBe(0xbb);
  });

  test("none takes everything and says nothing", async () => {
    const peer = await openSerialPeer("none", {});
    const port = plug(peer);
    peer.receive(1);
    peer.outputs({ dtr: true, rts: true, break: false });
    expect(port).toEqual({ sent: [], room: Infinity, inputs: undefined });
  });
});

/** A card's end of the cable that has room for `room` frames. */
function plugCard(peer: NetworkPeer): { carrier: boolean | undefined; frames: Uint8Array[]; room: number } {
  const card = { carrier: undefined as boolean | undefined, frames: [] as Uint8Array[], room: Infinity };
  peer.connect({
    send: (frame) => {
      if (card.frames.length >= card.room) return false;
      card.frames.push(frame.slice());
      return true;
    },
    hasRoom: () => card.frames.length < card.room,
    setCarrier: (up) => { card.carrier = up; },
  });
  return card;
}

const reflected = Uint8Array.of(2, 0, 10, 77, 0, 2, 0x52, 0x54, 0, 0x12, 0x34, 0x56, 0x88, 0xb5, 7);

describe("network peers", () => {
  test("none has no carrier", async () => {
    const peer = await openNetworkPeer("none", {});
    const card = plugCard(peer);
    peer.receive(reflected.slice());
    expect(card).toEqual({ carrier: undefined, frames: [], room: Infinity });
    expect(peer.pollMicros).toBeUndefined();
  });

  test("host is there at once and answers at once", async () => {
    const peer = await openNetworkPeer("host", { address: "10.77.0.2" });
    const card = plugCard(peer);
    expect(card.carrier).toBe(true);
    peer.receive(reflected.slice());
    peer.receive(Uint8Array.of(1, 2, 3));
    expect(card.frames.map((frame) => [...frame.subarray(0, 6)])).toEqual([[0x52, 0x54, 0, 0x12, 0x34, 0x56]]);
    await expect(openNetworkPeer("host", { address: "here" })).rejects.toMatchObject({ code: "InvalidArgument" });
  });
});

/** A TAP interface in memory. */
class FakeTap implements Pick<TapCalls, "read" | "write"> {
  readonly written: Uint8Array[] = [];
  readonly waiting: Uint8Array[] = [];
  isDown = false;
  isFull = false;
  closed: number[] = [];

  read(_fd: number, bytes: Uint8Array, offset: number): number {
    if (this.isDown) throw Object.assign(new Error("read"), { code: "EIO" });
    const frame = this.waiting.shift();
    if (frame === undefined) return -1;
    bytes.set(frame, offset);
    return frame.length;
  }

  write(_fd: number, bytes: Uint8Array, offset: number): number {
    if (this.isDown) throw Object.assign(new Error("write"), { code: "EIO" });
    if (this.isFull) return -1;
    this.written.push(bytes.slice(offset));
    return bytes.length - offset;
  }
}

function openFake(): { tap: FakeTap; peer: TapPeer; card: ReturnType<typeof plugCard> } {
  const tap = new FakeTap();
  const peer = new TapPeer(tap, 7, (fd) => tap.closed.push(fd));
  return { tap, peer, card: plugCard(peer) };
}

describe("tap", () => {
  test("passes frames both ways, in order", () => {
    const { tap, peer, card } = openFake();
    expect(card.carrier).toBe(true);
    tap.waiting.push(Uint8Array.of(1, 2), Uint8Array.of(3));
    peer.poll();
    expect(card.frames).toEqual([Uint8Array.of(1, 2), Uint8Array.of(3)]);
    peer.receive(Uint8Array.of(4, 5, 6));
    expect(tap.written).toEqual([Uint8Array.of(4, 5, 6)]);
    expect(peer.counters).toEqual({ received: 2, sent: 1, refused: 0 });
  });

  test("takes no more than its share in one poll, and polls less while nothing comes", () => {
    const { tap, peer, card } = openFake();
    for (let at = 0; at < 300; at++) tap.waiting.push(Uint8Array.of(at & 0xff));
    peer.poll();
    expect(card.frames.length).toBe(256);
    const busy = peer.pollMicros;
    peer.poll();
    expect(card.frames.length).toBe(300);
    for (let at = 0; at < 10; at++) peer.poll();
    expect(peer.pollMicros).toBeGreaterThan(busy);
    tap.waiting.push(Uint8Array.of(1));
    peer.poll();
    expect(peer.pollMicros).toBe(busy);
  });

  test("leaves in the interface what the card has no room for", () => {
    const { tap, peer, card } = openFake();
    card.room = 2;
    for (let at = 0; at < 5; at++) tap.waiting.push(Uint8Array.of(at));
    peer.poll();
    expect([card.frames.length, tap.waiting.length]).toEqual([2, 3]);
    card.room = Infinity;
    peer.poll();
    expect(card.frames.map((frame) => frame[0])).toEqual([0, 1, 2, 3, 4]);
  });

  test("an interface that is down, busy or closed loses frames and nothing else", () => {
    const { tap, peer, card } = openFake();
    tap.isDown = true;
    peer.poll();
    peer.receive(Uint8Array.of(1));
    tap.isDown = false;
    tap.isFull = true;
    peer.receive(Uint8Array.of(2));
    peer.close();
    peer.close();
    tap.waiting.push(Uint8Array.of(3));
    peer.poll();
    peer.receive(Uint8Array.of(4));
    expect(tap.closed).toEqual([7]);
    expect(card.frames).toEqual([]);
    expect(peer.counters).toEqual({ received: 0, sent: 0, refused: 3 });
  });

  const wrong: readonly PeerOptions[] = [{}, { interface: "" }, { interface: "a/b" }, { interface: "sixteen-letters!" }, { interface: "tap0", mtu: 10 }];
  test.each(wrong)("options %o are refused", async (options) => {
    await expect(openNetworkPeer("tap", options)).rejects.toMatchObject({ code: "InvalidArgument" });
  });
});
