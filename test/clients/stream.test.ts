/** The stream export on a cable in memory: by a plain socket, and by QEMU, whose hub passes on what it gets on one backend to the other. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { type TestContext, afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { AirlockError, errorText } from "../../runtime/api/errors.ts";
import stream from "../../runtime/exports/stream/export.ts";
import { FrameSplitter, joinFrames } from "../../runtime/exports/stream/framing.ts";
import { findQemu } from "../../runtime/platform/qemu/find-qemu.ts";
import { type StartedExport, startExport } from "../fixtures/export-context.ts";
import { frame } from "../fixtures/net-bench.ts";
import { CableEnd } from "../fixtures/net-cable.ts";
import { receiveMs, requireClient } from "./client.ts";

let directory = "";
beforeEach(async () => { directory = await mkdtemp(path.join(os.tmpdir(), "airlock-stream-")); });

/** Undone after each test, last first. */
const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  while (cleanups.length > 0) await cleanups.pop()!();
  await rm(directory, { recursive: true });
});

interface Station {
  readonly socket: net.Socket;
  /** Frames received. */
  readonly came: Uint8Array[];
}

async function start(end: CableEnd, options: Record<string, unknown> = {}): Promise<StartedExport> {
  const started = await startExport(stream, { directory, options, open: end.open });
  cleanups.push(async () => started[Symbol.asyncDispose]());
  return started;
}

/** Speaks the framing on a socket, from either side. */
function speak(socket: net.Socket): Station {
  const came: Uint8Array[] = [];
  const splitter = new FrameSplitter();
  socket.on("data", (chunk: Uint8Array) => {
    const frames = splitter.push(chunk);
    if (typeof frames === "string") throw new Error(frames);
    came.push(...frames.map((each) => each.slice()));
  });
  socket.on("error", () => socket.destroy());
  cleanups.push(async () => {
    const closed = socket.closed ? undefined : once(socket, "close");
    socket.destroy();
    await closed;
  });
  return { socket, came };
}

async function connect(address: string): Promise<Station> {
  const socket = address.startsWith("/") ? net.connect(address) : net.connect(Number(address.split(":").at(-1)), "127.0.0.1");
  await once(socket, "connect");
  return speak(socket);
}

/** A card whose wire the test holds. */
function makeEnd(): { readonly end: CableEnd; readonly wire: Uint8Array[] } {
  const wire: Uint8Array[] = [];
  return { end: new CableEnd("52:54:00:00:00:01", (frames) => void wire.push(...frames)), wire };
}

const numbers = (count: number): Uint8Array[] => Array.from({ length: count }, (_, number) => frame(number));
const eventually = (check: () => void): Promise<void> => vi.waitFor(check, { timeout: receiveMs, interval: 5 });
const hex = (frames: readonly Uint8Array[]): string[] => frames.map((each) => Buffer.from(each).toString("hex"));

