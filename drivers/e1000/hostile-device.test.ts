/** The e1000 driver on devices that fail, lie, fall silent or vanish: it gives up or mends it, and never goes round without end. */
import { TransmitStatus } from "airlock/driver/net";
import { describe, expect, test } from "vitest";
import { type CardTampering, e1000Card, frameBuffers } from "../../test/fixtures/e1000-card.ts";
import { Offset, descriptorBytes } from "./registers.ts";

const settings = { up: true, promiscuous: true, allMulticast: false, mtu: 1500, mac: 0, multicast: new Uint8Array(0) };
const frame = (sizeBytes: number): Uint8Array => new Uint8Array(sizeBytes).fill(0x42);
const upTo = (count: number): number[] => Array.from({ length: count }, (_, n) => n);
const ringBytes = 256 * descriptorBytes;

/** A card with a driver that is configured, and receive buffers. */
async function up(buffers = 16) {
  const card = e1000Card();
  const running = await card.run();
  await running.call("configure", settings);
  const into = frameBuffers(card.memory, buffers);
  await running.submit("receive", ...upTo(buffers).map(into.empty));
  const out = frameBuffers(card.memory, 32);
  const send = (...tags: number[]): Promise<void> => running.submit("transmit", ...tags.map((tag) => out.filled(tag, frame(60))));
  return { ...card, running, into, send };
}

/** What the device writes into the receive ring is the second half of a descriptor: length, checksum, status, errors, special. */
const received = (change: (half: Uint8Array) => Uint8Array | undefined) =>
  (bytes: Uint8Array, offset: number): Uint8Array | undefined => (offset >= ringBytes ? change(bytes) : bytes);

describe("a card", () => {
  test.each([
    ["is not there", { read: () => 0xffff_ffff }, /gone/],
    ["stays in reset", { read: (offset, value) => (offset === Offset.control ? value | 1 << 26 : value) }, /still in reset/],
    ["has lost its EEPROM", { read: (offset, value) => (offset === Offset.eepromRead ? value ^ 0x1_0000 : value) }, /checksum/],
    ["does not read its EEPROM", { read: (offset, value) => (offset === Offset.eepromRead ? 0 : value) }, /EEPROM .* word 0/],
    ["has no PHY", { read: (offset, value) => (offset === Offset.mdi ? value | 1 << 30 : value) }, /PHY .* does not answer/],
    ["has a PHY that never answers", { read: (offset, value) => (offset === Offset.mdi ? 0 : value) }, /PHY .* did not answer/],
  ] satisfies [string, CardTampering, RegExp][])("that %s is refused", async (_name, tampering, message) => {
    const card = e1000Card();
    Object.assign(card.tampering, tampering);
    await expect(card.run()).rejects.toThrow(message);
  });

  test("that vanishes ends the driver: at an interrupt, a call, or when frames do not come back", async () => {
    const gone: CardTampering = { read: () => 0xffff_ffff, write: () => undefined };
    const first = await up();
    Object.assign(first.tampering, gone);
    first.running.setIrq("intx", true);
    await expect(first.running.advance(1)).rejects.toThrow(/gone/);
    const second = await up();
    Object.assign(second.tampering, gone);
    await expect(second.running.call("getLink", {})).rejects.toThrow(/gone/);
    const third = await up();
    Object.assign(third.tampering, gone);
    await third.send(0);
    await expect(third.running.advance(600)).rejects.toThrow(/gone/);
  });
});

describe("received frames", () => {
  test("longer than their buffer are a lie", async () => {
    const { running, tampering, wire } = await up();
    tampering.ring = received((half) => half.with(0, 0x01).with(1, 0x08));
    wire.send(frame(100));
    await expect(running.advance(1)).rejects.toThrow(/2049 bytes in a buffer of which it uses 2048/);
  });

  test.each([
    ["with an error", (half: Uint8Array) => half.with(5, 0x01)],
    ["too short", (half: Uint8Array) => half.with(0, 13).with(1, 0)],
    ["empty", (half: Uint8Array) => half.with(0, 0).with(1, 0)],
    ["too long for the MTU", (half: Uint8Array) => half.with(0, 0xef).with(1, 0x05)],
  ])("%s are dropped, and their buffers used again", async (_name, change) => {
    const { running, tampering, wire, into } = await up(4);
    for (let round = 0; round < 100; round++) {
      tampering.ring = received((half) => change(half));
      wire.send(frame(100));
      await running.advance(1);
      expect(running.takeCompletions("receive")).toEqual([]);
      tampering.ring = (bytes) => bytes;
      wire.send(frame(200));
      await running.advance(1);
      const [[tag, sizeBytes]] = running.takeCompletions("receive") as [number[]];
      expect(sizeBytes).toBe(200);
      expect(into.bytes(tag!, 200)).toEqual(frame(200));
      await running.submit("receive", into.empty(tag!));
    }
    expect(await running.call("statistics", {})).toMatchObject({ receiveErrors: 100 });
  });

  test("in pieces are dropped to their end", async () => {
    const { running, tampering, wire } = await up(8);
    let pieces = 3;
    tampering.ring = received((half) => (--pieces > 0 ? half.with(4, half[4]! & ~0x02) : half));
    for (const sizeBytes of [2_000, 1_000, 500, 300]) wire.send(frame(sizeBytes > 1_518 ? 1_500 : sizeBytes));
    await running.advance(1);
    expect(running.takeCompletions("receive").map(([, sizeBytes]) => sizeBytes)).toEqual([300]);
    expect(await running.call("statistics", {})).toMatchObject({ receiveErrors: 1 });
  });

  test("beyond the buffers that were posted are not looked at", async () => {
    const { running, memory, into } = await up(3);
    const base = memory.regions[0]!.iova;
    const done = new Uint8Array(descriptorBytes).fill(0);
    done.set([100, 0, 0, 0, 0x03], 8);
    for (let entry = 0; entry < 256; entry++) memory.write(base + ringBytes + entry * descriptorBytes, done);
    running.setIrq("intx", true);
    running.setIrq("intx", false);
    running.setIrq("intx", true);
    await running.advance(0).catch(() => undefined);
    expect(running.takeCompletions("receive")).toEqual([[0, 100], [1, 100], [2, 100]]);
    expect(into.bytes(0, 4)).toEqual(new Uint8Array(4));
  });

  test("cannot make the driver post other addresses than it was given", async () => {
    const { running, tampering, wire, memory } = await up(2);
    const base = memory.regions[0]!.iova;
    tampering.ring = received((half) => half.with(5, 0x80));
    wire.send(frame(100));
    memory.write(base + ringBytes, new Uint8Array(8).fill(0xee));
    await running.advance(1);
    const posted = new Uint8Array(descriptorBytes);
    memory.read(base + ringBytes + 2 * descriptorBytes, posted);
    expect(posted.subarray(0, 8)).not.toEqual(new Uint8Array(8).fill(0xee));
  });
});

