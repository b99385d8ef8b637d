/** The watchdog export: its lines, on a client played by the test; and a program that has itself watched, on whole machines. */
import { once } from "node:events";
import { readdir, stat } from "node:fs/promises";
import net from "node:net";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { AirlockError } from "../../runtime/api/errors.ts";
import type { WatchdogClient, WatchdogSettings } from "../../runtime/classes/watchdog/client.ts";
import type { WatchdogEvent } from "../../runtime/classes/watchdog/shadow.ts";
import watchdog from "../../runtime/exports/watchdog/export.ts";
import { qemuAvailable } from "../conformance/qemu-available.ts";
import { startExport } from "../fixtures/export-context.ts";
import { Inbox, programMissing, receiveMs, requireClient } from "./client.ts";
import { MachineLab } from "./machine-lab.ts";
import { Trouble } from "./machine-trouble.ts";
import { PythonWatched } from "./python-watchdog.ts";

/** A device that does what it is told, and writes that down. */
class PlayedWatchdog {
  readonly calls: string[] = [];
  readonly listeners = new Set<(event: WatchdogEvent) => void>();
  open = 0;
  /** What calls wait for, if anything. */
  gate: Promise<void> | undefined;

  readonly client = (): Promise<WatchdogClient> => {
    this.open++;
    const mine = new Set<(event: WatchdogEvent) => void>();
    const close = (): void => {
      this.open--;
      for (const listener of mine) this.listeners.delete(listener);
    };
    return Promise.resolve({
      identify: async () => ({ minTimeoutMs: 2, maxTimeoutMs: 60_000, canStop: true, hasPretimeout: false, causedReset: true }),
      start: (settings) => this.#do(JSON.stringify(settings), () => rounded(settings)),
      stop: () => this.#do("stop", () => undefined),
      ping: () => this.#do("ping", () => undefined),
      timeLeft: () => this.#do("timeLeft", () => 1_250),
      on: (listener) => {
        this.listeners.add(listener);
        mine.add(listener);
        return () => this.listeners.delete(listener);
      },
      close, [Symbol.dispose]: close,
    });
  };

  tell(event: WatchdogEvent): void {
    for (const listener of this.listeners) listener(event);
  }

  async #do<T>(what: string, done: () => T): Promise<T> {
    await this.gate;
    this.calls.push(what);
    return done();
  }
}

function rounded({ timeoutMs }: WatchdogSettings): number {
  if (timeoutMs > 60_000) throw new AirlockError("InvalidArgument", `timeoutMs is ${timeoutMs}, the device can count 60000 at most`);
  return timeoutMs + 0.5;
}

async function connect(address: string): Promise<AsyncDisposable & { socket: net.Socket; lines: (count: number) => Promise<string[]> }> {
  const socket = net.connect({ path: address, allowHalfOpen: true });
  const inbox = new Inbox();
  socket.on("data", inbox.put);
  socket.on("error", () => socket.destroy());
  await once(socket, "connect");
  return {
    socket,
    lines: async (count) => {
      const lines: string[] = [];
      while (lines.length < count) lines.push((await inbox.take("\n", receiveMs)).toString().trimEnd());
      return lines;
    },
    [Symbol.asyncDispose]: async () => {
      const closed = socket.closed ? undefined : once(socket, "close");
      socket.destroy();
      await closed;
    },
  };
}