describe("a plain socket", () => {
  test.each([[{}], [{ port: 0 }], [{ path: "wire.sock", mtu: 1_480, promiscuous: false }]])("carries frames both ways with %j", async (options) => {
    const { end, wire } = makeEnd();
    const { running } = await start(end, options);
    if ("port" in options) expect(running.address).toMatch(/^127\.0\.0\.1:\d+$/);
    else expect((await stat(running.address)).mode & 0o777).toBe(0o600);
    const { socket, came } = await connect(running.address);
    socket.write(joinFrames(numbers(40)));
    await eventually(() => expect(wire).toHaveLength(40));
    end.arrive(numbers(30));
    await eventually(() => expect(came).toHaveLength(30));
    expect([hex(wire), hex(came)]).toEqual([hex(numbers(40)), hex(numbers(30))]);
    const { mtu = 1_500, promiscuous = true } = options as { mtu?: number; promiscuous?: boolean };
    expect(end.configured).toEqual([{ up: true, mtu, promiscuous, allMulticast: true }]);
    await running.close();
    await running.close();
    expect([await readdir(directory), end.isOpen]).toEqual([[], false]);
  });

  test("is not read while the card has no room, and loses nothing", async () => {
    const { end, wire } = makeEnd();
    const { running } = await start(end);
    const { socket } = await connect(running.address);
    end.blocked = true;
    const sent = Array.from({ length: 3_000 }, (_, number) => frame(number, 1_400));
    socket.write(joinFrames(sent));
    await eventually(() => expect(end.sent).toBeGreaterThan(0));
    await new Promise((resolve) => { setTimeout(resolve, 50); });
    expect(socket.writableLength).toBeGreaterThan(0);
    end.unblock();
    await eventually(() => expect(wire).toHaveLength(sent.length));
    expect(wire.every((each, number) => Buffer.compare(each, sent[number]!) === 0)).toBe(true);
  });

  test("that does not read loses frames, which are counted, and no memory", async () => {
    const { end } = makeEnd();
    const { running, log } = await start(end);
    const { socket } = await connect(running.address);
    socket.pause();
    await eventually(() => {
      end.arrive(Array.from({ length: 500 }, (_, number) => frame(number, 1_500)));
      expect(log.some((line) => line.startsWith("debug"))).toBe(false);
      expect(log.join("\n")).toMatch(/\d+ frames were dropped: the client does not read fast enough/);
    });
  });

  test("that sends nonsense is cut off; the next one is served", async () => {
    const { end, wire } = makeEnd();
    const { running, log } = await start(end);
    const hostile = await connect(running.address);
    hostile.socket.write(Buffer.concat([joinFrames([frame(1)]), Buffer.alloc(4, 0xff), joinFrames([frame(2)])]));
    await once(hostile.socket, "close");
    expect(log.join("\n")).toMatch(/cut off: a frame of 4294967295 bytes/);
    const { socket } = await connect(running.address);
    socket.write(joinFrames([frame(3, 13), frame(4, 1_519), frame(5)]));
    await eventually(() => expect(hex(wire)).toContain(hex([frame(5)])[0]));
    expect(hex(wire)).toEqual(expect.not.arrayContaining(hex([frame(2), frame(3, 13), frame(4, 1_519)])));
  });

  test("a second one is refused, and comes in when the first has left", async () => {
    const { end, wire } = makeEnd();
    const { running } = await start(end);
    const first = await connect(running.address);
    const second = await connect(running.address);
    second.socket.write(joinFrames([frame(1)]));
    await once(second.socket, "close");
    first.socket.destroy();
    for (let round = 2; round < 10; round++) {
      const { socket } = await connect(running.address);
      socket.write(joinFrames([frame(round)]));
      await eventually(() => expect(wire).toHaveLength(round - 1));
      socket.destroy();
    }
    expect(hex(wire)).toEqual(hex(numbers(10).slice(2)));
  });

  test("stays connected while the driver is held", async () => {
    const { end, wire } = makeEnd();
    const { running } = await start(end);
    const { socket } = await connect(running.address);
    const held = new AirlockError("DriverUnavailable", "the driver is held");
    end.refusal = held;
    end.end(held);
    socket.write(joinFrames([frame(1)]));
    end.refusal = undefined;
    await eventually(() => expect(hex(wire)).toEqual(hex([frame(1)])));
  });

  test("a path in use and a port in use are told", async () => {
    const { end } = makeEnd();
    const { running } = await start(end, { port: 0 });
    const port = Number(running.address.split(":").at(-1));
    await expect(start(makeEnd().end, { port })).rejects.toMatchObject({ code: "AddressInUse" });
    await start(makeEnd().end, { path: "x.sock" });
    await expect(start(makeEnd().end, { path: "x.sock" })).rejects.toMatchObject({ code: "AddressInUse" });
    expect(() => stream.options.parse({ path: "x", port: 1 })).toThrow(/exclude/);
    expect(() => stream.options.parse({ host: "::1" })).toThrow(/needs/);
  });
});

describe("QEMU", () => {
  /** Starts QEMU with a hub between the export and a socket of the test. */
  async function hub(context: TestContext, address: string): Promise<Station> {
    const qemu = await findQemu().catch((error: unknown) => errorText(error));
    if (typeof qemu === "string") {
      requireClient(context, qemu);
      throw new Error("unreachable: the test was skipped");
    }
    const file = path.join(directory, "far.sock");
    const server = net.createServer().listen(file);
    await once(server, "listening");
    cleanups.push(() => new Promise((resolve) => { server.close(resolve); }));
    const backend = (id: string, at: string): string[] => [
      "-netdev", `stream,id=${id},server=off,addr.type=unix,addr.path=${at}`, "-netdev", `hubport,id=hub-${id},hubid=0,netdev=${id}`,
    ];
    const machine = ["-accel", "qtest", "-machine", "none", "-nodefaults", "-display", "none"];
    const args = [...machine, ...backend("near", address), ...backend("far", file)];
    const child: ChildProcess = spawn(qemu.path, args, { stdio: ["ignore", "ignore", "pipe"] });
    let complaint = "";
    child.stderr!.on("data", (text: Buffer) => { complaint += text.toString(); });
    const exited = once(child, "exit");
    cleanups.push(async () => {
      child.kill("SIGKILL");
      await exited;
    });
    const ended = exited.then(() => { throw new Error(`QEMU ended: ${complaint}`); });
    const [socket] = (await Promise.race([once(server, "connection"), ended])) as [net.Socket];
    return speak(socket);
  }

  test("frames pass through its backends both ways", async (context) => {
    const { end, wire } = makeEnd();
    const { running } = await start(end);
    const { socket, came } = await hub(context, running.address);
    // QEMU's two backends connect one after the other; what passes before both have is nobody's. The last one tells that it is over.
    const [probe, last] = [frame(1_000), frame(1_001)];
    await eventually(() => {
      socket.write(joinFrames([probe]));
      end.arrive([probe]);
      expect(Math.min(wire.length, came.length)).toBeGreaterThan(0);
    });
    socket.write(joinFrames([last]));
    end.arrive([last]);
    await eventually(() => expect([hex(wire).at(-1), hex(came).at(-1)]).toEqual(hex([last, last])));
    wire.length = 0;
    came.length = 0;
    for (let round = 1; round <= 10; round++) {
      socket.write(joinFrames(numbers(20)));
      end.arrive(numbers(20));
      await eventually(() => expect([wire.length, came.length]).toEqual([20 * round, 20 * round]));
    }
    const sent = Array.from({ length: 10 }, () => hex(numbers(20))).flat();
    expect([hex(wire), hex(came)]).toEqual([sent, sent]);
  });
});
