/**
 * Uses every call of the addon that handles memory or threads, with right and wrong arguments, and ends with an error when something is
 * left: a mapping, a descriptor, a thread. `native/sanitize.mjs` runs it with an addon that reports wrong accesses:
 * node --expose-gc native/exercise.mjs path/to/airlock.node
 */
import assert from "node:assert/strict";
import { closeSync, readFileSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker, isMainThread, parentPort, workerData } from "node:worker_threads";

const pageBytes = 4_096;
const pieceBytes = 16 * pageBytes;
const rounds = 10;

/** What the end waits for: finalizers run some turns after a collection, and a closed interface goes in the background. */
const settleMs = 10_000;

const addonPath = isMainThread ? process.argv[2] : workerData.addonPath;
const addon = createRequire(import.meta.url)(addonPath);

await (isMainThread ? main() : inWorker(workerData.part));

async function main() {
  // Once before counting: what Node makes at first use stays.
  await exercise();
  await isSettled(() => true);
  const before = left();
  for (let round = 0; round < rounds; round++) await exercise();
  await isSettled(() => JSON.stringify(left()) === JSON.stringify(before));
  assert.deepEqual(left(), before, "something is left: mappings, descriptors or threads");
  process.stdout.write("the addon was exercised; nothing is left\n");
}

async function exercise() {
  const fd = addon.createSharedMemory("exercise", pieceBytes);
  try {
    mapped(fd);
    granted(fd);
    refused(fd);
    for (const part of ["spin", "leave"]) await abandoned(fd, part);
    await tap();
  } finally {
    closeSync(fd);
  }
  globalThis.gc();
}

/** Buffers unmapped by hand, twice, and left to the collector. */
function mapped(fd) {
  const one = new Uint8Array(addon.mapShared(fd, 0, pieceBytes, true));
  const two = new Uint8Array(addon.mapShared(fd, pageBytes, pageBytes, false));
  one[pageBytes] = 7;
  assert.equal(two[0], 7);
  const { buffer } = one;
  addon.unmapShared(buffer);
  addon.unmapShared(buffer);
  assert.equal(one.length, 0);
  new Uint8Array(addon.mapShared(fd, 0, pieceBytes, true)).fill(1);
}

/** Pages over plain and shared memories, that grow; more than one grant; buffers under a grant. */
function granted(fd) {
  for (const shared of [false, true]) {
    const memory = new WebAssembly.Memory({ initial: 2, maximum: 64, shared });
    const grants = [addon.createPageGrant(), addon.createPageGrant()];
    grants.forEach((grant, i) => addon.layPages(grant, memory, (i + 1) * pieceBytes - pieceBytes, fd, 0, pieceBytes));
    memory.grow(8);
    const bytes = new Uint8Array(memory.buffer);
    const view = new Uint8Array(addon.mapGranted(grants[0], fd, 0, pieceBytes));
    bytes[0] = 42;
    assert.deepEqual([bytes[pieceBytes], view[0]], [42, 42]);
    assert.equal(addon.revokePages(grants[0]), 2);
    assert.deepEqual([bytes[0], bytes[pieceBytes], view[0]], [0, 42, 0]);
    addon.unmapShared(view.buffer);
    assert.equal(addon.revokePages(grants[1]), 1);
    assert.equal(addon.revokePages(grants[1]), 0);
  }
}