describe("lines", () => {
  async function started() {
    const device = new PlayedWatchdog();
    return { device, started: await startExport(watchdog, { open: device.client }) };
  }

  test("each command is done and answered in its turn, on a private socket that is gone at the end", async () => {
    const { device, started: { running, directory, [Symbol.asyncDispose]: dispose } } = await started();
    expect((await stat(running.address)).mode & 0o777).toBe(0o600);
    await using client = await connect(running.address);
    client.socket.write("start 30\nping\n\n  ping \r\nstatus\nstart 2.5 pretimeout 1 nowayout\nst");
    client.socket.write("op\n");
    expect(await client.lines(6)).toEqual([
      "ok timeout=30.0005", "ok", "ok", "ok left=1.25 least=0.002 most=60 stop=yes pretimeout=no caused-reset=yes", "ok timeout=2.5005", "ok",
    ]);
    expect(device.calls).toEqual([
      '{"timeoutMs":30000,"noWayOut":false}', "ping", "ping", "timeLeft", '{"timeoutMs":2500,"pretimeoutMs":1000,"noWayOut":true}', "stop",
    ]);
    await running.close();
    await running.close();
    expect(await running.ended).toBeUndefined();
    expect(await readdir(directory)).toEqual([]);
    expect(device.open).toBe(0);
    await dispose();
  });

  test.each([
    "start", "start now", "start -1", "start 1e3", "start 0x10", "start 30 30", "start 30 pretimeout", "start 30 nowayout nowayout", "start 30 nowayout pretimeout 1 pretimeout 1",
    "ping 1", "PING", "stop it", "V", "status all", "\u0000\u0001", "start 61",
  ])("%j is refused, and nothing is done", async (line) => {
    const { device, started: export_ } = await started();
    await using _ = export_;
    await using client = await connect(export_.running.address);
    client.socket.write(`${line}\nping\n`);
    const [refusal, next] = await client.lines(2);
    expect(refusal).toMatch(/^error InvalidArgument [\x20-\x7e]+$/);
    expect([next, device.calls]).toEqual(["ok", line === "start 61" ? ["{\"timeoutMs\":61000,\"noWayOut\":false}", "ping"] : ["ping"]]);
  });

  test("every client hears what happens", async () => {
    const { device, started: export_ } = await started();
    await using _ = export_;
    await using one = await connect(export_.running.address);
    await using other = await connect(export_.running.address);
    for (const client of [one, other]) {
      client.socket.write("ping\n");
      await client.lines(1);
    }
    for (const kind of ["pretimeout", "expired", "overdue", "unattended"] as const) device.tell({ kind });
    for (const client of [one, other]) expect(await client.lines(4)).toEqual(["event pretimeout", "event expired", "event overdue", "event unattended"]);
    expect(export_.log.filter((line) => line.startsWith("warn"))).toEqual([
      "warn: the watchdog ran out", "warn: the watchdog should have run out and has not", "warn: nobody can ping the watchdog: its driver was given up",
    ]);
    device.tell({ kind: "closed" });
    expect((await export_.running.ended)?.code).toBe("Closed");
  });

  test("what a client said in full is done when it has left; leaving stops nothing", async () => {
    const { device, started: export_ } = await started();
    await using _ = export_;
    const client = await connect(export_.running.address);
    let go = (): void => undefined;
    device.gate = new Promise((resolve) => { go = resolve; });
    client.socket.write("start 5\nping\nst");
    await vi.waitUntil(() => device.open === 2);
    client.socket.end();
    go();
    expect(await client.lines(2)).toEqual(["ok timeout=5.0005", "ok"]);
    await vi.waitUntil(() => device.open === 1);
    expect(device.calls).toEqual(['{"timeoutMs":5000,"noWayOut":false}', "ping"]);
    await client[Symbol.asyncDispose]();
  });

  test("lines beyond those that may wait are not read until there is room, and none is lost", async () => {
    const { device, started: export_ } = await started();
    await using _ = export_;
    await using client = await connect(export_.running.address);
    client.socket.write("ping\n".repeat(5_000));
    expect(await client.lines(5_000)).toEqual(Array.from({ length: 5_000 }, () => "ok"));
    expect(device.calls).toHaveLength(5_000);
  });

  test.each([["a line without end", "x".repeat(300)], ["a long line", `${"x".repeat(300)}\nping\n`]])("%s cuts its client off, and nobody else", async (_what, text) => {
    const { device, started: export_ } = await started();
    await using _ = export_;
    await using good = await connect(export_.running.address);
    await using bad = await connect(export_.running.address);
    bad.socket.resume();
    bad.socket.write(text);
    await once(bad.socket, "end");
    good.socket.write("ping\n");
    expect(await good.lines(1)).toEqual(["ok"]);
    expect([device.calls, export_.log.some((line) => line.includes("a line has more than 256 bytes"))]).toEqual([["ping"], true]);
  });

  test("whoever does not read its answers is cut off", async () => {
    const { started: export_ } = await started();
    await using _ = export_;
    await using client = await connect(export_.running.address);
    client.socket.pause();
    const feed = (): void => {
      if (!client.socket.destroyed) client.socket.write("status\n".repeat(1_000), () => setImmediate(feed));
    };
    feed();
    const warning = await vi.waitUntil(() => export_.log.find((line) => line.startsWith("warn")), { timeout: receiveMs });
    expect(warning).toMatch(/a client was cut off: it does not read its answers/);
  });
});

const hasQemu = await qemuAvailable();

/** Longer than a recovery by far, and short enough for a test to wait for. */
const timeoutSeconds = 3;

describe.each([["sim", "watchdog.yaml"], ["QEMU", "watchdog-qemu.yaml"]])("a machine on %s", (platform, example) => {
  const missing = programMissing("python3", "python3");
  beforeEach((context) => requireClient(context, missing));

  describe.skipIf(platform === "QEMU" && !hasQemu)("with a Python program that has itself watched", () => {
    test("is not reset while the driver fails in every way, and is when the program hangs", async () => {
      await using lab = await MachineLab.open({ example });
      await using watched = await PythonWatched.start(lab.address, timeoutSeconds, 0.02);
      const trouble = await Trouble.begin(lab);
      const before = await watched.count();
      await vi.waitUntil(() => trouble.isComplete, { timeout: 60_000 });
      await trouble.stop(async () => { await watched.count(); });
      expect(await watched.count()).toBeGreaterThan(before);
      expect([watched.output.peek().toString(), lab.machine.resetRequest]).toEqual(["", undefined]);
      await watched.hang();
      expect(await watched.line()).toBe("event expired");
      expect(lab.machine.resetRequest).toMatchObject({ device: "wdt", count: 1 });
    }, 120_000);

    test("is not reset after the program has stopped it", async () => {
      await using lab = await MachineLab.open({ example });
      const watched = await PythonWatched.start(lab.address, 0.5, 0.02);
      await watched.stop();
      await new Promise((resolve) => { setTimeout(resolve, 1_000); });
      expect([lab.machine.resetRequest, await lab.close()]).toEqual([undefined, []]);
    });
  });
});
