/** QEMU's RTL8139 and NE2000 as drivers find them and as the platform leaves them. What an RTL8139 does otherwise is in its suite; of the NE2000 there is no model. */
import assert from "node:assert/strict";
import { describe, expect, test } from "vitest";
import { qemuAvailable } from "../qemu-available.ts";
import { type DmaDeviceBench, withDmaBench } from "./dma-bench.ts";
import { broadcast, makeFrame, otherMac } from "./e1000-rig.ts";
import { qemuDmaBench } from "./qemu-dma-bench.ts";

const mac = "52:54:00:12:34:56";
const macBytes = mac.split(":").map((text) => Number.parseInt(text, 16));

/** Offsets in configuration space (PCI 3.0, 6.1). */
const pci = { id: 0x00, status: 0x06, revision: 0x08, base0: 0x10, base1: 0x14, pin: 0x3d } as const;

/** RTL8139C data sheet, chapter 5. */
const rtl = { address0: 0x20, status0: 0x10, command: 0x37, mask: 0x3c, interrupts: 0x3e } as const;
const rtlSent = 1 << 2;

/** DP8390D, chapter 10: page 0 but for what says otherwise; the card's own data port and reset port behind it. */
const ne = {
  command: 0x00, start: 0x01, stop: 0x02, boundary: 0x03, transmitStatus: 0x04, sendPage: 0x04, sendBytes: 0x05, interrupts: 0x07, remote: 0x08, count: 0x0a,
  receive: 0x0c, transmit: 0x0d, data: 0x0e, mask: 0x0f, port: 0x10, reset: 0x1f, page1Address: 0x01, page1Current: 0x07, page1Multicast: 0x08,
} as const;
const neReceived = 1 << 0;
const neSent = 1 << 1;
const neOverwrite = 1 << 4;
const neRemoteDone = 1 << 6;
const neReset = 1 << 7;
/** Pages of the card's memory: one frame to send, then the receive ring. */
const sendPage = 0x40;
const firstPage = 0x46;
const lastPage = 0x80;

/** The NE2000 on its ports: pages of the card's own memory through its remote DMA. */
class Ne2000 {
  readonly bench: DmaDeviceBench;
  #next = firstPage + 1;

  constructor(bench: DmaDeviceBench) {
    this.bench = bench;
  }

  async set(offset: number, value: number): Promise<void> {
    await this.bench.write("bar0", offset, 8, value);
  }

  async get(offset: number): Promise<number> {
    return await this.bench.read("bar0", offset, 8);
  }

  /** A register of page 1. */
  async setPage1(offset: number, value: number): Promise<void> {
    await this.set(ne.command, 0x62);
    await this.set(offset, value);
    await this.set(ne.command, 0x22);
  }

  /** As a driver's probe and opening do: reset, words, no loopback, the ring it wants, its address, and what it takes. */
  async open(receive = 0x04, address: readonly number[] = macBytes): Promise<void> {
    await this.get(ne.reset);
    const start = [[ne.command, 0x21], [ne.data, 0x49], [ne.receive, receive], [ne.transmit, 0x00], [ne.start, firstPage], [ne.boundary, firstPage], [ne.stop, lastPage], [ne.interrupts, 0xff]];
    for (const [register, value] of start) await this.set(register!, value!);
    for (const [index, byte] of address.entries()) await this.setPage1(ne.page1Address + index, byte);
    await this.setPage1(ne.page1Current, this.#next);
    await this.set(ne.mask, neReceived | neSent);
  }

  async #begin(address: number, sizeBytes: number, command: number): Promise<void> {
    for (const [register, value] of [[ne.remote, address], [ne.count, sizeBytes]] as const) {
      await this.set(register, value & 0xff);
      await this.set(register + 1, value >>> 8);
    }
    await this.set(ne.command, command);
  }

  /** Reads the card's memory by its data port. */
  async load(address: number, sizeBytes: number, width: 16 | 32 = 16): Promise<Uint8Array> {
    await this.#begin(address, sizeBytes, 0x0a);
    const bytes: number[] = [];
    while (bytes.length < sizeBytes) {
      const word = await this.bench.read("bar0", ne.port, width);
      for (let bit = 0; bit < width; bit += 8) bytes.push((word >>> bit) & 0xff);
    }
    return Uint8Array.from(bytes);
  }

  async store(address: number, bytes: Uint8Array): Promise<void> {
    await this.#begin(address, bytes.length, 0x12);
    for (let at = 0; at < bytes.length; at += 2) await this.bench.write("bar0", ne.port, 16, bytes[at]! | (bytes[at + 1]! << 8));
  }

  async send(frame: Uint8Array): Promise<void> {
    await this.store(sendPage << 8, frame);
    await this.set(ne.sendPage, sendPage);
    await this.set(ne.sendBytes, frame.length & 0xff);
    await this.set(ne.sendBytes + 1, frame.length >> 8);
    await this.set(ne.command, 0x26);
  }