function refused(fd) {
  const memory = new WebAssembly.Memory({ initial: 1 });
  const grant = addon.createPageGrant();
  const wrong = [-1, 0.5, NaN, Infinity, 2 ** 31, 2 ** 53, 2 ** 60, 1e300, "1", null, undefined, {}, 1n];
  for (const value of wrong) {
    const calls = [
      () => addon.mapShared(value, 0, pageBytes, true), () => addon.mapShared(fd, value, pageBytes, true), () => addon.mapShared(fd, 0, value, true),
      () => addon.layPages(value, memory, 0, fd, 0, pageBytes), () => addon.layPages(grant, value, 0, fd, 0, pageBytes),
      () => addon.layPages(grant, memory, value, fd, 0, pageBytes), () => addon.layPages(grant, memory, 0, value, 0, pageBytes),
      () => addon.layPages(grant, memory, 0, fd, value, pageBytes), () => addon.layPages(grant, memory, 0, fd, 0, value),
      () => addon.mapGranted(grant, fd, value, pageBytes), () => addon.mapGranted(grant, fd, 0, value), () => addon.createSharedMemory("x", value),
      () => addon.unmapShared(value), () => addon.writeFrames(fd, value, new Uint32Array(1)), () => addon.writeFrames(fd, new Uint8Array(9), value),
      () => addon.openTap(value), () => new addon.TapReader(fd, value), () => new addon.TapReader(value, () => undefined),
    ];
    calls.forEach((call, i) => assert.throws(call, `call ${i} took a ${typeof value}`));
  }
  assert.throws(() => addon.writeFrames(fd, new Uint8Array(9), Uint32Array.of(5, 5)));
  assert.throws(() => addon.writeFrames(fd, new Uint8Array(9), new Uint32Array(5_000)));
  assert.equal(addon.revokePages(grant), 0);
}

/** A thread that is terminated with pages in its memories: busy with them, or gone before the revocation. */
async function abandoned(fd, part) {
  const grant = addon.createPageGrant();
  const worker = new Worker(new URL(import.meta.url), { workerData: { addonPath, part, fd, grant } });
  // A thread's descriptors stay open when it is terminated.
  const tapFd = await new Promise((resolve, reject) => { worker.once("message", resolve).once("error", reject); });
  const ranges = part === "spin" ? addon.revokePages(grant) : undefined;
  await worker.terminate();
  if (tapFd !== undefined) closeSync(tapFd);
  assert.equal(addon.revokePages(grant), 0);
  if (ranges !== undefined) assert.equal(ranges, 2);
}

async function inWorker(part) {
  const { fd, grant } = workerData;
  const memory = new WebAssembly.Memory({ initial: 2 });
  addon.layPages(grant, memory, 0, fd, 0, pieceBytes);
  const view = new Uint8Array(addon.mapGranted(grant, fd, 0, pieceBytes));
  const other = new Uint8Array(addon.mapShared(fd, 0, pieceBytes, true));
  const bytes = new Uint8Array(memory.buffer);
  const reader = openReader(() => undefined);
  parentPort.postMessage(reader?.fd);
  for (let i = 0; part === "spin"; i++) bytes[i % pieceBytes] = view[i % pieceBytes] + other[i % pieceBytes];
  await sleep(settleMs);
}

/** Frames that the kernel sends when an interface comes up, until one batch came or a second passed. */
async function tap() {
  let batches = 0;
  const reader = openReader((frames, sizes, errno) => {
    assert.deepEqual([errno, sizes.reduce((sum, size) => sum + size, 0)], [0, frames.length]);
    batches++;
    reader.resume();
    reader.resume();
  });
  if (reader === undefined) return;
  const frame = new Uint8Array(60).fill(255, 0, 6);
  assert.equal(addon.writeFrames(reader.fd, Buffer.concat([frame, frame]), Uint32Array.of(60, 60)), 2);
  for (let i = 0; i < 100 && batches === 0; i++) await sleep(10);
  reader.close();
  reader.close();
  closeSync(reader.fd);
}

/** Undefined where there may be no interfaces. */
function openReader(callback) {
  let fd;
  try {
    ({ fd } = addon.openTap({ name: "exercise%d", mtu: 1_500, mac: Uint8Array.of(2, 0, 0, 0, 0, 1), up: true }));
  } catch (error) {
    assert.ok(["EPERM", "EACCES", "ENOENT", "ENODEV"].includes(error.code), error);
    return undefined;
  }
  const reader = new addon.TapReader(fd, callback);
  return Object.assign(reader, { fd });
}

async function isSettled(done) {
  const endMs = performance.now() + settleMs;
  do {
    globalThis.gc();
    await sleep(50);
  } while (!done() && performance.now() < endMs);
}

/** What this process holds of what the addon makes. */
function left() {
  const maps = readFileSync("/proc/self/maps", "utf8").split("\n");
  return {
    mappings: maps.filter((line) => line.includes("memfd:exercise")).length,
    descriptors: readdirSync("/proc/self/fd").length,
    threads: readdirSync("/proc/self/task").length,
  };
}
