/** The serial shadow and client: streams, backpressure, notices, replay, and that no byte is ever sent twice. */
/* oxlint-disable vitest/no-conditional-expect -- the random steps decide what there is to expect; an empty run expects the end state */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { TestEnvironment, type TestPort, attachAnswering, settle } from "../../../test/fixtures/driver-port.ts";
import { AirlockError } from "../../api/errors.ts";
import { maxQueuedCalls } from "../calls.ts";
import { ByteRing } from "./byte-ring.ts";
import { openClient, receiveBufferBytes } from "./client.ts";
import { chunkBytes, defaultSettings, lineDelayMs } from "./line-time.ts";
import type { SerialNotice } from "./port.ts";
import { createShadow } from "./shadow.ts";
import { transmitBufferBytes } from "./transmit-queue.ts";

const inputs = { cts: true, dsr: true, ri: false, dcd: true };
const text = (length: number, start = 0): Uint8Array => Uint8Array.from({ length }, (_, index) => (start + index) & 0xff);

/** The reply an honest driver gives to this request. */
function honest({ name, args }: { name: string; args: Readonly<Record<string, unknown>> }): Readonly<Record<string, unknown>> {
  switch (name) {
    case "configure": return { actualBaudRate: args["baudRate"] };
    case "transmit": return { sent: (args["data"] as Uint8Array).length };
    case "getSignals": return inputs;
    default: return {};
  }
}

async function opened() {
  const environment = new TestEnvironment();
  const shadow = createShadow(environment);
  const client = openClient(shadow);
  const notices: SerialNotice[] = [];
  client.onNotice((notice) => notices.push(notice));
  const attach = () => attachAnswering(shadow, honest);
  const port = await attach();
  /** Answers everything the driver has until nothing new comes. */
  const answerAll = async (driver: TestPort): Promise<void> => {
    for (;;) {
      await settle();
      if (driver.open[0] === undefined) return;
      expect(shadow.receive(driver.answer(honest(driver.open[0])))).toBeUndefined();
    }
  };
  return { environment, shadow, client, notices, attach, port, answerAll };
}

const sentBytes = (ports: readonly TestPort[]): number[] =>
  ports.flatMap(({ all }) => all).filter(({ name }) => name === "transmit").flatMap(({ args }) => [...(args["data"] as Uint8Array)]);

describe("writing", () => {
  test("sends in chunks, one at a time, in order; drain resolves after the last", async () => {
    const { client, port, answerAll } = await opened();
    const writer = client.writable.getWriter();
    void writer.write(text(200));
    let drained = false;
    const drain = client.drain().then(() => { drained = true; return drained; });
    await settle();
    expect(port.open.filter(({ name }) => name === "transmit")).toHaveLength(1);
    expect(drained).toBe(false);
    await answerAll(port);
    await drain;
    expect(sentBytes([port])).toEqual([...text(200)]);
  });

  test("waits when the buffer is full", async () => {
    const { client, port, answerAll } = await opened();
    const writer = client.writable.getWriter();
    let done = false;
    const write = writer.write(text(transmitBufferBytes + 1000)).then(() => { done = true; return done; });
    await settle();
    expect(done).toBe(false);
    await answerAll(port);
    await write;
    expect(sentBytes([port])).toEqual([...text(transmitBufferBytes + 1000)]);
  });

  test("a client that fills the queue with other calls loses none of its bytes", async () => {
    const { client, shadow, port, attach, answerAll } = await opened();
    await answerAll(port);
    shadow.detach();
    const calls = Array.from({ length: maxQueuedCalls }, () => client.setSignals({ dataTerminalReady: true }));
    const writer = client.writable.getWriter();
    const write = writer.write(text(300));
    await settle();
    const next = await attach();
    await answerAll(next);
    await Promise.all(calls);
    await write;
    expect(sentBytes([port, next])).toEqual([...text(300)]);
  });

  test("aborting discards what is not sent, and does not hang on a driver that is away", async () => {
    const { client, shadow } = await opened();
    shadow.detach();
    const writer = client.writable.getWriter();
    const write = writer.write(text(transmitBufferBytes * 2));
    const drain = client.drain();
    await settle();
    const aborted = writer.abort(new Error("enough"));
    await expect(write).rejects.toThrow("enough");
    await expect(drain).rejects.toMatchObject({ code: "Closed" });
    await aborted;
  });

  test("a number of bytes sent other than asked is the driver's failure", async () => {
    const { client, shadow, port } = await opened();
    void client.writable.getWriter().write(text(3));
    await settle();
    expect(shadow.receive(port.answer({ sent: 2 }))).toMatch(/2 bytes sent, asked for 3/);
  });
});

