/** Attacks on the control socket, from a process that may open it: none may crash, block or bloat the daemon. */
import { statSync } from "node:fs";
import net from "node:net";
import path from "node:path";
import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Daemon } from "../fixtures/cli.ts";
import { ControlClient } from "../../runtime/cli/control/client.ts";
import { requestMostBytes } from "../../runtime/cli/control/protocol.ts";

let daemon: Daemon;
beforeAll(async () => { daemon = await Daemon.start(); });
afterAll(() => daemon[Symbol.asyncDispose]());

/** An answer, or the end of the connection, takes no longer. */
const answerMs = 10_000;

/** Sends bytes and gives what came back until the daemon closed, or `enough` says so. */
function send(bytes: string | Uint8Array, enough: (heard: string) => boolean = () => false): Promise<{ heard: string; closed: boolean }> {
  return new Promise((resolve) => {
    const socket = net.connect(daemon.socket);
    let heard = "";
    const end = (closed: boolean) => {
      clearTimeout(limit);
      socket.destroy();
      resolve({ heard, closed });
    };
    const limit = setTimeout(() => end(false), answerMs);
    socket.on("error", () => undefined);
    socket.on("close", () => end(true));
    socket.setEncoding("utf8").on("data", (text: string) => {
      heard += text;
      if (enough(heard)) end(false);
    });
    socket.write(bytes);
  });
}

/** The machine's name, from the daemon that was started at first. */
async function serves(): Promise<string> {
  const { machine, pid } = (await daemonRequest({ do: "ps" })) as { machine: string; pid: number };
  expect(pid).toBe(daemon.pid);
  return machine;
}

const oneLine = (heard: string): boolean => heard.includes("\n");

describe("what is no request is answered with an error", () => {
  test.each([
    ["no JSON", "hello?\n"],
    ["a number", "7\n"],
    ["null", "null\n"],
    ["an unknown request", '{"id":1,"do":"shell","command":"id"}\n'],
    ["an unknown key", '{"id":1,"do":"ps","as":"root"}\n'],
    ["a prototype", '{"id":1,"do":"ps","__proto__":{"x":1}}\n'],
    ["a driver that is no name", '{"id":1,"do":"why","driver":{}}\n'],
    ["a huge number", '{"id":1e308,"do":"ps"}\n'],
    ["deep nesting", `${"[".repeat(4_000)}\n`],
    ["bytes that are no UTF-8", Buffer.from([0x7b, 0xff, 0xfe, 0x0a])],
    ["a fault that is a path", '{"id":1,"do":"kill","driver":"clock","how":"../../package"}\n'],
    ["a fault of Object.prototype", '{"id":1,"do":"kill","driver":"clock","how":"constructor"}\n'],
    ["a driver of Object.prototype", '{"id":1,"do":"why","driver":"__proto__"}\n'],
  ])("%s", async (_, bytes) => {
    const { heard } = await send(bytes, oneLine);
    const reply = JSON.parse(heard) as { error: { code: string; message: string } };
    expect(["InvalidArgument", "NotFound"]).toContain(reply.error.code);
    expect(reply.error.message).not.toMatch(/\bat .*\.js:\d/);
    expect(await serves()).toBe("lab");
  });

  test("a line without end is refused at its limit and the connection is closed", async () => {
    const { heard, closed } = await send("x".repeat(requestMostBytes * 64));
    expect(heard).toContain(`at most ${requestMostBytes} bytes`);
    expect(closed).toBe(true);
    expect(await serves()).toBe("lab");
  });

  test("requests without end, and none of them read: the connection is closed", async () => {
    const { closed } = await send('{"id":1,"do":"ps"}\n'.repeat(20_000), () => false);
    expect(closed).toBe(true);
    expect(await serves()).toBe("lab");
  });

  test("lines that are no requests, without end", async () => {
    const socket = net.connect(daemon.socket);
    let closed = false;
    socket.on("error", () => undefined).on("close", () => { closed = true; }).resume();
    for (let sent = 0; sent < 100 && !closed; sent++) {
      socket.write("?\n");
      await new Promise((resolve) => { setTimeout(resolve, 10); });
    }
    expect(closed).toBe(true);
    expect(await serves()).toBe("lab");
  });

  test("random bytes and random JSON never crash it", async () => {
    const line = fc.oneof(
      fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.concat([bytes, Buffer.from("\n")])),
      fc.json({ maxDepth: 4 }).map((text) => Buffer.from(`${text.replaceAll("\n", " ")}\n`)),
      fc.record({ id: fc.oneof(fc.nat(), fc.string()), do: fc.constantFrom("ps", "why", "logs", "kill", "hello", "x"), driver: fc.string(), level: fc.string(), lines: fc.integer() }, { requiredKeys: [] })
        .map((value) => Buffer.from(`${JSON.stringify(value)}\n`)),
    );
    await fc.assert(fc.asyncProperty(fc.array(line, { minLength: 1, maxLength: 6 }), async (lines) => {
      await send(Buffer.concat(lines), oneLine);
    }), { numRuns: 150 });
    expect(await serves()).toBe("lab");
  });
});

