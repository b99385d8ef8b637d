import { closeSync, readFileSync, writeSync } from "node:fs";
import { Worker } from "node:worker_threads";
import path from "node:path";
import { beforeEach, expect, test } from "vitest";
import { addonMissing, requireClient } from "../../test/clients/client.ts";
import { type NativeAddon, type PtyPair, loadAddon } from "./addon.ts";

let addon: NativeAddon;
beforeEach((context) => {
  requireClient(context, addonMissing());
  addon = loadAddon();
});

test("a terminal has the speed it was opened with, standard or not", () => {
  for (const baudRate of [50, 9_600, 115_200, 31_250, 4_000_000]) {
    withPty((pair) => expect(addon.getLineSettings(pair.slaveFd)).toEqual({ baudRate, dataBits: 8, stopBits: 2, parity: "none" }), baudRate, 2);
  }
});

test("reading what is not there and writing where there is no room return, and do not wait", () => {
  withPty((pair) => {
    const chunk = new Uint8Array(65_536);
    expect(addon.read(pair.masterFd, chunk, 0)).toBe(-1);
    let writes = 0;
    while (addon.write(pair.masterFd, chunk, 0) >= 0 && writes < 1_000) writes++;
    expect(writes).toBeLessThan(1_000);
    writeSync(pair.slaveFd, "abc");
    expect(addon.read(pair.masterFd, chunk, 65_534)).toBe(2);
    expect(Buffer.from(chunk.subarray(65_534)).toString()).toBe("ab");
  });
});

test("a poll reports what is watched, and nothing after its end", async () => {
  const pair = addon.openPty(9_600, 1);
  const seen: number[] = [];
  const poll = new addon.Poll(pair.masterFd, (events) => {
    seen.push(events);
    poll.watch(0);
  });
  writeSync(pair.slaveFd, "x");
  await new Promise((resolve) => { setTimeout(resolve, 20); });
  expect(seen).toEqual([]);
  poll.watch(addon.Poll.readable);
  await expect.poll(() => seen).toEqual([addon.Poll.readable]);
  poll.watch(addon.Poll.readable);
  poll.close();
  poll.close();
  poll.watch(addon.Poll.readable);
  closeSync(pair.masterFd);
  closeSync(pair.slaveFd);
  await new Promise((resolve) => { setTimeout(resolve, 20); });
  expect(seen).toEqual([addon.Poll.readable]);
});

test("wrong arguments are errors", () => {
  const chunk = new Uint8Array(4);
  const bad = (value: unknown): never => value as never;
  expect(() => addon.read(999_999, chunk, 0)).toThrow(expect.objectContaining({ code: "EBADF", syscall: "read" }));
  for (const fd of [-1, 0.5, NaN, 2 ** 40, "0", undefined]) {
    expect(() => addon.read(bad(fd), chunk, 0)).toThrow(TypeError);
    expect(() => new addon.Poll(bad(fd), () => undefined)).toThrow(TypeError);
    expect(() => addon.getLineSettings(bad(fd))).toThrow(TypeError);
  }
  for (const offset of [-1, 5, NaN, Infinity]) expect(() => addon.write(1, chunk, offset)).toThrow(TypeError);
  expect(() => addon.write(1, bad(new Uint16Array(2)), 0)).toThrow(TypeError);
  expect(() => addon.openPty(bad("fast"), 1)).toThrow(TypeError);
  expect(() => withPty((pair) => new addon.Poll(pair.masterFd, bad(1)))).toThrow(TypeError);
  withPty((pair) => {
    const poll = new addon.Poll(pair.masterFd, () => undefined);
    for (const events of [-1, 4, "1"]) expect(() => poll.watch(bad(events))).toThrow(TypeError);
    poll.close();
  });
});

test("a thread that leaves its processor may use the same ones afterwards", () => {
  const before = allowedProcessors();
  for (let n = 0; n < 20; n++) {
    expect(addon.processor()).toBeGreaterThanOrEqual(0);
    expect(addon.leaveProcessor()).toBe(/[-,]/.test(before));
  }
  expect(allowedProcessors()).toBe(before);
});

test("a thread that is terminated while it watches ends cleanly", async () => {
  const code = `
    const { workerData, parentPort } = require("node:worker_threads");
    const addon = require("node-gyp-build")(workerData);
    const { masterFd } = addon.openPty(9600, 1);
    new addon.Poll(masterFd, () => {}).watch(1);
    new addon.Poll(addon.openPty(9600, 1).masterFd, () => {});
    parentPort.postMessage("watching");`;
  for (let i = 0; i < 5; i++) {
    const worker = new Worker(code, { eval: true, workerData: path.join(import.meta.dirname, "../../native") });
    await new Promise((resolve, reject) => worker.once("message", resolve).once("error", reject));
    expect(await worker.terminate()).toBe(1);
  }
});

/** A list such as "0-1" or "3". */
function allowedProcessors(): string {
  return /^Cpus_allowed_list:\s*(\S+)$/m.exec(readFileSync("/proc/thread-self/status", "ascii"))![1]!;
}

function withPty(use: (pair: PtyPair) => void, baudRate = 115_200, stopBits: 1 | 2 = 1): void {
  const pair = addon.openPty(baudRate, stopBits);
  try {
    use(pair);
  } finally {
    closeSync(pair.masterFd);
    closeSync(pair.slaveFd);
  }
}