describe("a crash", () => {
  test("keeps unsent bytes, reports the chunk in flight, and replays settings before anything else", async () => {
    const { client, shadow, notices, attach, port, answerAll } = await opened();
    const configured = client.configure({ baudRate: 9600, parity: "even" });
    shadow.receive(port.answer(honest(port.open[0]!)));
    await configured;
    void client.writable.getWriter().write(text(100));
    await settle();
    const flying = (port.open[0]!.args["data"] as Uint8Array).length;
    shadow.detach();
    await settle();
    const next = await attach();
    await answerAll(next);
    expect(notices).toEqual([{ kind: "uncertain", bytes: flying }, { kind: "restarted", generation: 2n }]);
    expect(next.names.slice(0, 2)).toEqual(["configure", "setSignals"]);
    expect(next.all[0]!.args).toMatchObject({ baudRate: 9600, parity: "even" });
    expect(next.all[1]!.args).toEqual({ dtr: true, rts: true, break: false });
    expect(sentBytes([port, next])).toEqual([...text(100)]);
  });

  test("whatever happens in whatever order: every byte is sent once, uncertain once, or kept", async () => {
    const step = fc.oneof(
      fc.record({ do: fc.constant("write" as const), length: fc.integer({ min: 1, max: 300 }) }),
      fc.record({ do: fc.constantFrom("answer" as const, "crash" as const, "attach" as const, "settle" as const) }),
    );
    await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const { client, shadow, notices, attach, port, answerAll } = await opened();
      const ports = [port];
      const writer = client.writable.getWriter();
      let written = 0;
      for (const item of steps) {
        const driver = ports.at(-1)!;
        if (item.do === "write") {
          void writer.write(text(item.length, written));
          written += item.length;
        } else if (item.do === "answer" && shadow.state === "passive" && driver.open[0] !== undefined) {
          expect(shadow.receive(driver.answer(honest(driver.open[0])))).toBeUndefined();
        } else if (item.do === "crash") shadow.detach();
        else if (item.do === "attach" && shadow.state !== "passive") ports.push(await attach());
        else await settle();
      }
      if (shadow.state !== "passive") ports.push(await attach());
      await answerAll(ports.at(-1)!);
      await client.drain();
      expect(sentBytes(ports)).toEqual([...text(written)]);
      const uncertain = notices.reduce((sum, notice) => sum + (notice.kind === "uncertain" ? notice.bytes : 0), 0);
      const unanswered = ports.flatMap(({ open }) => open).reduce((sum, { name, args }) => sum + (name === "transmit" ? (args["data"] as Uint8Array).length : 0), 0);
      expect(uncertain).toBe(unanswered);
      await client.close();
    }), { numRuns: 100 });
  });
});

describe("reading", () => {
  test("yields what arrives, also across a loop that was left", async () => {
    const { client, shadow, port } = await opened();
    shadow.receive(port.event("received", { data: text(3) }));
    for await (const chunk of client) {
      expect(chunk).toEqual(text(3));
      break;
    }
    shadow.receive(port.event("received", { data: text(2, 3) }));
    for await (const chunk of client) {
      expect(chunk).toEqual(text(2, 3));
      break;
    }
  });

  test("a client that does not read loses what does not fit, and is told how much", async () => {
    const { shadow, port, notices } = await opened();
    for (let count = 0; count < receiveBufferBytes / 256 + 2; count++) shadow.receive(port.event("received", { data: text(256) }));
    expect(notices).toEqual([{ kind: "lost", bytes: 256 }, { kind: "lost", bytes: 256 }]);
  });

  test("an empty received event is the driver's failure", async () => {
    const { shadow, port } = await opened();
    expect(shadow.receive(port.event("received", { data: text(0) }))).toMatch(/no bytes/);
  });

  test("line status and signals become notices, also those from before anyone listened", async () => {
    const environment = new TestEnvironment();
    const shadow = createShadow(environment);
    const port = await attachAnswering(shadow, honest);
    const client = openClient(shadow);
    shadow.receive(port.event("lineStatus", { overruns: 2, framing: 1, parity: 0, breaks: 1 }));
    shadow.receive(port.event("signals", inputs));
    const notices: SerialNotice[] = [];
    client.onNotice((notice) => notices.push(notice));
    await settle();
    expect(notices).toEqual([
      { kind: "lost", bytes: 2 }, { kind: "framing", count: 1 }, { kind: "break", count: 1 },
      { kind: "signals", signals: { clearToSend: true, dataSetReady: true, ringIndicator: false, dataCarrierDetect: true } },
    ]);
  });
});