describe("what is never finished", () => {
  test("half requests and connections that say nothing don't keep others out", async () => {
    const silent = Array.from({ length: 24 }, (_, index) => {
      const socket = net.connect(daemon.socket).on("error", () => undefined);
      if (index % 2 === 0) socket.write('{"id":1,"do":"p');
      return socket;
    });
    expect(await serves()).toBe("lab");
    for (const socket of silent) socket.destroy();
  });

  test("above the limit of connections the next is told so; it serves again when they are gone", async () => {
    const many = Array.from({ length: 60 }, () => net.connect(daemon.socket).on("error", () => undefined).resume());
    await new Promise((resolve) => { setTimeout(resolve, 300); });
    const client = await ControlClient.connect(daemon.socket).catch(() => undefined);
    await expect(client === undefined ? Promise.reject(new Error("refused")) : client.request({ do: "ps" })).rejects.toThrow(/refused|closed the connection|already/);
    client?.close();
    for (const socket of many) socket.destroy();
    await new Promise((resolve) => { setTimeout(resolve, 300); });
    expect(await serves()).toBe("lab");
  });

  test("connections cut in the middle of their answers", async () => {
    for (let attempt = 0; attempt < 50; attempt++) {
      const socket = net.connect(daemon.socket).on("error", () => undefined);
      socket.write('{"id":1,"do":"logs","follow":true}\n{"id":2,"do":"ps"}\n');
      await new Promise((resolve) => { setTimeout(resolve, attempt % 5); });
      socket.destroy();
    }
    expect(await serves()).toBe("lab");
  });

  test("a follower that does not read is dropped or costs little, and the others are served", async () => {
    const before = daemon.residentBytes();
    const idle = Array.from({ length: 8 }, () => {
      const socket = net.connect(daemon.socket).on("error", () => undefined).pause();
      socket.write('{"id":1,"do":"logs","follow":true,"lines":1000}\n');
      return socket;
    });
    for (let restart = 0; restart < 40; restart++) await daemonRequest({ do: "restart", driver: "clock" });
    expect(await serves()).toBe("lab");
    expect(daemon.residentBytes() - before).toBeLessThan(256 * 2 ** 20);
    for (const socket of idle) socket.destroy();
  });
});

test("nobody but its user can open it", () => {
  expect(statSync(daemon.socket).mode & 0o777).toBe(0o600);
  expect(statSync(path.dirname(daemon.socket)).mode & 0o777).toBe(0o700);
});

async function daemonRequest(wish: Parameters<ControlClient["request"]>[0]): Promise<unknown> {
  const client = await ControlClient.connect(daemon.socket);
  try {
    return await client.request(wish);
  } finally {
    client.close();
  }
}
