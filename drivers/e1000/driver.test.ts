/** The e1000 driver on the simulated card: bringing it up, frames both ways, rings that wrap, configuration, the link. */
import { TransmitStatus } from "airlock/driver/net";
import { describe, expect, test } from "vitest";
import { e1000Card, frameBuffers } from "../../test/fixtures/e1000-card.ts";
import { Offset } from "./registers.ts";

const mac = 0x525400123456;
const own = [0x52, 0x54, 0x00, 0x12, 0x34, 0x56];
const other = [0x52, 0x54, 0x00, 0x99, 0x99, 0x99];
const broadcast = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
const group = [0x01, 0x00, 0x5e, 0x01, 0x02, 0x03];
const settings = { up: true, promiscuous: false, allMulticast: false, mtu: 1500, mac: 0, multicast: new Uint8Array(0) };

/** A frame to this address whose other bytes follow from `seed`. */
const frameTo = (address: readonly number[], sizeBytes: number, seed = 1): Uint8Array =>
  Uint8Array.from({ length: sizeBytes }, (_, n) => (n < 6 ? address[n]! : (n * seed + 3) & 0xff));
const upTo = (count: number): number[] => Array.from({ length: count }, (_, n) => n);
const sent = (tags: readonly number[], status: number = TransmitStatus.ok): number[][] => tags.map((tag) => [tag, status]);

/** A card with a driver that is configured, and receive buffers. */
async function up(options: Parameters<typeof e1000Card>[0] = {}, buffers = 16) {
  const card = e1000Card(options);
  const running = await card.run();
  await running.call("configure", settings);
  const into = frameBuffers(card.memory, buffers);
  await running.submit("receive", ...upTo(buffers).map(into.empty));
  /** Sizes of the frames that arrive when these are sent to the card. */
  const receive = async (...frames: Uint8Array[]): Promise<number[]> => {
    for (const frame of frames) card.wire.send(frame);
    await running.advance(2);
    return running.takeCompletions("receive").map(([, sizeBytes]) => sizeBytes!);
  };
  return { ...card, running, into, receive };
}

describe("bringing it up", () => {
  test("tells what the card is", async () => {
    const running = await e1000Card().run();
    expect(await running.call("identify", {})).toEqual({ mac, maxMtu: 9216, transmitDepth: 255, receiveDepth: 255 });
    expect(await running.call("getLink", {})).toEqual({ up: true, speedMbps: 1000, fullDuplex: true });
  });

  test("ring sizes are options, in whole units", async () => {
    const running = await e1000Card({ driver: { transmitRing: 8, receiveRing: 1023 } }).run();
    expect(await running.call("identify", {})).toMatchObject({ transmitDepth: 7, receiveDepth: 1015 });
  });

  test("does not take the link down, so that a restart is not seen on the wire", async () => {
    const { run, live, clock } = e1000Card();
    await run();
    clock.advance(1_000_000);
    const running = await run();
    running.takeEvents();
    await running.advance(1_000);
    expect(running.takeEvents()).toEqual([]);
    expect(live.statistics()["noLinkFrames"]).toBe(0);
  });
});

describe.each([false, true])("frames, memory separate: %s", (separate) => {
  test("go out in order", async () => {
    const { running, memory, sent: wire } = await up({ separate });
    const frames = upTo(100).map((n) => frameTo(broadcast, 60 + n * 14, n));
    const out = frameBuffers(memory, 100);
    await running.submit("transmit", ...frames.map((frame, n) => out.filled(n, frame)));
    await running.advance(5);
    expect(running.takeCompletions("transmit")).toEqual(sent(upTo(100)));
    expect(wire).toEqual(frames);
  });

  test("come in, in order", async () => {
    const { running, into, wire } = await up({ separate });
    const frames = upTo(16).map((n) => frameTo(own, 60 + n * 90, n));
    for (const frame of frames) wire.send(frame);
    await running.advance(5);
    expect(running.takeCompletions("receive")).toEqual(frames.map((frame, tag) => [tag, frame.length]));
    expect(frames.map((frame, tag) => into.bytes(tag, frame.length))).toEqual(frames);
  });

  test("rings wrap many times, with full batches and odd ones", async () => {
    const { running, memory, sent: wire, into, receive } = await up({ separate, driver: { transmitRing: 16, receiveRing: 16 } }, 15);
    const out = frameBuffers(memory, 15);
    for (let round = 0; round < 60; round++) {
      const count = 1 + (round % 15);
      const frames = upTo(count).map((n) => frameTo(own, 60 + n, round + n));
      await running.submit("transmit", ...frames.map((frame, n) => out.filled(n, frame)));
      await running.advance(2);
      expect(running.takeCompletions("transmit")).toEqual(sent(upTo(count)));
      expect(wire.splice(0)).toEqual(frames);
      for (const frame of frames) expect(await receive(frame)).toEqual([frame.length]);
      await running.submit("receive", ...upTo(count).map((n) => into.empty((round * 3 + n) % 15)));
    }
    expect(memory.faults).toEqual([]);
  });

  test("without a buffer wait in the card", async () => {
    const { running, into, wire } = await up({ separate }, 2);
    for (let n = 0; n < 4; n++) wire.send(frameTo(own, 100 + n));
    await running.advance(2);
    expect(running.takeCompletions("receive")).toEqual([[0, 100], [1, 101]]);
    await running.submit("receive", into.empty(1), into.empty(0));
    await running.advance(2);
    expect(running.takeCompletions("receive")).toEqual([[1, 102], [0, 103]]);
  });
});

