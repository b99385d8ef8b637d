/** The control server with limits small enough to reach, and the claim of its path. */
import { chmodSync, existsSync, linkSync, mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { AirlockError } from "../../api/errors.ts";
import { ControlClient } from "./client.ts";
import { type ControlLimits, ControlServer, type Handle } from "./server.ts";

let directory: string;
let socket: string;
beforeEach(async () => {
  directory = await mkdtemp(path.join(os.tmpdir(), "airlock-control-"));
  mkdirSync(path.join(directory, "control"));
  socket = path.join(directory, "control/socket");
});
afterEach(() => rm(directory, { recursive: true }));

const hello: Handle = async () => ({ pid: 4711 });

async function serving<T>(use: (server: ControlServer) => Promise<T>, handle: Handle = hello, limits: Partial<ControlLimits> = {}): Promise<T> {
  const server = await ControlServer.listen({ socket, handle, limits });
  try {
    return await use(server);
  } finally {
    await server.close();
  }
}

async function asking<T>(use: (client: ControlClient) => Promise<T>): Promise<T> {
  const client = await ControlClient.connect(socket);
  try {
    return await use(client);
  } finally {
    client.close();
  }
}

/** Writes, and gives what was heard until the server closed. */
function talk(bytes: string, end = false): Promise<string> {
  return new Promise((resolve) => {
    const client = net.connect({ path: socket, allowHalfOpen: true }).on("error", () => undefined);
    let heard = "";
    client.setEncoding("utf8").on("data", (text: string) => { heard += text; }).on("close", () => resolve(heard)).on("end", () => client.end());
    client.write(bytes);
    if (end) client.end();
  });
}

describe("answers", () => {
  test("results, lines before them, and errors with their code and fields", () => serving(
    () => asking(async (client) => {
      expect(await client.request({ do: "hello" })).toEqual({ pid: 4711 });
      const lines: unknown[] = [];
      expect(await client.request({ do: "logs" }, { onLine: (line) => lines.push(line) })).toEqual({ lines: 2 });
      expect(lines).toEqual([{ n: 1 }, { n: 2 }]);
      await expect(client.request({ do: "why", driver: "x" })).rejects.toMatchObject({ code: "NotFound", message: "no x", fields: { driver: "x" } });
      await expect(client.request({ do: "ps" })).rejects.toThrow("the daemon: a bug");
    }),
    async (request, { send }) => {
      if (request.do === "why") throw new AirlockError("NotFound", `no ${request.driver}`, { driver: request.driver });
      if (request.do === "ps") throw new TypeError("a bug");
      if (request.do !== "logs") return { pid: 4711 };
      send({ n: 1 });
      send({ n: 2 });
      return { lines: 2 };
    },
  ));

  test("several requests at once are answered in order, also after the client has ended its side", () => serving(async () => {
    const heard = await talk('{"id":1,"do":"hello"}\n{"id":2,"do":"hello"}\n', true);
    expect(heard.trim().split("\n").map((line) => (JSON.parse(line) as { id: number }).id)).toEqual([1, 2]);
  }));

  test("an answer that is no JSON costs its connection, not the server", () => serving(async () => {
    expect(await talk('{"id":1,"do":"ps"}\n')).toBe("");
    await asking(async (client) => expect(await client.request({ do: "hello" })).toEqual({}));
  }, async (request) => {
    const circle: Record<string, unknown> = {};
    if (request.do === "ps") circle["self"] = circle;
    return circle;
  }));
});

describe("limits", () => {
  test("a connection that asks nothing whole is closed, however many bytes it trickles", () => serving(async () => {
    expect(await talk('{"id":1,')).toBe("");
  }, hello, { idleMs: 100 }));

  test("a reader that is too far behind is dropped", async () => {
    let dropped: (value: boolean) => void = () => undefined;
    const wasDropped = new Promise<boolean>((resolve) => { dropped = resolve; });
    await serving(async () => {
      const client = net.connect(socket).on("error", () => undefined).pause();
      client.write('{"id":1,"do":"logs","follow":true}\n');
      expect(await wasDropped).toBe(true);
      client.destroy();
    }, async (_, { send, ended }) => {
      // Far more than the kernel's buffers hold; each turn lets the socket take what it can.
      for (let line = 0; line < 10_000 && !ended.aborted; line++) {
        if (!send("x".repeat(10_000))) return dropped(true);
        await new Promise((resolve) => { setImmediate(resolve); });
      }
      dropped(false);
    }, { unsentBytes: 100_000 });
  });

  test("more requests than may wait end the connection", () => serving(async () => {
    expect(await talk('{"id":1,"do":"hello"}\n'.repeat(5))).toContain("at most 3 requests may wait");
  }, hello, { queued: 3 }));

  test("more connections than allowed are told so", () => serving(async () => {
    const first = net.connect(socket);
    await asking(async (client) => {
      await client.request({ do: "hello" });
      expect(await talk("")).toContain("2 clients use the control socket already");
    });
    first.destroy();
  }, hello, { connections: 2 }));

  test("the end of the connection ends a follower", async () => {
    let over: () => void = () => undefined;
    const ended = new Promise<void>((resolve) => { over = resolve; });
    await serving(async () => {
      const client = net.connect(socket);
      client.write('{"id":1,"do":"logs","follow":true}\n', () => client.destroy());
      await ended;
      expect(existsSync(socket)).toBe(true);
    }, async (_, answering) => {
      if (!answering.ended.aborted) await new Promise((resolve) => { answering.ended.addEventListener("abort", resolve); });
      over();
    });
  });
});

describe("the path", () => {
  test("is private from the first moment, in a private directory, and gone at the end", async () => {
    chmodSync(path.dirname(socket), 0o777);
    await serving(async () => {
      expect(statSync(socket).mode & 0o777).toBe(0o600);
      expect(statSync(path.dirname(socket)).mode & 0o777).toBe(0o700);
    });
    expect(existsSync(socket)).toBe(false);
  });

  test("one that is served is refused, naming the pid", () => serving(async () => {
    await expect(ControlServer.listen({ socket, handle: hello })).rejects.toMatchObject({ code: "AddressInUse", fields: { pid: 4711 } });
    await asking(async (client) => expect(await client.request({ do: "hello" })).toEqual({ pid: 4711 }));
  }));

  test("a stale one is replaced", async () => {
    const stale = net.createServer();
    await new Promise<void>((resolve) => { stale.listen(`${socket}.old`, resolve); });
    linkSync(`${socket}.old`, socket);
    await new Promise((resolve) => { stale.close(resolve); });
    const server = await ControlServer.listen({ socket, handle: hello });
    await asking(async (client) => expect(await client.request({ do: "hello" })).toEqual({ pid: 4711 }));
    await server.close();
    expect(existsSync(socket)).toBe(false);
  });

  test("of several that start at the same time over a stale one, one gets it and serves", async () => {
    for (let round = 0; round < 10; round++) {
      const stale = net.createServer();
      await new Promise<void>((resolve) => { stale.listen(`${socket}.old`, resolve); });
      linkSync(`${socket}.old`, socket);
      await new Promise((resolve) => { stale.close(resolve); });
      const started = await Promise.allSettled(Array.from({ length: 4 }, () => ControlServer.listen({ socket, handle: hello })));
      const winners = started.filter((one) => one.status === "fulfilled");
      expect(winners).toHaveLength(1);
      for (const one of started) if (one.status === "rejected") expect(one.reason).toMatchObject({ code: "AddressInUse" });
      await asking(async (client) => expect(await client.request({ do: "hello" })).toEqual({ pid: 4711 }));
      await winners[0]!.value.close();
      expect(readdirSync(path.dirname(socket))).toEqual([]);
    }
  });

  test("a file that is no socket is refused and kept", async () => {
    writeFileSync(socket, "mine");
    await expect(ControlServer.listen({ socket, handle: hello })).rejects.toMatchObject({ code: "AddressInUse" });
    expect(statSync(socket).isFile()).toBe(true);
  });

  test("what took its place is not removed at the end", async () => {
    await serving(async () => {
      await rm(socket);
      writeFileSync(socket, "theirs");
    });
    expect(existsSync(socket)).toBe(true);
  });
});
