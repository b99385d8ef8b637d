/** A guest with granted pages in its memory: it reaches those, as long as it has them, and nothing beside or after them. */
import { closeSync } from "node:fs";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type NativeAddon, loadAddon } from "../../runtime/native/addon.ts";
import { wasmLoader, wasmMemory, wasmPageBytes } from "../../runtime/native/test-memory.ts";
import { TestThread } from "../../runtime/native/test-thread.ts";
import { addonMissing, requireClient } from "../clients/client.ts";

const pageBytes = 4_096;
const fileBytes = 16 * pageBytes;
const secret = 0x5e;

/** Long enough for a busy guest to write some thousand times. */
const whileMs = 30;

let addon: NativeAddon;
let fd: number | undefined;
let file: Uint8Array;

beforeEach((context) => {
  requireClient(context, addonMissing());
  addon = loadAddon();
  fd = addon.createSharedMemory("airlock-escape", fileBytes);
  file = new Uint8Array(addon.mapShared(fd, 0, fileBytes, true)).fill(secret);
});

afterEach(() => {
  if (fd !== undefined) closeSync(fd);
  fd = undefined;
});

test("a guest that reads and writes all of its memory finds its own pages, and not those of others in the same file", () => {
  const memory = wasmMemory(4);
  const grant = addon.createPageGrant();
  file.fill(1, 5 * pageBytes, 7 * pageBytes);
  addon.layPages(grant, memory, 3 * pageBytes, fd!, 5 * pageBytes, 2 * pageBytes);
  const load = wasmLoader(memory);
  const found = new Set<number>();
  for (let address = 0; address < 4 * wasmPageBytes; address++) found.add(load(address));
  expect([...found].toSorted((a, b) => a - b)).toEqual([0, 1]);
  for (const address of [4 * wasmPageBytes, 0x7fff_ffff, -1]) expect(() => load(address)).toThrow(/out of bounds/);
  new Uint8Array(memory.buffer).fill(2);
  expect(file.findIndex((byte) => byte !== secret)).toBe(5 * pageBytes);
  expect(file.findLastIndex((byte) => byte !== secret)).toBe(7 * pageBytes - 1);
  addon.revokePages(grant);
});

test("a guest that never stops writing changes nothing from the moment the revocation returns", async () => {
  for (let round = 0; round < 10; round++) {
    const grant = addon.createPageGrant();
    await using guest = new TestThread(`
      const memory = new WebAssembly.Memory({ initial: 1 });
      addon.layPages(data.grant, memory, 0, data.fd, 0, 8192);
      const all = [new Uint8Array(memory.buffer), new Uint8Array(addon.mapGranted(data.grant, data.fd, 8192, 4096))];
      post("busy");
      for (let n = 0; ; n++) for (const bytes of all) bytes[n % 4096] = n;`, { fd, grant });
    expect(await guest.next()).toBe("busy");
    expect(addon.revokePages(grant)).toBe(2);
    const then = Buffer.from(file);
    await new Promise((resolve) => { setTimeout(resolve, whileMs); });
    expect(then.equals(file)).toBe(true);
  }
});

test("a guest that is given pages, grows and loses them at the same time ends with none", async () => {
  const count = 300;
  const grants = Array.from({ length: count }, () => addon.createPageGrant());
  const progress = new Int32Array(new SharedArrayBuffer(4));
  await using guest = new TestThread(`
    const memory = new WebAssembly.Memory({ initial: 1, maximum: data.grants.length + 1 });
    let refused = 0;
    for (const [i, grant] of data.grants.entries()) {
      Atomics.store(data.progress, 0, i);
      for (let page = 0; page < 16; page++) {
        try {
          addon.layPages(grant, memory, page * 4096, data.fd, page * 4096, 4096);
        } catch (error) {
          if (!/revoked|already/.test(error.message)) throw error;
          refused++;
        }
      }
      memory.grow(1);
    }
    Atomics.store(data.progress, 0, data.grants.length);
    post("given");
    await new Promise((resolve) => { parentPort.once("message", resolve); });
    const bytes = new Uint8Array(memory.buffer);
    const isEmpty = bytes.every((byte) => byte === 0);
    post([bytes.fill(0xff).length, isEmpty, refused > 0]);`, { fd, grants, progress });
  for (const [i, grant] of grants.entries()) {
    // In the middle of its sixteen calls.
    while (Atomics.load(progress, 0) < i) await new Promise((resolve) => { setImmediate(resolve); });
    expect(addon.revokePages(grant)).toBeLessThanOrEqual(16);
  }
  expect(await guest.next()).toBe("given");
  for (const grant of grants) expect(addon.revokePages(grant)).toBe(0);
  guest.post("look");
  expect(await guest.next()).toEqual([(count + 1) * wasmPageBytes, true, true]);
  expect(file.every((byte) => byte === secret)).toBe(true);
});

test("a guest in a builtin that nothing interrupts loses its pages all the same", async () => {
  const grant = addon.createPageGrant();
  await using guest = new TestThread(`
    const memory = new WebAssembly.Memory({ initial: 1 });
    addon.layPages(data.grant, memory, 0, data.fd, 0, 65536);
    const bytes = new Uint8Array(memory.buffer);
    post("stuck");
    new Array(5e7).indexOf(3);
    bytes.fill(7);
    post("free");`, { fd, grant });
  expect(await guest.next()).toBe("stuck");
  expect(addon.revokePages(grant)).toBe(1);
  expect(await guest.next()).toBe("free");
  expect(file.every((byte) => byte === secret)).toBe(true);
});
