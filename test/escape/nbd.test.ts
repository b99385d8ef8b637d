/** Hostile NBD clients: whatever they send, or do not send or read, they are cut off or answered with errors, and others are served. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import * as fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { VirtualClock } from "../../runtime/api/clock.ts";
import nbd from "../../runtime/exports/nbd/export.ts";
import { Command, Errno, Magic, Option, Rep } from "../../runtime/exports/nbd/protocol.ts";
import { requireClient } from "../clients/client.ts";
import { makeCertificates } from "../clients/nbd-certificates.ts";
import { nbdProgramMissing } from "../clients/nbd-checks.ts";
import { infoData, metaData, NbdClient, optionBytesOf, requestBytesOf, servesWell } from "../clients/nbd-client.ts";
import { type StartedExport, startExport } from "../fixtures/export-context.ts";
import { MemoryVolume, type MemoryVolumeOptions } from "../fixtures/memory-volume.ts";

const sizeBytes = 1 << 20;
const waitMs = 10_000;

let directory = "";
let started: StartedExport | undefined;
let volume: MemoryVolume;
let clock: VirtualClock;
let socket = "";

beforeEach(async () => { directory = await mkdtemp(path.join(os.tmpdir(), "airlock-hostile-")); });
afterEach(async () => {
  await started?.[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
  if (started === undefined) return;
  started = undefined;
  assert.deepEqual([clock.pending, volume.pending, volume.closed], [0, 0, true]);
});

async function start(options: Record<string, unknown> = {}, disk: MemoryVolumeOptions = {}): Promise<void> {
  volume = new MemoryVolume({ sizeBytes, ...disk });
  clock = new VirtualClock();
  started = await startExport(nbd, { directory, options, clock, open: () => Promise.resolve(volume) });
  socket = path.join(directory, "console.sock");
}

/** Sweeps happen once a second of the virtual clock. */
const advanceSeconds = (seconds: number): void => clock.advance(seconds * 1_000_000);
/** Lets time pass until the server has cut them off, however long bytes take to arrive here. */
async function passUntilClosed(...clients: readonly NbdClient[]): Promise<void> {
  await until(() => {
    advanceSeconds(10);
    return clients.every((client) => client.socket.closed);
  });
}
const until = (condition: () => boolean): Promise<unknown> => vi.waitUntil(condition, { timeout: waitMs, interval: 2 });
const warnings = (): string[] => started!.log.filter((line) => line.startsWith("warn"));

