/** The pty export, by the programs that people open serial ports with. */
import { closeSync, constants, openSync, writeSync } from "node:fs";
import { lstat, mkdtemp, readdir, readlink, rm, symlink, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { loadAddon } from "../../runtime/native/addon.ts";
import pty from "../../runtime/exports/pty/export.ts";
import { EchoSerialPort } from "../fixtures/echo-serial-port.ts";
import { startExport } from "../fixtures/export-context.ts";
import { type ClientKind, addonMissing, requireClient } from "./client.ts";
import { picocom } from "./picocom.ts";
import { serialport } from "./serialport.ts";
import { setLine, termios } from "./termios.ts";

const clients: readonly ClientKind[] = [picocom, termios, serialport];

beforeEach((context) => requireClient(context, addonMissing()));

describe.each(clients)("$name", (client) => {
  beforeEach((context) => requireClient(context, client.missing()));

  test("exchanges lines and every byte value it does not keep for itself", async () => {
    await using started = await startExport(pty);
    await using open = await client.open(started.running.address, 115_200);
    await open.send(Buffer.from("hello\r\n"));
    expect((await open.receive(7)).toString()).toBe("hello\r\n");
    const all = Uint8Array.from({ length: 256 }, (_, i) => i).filter((byte) => !client.reserved.includes(byte));
    await open.send(all);
    expect(new Uint8Array(await open.receive(all.length))).toEqual(all);
  });

  test("comes and goes", async () => {
    await using started = await startExport(pty);
    for (let round = 0; round < 3; round++) {
      await using open = await client.open(started.running.address, 115_200);
      await open.send(Buffer.from(`round ${round}`));
      expect((await open.receive(7)).toString()).toBe(`round ${round}`);
    }
    expect(started.ports).toHaveLength(1);
  });

  test("keeps its terminal while the port fails and is opened again", async () => {
    await using started = await startExport(pty);
    await using open = await client.open(started.running.address, 115_200);
    await open.send(Buffer.from("before"));
    expect((await open.receive(6)).toString()).toBe("before");
    started.ports[0]!.fail(new Error("the driver is held"));
    await expect.poll(() => started.ports.length, { timeout: 10_000 }).toBe(2);
    await open.send(Buffer.from("after"));
    expect((await open.receive(5)).toString()).toBe("after");
  });

  test("its speed reaches the device before its bytes", async () => {
    await using started = await startExport(pty);
    await using open = await client.open(started.running.address, 19_200);
    await open.send(Buffer.from("x"));
    await open.receive(1);
    expect(started.ports[0]!.configured.map((settings) => settings.baudRate)).toEqual([115_200, 19_200]);
  });
});

describe("line settings", () => {
  beforeEach((context) => requireClient(context, termios.missing()));

  test("follow a client that sends nothing, and survive the port", async () => {
    await using started = await startExport(pty, { options: { dataBits: 7, parity: "even" } });
    await setLine(started.running.address, 9_600, 2);
    const wanted = { baudRate: 9_600, stopBits: 2, dataBits: 7, parity: "even" };
    await expect.poll(() => started.ports[0]!.configured.at(-1), { timeout: 10_000 }).toEqual(wanted);
    started.ports[0]!.fail(new Error("gone"));
    await expect.poll(() => started.ports[1]?.configured, { timeout: 10_000 }).toEqual([wanted]);
  });

  test("a terminal starts at the speed of its options, so that a client's first choice is a change", async () => {
    await using started = await startExport(pty, { options: { baudRate: 9_600 } });
    await setLine(started.running.address, 115_200, 1);
    const speeds = (): number[] => started.ports[0]!.configured.map((settings) => settings.baudRate);
    await expect.poll(speeds, { timeout: 10_000 }).toEqual([9_600, 115_200]);
  });
});

describe("rude clients", () => {
  beforeEach((context) => requireClient(context, termios.missing()));

  test("B0, which hangs up a modem, changes nothing for who comes next", async () => {
    await using started = await startExport(pty);
    await setLine(started.running.address, 0, 1);
    await using open = await termios.open(started.running.address, 115_200);
    await open.send(Buffer.from("after B0"));
    expect((await open.receive(8)).toString()).toBe("after B0");
    expect(started.ports[0]!.configured.map(({ baudRate }) => baudRate)).not.toContain(0);
    expect(started.ports).toHaveLength(1);
  });

  test("one that leaves without reading leaves its bytes to the next, and blocks nothing", async () => {
    await using started = await startExport(pty);
    const text = Buffer.from("unread ".repeat(2_000));
    const rude = openSync(started.running.address, constants.O_RDWR | constants.O_NOCTTY | constants.O_NONBLOCK);
    let sent = 0;
    while (sent < text.length) {
      try {
        sent += writeSync(rude, text, sent);
      } catch (error) {
        expect(error).toMatchObject({ code: "EAGAIN" });
        await new Promise((resolve) => { setImmediate(resolve); });
      }
    }
    closeSync(rude);
    await using open = await termios.open(started.running.address, 115_200);
    await open.send(Buffer.from("mine"));
    expect((await open.receive(text.length + 4)).toString()).toBe(`${text.toString()}mine`);
  });

  test("a hundred that open and close, some in the middle of a transfer, leave no descriptor and no damage", async () => {
    await using started = await startExport(pty);
    const descriptors = async (): Promise<number> => (await readdir("/proc/self/fd")).length;
    const before = await descriptors();
    for (let i = 0; i < 100; i++) {
      const fd = openSync(started.running.address, constants.O_RDWR | constants.O_NOCTTY | constants.O_NONBLOCK);
      if (i % 3 === 0) writeSync(fd, `${i};`);
      closeSync(fd);
      if (i % 10 === 0) await new Promise((resolve) => { setImmediate(resolve); });
    }
    expect(await descriptors()).toBe(before);
    await using open = await termios.open(started.running.address, 115_200);
    await open.send(Buffer.from("end"));
    const all = Array.from({ length: 34 }, (_, i) => `${i * 3};`).join("");
    expect((await open.receive(all.length + 3)).toString()).toBe(`${all}end`);
    expect(started.ports).toHaveLength(1);
  });

  test("two at once share the line: each byte reaches the device once, and one of them", async () => {
    await using started = await startExport(pty);
    await using first = await termios.open(started.running.address, 115_200);
    await using second = await termios.open(started.running.address, 115_200);
    for (let round = 0; round < 20; round++) {
      await first.send(Buffer.from("a".repeat(10)));
      await second.send(Buffer.from("b".repeat(10)));
    }
    await vi.waitUntil(() => first.peek().length + second.peek().length >= 400, { timeout: 10_000 });
    const bytes = Buffer.from(Buffer.concat([first.peek(), second.peek()]).sort()).toString();
    expect(bytes).toBe("a".repeat(200) + "b".repeat(200));
    expect([first.left(), second.left()]).toEqual([undefined, undefined]);
  });
});

describe("bytes", () => {
  beforeEach((context) => requireClient(context, serialport.missing()));

  test("a megabyte comes back whole through backpressure on all sides", async () => {
    await using started = await startExport(pty);
    await using open = await serialport.open(started.running.address, 115_200);
    const sent = Buffer.from(Uint8Array.from({ length: 1 << 20 }, (_, i) => (i * 7 + (i >> 8)) & 0xff));
    const received = open.receive(sent.length, 60_000);
    await open.send(sent);
    expect((await received).equals(sent)).toBe(true);
  });

  test("a client that does not read holds the device back, without spinning, and then gets everything", async () => {
    let pulled = 0;
    const total = 400;
    const chunk = new Uint8Array(1024).fill(0x41);
    const port = new EchoSerialPort();
    const talkative = Object.assign(Object.create(port) as EchoSerialPort, {
      readable: new ReadableStream<Uint8Array>({
        pull: (controller) => {
          if (pulled++ < total) controller.enqueue(chunk);
        },
      }, { highWaterMark: 0 }),
      writable: port.writable, onNotice: () => () => undefined,
      configure: () => Promise.resolve(), drain: () => Promise.resolve(), close: () => Promise.resolve(),
    });
    let opened = 0;
    const openPort = (): Promise<EchoSerialPort> =>
      (opened++ === 0 ? Promise.resolve(talkative) : Promise.reject(new Error("one is enough")));
    await using started = await startExport(pty, { open: openPort });
    await expect.poll(() => pulled, { timeout: 10_000 }).toBeGreaterThan(3);
    let before = -1;
    while (before !== pulled) {
      before = pulled;
      await new Promise((resolve) => { setTimeout(resolve, 100); });
    }
    expect(pulled).toBeLessThan(total);
    // Waiting is waiting: nothing tries again until the terminal has room.
    const tries = vi.spyOn(loadAddon(), "write");
    await new Promise((resolve) => { setTimeout(resolve, 300); });
    expect(tries).not.toHaveBeenCalled();
    tries.mockRestore();
    await using open = await serialport.open(started.running.address, 115_200);
    expect((await open.receive(100 * 1024)).every((byte) => byte === 0x41)).toBe(true);
  });
});

describe("the link", () => {
  test("is replaced when a killed process left it, and removed at the end", async () => {
    const directory = await mkdtemp(path.join(os.tmpdir(), "airlock-link-"));
    try {
      await symlink("/dev/pts/123456", path.join(directory, "tty"));
      const started = await startExport(pty, { directory, options: { link: "tty" } });
      expect(started.running.address).toBe(path.join(directory, "tty"));
      expect(await readlink(started.running.address)).toMatch(/^\/dev\/pts\/\d{1,5}$/);
      expect((await lstat(started.running.address)).isSymbolicLink()).toBe(true);
      await started.running.close();
      await started.running.close();
      expect(await started.running.ended).toBeUndefined();
      expect(await readdir(directory)).toEqual([]);
    } finally {
      await rm(directory, { recursive: true });
    }
  });

  test("does not overwrite what is not ours", async () => {
    const directory = await mkdtemp(path.join(os.tmpdir(), "airlock-link-"));
    try {
      await writeFile(path.join(directory, "console.tty"), "precious");
      await symlink("/etc/passwd", path.join(directory, "other"));
      await expect(startExport(pty, { directory })).rejects.toMatchObject({ code: "AddressInUse" });
      await expect(startExport(pty, { directory, options: { link: "other" } })).rejects.toMatchObject({ code: "AddressInUse" });
      await expect(startExport(pty, { directory, options: { link: "missing/tty" } })).rejects.toMatchObject({ code: "StateUnusable" });
      expect((await readdir(directory)).sort((x, y) => (x < y ? -1 : 1))).toEqual(["console.tty", "other"]);
    } finally {
      await rm(directory, { recursive: true });
    }
  });
});

test("an export leaves no descriptor open", async () => {
  const descriptors = async (): Promise<string[]> => {
    const found = await Promise.all((await readdir("/proc/self/fd")).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => "")));
    return found.filter((target) => /ptmx|pts/.test(target));
  };
  const before = await descriptors();
  for (let i = 0; i < 5; i++) {
    const started = await startExport(pty);
    await started[Symbol.asyncDispose]();
  }
  await expect(startExport(pty, { open: () => Promise.reject(new Error("no port")) })).rejects.toThrow("no port");
  expect(await descriptors()).toEqual(before);
});
