import { expect, test } from "vitest";
import { EchoSerialPort } from "../../test/fixtures/echo-serial-port.ts";
import { AirlockError } from "../api/errors.ts";
import { VirtualClock } from "../api/clock.ts";
import type { SerialPort } from "../classes/serial/port.ts";
import { SerialLink } from "./serial-link.ts";

/** A link under a virtual clock whose ports come from `openPort`, by default a new echo each time. */
async function link(openPort?: (opened: number) => Promise<SerialPort>) {
  const clock = new VirtualClock();
  const ports: EchoSerialPort[] = [];
  const received: string[] = [];
  const log: string[] = [];
  const note = (text: string): void => void log.push(text);
  let opened = 0;
  const opening = openPort ?? (() => {
    const port = new EchoSerialPort();
    ports.push(port);
    return Promise.resolve(port);
  });
  const made = await SerialLink.open(
    { clock, open: () => opening(opened++), log: { debug: note, info: note, warn: note, error: note } },
    async (bytes) => void received.push(Buffer.from(bytes).toString()),
  );
  return { link: made, clock, ports, received, log };
}

/** Lets streams and promises run; no timer of the virtual clock fires. */
const settle = (): Promise<void> => new Promise((resolve) => { setImmediate(() => setImmediate(() => setImmediate(resolve))); });
const bytes = (text: string): Uint8Array => Buffer.from(text);

test("bytes go through, and come back", async () => {
  const it = await link();
  await it.link.send(bytes("ab"));
  await settle();
  expect(it.received).toEqual(["ab"]);
  await it.link.close();
  expect([it.ports[0]!.closed, await it.link.ended, it.clock.pending]).toEqual([true, undefined, 0]);
});

test("what is sent while the port is away waits, and goes to the next port after its settings", async () => {
  const it = await link();
  await it.link.configure({ baudRate: 1200 });
  it.ports[0]!.fail(new Error("gone"));
  await settle();
  const sent = it.link.send(bytes("waiting"));
  await settle();
  expect(it.ports).toHaveLength(1);
  it.clock.advance(500_000);
  await sent;
  await settle();
  expect(it.received).toEqual(["waiting"]);
  expect(it.ports[1]!.configured).toEqual([{ baudRate: 1200 }]);
  await it.link.close();
  expect(it.clock.pending).toBe(0);
});

test("a driver that is held is waited for, and logged once", async () => {
  const echo = new EchoSerialPort();
  const it = await link((opened) => (opened < 5 ? Promise.reject(new AirlockError("DriverUnavailable", "held")) : Promise.resolve(echo)));
  const sent = it.link.send(bytes("x"));
  for (let i = 0; i < 5; i++) {
    await settle();
    it.clock.advance(500_000);
  }
  await sent;
  await settle();
  expect(it.received).toEqual(["x"]);
  expect(it.log.filter((line) => line.includes("does not open"))).toHaveLength(1);
  await it.link.close();
});

test("an error of the first opening is the caller's; Closed later ends the link and frees who waits", async () => {
  await expect(link(() => Promise.reject(new AirlockError("NotFound", "no such device")))).rejects.toMatchObject({ code: "NotFound" });
  const port = new EchoSerialPort();
  const it = await link((opened) => (opened === 0 ? Promise.resolve(port) : Promise.reject(new AirlockError("Closed", "down"))));
  await port.close();
  await settle();
  const sent = it.link.send(bytes("late"));
  it.clock.advance(500_000);
  await sent;
  expect((await it.link.ended)?.code).toBe("Closed");
  await it.link.close();
});

test("closing ends a configuration that waits for the device, and a pause between openings", async () => {
  const port = new EchoSerialPort();
  let refuse: (error: Error) => void = () => undefined;
  port.configure = () => new Promise((_resolve, reject) => { refuse = reject; });
  const close = port.close.bind(port);
  port.close = () => {
    refuse(new AirlockError("Closed", "closed"));
    return close();
  };
  const first = await link(() => Promise.resolve(port));
  const configured = first.link.configure({ baudRate: 300 });
  await settle();
  await first.link.close();
  await configured;

  const second = await link();
  second.ports[0]!.fail(new Error("gone"));
  await settle();
  await second.link.close();
  expect(second.clock.pending).toBe(0);
});

test("pending output delays a change of settings for a bounded time", async () => {
  const it = await link();
  it.ports[0]!.drain = (call?: { signal?: AbortSignal }) => new Promise((_resolve, reject) => {
    call?.signal?.addEventListener("abort", () => reject(new Error("aborted")));
  });
  const configured = it.link.configure({ baudRate: 300 });
  await settle();
  expect(it.ports[0]!.configured).toEqual([]);
  it.clock.advance(1_000_000);
  await configured;
  expect(it.ports[0]!.configured).toEqual([{ baudRate: 300 }]);
  await it.link.close();
});

test("losses are added up and logged", async () => {
  const it = await link();
  for (let i = 0; i < 10; i++) it.ports[0]!.notice({ kind: "lost", bytes: 3 });
  it.clock.advance(1_000_000);
  it.ports[0]!.notice({ kind: "uncertain", bytes: 4 });
  await it.link.close();
  expect(it.log).toEqual(["at least 30 bytes from the device were lost", "4 bytes to the device were with a driver that died: sent or not"]);
  expect(it.clock.pending).toBe(0);
});