describe("settings", () => {
  test("a rate the device cannot make is refused, with the one it runs at", async () => {
    const { client, shadow, port } = await opened();
    const configured = client.configure({ baudRate: 4_000_000 });
    shadow.receive(port.answer({ actualBaudRate: 115_200 }));
    await expect(configured).rejects.toMatchObject({ code: "Unsupported", fields: { actualBaudRate: 115_200 } });
  });

  test("signals given in part keep the others", async () => {
    const { client, shadow, port } = await opened();
    const set = client.setSignals({ requestToSend: false });
    expect(port.open[0]!.args).toEqual({ dtr: true, rts: false, break: false });
    shadow.receive(port.answer());
    await set;
  });

  test("slow lines get longer deadlines and smaller chunks", () => {
    const slow = { ...defaultSettings, baudRate: 50 };
    expect(chunkBytes(defaultSettings)).toBe(64);
    expect(chunkBytes(slow)).toBe(1);
    expect(lineDelayMs(slow, 1)).toBeGreaterThan(17 * 200);
  });
});

describe("ends", () => {
  test("a port is open once; after close it can be opened again", async () => {
    const { client, shadow } = await opened();
    expect(() => openClient(shadow)).toThrow(/open already/);
    await client.close();
    await client.close();
    await using again = openClient(shadow);
    expect(again.readable.locked).toBe(false);
  });

  test("close cancels what is pending", async () => {
    const { client, shadow } = await opened();
    shadow.detach();
    const reader = client.readable.getReader();
    const read = reader.read();
    const write = client.writable.getWriter().write(text(transmitBufferBytes * 2));
    const signals = client.getSignals();
    const drain = client.drain();
    await settle();
    const outcomes = Promise.allSettled([write, signals, drain]);
    await client.close();
    expect(await read).toEqual({ done: true, value: undefined });
    for (const outcome of await outcomes) expect(outcome).toMatchObject({ status: "rejected", reason: { code: "Closed" } });
  });

  test("a driver given up closes the port with the reason; it can be opened after the next attach", async () => {
    const { client, shadow, attach } = await opened();
    const read = client.readable.getReader().read();
    shadow.giveUp(new AirlockError("DriverUnavailable", "held"));
    await expect(read).rejects.toMatchObject({ code: "DriverUnavailable" });
    expect(() => openClient(shadow)).toThrow("held");
    await attach();
    await openClient(shadow).close();
  });

  test("an abort ends a wait for drain", async () => {
    const { client, shadow } = await opened();
    shadow.detach();
    void client.writable.getWriter().write(text(5));
    const abort = new AbortController();
    const drain = client.drain({ signal: abort.signal });
    abort.abort(new Error("enough"));
    await expect(drain).rejects.toThrow("enough");
  });
});

test("a byte ring is a queue", () => {
  fc.assert(fc.property(fc.array(fc.oneof(fc.uint8Array({ maxLength: 12 }), fc.nat(12))), (steps) => {
    const ring = new ByteRing(10);
    const model: number[] = [];
    for (const item of steps) {
      if (typeof item === "number") expect([...ring.take(item)]).toEqual(model.splice(0, item));
      else {
        const taken = ring.push(item);
        expect(taken).toBe(Math.min(item.length, 10 - model.length));
        model.push(...item.subarray(0, taken));
      }
      expect(ring.length).toBe(model.length);
    }
  }));
});