describe("negotiation", () => {
  beforeEach(() => start());
  afterEach(() => servesWell(socket));

  const cutOff: readonly (readonly [name: string, bytes: Buffer])[] = [
    ["flags nobody knows", Buffer.from([0xff, 0, 0, 3])],
    ["an option with a wrong magic", Buffer.concat([Buffer.from([0, 0, 0, 3]), optionBytesOf(Option.list, undefined, 0, [1, 2])])],
    ["an option of 4 GiB", Buffer.concat([Buffer.from([0, 0, 0, 3]), optionBytesOf(Option.go, undefined, 0xffff_ffff)])],
    ["an option just too long", Buffer.concat([Buffer.from([0, 0, 0, 3]), optionBytesOf(99, undefined, 32_769)])],
    ["another export, by EXPORT_NAME", Buffer.concat([Buffer.from([0, 0, 0, 3]), optionBytesOf(Option.exportName, Buffer.from("other"))])],
    ["another protocol", Buffer.from("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")],
  ];
  test.each(cutOff)("%s: cut off", async (_, bytes) => {
    await using client = await NbdClient.connect(socket);
    client.socket.write(bytes);
    await client.closed();
    expect(warnings()).toHaveLength(1);
  });

  test.each([
    ["LIST with data", Option.list, Buffer.from("x"), Rep.errInvalid],
    ["STRUCTURED_REPLY with data", Option.structuredReply, Buffer.from("x"), Rep.errInvalid],
    ["STARTTLS that is not configured", Option.startTls, Buffer.alloc(0), Rep.errPolicy],
    ["GO without data", Option.go, Buffer.alloc(0), Rep.errInvalid],
    ["GO with a name longer than its data", Option.go, Buffer.from([0xff, 0xff, 0xff, 0xff, 0, 0]), Rep.errInvalid],
    ["GO with more requests than data", Option.go, Buffer.from([0, 0, 0, 0, 0, 9]), Rep.errInvalid],
    ["GO with data left over", Option.go, Buffer.concat([infoData(""), Buffer.from("x")]), Rep.errInvalid],
    ["GO for another export", Option.go, infoData("other"), Rep.errUnknown],
    ["metadata before structured replies", Option.setMetaContext, metaData("", ["base:allocation"]), Rep.errInvalid],
    ["a metadata query of 4 GiB", Option.listMetaContext, Buffer.from([0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff]), Rep.errInvalid],
    ["metadata queries without end", Option.listMetaContext, Buffer.from([0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]), Rep.errInvalid],
    ["an option of no protocol", 0xdead, Buffer.from("data"), Rep.errUnsup],
    ["PEEK_EXPORT, which is withdrawn", 4, Buffer.alloc(0), Rep.errUnsup],
  ])("%s: refused, and the client may go on", async (_, option, data, error) => {
    await using client = await NbdClient.connect(socket);
    await client.greet();
    expect((await client.option(option, data)).map(({ type }) => type)).toEqual([error]);
    expect((await client.option(Option.list)).map(({ type }) => type)).toEqual([Rep.server, Rep.ack]);
  });

  test("haggling without end is cut off", async () => {
    await using client = await NbdClient.connect(socket);
    await client.greet();
    client.socket.write(Buffer.concat(Array.from({ length: 1_000 }, () => optionBytesOf(Option.list))));
    await client.closed();
    expect(warnings()).toEqual([expect.stringContaining("more than 128 options")]);
  });

  test("a client that says nothing, or only half an option, is cut off at the deadline", async () => {
    const silent = await NbdClient.connect(socket);
    const half = await NbdClient.connect(socket);
    await half.greet();
    half.socket.write(optionBytesOf(Option.go, Buffer.from([0, 0]), 100));
    const served = await NbdClient.open(socket);
    await passUntilClosed(silent, half);
    // One that is idle between requests is welcome to stay.
    expect((await served.request({ type: Command.flush })).errno).toBe(0);
    await served[Symbol.asyncDispose]();
  });
});