describe("a transmitter", () => {
  test("that hangs is started anew, and its frames come back", async () => {
    const { running, tampering, send, sent } = await up();
    tampering.write = (offset, value) => (offset === Offset.transmitTail && value !== 0 ? undefined : value);
    await send(0, 1, 2);
    await running.advance(1_400);
    expect(running.takeCompletions("transmit")).toEqual([]);
    await running.advance(200);
    expect(running.takeCompletions("transmit")).toEqual(upTo(3).map((tag) => [tag, TransmitStatus.dropped]));
    tampering.write = (_offset, value) => value;
    await send(3);
    await running.advance(2);
    expect(running.takeCompletions("transmit")).toEqual([[3, TransmitStatus.ok]]);
    expect(sent).toHaveLength(1);
  });

  test("that hangs again and again ends the driver", async () => {
    const { running, tampering, send } = await up();
    tampering.write = (offset, value) => (offset === Offset.transmitTail && value !== 0 ? undefined : value);
    await expect((async () => {
      for (let round = 0; round < 10; round++) {
        await send(0);
        await running.advance(1_700);
        expect(running.takeCompletions("transmit")).toHaveLength(1);
      }
    })()).rejects.toThrow(/3 restarts of it did not help/);
  });

  test("whose link goes gives back what it has", async () => {
    const { running, tampering, send, wire, sent } = await up();
    tampering.write = (offset, value) => (offset === Offset.transmitTail && value !== 0 ? undefined : value);
    await send(...upTo(20));
    wire.setCarrier(false);
    await send(20);
    await running.advance(10);
    const completions = running.takeCompletions("transmit");
    expect(completions.map(([tag]) => tag).toSorted((a, b) => a! - b!)).toEqual(upTo(21));
    expect(completions.every(([, status]) => status === TransmitStatus.linkDown)).toBe(true);
    tampering.write = (_offset, value) => value;
    wire.setCarrier(true);
    await running.advance(100);
    await send(21);
    await running.advance(2);
    expect(running.takeCompletions("transmit")).toEqual([[21, TransmitStatus.ok]]);
    expect(sent).toHaveLength(1);
  });

  test("that reports before its time completes no frame twice", async () => {
    const { running, memory, tampering, send } = await up();
    tampering.write = (offset, value) => (offset === Offset.transmitTail && value !== 0 ? undefined : value);
    await send(...upTo(10));
    const done = new Uint8Array(descriptorBytes).fill(0xff);
    for (let entry = 0; entry < 256; entry++) memory.write(memory.regions[0]!.iova + entry * descriptorBytes, done);
    await running.advance(5_000);
    expect(running.takeCompletions("transmit")).toEqual(upTo(10).map((tag) => [tag, TransmitStatus.ok]));
  });

  test("is given no more frames than it was said to take", async () => {
    const { running, tampering, memory } = await up();
    tampering.write = (offset, value) => (offset === Offset.transmitTail ? undefined : value);
    const out = frameBuffers(memory, 256);
    const requests = upTo(256).map((tag) => out.filled(tag, frame(60)));
    await running.submit("transmit", ...requests.slice(0, 255));
    await expect(running.submit("transmit", requests[255]!)).rejects.toThrow(/beyond the 255/);
  });
});

describe("interrupts", () => {
  test("without a cause cost one read each and change nothing", async () => {
    const { running, registers, wire } = await up();
    const { reads, writes } = running.accesses;
    for (let count = 0; count < 200; count++) {
      registers.write(0x00c8, 32, 0x80);
      await running.advance(1);
    }
    expect([running.accesses.reads - reads, running.accesses.writes - writes]).toEqual([200, 0]);
    wire.send(frame(100));
    await running.advance(1);
    expect(running.takeCompletions("receive")).toEqual([[0, 100]]);
  });

  test("without end are left to whoever counts them", async () => {
    const { running } = await up();
    running.setIrq("intx", true);
    await expect(running.advance(10)).rejects.toThrow(/interrupt storm/);
  });

  test("that say the link changes all the time tell only changes", async () => {
    const { running, registers } = await up();
    running.takeEvents();
    for (let count = 0; count < 100; count++) {
      registers.write(0x00c8, 32, 0x04);
      await running.advance(1);
    }
    expect(running.takeEvents()).toEqual([]);
  });
});