  async interrupt(cause: number): Promise<void> {
    await this.bench.until(() => this.bench.irqLevel("intx"), "the pin is high");
    assert.equal((await this.get(ne.interrupts)) & cause, cause);
    await this.set(ne.interrupts, 0xff);
    assert.equal(await this.bench.irqLevel("intx"), false);
  }

  /** The next frame of the ring, with its page given back; undefined when there is none. */
  async receive(): Promise<Uint8Array | undefined> {
    for (let turns = 0; turns < 8; turns++) await this.bench.advanceMicros(1_000);
    await this.set(ne.command, 0x62);
    const current = await this.get(ne.page1Current);
    await this.set(ne.command, 0x22);
    if (current === this.#next) return undefined;
    const header = await this.load(this.#next << 8, 4);
    const size = header[2]! | (header[3]! << 8);
    assert.equal(header[0]! & 1, 1);
    const first = Math.min(size - 4, (lastPage - this.#next) * 256 - 4);
    const parts = [await this.load((this.#next << 8) + 4, first + (first & 1))];
    if (first < size - 4) parts.push(await this.load(firstPage << 8, size - 4 - first));
    this.#next = header[1]!;
    await this.set(ne.boundary, this.#next === firstPage ? lastPage - 1 : this.#next - 1);
    return Uint8Array.from(parts.flatMap((part) => [...part])).subarray(0, size - 4);
  }
}

describe.skipIf(!(await qemuAvailable()))("on QEMU", () => {
  const rtl8139 = qemuDmaBench("rtl8139", [], { mac });
  const ne2k = qemuDmaBench("ne2k-pci", [], { mac });

  describe("the RTL8139", () => {
    test("says who it is, the plain chip or the C+ as it is asked to", async () => {
      for (const [options, revision] of [[{}, 0x10], [{ plus: true }, 0x20]] as const) {
        await withDmaBench(rtl8139, async (bench) => {
          expect([await bench.read("config", pci.id, 32), await bench.read("config", pci.revision, 32), await bench.read("config", pci.pin, 8)])
            .toEqual([0x8139_10ec, 0x0200_0000 + revision, 1]);
          expect([await bench.read("config", pci.base0, 32), await bench.read("config", pci.base1, 32)]).toEqual([1, 0]);
        }, options);
      }
    });

    test("the pin also shows in the status register, which is how a driver of a shared line finds out whether it is meant", () => withDmaBench(rtl8139, async (bench) => {
      const out = await bench.allocate(4_096);
      await bench.write("bar1", rtl.command, 8, 0x0c);
      await bench.write("bar1", rtl.mask, 16, rtlSent);
      await bench.write("bar1", rtl.address0, 32, out.iova);
      expect((await bench.read("config", pci.status, 16)) & 8).toBe(0);
      await bench.write("bar1", rtl.status0, 32, 60);
      await bench.until(() => bench.irqLevel("intx"), "the frame is sent");
      expect((await bench.read("config", pci.status, 16)) & 8).toBe(8);
      await bench.write("bar1", rtl.interrupts, 16, rtlSent);
      expect((await bench.read("config", pci.status, 16)) & 8).toBe(0);
    }));

    test("the platform's reset leaves it off and without interrupts", () => withDmaBench(rtl8139, async (bench) => {
      const out = await bench.allocate(4_096);
      await bench.write("bar1", rtl.command, 8, 0x0c);
      await bench.write("bar1", rtl.mask, 16, 0xffff);
      await bench.write("bar1", rtl.address0, 32, out.iova);
      await bench.write("bar1", rtl.status0, 32, 60);
      await bench.until(() => bench.irqLevel("intx"), "the frame is sent");
      await bench.reset!();
      expect([await bench.irqLevel("intx"), (await bench.read("bar1", rtl.command, 8)) & 0x0c, await bench.read("bar1", rtl.mask, 16)]).toEqual([false, 0, 0]);
    }));
  });

  describe("the NE2000", () => {
    const on = (body: (card: Ne2000) => Promise<void>) => () => withDmaBench(ne2k, (bench) => body(new Ne2000(bench)));

    test("says who it is, and is on ports alone", on(async ({ bench }) => {
      expect([await bench.read("config", pci.id, 32), await bench.read("config", pci.revision, 32), await bench.read("config", pci.base0, 32), await bench.read("config", pci.base1, 32)])
        .toEqual([0x8029_10ec, 0x0200_0000, 1, 0]);
      await bench.write("config", pci.base0, 32, 0xffff_ffff);
      expect(await bench.read("config", pci.base0, 32)).toBe(0xffff_ff01);
    }));

    test("has its address in the PROM behind its data port, each byte twice, and is an NE2000 in words", on(async (card) => {
      await card.open();
      const prom = await card.load(0, 32);
      expect(macBytes.map((_byte, index) => [prom[2 * index], prom[2 * index + 1]])).toEqual(macBytes.map((byte) => [byte, byte]));
      expect([...prom.subarray(28)]).toEqual([0x57, 0x57, 0x57, 0x57]);
      expect(await card.load(0, 32, 32)).toEqual(prom);
    }));

    test("reading the reset port resets it, and says so", on(async (card) => {
      await card.open();
      expect((await card.get(ne.interrupts)) & neReset).toBe(0);
      await card.get(ne.reset);
      expect((await card.get(ne.interrupts)) & neReset).toBe(neReset);
    }));

    test("its memory holds what is put there; remote DMA tells when it is done", on(async (card) => {
      await card.open();
      const bytes = makeFrame(256, 9);
      await card.store(sendPage << 8, bytes);
      expect((await card.get(ne.interrupts)) & neRemoteDone).toBe(neRemoteDone);
      expect(await card.load(sendPage << 8, 256)).toEqual(bytes);
    }));

    test("sends from its own memory, and tells by its pin", on(async (card) => {
      await card.open();
      for (const size of [60, 61, 1_514]) {
        const frame = makeFrame(size, size, otherMac);
        await card.send(frame);
        expect(await card.bench.takeFromDevice!()).toEqual([frame]);
        await card.interrupt(neSent);
        expect((await card.get(ne.transmitStatus)) & 1).toBe(1);
      }
    }));

    test("receives into its ring, round its end, and tells by its pin", on(async (card) => {
      await card.open();
      for (let round = 0; round < 12; round++) {
        const frame = makeFrame(1_514 - round, round, macBytes);
        await card.bench.sendToDevice!(frame);
        expect(await card.receive()).toEqual(frame);
        await card.interrupt(neReceived);
      }
      expect(await card.receive()).toBeUndefined();
    }));

    // The data sheet's card says so: OVW in the status, and tallies (10.3, 12.0).
    test("[qemu differs: with a full ring frames are lost without a word]; it goes on when the ring is read", on(async (card) => {
      await card.open();
      const frames = Array.from({ length: 20 }, (_, at) => makeFrame(1_500, at, macBytes));
      for (const frame of frames) await card.bench.sendToDevice!(frame);
      expect((await card.get(ne.interrupts)) & neOverwrite).toBe(0);
      const received: Uint8Array[] = [];
      for (let frame = await card.receive(); frame !== undefined; frame = await card.receive()) received.push(frame);
      // Six pages each, of 58.
      expect(received).toEqual(frames.slice(0, 9));
      await card.bench.sendToDevice!(frames[19]!);
      expect(await card.receive()).toEqual(frames[19]);
    }));

    test("a short frame arrives padded", on(async (card) => {
      await card.open();
      await card.bench.sendToDevice!(makeFrame(20, 1, macBytes));
      const received = await card.receive();
      expect([received!.length, received!.subarray(0, 20), received!.subarray(20).every((byte) => byte === 0)]).toEqual([60, makeFrame(20, 1, macBytes), true]);
    }));

    test("filters: its own address, broadcast with AB, multicast by hash with AM, all with PRO", on(async (card) => {
      const group = [0x01, 0x00, 0x5e, 0x00, 0x00, 0x01];
      const arrivals = async (receive: number): Promise<boolean[]> => {
        await card.set(ne.receive, receive);
        const got: boolean[] = [];
        for (const [at, destination] of [macBytes, broadcast, group, otherMac].entries()) {
          await card.bench.sendToDevice!(makeFrame(80, at, destination));
          got.push((await card.receive()) !== undefined);
        }
        return got;
      };
      await card.open();
      expect(await arrivals(0x00)).toEqual([true, false, false, false]);
      expect(await arrivals(0x04)).toEqual([true, true, false, false]);
      expect(await arrivals(0x08)).toEqual([true, false, false, false]);
      for (let at = 0; at < 8; at++) await card.setPage1(ne.page1Multicast + at, 0xff);
      expect(await arrivals(0x0c)).toEqual([true, true, true, false]);
      expect(await arrivals(0x1c)).toEqual([true, true, true, true]);
    }));

    // The data sheet's card goes by PAR0 to PAR5 (10.3). Whoever gives it another address has to listen to everybody's.
    test("[qemu differs: its own address is the PROM's, whatever it is set to]", on(async (card) => {
      await card.open(0x04, otherMac);
      await card.bench.sendToDevice!(makeFrame(80, 1, otherMac));
      expect(await card.receive()).toBeUndefined();
      await card.bench.sendToDevice!(makeFrame(80, 2, macBytes));
      expect(await card.receive()).toEqual(makeFrame(80, 2, macBytes));
    }));

    test("the platform's reset leaves it stopped and without interrupts", on(async (card) => {
      await card.open();
      await card.send(makeFrame(60, 1, otherMac));
      expect(await card.bench.irqLevel("intx")).toBe(true);
      await card.bench.reset!();
      expect([await card.bench.irqLevel("intx"), (await card.get(ne.command)) & 0x23, await card.get(ne.interrupts)]).toEqual([false, 0x21, 0]);
      await card.bench.sendToDevice!(makeFrame(80, 1, macBytes));
      await card.bench.advanceMicros(10_000);
      expect(await card.get(ne.interrupts)).toBe(0);
    }));
  });
});