describe("transmission", () => {
  beforeEach(() => start());
  afterEach(() => servesWell(socket));

  test("a request with a wrong magic is cut off, and what was in flight does no harm", async () => {
    await using client = await NbdClient.open(socket);
    client.socket.write(Buffer.concat([requestBytesOf({ type: Command.read, sizeBytes: 4096 }), requestBytesOf({ type: Command.read, magic: 7 })]));
    await client.closed();
    expect(warnings()).toHaveLength(1);
  });

  test("a write that is too long is cut off before its data", async () => {
    await using client = await NbdClient.open(socket);
    client.socket.write(requestBytesOf({ type: Command.write, sizeBytes: (32 << 20) + 1 }));
    await client.closed();
    expect(volume.changes).toEqual([]);
  });

  test.each([
    ["an unknown command", { type: 77 }, Errno.inval],
    ["RESIZE", { type: 8 }, Errno.inval],
    ["CACHE, which is not offered", { type: Command.cache, sizeBytes: 512 }, Errno.inval],
    ["unknown flags", { type: Command.read, flags: 0x8000, sizeBytes: 512 }, Errno.inval],
    ["flags of another command", { type: Command.flush, flags: 16 }, Errno.inval],
    ["a read beyond the end", { type: Command.read, offset: sizeBytes - 512, sizeBytes: 1024 }, Errno.inval],
    ["a read at 2^64 - 512", { type: Command.read, offset: 2n ** 64n - 512n, sizeBytes: 512 }, Errno.inval],
    ["a read at 2^53", { type: Command.read, offset: 2n ** 53n, sizeBytes: 512 }, Errno.inval],
    ["a read of 4 GiB", { type: Command.read, sizeBytes: 0xffff_ffff }, Errno.inval],
    ["a write beyond the end", { type: Command.write, offset: sizeBytes, sizeBytes: 512, data: Buffer.alloc(512) }, Errno.nospc],
    ["zeroes beyond the end", { type: Command.writeZeroes, offset: sizeBytes - 512, sizeBytes: 0xffff_fe00 }, Errno.nospc],
    ["a trim beyond the end", { type: Command.trim, offset: 2n ** 63n, sizeBytes: 512 }, Errno.inval],
    ["block status without a context", { type: Command.blockStatus, sizeBytes: 512 }, Errno.inval],
  ])("%s: an error, and the client may go on", async (_, request, errno) => {
    for (const structured of [false, true]) {
      await using client = await NbdClient.open(socket, { structured });
      expect((await client.request(request)).errno).toBe(errno);
      expect((await client.request({ type: Command.read, sizeBytes: 512 })).errno).toBe(0);
    }
    expect(volume.changes).toEqual([]);
  });

  test("data cut off in the middle changes nothing", async () => {
    for (const sent of [0, 1, 4_000, 100_000]) {
      const client = await NbdClient.open(socket);
      client.socket.write(requestBytesOf({ type: Command.write, sizeBytes: 131_072, data: Buffer.alloc(sent, 1) }));
      client.socket.end();
      await client.closed();
    }
    expect(volume.changes).toEqual([]);
  });

  test("data that stops coming is given up at the deadline", async () => {
    await using client = await NbdClient.open(socket);
    client.socket.write(requestBytesOf({ type: Command.write, sizeBytes: 131_072, data: Buffer.alloc(1_000) }));
    await passUntilClosed(client);
    expect(warnings()).toEqual([expect.stringContaining("the data of a write did not come")]);
  });

  test("a handle that is used again and again", async () => {
    await using client = await NbdClient.open(socket);
    client.socket.write(Buffer.concat(Array.from({ length: 100 }, () => requestBytesOf({ type: Command.read, cookie: 5n, sizeBytes: 512 }))));
    for (let index = 0; index < 100; index++) expect(await client.reply(512)).toMatchObject({ cookie: 5n, errno: 0 });
  });

  test("requests in pieces of any size", async () => {
    const stream = Buffer.concat([
      requestBytesOf({ type: Command.write, cookie: 1n, offset: 512, sizeBytes: 1024, data: Buffer.alloc(1024, 7) }),
      requestBytesOf({ type: Command.write, cookie: 2n, sizeBytes: 0 }),
      requestBytesOf({ type: Command.flush, cookie: 3n }),
    ]);
    for (const piece of [1, 27, 29, 500]) {
      await using client = await NbdClient.open(socket);
      client.socket.setNoDelay(true);
      for (let at = 0; at < stream.length; at += piece) {
        client.socket.write(stream.subarray(at, at + piece));
        if (at % 7 === 0) await new Promise((resolve) => { setImmediate(resolve); });
      }
      const cookies = [await client.reply(), await client.reply(), await client.reply()].map(({ cookie, errno }) => `${cookie}:${errno}`);
      expect(cookies.sort()).toEqual(["1:0", "2:0", "3:0"]);
    }
    expect(volume.bytes.subarray(512, 1536).every((byte) => byte === 7)).toBe(true);
  });

  test("goodbye: what came before is answered, what comes after is not", async () => {
    await using client = await NbdClient.open(socket);
    client.socket.write(Buffer.concat([
      requestBytesOf({ type: Command.read, cookie: 1n, sizeBytes: 512 }), requestBytesOf({ type: Command.disconnect }),
      requestBytesOf({ type: Command.trim, sizeBytes: 512 }),
    ]));
    expect(await client.reply(512)).toMatchObject({ cookie: 1n, errno: 0 });
    await client.closed();
    expect([client.inbox.peek().length, volume.changes]).toEqual([0, []]);
  });
});

