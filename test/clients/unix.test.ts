/** The Unix socket export, by a client in a process of its own. */
import { once } from "node:events";
import { mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { spawnSync } from "node:child_process";
import { afterEach, beforeEach, expect, test } from "vitest";
import { AirlockError } from "../../runtime/api/errors.ts";
import unix from "../../runtime/exports/unix/export.ts";
import { EchoSerialPort } from "../fixtures/echo-serial-port.ts";
import { startExport } from "../fixtures/export-context.ts";
import { Inbox, receiveMs } from "./client.ts";

let directory = "";
beforeEach(async () => { directory = await mkdtemp(path.join(os.tmpdir(), "airlock-unix-")); });
afterEach(() => rm(directory, { recursive: true }));

test("carries bytes both ways on a private socket, and leaves nothing", async () => {
  const started = await startExport(unix, { directory });
  expect((await stat(started.running.address)).mode & 0o777).toBe(0o600);
  await using client = await connect(started.running.address);
  client.socket.write("hello");
  expect((await client.inbox.take(5, receiveMs)).toString()).toBe("hello");
  expect(started.ports[0]!.configured).toEqual([{ baudRate: 115_200, dataBits: 8, stopBits: 1, parity: "none" }]);
  await started.running.close();
  await started.running.close();
  expect(await readdir(directory)).toEqual([]);
  expect(started.ports[0]!.closed).toBe(true);
});

test("a megabyte comes back whole", async () => {
  await using started = await startExport(unix, { directory });
  await using client = await connect(started.running.address);
  const sent = Buffer.from(Uint8Array.from({ length: 1 << 20 }, (_, i) => (i * 7 + (i >> 8)) & 0xff));
  client.socket.write(sent);
  expect((await client.inbox.take(sent.length, receiveMs)).equals(sent)).toBe(true);
});

test("a second client is refused in one line, and has the port once the first is gone", async () => {
  await using started = await startExport(unix, { directory });
  const first = await connect(started.running.address);
  const second = await connect(started.running.address);
  second.socket.write("stolen?");
  expect((await second.inbox.take("\r\n", receiveMs)).toString()).toBe("airlock: console is in use by another client\r\n");
  await second[Symbol.asyncDispose]();
  first.socket.write("mine");
  expect((await first.inbox.take(4, receiveMs)).toString()).toBe("mine");
  await first[Symbol.asyncDispose]();
  for (let round = 0; round < 20; round++) {
    await using next = await connect(started.running.address);
    next.socket.write("next");
    expect((await next.inbox.take(4, receiveMs)).toString()).toBe("next");
  }
});

test("what the device sends to nobody is counted in the log", async () => {
  await using started = await startExport(unix, { directory });
  started.ports[0]!.receive(Buffer.from("unheard"));
  await new Promise((resolve) => { setTimeout(resolve, 20); });
  await using client = await connect(started.running.address);
  client.socket.write("x");
  expect((await client.inbox.take(1, receiveMs)).toString()).toBe("x");
  expect(started.log).toContain("info: 7 bytes came while no client was connected");
});

test("a client stays connected while the port fails and is opened again", async () => {
  await using started = await startExport(unix, { directory });
  await using client = await connect(started.running.address);
  started.ports[0]!.fail(new Error("the driver is held"));
  client.socket.write("later");
  expect((await client.inbox.take(5, receiveMs)).toString()).toBe("later");
  expect(started.ports).toHaveLength(2);
});

test("the export ends when the port is closed for good", async () => {
  const port = new EchoSerialPort();
  let opened = 0;
  const open = (): Promise<EchoSerialPort> =>
    (opened++ === 0 ? Promise.resolve(port) : Promise.reject(new AirlockError("Closed", "the machine is down")));
  await using started = await startExport(unix, { directory, open });
  await port.close();
  expect((await started.running.ended)?.code).toBe("Closed");
});

test("closing while the port is away does not wait for it", async () => {
  const port = new EchoSerialPort();
  let opened = 0;
  const open = (): Promise<EchoSerialPort> => (opened++ === 0 ? Promise.resolve(port) : Promise.reject(new Error("held")));
  const started = await startExport(unix, { directory, open });
  const client = await connect(started.running.address);
  port.fail(new Error("held"));
  client.socket.write("never sent");
  await started.running.close();
  expect(await started.running.ended).toBeUndefined();
  await client[Symbol.asyncDispose]();
});

test("a live server's path is in use, a stale socket's is taken over, a file's is not touched", async () => {
  await using first = await startExport(unix, { directory });
  await expect(startExport(unix, { directory })).rejects.toMatchObject({ code: "AddressInUse" });
  await using client = await connect(first.running.address);
  client.socket.write("alive");
  expect((await client.inbox.take(5, receiveMs)).toString()).toBe("alive");

  const stale = path.join(directory, "stale.sock");
  const code = `require("net").createServer().listen(${JSON.stringify(stale)}, () => process.kill(process.pid, "SIGKILL"))`;
  const killed = spawnSync(process.execPath, ["-e", code]);
  expect([killed.signal, (await stat(stale)).isSocket()]).toEqual(["SIGKILL", true]);
  const second = await startExport(unix, { directory, options: { path: "stale.sock" } });
  await second.running.close();

  await writeFile(path.join(directory, "file"), "precious");
  await expect(startExport(unix, { directory, options: { path: "file" } })).rejects.toMatchObject({ code: "AddressInUse" });
  await expect(startExport(unix, { directory, options: { path: "missing/x" } })).rejects.toMatchObject({ code: "StateUnusable" });
  await expect(startExport(unix, { directory, options: { path: "x".repeat(200) } })).rejects.toMatchObject({ code: "InvalidArgument" });
});

async function connect(address: string): Promise<AsyncDisposable & { socket: net.Socket; inbox: Inbox }> {
  const socket = net.connect(address);
  const inbox = new Inbox();
  socket.on("data", inbox.put);
  socket.on("error", () => socket.destroy());
  await once(socket, "connect");
  return {
    socket, inbox,
    [Symbol.asyncDispose]: async () => {
      const closed = socket.closed ? undefined : once(socket, "close");
      socket.destroy();
      await closed;
    },
  };
}
