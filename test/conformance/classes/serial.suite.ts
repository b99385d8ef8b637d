/** The serial class's conformance suite: any driver of the class with an echo at the far end, with crashes. */
import { describe, expect, test } from "vitest";
import { isAirlockError } from "../../../runtime/api/errors.ts";
import type { SerialNotice, SerialPort } from "../../../runtime/classes/serial/port.ts";
import { type ClassBench, type ClassBenchFactory, eventually, withBench } from "./bench.ts";

/** Longest machine time for a few hundred characters there and back. */
const echoMs = 10_000;

const pattern = (length: number): Uint8Array => Uint8Array.from({ length }, (_, index) => (index * 7 + (index >> 8)) & 0xff);

/** Collects what comes back and what is noticed. */
function listen({ client }: ClassBench<SerialPort>): { readonly bytes: number[]; readonly notices: SerialNotice[]; readonly ended: Promise<unknown> } {
  const bytes: number[] = [];
  const notices: SerialNotice[] = [];
  client.onNotice((notice) => notices.push(notice));
  const ended = (async () => {
    for await (const chunk of client) bytes.push(...chunk);
  })().catch((error: unknown) => error);
  return { bytes, notices, ended };
}

/** Writes without waiting. What is not sent when the test ends fails with Closed; that is no fault. */
function send(writer: WritableStreamDefaultWriter<Uint8Array>, bytes: Uint8Array): void {
  writer.write(bytes).catch((error: unknown) => {
    if (!isAirlockError(error, "Closed")) throw error;
  });
}

/** `factory` brings up a machine whose far end sends back each byte it receives. */
export function serialSuite(factory: ClassBenchFactory<SerialPort>): void {
  const run = (body: (bench: ClassBench<SerialPort>) => Promise<void>) => () => withBench(factory, body);

  describe(`serial class: ${factory.name}`, () => {
    test.each([1, 16, 17, 64, 65, 700])("%i bytes come back as they went out", (length) => run(async (bench) => {
      const { bytes, notices } = listen(bench);
      send(bench.client.writable.getWriter(), pattern(length));
      await eventually(bench, () => bytes.length >= length, echoMs);
      expect(bytes).toEqual([...pattern(length)]);
      expect(notices.filter(({ kind }) => kind === "lost" || kind === "uncertain")).toEqual([]);
    })());

    test.each([1_200, 9_600, 115_200])("at %i baud", (baudRate) => run(async (bench) => {
      const { bytes } = listen(bench);
      await bench.client.configure({ baudRate });
      send(bench.client.writable.getWriter(), pattern(40));
      await eventually(bench, () => bytes.length >= 40, echoMs);
      expect(bytes).toEqual([...pattern(40)]);
    })());

    test("drain resolves when everything was handed over", run(async (bench) => {
      send(bench.client.writable.getWriter(), pattern(100));
      let done = false;
      const drain = bench.client.drain().then(() => { done = true; return done; });
      expect(await eventually(bench, () => done, echoMs)).toBe(true);
      await drain;
    }));

    test("through crashes, what comes back is in order, and what is missing was noticed", run(async (bench) => {
      const { bytes, notices } = listen(bench);
      const sent = pattern(240).map((_, index) => index);
      const writer = bench.client.writable.getWriter();
      for (let at = 0; at < sent.length; at += 40) {
        send(writer, sent.subarray(at, at + 40));
        await bench.advance(2);
        await bench.crash();
      }
      await eventually(bench, () => bytes.length >= sent.length, 2_000);
      for (let index = 1; index < bytes.length; index++) expect(bytes[index]!).toBeGreaterThan(bytes[index - 1]!);
      const noticed = notices.some(({ kind }) => kind === "uncertain" || kind === "lost");
      expect(bytes.length === sent.length || noticed).toBe(true);
      expect(notices.filter(({ kind }) => kind === "restarted")).toHaveLength(6);
    }));

    test("line settings come back after a crash", run(async (bench) => {
      const { bytes } = listen(bench);
      await bench.client.configure({ baudRate: 19_200, parity: "even" });
      await bench.crash();
      send(bench.client.writable.getWriter(), pattern(20));
      await eventually(bench, () => bytes.length >= 20, echoMs);
      expect(bytes).toEqual([...pattern(20)]);
    }));

    test("signals can be set and read, also after a crash", run(async ({ client, crash }) => {
      await client.setSignals({ dataTerminalReady: true, requestToSend: true });
      const before = await client.getSignals();
      await crash();
      expect(await client.getSignals()).toEqual(before);
    }));

    test("close ends the reader and cancels what is pending", run(async (bench) => {
      const { ended } = listen(bench);
      await bench.client.close();
      await ended;
      await expect(bench.client.getSignals()).rejects.toMatchObject({ code: "Closed" });
    }));
  });
}
