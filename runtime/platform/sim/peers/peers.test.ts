/** Serial peers: how they are found, and that an echo loses and reorders nothing within its bounds. */
import { describe, expect, test } from "vitest";
import { type SerialInputs, type SerialPeer, serialLineBytes } from "../../../bus/device.ts";
import { echoBufferBytes } from "./echo.ts";
import { findPeer } from "./find-peer.ts";

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

describe("findPeer", () => {
  test("finds peers by name", async () => {
    for (const name of ["echo", "none"]) expect((await findPeer(name)).name).toBe(name);
  });

  test("says what there is when there is no such peer", async () => {
    await expect(findPeer("modem")).rejects.toMatchObject({ code: "NotFound" });
    await expect(findPeer("modem")).rejects.toThrow(/no serial peer "modem"; there are echo,.* none/);
  });
});

describe("echo", () => {
  test("sends each character back and says ready", async () => {
    const peer = (await findPeer("echo")).create({});
    const port = plug(peer);
    for (const byte of [1, 2, 255]) peer.receive(byte);
    expect(port.sent).toEqual([1, 2, 255]);
    expect(port.inputs).toEqual({ cts: true, dsr: true, ri: false, dcd: true });
  });

  test("keeps what the line has no room for, in order, and drops only beyond its bound", async () => {
    const peer = (await findPeer("echo")).create({});
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
    const peer = (await findPeer("none")).create({});
    const port = plug(peer);
    peer.receive(1);
    peer.outputs({ dtr: true, rts: true, break: false });
    expect(port).toEqual({ sent: [], room: Infinity, inputs: undefined });
  });
});