describe("memory", () => {
  test("replies that nobody reads are bounded, hold up no other client, and end the connection at the deadline", async () => {
    await start();
    let reads = 0;
    volume.fault = ({ what }) => void (reads += what === "read" ? 1 : 0);
    const greedy = await Promise.all(Array.from({ length: 6 }, async () => {
      const client = await NbdClient.open(socket);
      client.socket.pause();
      client.socket.write(Buffer.concat(Array.from({ length: 2_000 }, () => requestBytesOf({ type: Command.read, sizeBytes }))));
      return client;
    }));
    await new Promise((resolve) => { setTimeout(resolve, 300); });
    await servesWell(socket);
    // 128 MiB over all, and one more for each; a batch that the socket took counts no more.
    expect(reads).toBeGreaterThan(6);
    expect(reads).toBeLessThan(128 + 6 * 8);
    // A connection that was making progress gets the time its bytes may take.
    for (let minute = 0; minute < 100; minute++) {
      advanceSeconds(60);
      await new Promise((resolve) => { setImmediate(resolve); });
    }
    for (const client of greedy) client.socket.resume();
    await Promise.all(greedy.map((client) => client.closed()));
    expect(warnings()[0]).toContain("it did not take its replies");
    // What waited for room was not served into connections that were going.
    expect(reads).toBeLessThan(4 * 128);
    await servesWell(socket);
  });

  test("error replies that nobody reads are bounded too", async () => {
    await start();
    await using client = await NbdClient.open(socket, { structured: true });
    client.socket.pause();
    const requests = Buffer.concat(Array.from({ length: 1_000 }, () => requestBytesOf({ type: 99 })));
    for (let round = 0; round < 200 && client.socket.write(requests); round++) await new Promise((resolve) => { setImmediate(resolve); });
    // The server has stopped reading: what is written stays here.
    expect(client.socket.writableNeedDrain).toBe(true);
    await servesWell(socket);
  });

  test("leaving is no way around the limits while the disk is busy", async () => {
    await start({ maxConnections: 3 });
    let release: () => void = () => undefined;
    volume.held = new Promise((resolve) => { release = resolve; });
    for (let index = 0; index < 3; index++) {
      const client = await NbdClient.open(socket);
      client.socket.write(requestBytesOf({ type: Command.write, sizeBytes: 65_536, data: Buffer.alloc(65_536) }));
      await until(() => volume.pending === index + 1);
      await client[Symbol.asyncDispose]();
    }
    const late = await NbdClient.connect(socket);
    await late.closed();
    expect(warnings()).toEqual([expect.stringContaining("there are 3 already")]);
    volume.held = undefined;
    release();
    await vi.waitFor(() => servesWell(socket), { timeout: waitMs });
  });

  test("thousands of connections are refused, logged once, and do not disturb a client", async () => {
    await start({ maxConnections: 20 });
    await using before = await NbdClient.open(socket);
    for (let round = 0; round < 10; round++) {
      const crowd = Array.from({ length: 100 }, () => net.connect(socket).on("error", () => undefined));
      // The server takes them in one by one; those above its limit see the end.
      await until(() => crowd.filter((one) => one.closed).length >= 80);
      expect((await before.request({ type: Command.read, sizeBytes: 4096 })).errno).toBe(0);
      await Promise.all(crowd.map((one) => new Promise<void>((resolve) => {
        if (one.closed) resolve();
        else one.on("close", () => resolve()).destroy();
      })));
    }
    expect(warnings()).toHaveLength(1);
    await vi.waitFor(() => servesWell(socket), { timeout: waitMs });
  });

  test("a client that leaves in the middle of everything", async () => {
    await start({}, { latencyMs: 1 });
    for (let round = 0; round < 40; round++) {
      const client = await NbdClient.open(socket);
      client.socket.write(Buffer.concat(Array.from({ length: 300 }, (_, index) =>
        requestBytesOf({ type: index % 3 === 0 ? Command.flush : Command.read, sizeBytes: index % 3 === 0 ? 0 : 65_536 }))));
      await new Promise((resolve) => { setTimeout(resolve, round % 6); });
      client.socket.destroy();
    }
    await expect(servesWell(socket)).resolves.toBeUndefined();
    await until(() => volume.pending === 0);
  });
});

describe("with TLS configured", () => {
  beforeEach(async (context) => {
    requireClient(context, nbdProgramMissing("openssl"));
    const { ca, cert, key } = await makeCertificates(directory);
    await start({ tls: { ca, cert, key } });
  });

  test("nothing is told before TLS, and an export asked for is cut off", async () => {
    await using client = await NbdClient.connect(socket);
    await client.greet();
    for (const option of [Option.list, Option.info, Option.go, Option.structuredReply, Option.setMetaContext, 99]) {
      expect((await client.option(option, infoData(""))).map(({ type }) => type)).toEqual([Rep.errTlsReqd]);
    }
    client.socket.write(optionBytesOf(Option.exportName));
    await client.closed();
    expect(client.inbox.peek().length).toBe(0);
  });

  test.each([
    ["plain text sent along with STARTTLS", Buffer.concat([optionBytesOf(Option.startTls), optionBytesOf(Option.list)]), "plain text after"],
    ["STARTTLS, then no TLS", optionBytesOf(Option.startTls), ""],
  ])("%s: cut off", async (_, bytes, reason) => {
    await using client = await NbdClient.connect(socket);
    await client.greet();
    client.socket.write(bytes);
    await new Promise((resolve) => { setTimeout(resolve, 20); });
    client.socket.write(optionBytesOf(Option.go, infoData("")));
    await client.closed();
    expect(warnings()).toEqual([expect.stringContaining(reason)]);
    expect(client.inbox.peek().length).toBeLessThan(64);
  });

  test("STARTTLS, then silence: cut off at the deadline", async () => {
    await using client = await NbdClient.connect(socket);
    await client.greet();
    expect((await client.option(Option.startTls)).map(({ type }) => type)).toEqual([Rep.ack]);
    await passUntilClosed(client);
    expect(warnings()).toEqual([expect.stringContaining("its negotiation took too long")]);
  });
});

