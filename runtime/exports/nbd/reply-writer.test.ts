import { Duplex } from "node:stream";
import { expect, test } from "vitest";
import { Payloads } from "./payloads.ts";
import { Chunk } from "./protocol.ts";
import { ReplyWriter } from "./reply-writer.ts";

const turn = (): Promise<void> => new Promise((resolve) => { setImmediate(resolve); });

/** A socket that takes a batch when told. */
function lab() {
  const batches: Buffer[] = [];
  const pending: (() => void)[] = [];
  const take = (chunks: readonly Buffer[], callback: (error?: Error | null) => void): void => {
    batches.push(Buffer.concat(chunks));
    pending.push(() => callback());
  };
  const socket = new Duplex({
    read: () => undefined,
    write: (chunk: Buffer, _, callback) => take([chunk], callback),
    writev: (chunks, callback) => take(chunks.map(({ chunk }) => chunk as Buffer), callback),
  });
  const given = { requests: 0, bytes: 0 };
  const payloads = new Payloads();
  const writer = new ReplyWriter(socket, payloads, (requests, bytes) => {
    given.requests += requests;
    given.bytes += bytes;
  });
  return { writer, payloads, batches, given, taken: async () => { pending.shift()?.(); await turn(); } };
}

const cookie = { high: 0x0102_0304, low: 0xfffe_fdfc };

test("simple and structured replies as the protocol lays them out", async () => {
  const it = lab();
  it.writer.simple(5, cookie, 28);
  it.writer.chunk(Chunk.offsetData, cookie, 28, [1, 2], Buffer.from("data"));
  await turn();
  expect(it.batches.map((bytes) => bytes.toString("hex"))).toEqual([
    ["67446698", "00000005", "01020304fffefdfc", "668e33ef", "00010001", "01020304fffefdfc", "0000000c", "00000001", "00000002", "64617461"].join(""),
  ]);
});

test("one batch at a time: what comes meanwhile goes together into the next", async () => {
  const it = lab();
  it.writer.simple(0, cookie, 100);
  it.writer.simple(0, cookie, 100);
  await turn();
  for (let count = 0; count < 5; count++) it.writer.simple(0, cookie, 10);
  await turn();
  expect([it.batches.map(({ length }) => length), it.given]).toEqual([[32], { requests: 0, bytes: 0 }]);
  expect(it.writer.stuck).toEqual({ batch: 1, sizeBytes: 200 });
  await it.taken();
  expect([it.batches.map(({ length }) => length), it.given, it.writer.idle]).toEqual([[32, 80], { requests: 2, bytes: 200 }, false]);
  await it.taken();
  expect([it.given, it.writer.idle, it.writer.stuck]).toEqual([{ requests: 7, bytes: 250 }, true, undefined]);
});

test("short and long data in one batch keep their order and their bytes, also when blocks are used again", async () => {
  const it = lab();
  for (let round = 0; round < 4; round++) {
    const sent: Buffer[] = [];
    const lengths = [10, 100_000, 5_000, 16_384, 16_385, 1, 60_000, 16_000, 16_000, 16_000, 16_000, 0];
    for (const length of [...lengths, ...lengths, ...lengths]) {
      const data = Buffer.alloc(length, length + round);
      it.writer.simple(0, cookie, length, data);
      sent.push(Buffer.from("674466980000000001020304fffefdfc", "hex"), data);
    }
    await turn();
    expect(it.batches[round]!.equals(Buffer.concat(sent))).toBe(true);
    await it.taken();
  }
  expect(it.writer.idle).toBe(true);
});

test("closing gives back what was charged, also what comes later", async () => {
  const it = lab();
  it.writer.simple(0, cookie, 100);
  await turn();
  it.writer.simple(0, cookie, 10, Buffer.alloc(50_000));
  it.writer.close();
  it.writer.close();
  expect(it.given).toEqual({ requests: 2, bytes: 110 });
  it.writer.simple(0, cookie, 1);
  await it.taken();
  expect([it.given, it.batches.length]).toEqual([{ requests: 3, bytes: 111 }, 1]);
});

test("data is given back when it was copied, or when the system has taken it, and not when the socket is gone", async () => {
  const it = lab();
  const data = [10, 50_000, 60_000].map((size) => it.payloads.take(size));
  it.writer.simple(0, cookie, 1, data[0]);
  it.writer.simple(0, cookie, 1, data[1]);
  await turn();
  expect(it.payloads.freeBytes).toBe(4_096);
  await it.taken();
  expect(it.payloads.freeBytes).toBe(4_096 + 65_536);
  it.writer.simple(0, cookie, 1, data[2]);
  await turn();
  it.writer.close();
  await it.taken();
  expect(it.payloads.freeBytes).toBe(4_096 + 65_536);
});