describe("register accesses", () => {
  test("a batch costs one write of the tail, its completions one read of the causes", async () => {
    const { running, memory } = await up();
    const out = frameBuffers(memory, 64);
    const { reads, writes } = running.accesses;
    await running.submit("transmit", ...upTo(64).map((n) => out.filled(n, frameTo(broadcast, 60))));
    await running.advance(2);
    expect(running.takeCompletions("transmit")).toHaveLength(64);
    expect([running.accesses.reads - reads, running.accesses.writes - writes]).toEqual([1, 1]);
  });

  test("interrupts come no more often than they may", async () => {
    const { running, wire, live } = await up({ driver: { interruptsPerSecond: 1_000 } }, 200);
    const before = live.statistics()["interrupts"]!;
    for (let n = 0; n < 100; n++) {
      wire.send(frameTo(own, 60));
      await running.advance(0.1);
    }
    await running.advance(2);
    expect(running.takeCompletions("receive")).toHaveLength(100);
    expect(live.statistics()["interrupts"]! - before).toBeLessThanOrEqual(12);
  });

  test("an idle driver has no timer", async () => {
    const { running, memory } = await up();
    await running.submit("transmit", frameBuffers(memory, 1).filled(0, frameTo(broadcast, 60)));
    await running.advance(1_000);
    const { reads } = running.accesses;
    await running.advance(60_000);
    expect(running.accesses.reads).toBe(reads);
  });
});