describe("any bytes with the protocol's structure", () => {
  const u32 = fc.oneof(fc.nat(4_096), fc.constantFrom(0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff), fc.nat());
  const name = fc.oneof(fc.constantFrom("", "console", "other"), fc.string({ maxLength: 40 }));
  const query = fc.oneof(fc.constantFrom("base:", "base:allocation"), fc.string());
  const optionData = fc.oneof(
    fc.tuple(name, fc.array(fc.nat(0xffff), { maxLength: 5 })).map(([text, wanted]) => infoData(text, wanted)),
    fc.tuple(name, fc.array(query, { maxLength: 4 })).map(([text, queries]) => metaData(text, queries)),
    fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
  );
  const option = fc.tuple(fc.oneof(fc.nat(12), u32), optionData, fc.option(u32, { freq: 8, nil: undefined }))
    .map(([type, data, claimed]) => optionBytesOf(type, data, claimed ?? data.length));
  const u64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
  const offset = fc.oneof(fc.nat(sizeBytes), u64, fc.constantFrom(2n ** 53n, 2n ** 64n - 1n, BigInt(sizeBytes)));
  const request = fc.record({
    type: fc.oneof(fc.nat(9), fc.nat(0xffff)), flags: fc.oneof(fc.constant(0), fc.nat(63), fc.nat(0xffff)), cookie: u64, offset, sizeBytes: u32,
    magic: fc.oneof({ weight: 30, arbitrary: fc.constant(Magic.request) }, { weight: 1, arbitrary: u32 }), data: fc.uint8Array({ maxLength: 3_000 }),
    honest: fc.boolean(),
  }).map(({ honest, ...fields }) => {
    if (fields.type !== Command.write) return requestBytesOf({ ...fields, data: Buffer.alloc(0) });
    return requestBytesOf({ ...fields, sizeBytes: honest ? fields.data.length : fields.sizeBytes % 4_000 });
  });
  /** A handshake, options, GO and requests, with one byte changed and the end cut off somewhere. */
  const session = fc.record({
    flags: fc.oneof({ weight: 9, arbitrary: fc.constantFrom(0, 1, 2, 3) }, { weight: 1, arbitrary: u32 }),
    options: fc.array(option, { maxLength: 4 }), structured: fc.boolean(), enter: fc.constantFrom(Option.go, Option.exportName, undefined),
    requests: fc.array(request, { maxLength: 12 }), piece: fc.integer({ min: 1, max: 5_000 }),
    flip: fc.option(fc.tuple(fc.nat(4_000), fc.integer({ min: 1, max: 255 })), { freq: 2, nil: undefined }),
    cut: fc.option(fc.nat(4_000), { freq: 3, nil: undefined }),
  });

  test("never breaks the server", async () => {
    await start();
    expect.hasAssertions();
    await fc.assert(fc.asyncProperty(session, async ({ flags, options, structured, enter, requests, flip, cut, piece }) => {
      const first = Buffer.alloc(4);
      first.writeUInt32BE(flags >>> 0);
      const begin = enter === undefined ? [] : [optionBytesOf(enter, enter === Option.go ? infoData("") : Buffer.alloc(0))];
      let bytes = Buffer.concat([first, ...(structured ? [optionBytesOf(Option.structuredReply)] : []), ...options, ...begin, ...requests]);
      if (flip !== undefined && bytes.length > flip[0]) bytes[flip[0]]! ^= flip[1];
      if (cut !== undefined) bytes = bytes.subarray(0, cut);
      const client = await NbdClient.connect(socket);
      for (let at = 0; at < bytes.length && !client.socket.destroyed; at += piece) {
        client.socket.write(bytes.subarray(at, at + piece));
        if (piece < 100) await new Promise((resolve) => { setImmediate(resolve); });
      }
      client.socket.end();
      await client.closed();
      await expect(servesWell(socket)).resolves.toBeUndefined();
    }), { numRuns: 150 });
    await until(() => volume.pending === 0);
  });
});
