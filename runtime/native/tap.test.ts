import { execFile, spawnSync } from "node:child_process";
import { closeSync, readFileSync, readdirSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import * as fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";
import { addonMissing, programMissing, requireClient } from "../../test/clients/client.ts";
import { type NativeAddon, loadAddon } from "./addon.ts";
import type { TapInterface, TapOptions } from "./system-types.ts";
import { TestNamespace, answerTo, ip, tapMissing } from "./test-tap.ts";
import { TestThread } from "./test-thread.ts";

const mac = Uint8Array.of(2, 0, 0, 0xa1, 0, 1);
const remoteMac = Uint8Array.of(2, 0, 0, 0xa1, 0, 2);
const options: TapOptions = { name: "airtest%d", mtu: 1_500, mac, up: true };
const broadcast = new Uint8Array(60).fill(0xff, 0, 6);
const runFile = promisify(execFile);
const clientMs = 30_000;

/** The kernel sends its first frames at once when an interface comes up. */
const batchMs = 50;

let addon: NativeAddon;
const readers: TapInterface[] = [];
const opened: number[] = [];

beforeEach((context) => {
  requireClient(context, addonMissing());
  addon = loadAddon();
});

afterEach(() => {
  for (const reader of readers.splice(0)) reader.close();
  for (const fd of opened.splice(0)) closeSync(fd);
});

test("an interface has the name, address and MTU it was opened with, and goes with its descriptor", (context) => {
  requireClient(context, tapMissing());
  const tap = open({ ...options, mtu: 9_000 });
  expect(tap.name).toMatch(/^airtest\d+$/);
  expect(ip("link", "show", tap.name)).toMatch(/UP.* mtu 9000 [^]*02:00:00:a1:00:01/);
  const down = open({ name: "airtest%d", mtu: 68, up: false });
  expect(ip("link", "show", down.name)).toMatch(/^\d+: \S+ <BROADCAST,MULTICAST> mtu 68 /);
  expect(down.name).not.toBe(tap.name);
  opened.splice(0).forEach(closeSync);
  expect(() => ip("link", "show", tap.name)).toThrow(/does not exist/);
});

test("a client in another network namespace is answered, frame by frame, both ways", async (context) => {
  requireClient(context, tapMissing(), programMissing("ping", "iputils-ping"));
  using namespace = new TestNamespace("airlock-tap");
  const tap = open({ ...options, up: false });
  namespace.take(tap.name, "10.71.3.1/24");
  const address = Uint8Array.of(10, 71, 3, 2);
  let unanswered = 0;
  const reader = read(tap.fd, (frames, sizes) => {
    const answers = split(frames, sizes).map((frame) => answerTo(frame, remoteMac, address)).filter((frame) => frame !== undefined);
    unanswered += answers.length - addon.writeFrames(tap.fd, Buffer.concat(answers), Uint32Array.from(answers, ({ length }) => length));
    reader.resume();
  });
  const { stdout } = await ping(namespace, "-c", "300", "-s", "1400");
  expect(stdout).toMatch(/300 packets transmitted, 300 received, 0% packet loss/);
  expect(unanswered).toBe(0);
});

test("one batch comes at a time, of at most 64 frames and 64 KiB before its last frame", async (context) => {
  requireClient(context, tapMissing(), programMissing("ping", "iputils-ping"));
  using namespace = new TestNamespace("airlock-tap");
  const tap = open({ ...options, mtu: 9_000, up: false });
  namespace.take(tap.name, "10.71.3.1/24");
  ip("-n", namespace.name, "neighbour", "add", "10.71.3.2", "lladdr", "02:00:00:a1:00:02", "dev", tap.name);
  const batches: Uint8Array[][] = [];
  const reader = read(tap.fd, (frames, sizes) => batches.push(split(frames, sizes)));
  for (const size of ["100", "8000"]) {
    await ping(namespace, "-w", "1", "-c", "100", "-l", "100", "-s", size).catch((error: unknown) => {
      // Nobody answers: ping says so with its exit code.
      expect(error).toMatchObject({ code: 1 });
    });
    const longest = Number(size) + 42;
    const pings = (): number => batches.flat().filter(({ length }) => length === longest).length;
    expect(batches.length).toBeLessThanOrEqual(1);
    const endMs = performance.now() + clientMs;
    while (pings() < 100 && performance.now() < endMs) {
      const had = batches.length;
      reader.resume();
      reader.resume();
      await new Promise((resolve) => { setTimeout(resolve, 20); });
      expect(batches.length - had).toBeLessThanOrEqual(1);
    }
    expect(pings()).toBeGreaterThanOrEqual(100);
    for (const batch of batches.splice(0)) {
      expect(batch.length).toBeLessThanOrEqual(64);
      expect(batch.slice(0, -1).reduce((sum, { length }) => sum + length, 0)).toBeLessThan(65_536);
    }
    reader.resume();
  }
});

test("an interface that is deleted ends its reader, once, with the errno", async (context) => {
  requireClient(context, tapMissing());
  const tap = open();
  const ends: unknown[] = [];
  const threads = threadCount();
  const reader = new addon.TapReader(tap.fd, (frames, sizes, errno) => {
    if (frames === undefined) ends.push([sizes.length, errno]);
    else reader.resume();
  });
  expect(threadCount()).toBe(threads + 1);
  ip("link", "delete", tap.name);
  // EBADFD
  await expect.poll(() => ends).toEqual([[0, 77]]);
  expect(threadCount()).toBe(threads);
  reader.resume();
  reader.close();
  reader.close();
  expect(() => addon.writeFrames(tap.fd, broadcast, Uint32Array.of(60))).toThrow(expect.objectContaining({ syscall: "write" }));
  expect(ends).toHaveLength(1);
});

test("nothing comes after close, whatever arrives, and no thread and descriptor stays", async (context) => {
  requireClient(context, tapMissing());
  const before = [threadCount(), readdirSync("/proc/self/fd").length];
  for (let i = 0; i < 10; i++) {
    const tap = open();
    let batches = 0;
    const reader = read(tap.fd, () => batches++);
    if (i % 2 === 0) await expect.poll(() => batches).toBe(1);
    const had = batches;
    reader.close();
    reader.resume();
    await new Promise((resolve) => { setTimeout(resolve, 5); });
    expect(batches).toBe(had);
    opened.splice(0).forEach(closeSync);
  }
  await expect.poll(() => [threadCount(), readdirSync("/proc/self/fd").length]).toEqual(before);
});

/** Where a thread is when it is terminated: waiting, in the callback, or kept from it while a batch waits. */
const endings = [{ inCallback: "", after: "" }, { inCallback: "for (;;);", after: "" }, { inCallback: "", after: "for (;;);" }];

test.for(endings)("a thread that is terminated while it reads takes its reader along: $inCallback $after", async ({ inCallback, after }, context) => {
  requireClient(context, tapMissing());
  const readerThreads = (): number => threadNames().filter((name) => name === "airlock-tap").length;
  for (let i = 0; i < 3; i++) {
    expect(readerThreads()).toBe(0);
    const tap = open();
    await using thread = new TestThread(`
      const reader = new addon.TapReader(data, () => { reader.resume(); post("batch"); ${inCallback} });
      post("reading");
      ${after}`, tap.fd);
    expect(await thread.next()).toBe("reading");
    if (after === "") expect(await thread.next()).toBe("batch");
    else await new Promise((resolve) => { setTimeout(resolve, batchMs); });
    expect(readerThreads()).toBe(1);
    await thread[Symbol.asyncDispose]();
    expect(readerThreads()).toBe(0);
  }
});

test("an error in the callback is an uncaught one, and not swallowed", async (context) => {
  requireClient(context, tapMissing());
  const tap = open();
  await using thread = new TestThread(`
    process.once("uncaughtException", (error) => post(error.message));
    new addon.TapReader(data, () => { throw new Error("from the callback"); });`, tap.fd);
  expect(await thread.next()).toBe("from the callback");
});

test("frames are written until one fails, and wrong sizes before anything is", (context) => {
  requireClient(context, tapMissing());
  const tap = open();
  const two = Buffer.concat([broadcast, broadcast]);
  expect(addon.writeFrames(tap.fd, two, Uint32Array.of(60, 60))).toBe(2);
  expect(addon.writeFrames(tap.fd, two, new Uint32Array(0))).toBe(0);
  // Shorter than Ethernet's header.
  expect(addon.writeFrames(tap.fd, two, Uint32Array.of(60, 9))).toBe(1);
  expect(() => addon.writeFrames(tap.fd, two, Uint32Array.of(9, 60))).toThrow(expect.objectContaining({ code: "EINVAL", syscall: "write" }));
  const received = (): number => Number(readFileSync(`/sys/class/net/${tap.name}/statistics/rx_packets`, "utf8"));
  const had = received();
  for (const sizes of [[60, 61], [60, 0], [121], [2 ** 32 - 1], [60, 60, 1]]) {
    expect(() => addon.writeFrames(tap.fd, two, Uint32Array.from(sizes)), String(sizes)).toThrow(RangeError);
  }
  expect(() => addon.writeFrames(tap.fd, new Uint8Array(70_000), Uint32Array.of(65_544))).toThrow(RangeError);
  expect(() => addon.writeFrames(tap.fd, two, new Uint32Array(4_097))).toThrow(RangeError);
  expect(received()).toBe(had);
});

test("names, MTUs and addresses that no interface can have are refused before the system is asked", () => {
  const names = ["", ".", "..", "sixteen-letters-", "a/b", "a b", "a:b", "ä", "a\n", "a\0b", "%", "%s", "%d%d", "x%n", undefined, 5];
  for (const name of names) expect(() => addon.openTap({ ...options, name: name as string })).toThrow(TypeError);
  for (const mtu of [0, 67, 65_522, 1_500.5, NaN, -1, 2 ** 53, "1500"]) {
    expect(() => addon.openTap({ ...options, mtu: mtu as number })).toThrow(TypeError);
  }
  const macs = [[1, 2, 3, 4, 5, 6], new Uint8Array(5), new Uint8Array(7), new Uint16Array(6), "02:00:00:00:00:01", null];
  for (const each of macs) expect(() => addon.openTap({ ...options, mac: each as Uint8Array })).toThrow(TypeError);
  fc.assert(fc.property(fc.anything(), (value) => {
    expect(() => addon.openTap(value as TapOptions)).toThrow(Error);
    expect(() => new addon.TapReader(value as number, () => undefined)).toThrow(Error);
    expect(() => addon.writeFrames(value as number, broadcast, Uint32Array.of(61))).toThrow(Error);
  }));
});

test("what is not a TAP interface has no reader", () => {
  const fd = addon.createSharedMemory("airlock-no-tap", 4_096);
  opened.push(fd);
  expect(() => new addon.TapReader(fd, () => undefined)).toThrow(/not one of a non-blocking TAP/);
  expect(() => new addon.TapReader(999_999, () => undefined)).toThrow(expect.objectContaining({ code: "EBADF" }));
});

test("who may not make interfaces is told which call failed", (context) => {
  requireClient(context, tapMissing(), programMissing("setpriv", "util-linux"));
  const native = path.join(import.meta.dirname, "../../native");
  const code = `try { require("node-gyp-build")(${JSON.stringify(native)}).openTap({ name: "airtest%d", mtu: 1500, up: true }); }
    catch (error) { console.log(error.code, error.syscall); }`;
  const args = ["--bounding-set", "-net_admin", "--inh-caps", "-net_admin", process.execPath, "-e", code];
  const { stdout } = spawnSync("setpriv", args, { encoding: "utf8", cwd: native, timeout: clientMs });
  expect(stdout.trim()).toBe("EPERM ioctl(TUNSETIFF)");
});

function open(wanted: TapOptions = options): { fd: number; name: string } {
  const tap = addon.openTap(wanted);
  opened.push(tap.fd);
  return tap;
}

function read(fd: number, onBatch: (frames: Uint8Array, sizes: Uint32Array) => void): TapInterface {
  const reader = new addon.TapReader(fd, (frames, sizes, errno) => {
    expect([frames === undefined, errno]).toEqual([false, 0]);
    onBatch(frames!, sizes);
  });
  readers.push(reader);
  return reader;
}

/** Pings without waiting between them. */
function ping(namespace: TestNamespace, ...args: string[]): Promise<{ stdout: string }> {
  return runFile("ip", ["netns", "exec", namespace.name, "ping", "-f", ...args, "10.71.3.2"], { timeout: clientMs });
}

function split(frames: Uint8Array, sizes: Uint32Array): Uint8Array[] {
  let at = 0;
  const all = Array.from(sizes, (size) => frames.subarray(at, at += size));
  expect(at).toBe(frames.length);
  return all;
}

function threadCount(): number {
  return readdirSync("/proc/self/task").length;
}

function threadNames(): string[] {
  return readdirSync("/proc/self/task").map((id) => readFileSync(`/proc/self/task/${id}/comm`, "utf8").trim());
}
