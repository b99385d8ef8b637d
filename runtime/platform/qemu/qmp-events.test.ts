import { mkdtemp, rm } from "node:fs/promises";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { QmpEvents } from "./qmp-events.ts";

const greeting = '{"QMP": {"version": {}, "capabilities": []}}\r\n';
const event = (name: string): string => `{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "${name}", "data": {"action": "none"}}\r\n`;

let folder = "";
let server: net.Server | undefined;
beforeEach(async () => { folder = await mkdtemp(path.join(os.tmpdir(), "airlock-test-")); });
afterEach(async () => {
  const ended = server;
  server = undefined;
  if (ended?.listening === true) await new Promise((resolve) => { ended.close(resolve); });
  await rm(folder, { recursive: true });
});

/** A control socket that says this, and after the handshake what `speak` makes it say. */
async function listen(answer: string, speak: (socket: net.Socket) => void = () => undefined): Promise<string> {
  const socketPath = path.join(folder, "qmp");
  server = net.createServer((socket) => {
    socket.on("error", () => socket.destroy());
    socket.write(greeting);
    socket.once("data", () => {
      socket.write(answer);
      speak(socket);
    });
  });
  await new Promise<void>((resolve) => { server!.listen(socketPath, resolve); });
  return socketPath;
}

describe("events", () => {
  test("are told by name, also those that come in pieces or with the handshake", async () => {
    const heard: string[] = [];
    const text = event("WATCHDOG") + event("RESET");
    const socketPath = await listen(`${event("RESUME")}{"return": {}}\r\n${text.slice(0, 20)}`, (socket) => setImmediate(() => socket.write(text.slice(20))));
    using _events = await QmpEvents.open(socketPath, (name) => heard.push(name));
    await vi.waitUntil(() => heard.length === 3);
    expect(heard).toEqual(["RESUME", "WATCHDOG", "RESET"]);
  });

  test.each([
    ["is no JSON", "WATCHDOG\r\n"], ["has no end", "x".repeat(70_000)], ["is a number", "7\r\n"], ["is null", "null\r\n"], ["has a name that is none", '{"event": {"name": "WATCHDOG"}}\r\n'],
  ])("what %s is no event, and harms nobody", async (_what, noise) => {
    const heard: string[] = [];
    let ended = false;
    const socketPath = await listen('{"return": {}}\r\n', (socket) => {
      socket.on("close", () => { ended = true; });
      socket.write(noise);
      setImmediate(() => socket.write(event("WATCHDOG")));
    });
    using _events = await QmpEvents.open(socketPath, (name) => heard.push(name));
    await vi.waitUntil(() => ended || heard.length > 0);
    expect(heard.every((name) => name === "WATCHDOG")).toBe(true);
  });
});

test.each([["refuses", '{"error": {"class": "GenericError", "desc": "no"}}\r\n'], ["hangs up", ""]])("a QEMU that %s is lost hardware", async (what, answer) => {
  const socketPath = await listen(answer, (socket) => { if (what === "hangs up") socket.destroy(); });
  await expect(QmpEvents.open(socketPath, () => undefined)).rejects.toMatchObject({ code: "HardwareLost" });
});

test("without a socket there is no connection", async () => {
  await expect(QmpEvents.open(path.join(folder, "none"), () => undefined)).rejects.toMatchObject({ code: "HardwareLost" });
});
