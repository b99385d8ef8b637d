import { once } from "node:events";
import net from "node:net";
import { mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { StreamFrames } from "./stream-frames.ts";

/** Two ends of a socket: ours with the framing, and a bare one. */
async function withSockets(body: (ours: net.Socket, bare: net.Socket) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(path.join(os.tmpdir(), "airlock-test-"));
  const server = net.createServer().listen(path.join(folder, "s"));
  await once(server, "listening");
  const ours = net.connect(path.join(folder, "s"));
  const [bare] = (await once(server, "connection")) as [net.Socket];
  try {
    await body(ours, bare);
  } finally {
    ours.destroy();
    bare.destroy();
    server.close();
    await rm(folder, { recursive: true });
  }
}

const framed = (frame: Uint8Array): Buffer => {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(frame.length, 0);
  return Buffer.concat([length, frame]);
};

describe("frames on a stream socket", () => {
  test("arrive whole, however the bytes are cut", () =>
    withSockets(async (ours) => {
      fc.assert(fc.property(fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 }), { maxLength: 8 }), fc.array(fc.integer({ min: 1, max: 64 }), { minLength: 1 }), (frames, cuts) => {
        const got: Uint8Array[] = [];
        ours.removeAllListeners("data");
        const end = new StreamFrames(ours, (frame) => got.push(frame));
        const bytes = Buffer.concat(frames.map(framed));
        for (let at = 0, turn = 0; at < bytes.length; turn++) {
          const size = cuts[turn % cuts.length]!;
          ours.emit("data", bytes.subarray(at, at + size));
          at += size;
        }
        expect(got).toEqual(frames);
        expect(end.dropped).toBe(0);
      }));
    }));

  test("are sent with their length, and lost when the other end takes nothing", () =>
    withSockets(async (ours, bare) => {
      const end = new StreamFrames(ours, () => undefined);
      expect(end.send(Uint8Array.of(1, 2, 3))).toBe(true);
      const [first] = (await once(bare, "data")) as [Buffer];
      expect([...first]).toEqual([0, 0, 0, 3, 1, 2, 3]);
      bare.pause();
      let sent = 0;
      while (sent < 10_000 && end.send(new Uint8Array(1_500))) sent++;
      expect(sent).toBeLessThan(10_000);
      expect(end.dropped).toBe(1);
      expect(end.send(new Uint8Array(0))).toBe(false);
      expect(end.send(new Uint8Array(100_000))).toBe(false);
    }));

  test("a length that no frame has cuts the other end off", () =>
    withSockets(async (ours, bare) => {
      const got: Uint8Array[] = [];
      void new StreamFrames(ours, (frame) => got.push(frame));
      bare.on("error", () => undefined);
      const closed = once(bare, "close");
      bare.resume();
      bare.write(Buffer.concat([framed(Uint8Array.of(7)), Buffer.from([0xff, 0, 0, 0, 1])]));
      await closed;
      expect(got).toEqual([Uint8Array.of(7)]);
      expect(ours.destroyed).toBe(true);
    }));
});
