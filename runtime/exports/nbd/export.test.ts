import { mkdtemp, readdir, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { infoData, metaData, NbdClient, requestBytesOf, servesWell } from "../../../test/clients/nbd-client.ts";
import { type StartedExport, startExport } from "../../../test/fixtures/export-context.ts";
import { MemoryVolume, type MemoryVolumeOptions } from "../../../test/fixtures/memory-volume.ts";
import { type Clock, realClock, VirtualClock } from "../../api/clock.ts";
import { AirlockError } from "../../api/errors.ts";
import type { Volume } from "../../classes/block/volume.ts";
import nbd from "./export.ts";
import { Command, CommandFlag, Errno, Info, Option, Rep, Transmission } from "./protocol.ts";

let directory = "";
beforeEach(async () => { directory = await mkdtemp(path.join(os.tmpdir(), "airlock-nbd-")); });
afterEach(() => rm(directory, { recursive: true }));

interface Lab extends StartedExport {
  readonly volume: MemoryVolume;
  readonly socket: string;
}

type Open = (volume: MemoryVolume) => Promise<Volume>;
const openIt: Open = (volume) => Promise.resolve(volume);

async function start(
  options: Record<string, unknown> = {}, disk: MemoryVolumeOptions = {}, open: Open = openIt, clock: Clock = realClock,
): Promise<Lab> {
  const volume = new MemoryVolume({ sizeBytes: 1 << 20, ...disk });
  const started = await startExport(nbd, { directory, options, clock, open: () => open(volume) });
  return { ...started, volume, socket: path.join(directory, "console.sock") };
}

const data = (sizeBytes: number, byte = 7): Buffer => Buffer.alloc(sizeBytes, byte);
const turn = (): Promise<void> => new Promise((resolve) => { setTimeout(resolve, 20); });

describe("negotiation", () => {
  test("EXPORT_NAME, with its zeroes and without", async () => {
    await using it = await start();
    for (const [flags, length] of [[1, 134], [3, 10]] as const) {
      await using client = await NbdClient.connect(it.socket);
      await client.greet(flags);
      client.socket.write(Buffer.from("49484156454f50540000000100000000", "hex"));
      const reply = await client.inbox.take(length, 5_000);
      expect([reply.readBigUInt64BE(0), reply.readUInt16BE(8) & Transmission.sendDf]).toEqual([1n << 20n, 0]);
      expect(reply.subarray(10).every((byte) => byte === 0)).toBe(true);
      expect((await client.request({ type: Command.read, sizeBytes: 512 })).data).toEqual(data(512, 0));
    }
  });

  test("INFO tells name, description, size and block sizes; the negotiation goes on", async () => {
    await using it = await start({ export: "disk", description: "a disk" }, { blockBytes: 4096 });
    await using client = await NbdClient.connect(it.socket);
    await client.greet();
    const replies = await client.option(Option.info, infoData("disk", [Info.name, Info.description, Info.blockSize, 77]));
    const infos = replies.filter(({ type }) => type === Rep.info);
    const told = new Map(infos.map((info) => [info.data.readUInt16BE(0), info.data.subarray(2)]));
    expect([...told.keys()].sort((a, b) => a - b)).toEqual([Info.export, Info.name, Info.description, Info.blockSize]);
    expect([told.get(Info.name)!.toString(), told.get(Info.description)!.toString()]).toEqual(["disk", "a disk"]);
    expect([0, 4, 8].map((at) => told.get(Info.blockSize)!.readUInt32BE(at))).toEqual([4096, 4096, 32 << 20]);
    expect((await client.option(Option.abort)).map(({ type }) => type)).toEqual([Rep.ack]);
    await client.closed();
    expect(it.log.filter((line) => line.startsWith("warn"))).toEqual([]);
  });

  test("metadata contexts: listed by name, by namespace and all; chosen; forgotten when chosen anew", async () => {
    await using it = await start();
    await using client = await NbdClient.connect(it.socket);
    await client.greet();
    await client.option(Option.structuredReply);
    client.structured = true;
    const contexts = async (option: number, queries: readonly string[]): Promise<string[]> => {
      const replies = await client.option(option, metaData("", queries));
      return replies.filter(({ type }) => type === Rep.metaContext).map((reply) => `${reply.data.readUInt32BE(0)} ${reply.data.toString("utf8", 4)}`);
    };
    for (const queries of [[], ["base:"], ["base:allocation"], ["x:y", "base:allocation"]]) {
      expect(await contexts(Option.listMetaContext, queries)).toEqual(["0 base:allocation"]);
    }
    expect(await contexts(Option.listMetaContext, ["qemu:"])).toEqual([]);
    expect(await contexts(Option.setMetaContext, [])).toEqual([]);
    expect(await contexts(Option.setMetaContext, ["base:allocation"])).toEqual(["1 base:allocation"]);
    expect(await contexts(Option.setMetaContext, ["base:"])).toEqual([]);
    expect(await contexts(Option.setMetaContext, ["base:allocation"])).toEqual(["1 base:allocation"]);
    await client.option(Option.go, infoData(""));
    const status = await client.request({ type: Command.blockStatus, offset: 4096, sizeBytes: 8192 });
    expect([0, 4, 8].map((at) => status.data.readUInt32BE(at))).toEqual([1, 8192, 0]);
    expect((await client.request({ type: Command.blockStatus, sizeBytes: 0 })).errno).toBe(Errno.inval);
  });
});

describe("commands", () => {
  test("FUA, trim, zeroes and their flags reach the volume", async () => {
    await using it = await start();
    await using client = await NbdClient.open(it.socket);
    const ok = async (fields: Parameters<NbdClient["request"]>[0]): Promise<void> => expect((await client.request(fields)).errno).toBe(0);
    await ok({ type: Command.write, flags: CommandFlag.fua, sizeBytes: 512, data: data(512) });
    await ok({ type: Command.trim, flags: CommandFlag.fua, offset: 4096, sizeBytes: 4096 });
    await ok({ type: Command.writeZeroes, flags: CommandFlag.fua | CommandFlag.noHole | CommandFlag.fastZero, offset: 8192, sizeBytes: 512 });
    await ok({ type: Command.read, flags: CommandFlag.fua | CommandFlag.dontFragment, sizeBytes: 512 });
    expect(it.volume.changes).toEqual([
      { what: "write", offset: 0, sizeBytes: 512, fua: true }, { what: "discard", offset: 4096, sizeBytes: 4096, fua: false },
      { what: "flush", offset: 0, sizeBytes: 0, fua: false }, { what: "writeZeroes", offset: 8192, sizeBytes: 512, fua: true },
    ]);
    expect((await client.request({ type: Command.writeZeroes, flags: CommandFlag.fastZero, offset: 1, sizeBytes: 512 })).errno).toBe(Errno.notsup);
  });

  test("what the volume cannot do, and what it reports, as error values and in words", async () => {
    await using it = await start({}, { discard: false, writeZeroes: false });
    await using client = await NbdClient.open(it.socket, { structured: true });
    expect((await client.request({ type: Command.trim, sizeBytes: 512 })).errno).toBe(Errno.notsup);
    expect((await client.request({ type: Command.writeZeroes, sizeBytes: 512 })).errno).toBe(Errno.notsup);
    const lost = (status: string): AirlockError => new AirlockError("DeviceError", `disk: ${status}`, { status });
    for (const [error, errno] of [
      [lost("noSpace"), Errno.nospc], [new AirlockError("Unsupported", "read-only", { status: "readOnly" }), Errno.perm], [lost("mediaError"), Errno.io], [lost("constructor"), Errno.io],
      [new AirlockError("DriverUnavailable", "held"), Errno.io], [new AirlockError("Unsupported", "no"), Errno.notsup],
      [new AirlockError("InvalidArgument", "no"), Errno.inval], [new Error("bug") as AirlockError, Errno.io],
    ] as const) {
      it.volume.fault = () => error;
      const read = await client.request({ type: Command.read, sizeBytes: 512 });
      expect([read.errno, read.data.toString("utf8", 6)]).toEqual([errno, error.message]);
      expect((await client.request({ type: Command.write, sizeBytes: 512, data: data(512) })).errno).toBe(errno);
      expect((await client.request({ type: Command.flush })).errno).toBe(errno);
    }
    it.volume.fault = () => undefined;
    await servesWell(it.socket);
  });

  test("a volume that is full is tried again until it takes the request, or the export closes", async () => {
    const clock = new VirtualClock();
    await using it = await start({}, {}, openIt, clock);
    await using client = await NbdClient.open(it.socket);
    let tries = 0;
    it.volume.fault = () => (++tries < 4 ? new AirlockError("QueueFull", "full") : undefined);
    const written = client.request({ type: Command.write, offset: 100, sizeBytes: 512, data: data(512) });
    for (let step = 0; step < 4; step++) {
      await turn();
      clock.advance(5_000);
    }
    expect([(await written).errno, it.volume.bytes[100]]).toEqual([0, 7]);
    it.volume.fault = () => new AirlockError("QueueFull", "full");
    client.socket.write(requestBytesOf({ type: Command.flush }));
    await turn();
    const closed = it.running.close();
    await turn();
    clock.advance(2_000_000);
    await Promise.all([closed, client.closed()]);
    expect(clock.pending).toBe(0);
  });

  test("two connections change parts of the same block at once", async () => {
    await using it = await start({}, { blockBytes: 4096, latencyMs: 1 });
    const clients = await Promise.all([1, 2, 3, 4].map(() => NbdClient.open(it.socket)));
    for (let round = 1; round <= 5; round++) {
      await Promise.all(clients.map((client, index) =>
        client.request({ type: Command.write, offset: 100 + index * 50, sizeBytes: 50, data: data(50, round * 10 + index) })));
      expect([0, 1, 2, 3].map((index) => it.volume.bytes[100 + index * 50 + 49])).toEqual([0, 1, 2, 3].map((index) => round * 10 + index));
    }
    for (const client of clients) await client[Symbol.asyncDispose]();
  });
});

describe("a driver that is away", () => {
  test("restarting: requests wait and are answered", async () => {
    await using it = await start();
    await using client = await NbdClient.open(it.socket);
    let back: () => void = () => undefined;
    it.volume.held = new Promise((resolve) => { back = resolve; });
    const reply = client.request({ type: Command.write, sizeBytes: 512, data: data(512) });
    await turn();
    back();
    expect((await reply).errno).toBe(0);
  });

  test("held when the export starts: clients are told so, and are served once it is back", async () => {
    const clock = new VirtualClock();
    let held = true;
    const open: Open = (volume) => (held ? Promise.reject(new AirlockError("DriverUnavailable", "held")) : Promise.resolve(volume));
    await using it = await start({}, {}, open, clock);
    await using client = await NbdClient.connect(it.socket);
    await client.greet();
    const go = client.option(Option.go, infoData(""));
    await turn();
    clock.advance(10_000_000);
    const refused = (await go).map(({ type, data: text }) => [type, text.toString()]);
    expect(refused).toEqual([[Rep.errPlatform, expect.stringContaining("the disk is away")]]);
    held = false;
    await turn();
    const later = client.option(Option.go, infoData(""));
    clock.advance(1_000_000);
    expect((await later).at(-1)!.type).toBe(Rep.ack);
    expect((await client.request({ type: Command.flush })).errno).toBe(0);
  });

  test("closed and opened again: errors meanwhile, then the same connection goes on", async () => {
    const clock = new VirtualClock();
    let volume: MemoryVolume | undefined;
    const open = (first: MemoryVolume): Promise<Volume> => {
      volume = volume === undefined ? first : new MemoryVolume({ sizeBytes: 1 << 20 });
      return Promise.resolve(volume);
    };
    await using it = await start({}, {}, open, clock);
    await using client = await NbdClient.open(it.socket);
    it.volume.close();
    expect((await client.request({ type: Command.flush })).errno).toBe(Errno.io);
    expect((await client.request({ type: Command.flush })).errno).toBe(Errno.io);
    await turn();
    clock.advance(600_000);
    await turn();
    expect((await client.request({ type: Command.flush })).errno).toBe(0);
    expect(volume).not.toBe(it.volume);
  });

  test("the machine shuts down: the export ends", async () => {
    let opened = 0;
    const open: Open = (volume) => (opened++ === 0 ? Promise.resolve(volume) : Promise.reject(new AirlockError("Closed", "the machine is down")));
    await using it = await start({}, {}, open);
    await using client = await NbdClient.open(it.socket);
    it.volume.close();
    await client.request({ type: Command.flush });
    expect((await it.running.ended)?.code).toBe("Closed");
  });
});

describe("closing", () => {
  test("requests in flight are answered first", async () => {
    const it = await start({}, { latencyMs: 200 });
    await using client = await NbdClient.open(it.socket);
    client.socket.write(requestBytesOf({ type: Command.write, cookie: 9n, sizeBytes: 512, data: data(512) }));
    await vi.waitUntil(() => it.volume.pending === 1, { interval: 1, timeout: 10_000 });
    const closed = it.running.close();
    expect(await client.reply()).toMatchObject({ cookie: 9n, errno: 0 });
    await client.closed();
    await closed;
    expect([await readdir(directory), it.volume.closed, await it.running.ended]).toEqual([[], true, undefined]);
  });

  test("does not wait for a driver that is away for long, nor for clients in the middle of something", async () => {
    const clock = new VirtualClock();
    const it = await start({}, {}, openIt, clock);
    const busy = await NbdClient.open(it.socket);
    const silent = await NbdClient.connect(it.socket);
    const half = await NbdClient.open(it.socket);
    half.socket.write(requestBytesOf({ type: Command.write, sizeBytes: 5_000, data: data(10) }));
    let release: () => void = () => undefined;
    it.volume.held = new Promise((resolve) => { release = resolve; });
    busy.socket.write(requestBytesOf({ type: Command.flush }));
    await vi.waitUntil(() => it.volume.pending === 1, { interval: 1, timeout: 10_000 });
    const closed = it.running.close();
    await Promise.all([silent.closed(), half.closed()]);
    clock.advance(2_000_000);
    await busy.closed();
    // The flush of its own has no more luck.
    await vi.waitUntil(() => it.volume.pending === 2, { interval: 1, timeout: 10_000 });
    clock.advance(5_000_000);
    await closed;
    release();
    expect([await readdir(directory), clock.pending]).toEqual([[], 0]);
  });

  test("nothing is left when it cannot start", async () => {
    await using first = await start();
    const volume = new MemoryVolume();
    await expect(startExport(nbd, { directory, open: () => Promise.resolve(volume) })).rejects.toMatchObject({ code: "AddressInUse" });
    expect(volume.closed).toBe(true);
    await servesWell(first.socket);
    await using tcp = await startExport(nbd, { directory, options: { port: 0 }, open: () => Promise.resolve(new MemoryVolume()) });
    expect(tcp.running.address).toMatch(/^nbd:\/\/127\.0\.0\.1:\d+\/console$/);
    const port = Number(new URL(tcp.running.address).port);
    await expect(start({ port })).rejects.toMatchObject({ code: "AddressInUse" });
    await expect(start({ port: 0, host: "192.0.2.1" })).rejects.toMatchObject({ code: "InvalidArgument" });
    await expect(start({ path: "missing/x.sock" })).rejects.toMatchObject({ code: "StateUnusable" });
  });
});

test("options: everything has a default, mistakes are told", () => {
  expect(nbd.options.parse({})).toEqual({ readOnly: false, maxConnections: 32 });
  const tls = { cert: "a", key: "b" };
  for (const [wrong, text] of [
    [{ prot: 1 }, /prot/], [{ path: "x", port: 1 }, /exclude each other/],
    [{ host: "0.0.0.0" }, /needs \\"port/], [{ port: 70_000 }, /65535/],
    [{ tls: { cert: "a" } }, /key/],
    [{ tls: { ...tls, verifyClient: true } }, /verifyClient\\" needs/], [{ export: "x".repeat(5_000) }, /4096 bytes/],
    [{ maxConnections: 0 }, /maxConnections|>=1/],
  ] as const) expect(nbd.options.safeParse(wrong).error?.message).toMatch(text);
  expect(nbd.options.safeParse({ port: 1, tls: { ...tls, ca: "c" } }).success).toBe(true);
});