describe("configuration", () => {
  test("filters addresses", async () => {
    const { running, receive } = await up({}, 64);
    const frames = [own, other, broadcast, group].map((address, n) => frameTo(address, 100 + n));
    const arrived = async (change: object): Promise<number[]> => {
      await running.call("configure", { ...settings, ...change });
      return receive(...frames);
    };
    expect(await arrived({})).toEqual([100, 102]);
    expect(await arrived({ promiscuous: true })).toEqual([100, 101, 102, 103]);
    expect(await arrived({ allMulticast: true })).toEqual([100, 102, 103]);
    expect(await arrived({ multicast: Uint8Array.from(group) })).toEqual([100, 102, 103]);
    expect(await arrived({ multicast: Uint8Array.from([0x33, 0x33, 0, 0, 0, 1]) })).toEqual([100, 102]);
    expect(await arrived({ mac: 0x525400999999 })).toEqual([101, 102]);
    expect(await arrived({ up: false })).toEqual([]);
    expect(await arrived({})).toEqual([100, 102]);
  });

  const sizes = [[68, 2048], [1500, 2048], [2026, 2048], [2027, 4096], [4000, 4096], [9000, 16384], [9216, 16384]] as const;
  test.each(sizes)("an MTU of %i with buffers of %i", async (mtu, buffer) => {
    const card = e1000Card();
    const running = await card.run();
    await running.call("configure", { ...settings, mtu });
    const into = frameBuffers(card.memory, 4, buffer);
    const out = frameBuffers(card.memory, 4, buffer);
    await running.submit("receive", ...upTo(4).map(into.empty));
    const largest = frameTo(own, mtu + 14, 5);
    card.wire.send(largest);
    // Larger by a byte than a tagged one may be: the card or the driver drops it.
    card.wire.send(frameTo(own, mtu + 19));
    card.wire.send(frameTo(own, 60));
    await running.submit("transmit", out.filled(0, largest));
    await running.advance(2);
    expect(running.takeCompletions("receive").map(([, length]) => length)).toEqual([mtu + 14, 60]);
    expect(into.bytes(0, mtu + 14)).toEqual(largest);
    expect(card.sent).toEqual([largest]);
    expect(card.memory.faults).toEqual([]);
  });

  test("buffers too small for the MTU are refused", async () => {
    const { running, memory } = await up();
    await expect(running.submit("receive", frameBuffers(memory, 1, 1024).empty(0))).rejects.toThrow(/1024 bytes; this MTU needs/);
    const second = await up();
    await expect(second.running.call("configure", { ...settings, mtu: 9000 })).rejects.toThrow(/2048 bytes; this MTU needs/);
  });

  test("going down drops what is to be sent", async () => {
    const { running, memory, sent: wire } = await up();
    await running.call("configure", { ...settings, up: false });
    await running.submit("transmit", frameBuffers(memory, 8).filled(7, frameTo(broadcast, 60)));
    expect(running.takeCompletions("transmit")).toEqual(sent([7], TransmitStatus.dropped));
    expect(wire).toEqual([]);
  });

  test("statistics count since the start", async () => {
    const { running, memory, receive, run } = await up();
    await receive(frameTo(own, 60), frameTo(own, 1700));
    await running.submit("transmit", frameBuffers(memory, 8).filled(7, frameTo(broadcast, 60)));
    await running.advance(2);
    const once = await running.call("statistics", {});
    expect(once).toMatchObject({ received: 1, transmitted: 1, transmitErrors: 0, missed: 0 });
    expect(await running.call("statistics", {})).toEqual(once);
    expect(await (await run()).call("statistics", {})).toEqual({ received: 0, transmitted: 0, receiveErrors: 0, transmitErrors: 0, missed: 0 });
  });
});

describe("the link", () => {
  test("is told when it goes and comes", async () => {
    const { running, wire } = await up();
    running.takeEvents();
    wire.setCarrier(false);
    await running.advance(100);
    expect(running.takeEvents()).toEqual([{ name: "link", payload: { up: false, speedMbps: 0, fullDuplex: false } }]);
    wire.setCarrier(true);
    await running.advance(100);
    expect(running.takeEvents()).toEqual([{ name: "link", payload: { up: true, speedMbps: 1000, fullDuplex: true } }]);
  });

  test("without it frames come back at once, and with it they go again", async () => {
    const { running, wire, memory, sent: frames } = await up();
    const out = frameBuffers(memory, 2);
    wire.setCarrier(false);
    await running.advance(100);
    await running.submit("transmit", out.filled(0, frameTo(broadcast, 60)));
    expect(running.takeCompletions("transmit")).toEqual(sent([0], TransmitStatus.linkDown));
    wire.setCarrier(true);
    await running.advance(100);
    await running.submit("transmit", out.filled(1, frameTo(broadcast, 60)));
    await running.advance(2);
    expect(running.takeCompletions("transmit")).toEqual(sent([1]));
    expect(frames).toHaveLength(1);
  });

  test("is negotiated when the PHY was left powered down", async () => {
    const { run, registers } = e1000Card();
    registers.write(Offset.mdi, 32, 0x0420_0000 | 0x0800);
    const running = await run();
    await running.call("configure", settings);
    await running.advance(5_000);
    expect(await running.call("getLink", {})).toMatchObject({ up: true });
  });
});

describe("a predecessor that died", () => {
  test("leaves rings and filters that do not matter", async () => {
    const { run, memory, wire, running: first } = await up();
    await first.call("configure", { ...settings, promiscuous: true, multicast: Uint8Array.from(group), mac: 0x525400999999 });
    const second = await run();
    wire.send(frameTo(own, 70));
    const into = frameBuffers(memory, 4);
    await second.call("configure", settings);
    await second.submit("receive", ...upTo(4).map(into.empty));
    wire.send(frameTo(other, 80));
    wire.send(frameTo(group, 90));
    wire.send(frameTo(own, 100));
    await second.advance(2);
    expect(second.takeCompletions("receive")).toEqual([[0, 100]]);
    expect(memory.faults).toEqual([]);
  });
});
