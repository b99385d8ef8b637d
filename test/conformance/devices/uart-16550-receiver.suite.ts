/** The receiving side of the 16550A suite. Source: National Semiconductor PC16550D data sheet, sections named in the tests. */
import { describe, expect, test } from "vitest";
import { type BenchFactory, differs } from "./bench.ts";
import { type OnUart, ier, iir, lsr, mcr, reg } from "./uart-16550-rig.ts";

export function receiverTests(factory: BenchFactory, on: OnUart): void {
  describe("receiver", () => {
    dataTests(factory, on);
  });
  describe("receiver FIFO", () => {
    fifoTests(on);
  });
  describe("overrun", () => {
    overrunTests(on);
  });
  if (factory.canDriveWire) errorTests(on);
}

function dataTests(factory: BenchFactory, on: OnUart): void {
  const instant = factory.differences.has("uart-receive-instant");

  test("shows a character in line status until it is read", on(async (uart) => {
    await uart.configure();
    await uart.arrive([0xa7]);
    expect((await uart.get(reg.lsr)) & lsr.ready).toBe(lsr.ready);
    expect(await uart.get(reg.data)).toBe(0xa7);
    expect((await uart.get(reg.lsr)) & lsr.ready).toBe(0);
  }));

  test("interrupts for each character until it is read", on(async (uart) => {
    await uart.configure();
    await uart.set(reg.ier, ier.received);
    for (const byte of [1, 2, 3]) {
      expect(await uart.pin()).toBe(false);
      await uart.arrive([byte]);
      expect(await uart.pin()).toBe(true);
      expect(await uart.get(reg.iir)).toBe(iir.received);
      expect(await uart.get(reg.data)).toBe(byte);
      expect(await uart.get(reg.iir)).toBe(iir.none);
    }
  }));

  test(`takes a character time for each character${differs(factory, "uart-receive-instant")}`, on(async (uart, bench) => {
    await uart.configure({ divisor: 12, fcr: 0x01 });
    await bench.sendToPort(Uint8Array.of(1, 2, 3));
    await uart.characters(0.9);
    expect((await uart.get(reg.lsr)) & lsr.ready).toBe(instant ? lsr.ready : 0);
    await uart.characters(0.2);
    expect((await uart.get(reg.lsr)) & lsr.ready).toBe(lsr.ready);
    const first = await uart.drain();
    expect(instant ? first.slice(0, 1) : first).toEqual([1]);
    await uart.characters(2);
    expect([...first, ...(await uart.drain())]).toEqual([1, 2, 3]);
  }));

  test("passes a thousand characters to a driver that keeps up", on(async (uart, bench) => {
    await uart.configure({ fcr: 0x01 });
    const sent = Array.from({ length: 1_000 }, (_, at) => (at * 31) & 0xff);
    const got: number[] = [];
    for (let at = 0; at < sent.length; at += 8) {
      await bench.sendToPort(Uint8Array.from(sent.slice(at, at + 8)));
      for (let wait = 0; wait < 8; wait++) {
        await uart.characters(1.1);
        got.push(...(await uart.drain()));
      }
    }
    expect(got).toEqual(sent);
  }));
}

/** FCR bits 7-6 and the level they set (8.5). */
const levels: readonly [number, number][] = [[0x01, 1], [0x41, 4], [0x81, 8], [0xc1, 14]];

function fifoTests(on: OnUart): void {
  test("keeps sixteen characters in order", on(async (uart) => {
    await uart.configure({ modem: mcr.loop, fcr: 0x01 });
    const bytes = Array.from({ length: 16 }, (_, at) => at * 3);
    await uart.loop(bytes);
    expect(await uart.drain()).toEqual(bytes);
    expect((await uart.get(reg.lsr)) & (lsr.ready | lsr.overrun)).toBe(0);
  }));

  test.each(levels)("FCR %i interrupts from %i characters on", (fcr, level) =>
    on(async (uart) => {
      await uart.configure({ fcr });
      await uart.set(reg.ier, ier.received);
      for (let at = 1; at < level; at++) {
        await uart.arrive([at]);
        expect(await uart.pin()).toBe(false);
      }
      await uart.arrive([level]);
      expect(await uart.pin()).toBe(true);
      expect(await uart.get(reg.iir)).toBe(iir.received | 0xc0);
      expect(await uart.get(reg.data)).toBe(1);
      expect(await uart.get(reg.iir)).toBe(iir.none | 0xc0);
      expect(await uart.pin()).toBe(false);
      expect((await uart.drain()).length).toBe(level - 1);
    })());

  test("the timeout interrupt comes four character times after the last character (8.11)", on(async (uart) => {
    await uart.configure({ fcr: 0xc1 });
    await uart.set(reg.ier, ier.received);
    await uart.arrive([1, 2, 3]);
    await uart.characters(3.5);
    expect(await uart.get(reg.iir)).toBe(iir.none | 0xc0);
    expect(await uart.pin()).toBe(false);
    await uart.characters(0.6);
    expect(await uart.pin()).toBe(true);
    expect(await uart.get(reg.iir)).toBe(iir.timeout | 0xc0);
    expect(await uart.get(reg.iir)).toBe(iir.timeout | 0xc0);
  }));

  test("a read of the FIFO ends the timeout interrupt and starts its time again", on(async (uart) => {
    await uart.configure({ fcr: 0xc1 });
    await uart.set(reg.ier, ier.received);
    await uart.arrive([1, 2, 3]);
    await uart.characters(5);
    expect(await uart.get(reg.iir)).toBe(iir.timeout | 0xc0);
    expect(await uart.get(reg.data)).toBe(1);
    expect(await uart.get(reg.iir)).toBe(iir.none | 0xc0);
    await uart.characters(3);
    expect(await uart.get(reg.data)).toBe(2);
    await uart.characters(3);
    expect(await uart.get(reg.iir)).toBe(iir.none | 0xc0);
    await uart.characters(2);
    expect(await uart.get(reg.iir)).toBe(iir.timeout | 0xc0);
    expect(await uart.get(reg.data)).toBe(3);
    await uart.characters(10);
    expect(await uart.get(reg.iir)).toBe(iir.none | 0xc0);
  }));

  test("a new character starts the timeout again", on(async (uart) => {
    await uart.configure({ fcr: 0xc1 });
    await uart.set(reg.ier, ier.received);
    for (const byte of [1, 2, 3, 4]) {
      await uart.arrive([byte]);
      await uart.characters(2.5);
      expect(await uart.get(reg.iir)).toBe(iir.none | 0xc0);
    }
    await uart.characters(2);
    expect(await uart.get(reg.iir)).toBe(iir.timeout | 0xc0);
  }));

  test("clearing the FIFO drops its characters and its interrupts (8.5)", on(async (uart) => {
    await uart.configure({ modem: mcr.loop, fcr: 0x01 });
    await uart.set(reg.ier, ier.received);
    await uart.loop([1, 2, 3]);
    expect(await uart.get(reg.iir)).toBe(iir.received | 0xc0);
    await uart.set(reg.fcr, 0x03);
    expect(await uart.get(reg.iir)).toBe(iir.none | 0xc0);
    expect((await uart.get(reg.lsr)) & lsr.ready).toBe(0);
    await uart.loop([9]);
    expect(await uart.drain()).toEqual([9]);
  }));

  test("switching the FIFOs clears them (8.5, bit 0)", on(async (uart) => {
    await uart.configure({ modem: mcr.loop, fcr: 0x01 });
    await uart.loop([1, 2, 3]);
    await uart.set(reg.fcr, 0x00);
    expect((await uart.get(reg.lsr)) & lsr.ready).toBe(0);
    await uart.loop([9]);
    expect(await uart.drain()).toEqual([9]);
  }));
}

function overrunTests(on: OnUart): void {
  test("without FIFOs the new character destroys the unread one (8.4, OE)", on(async (uart) => {
    await uart.configure({ modem: mcr.loop });
    await uart.loop([1, 2, 3]);
    expect((await uart.get(reg.lsr)) & lsr.overrun).toBe(lsr.overrun);
    expect((await uart.get(reg.lsr)) & lsr.overrun).toBe(0);
    expect(await uart.drain()).toEqual([3]);
  }));

  test("with FIFOs the seventeenth character is lost and the sixteen are kept", on(async (uart) => {
    await uart.configure({ modem: mcr.loop, fcr: 0x01 });
    const bytes = Array.from({ length: 18 }, (_, at) => at + 1);
    await uart.loop(bytes.slice(0, 16));
    expect((await uart.get(reg.lsr)) & lsr.overrun).toBe(0);
    await uart.loop(bytes.slice(16));
    expect((await uart.get(reg.lsr)) & lsr.overrun).toBe(lsr.overrun);
    expect((await uart.get(reg.lsr)) & lsr.overrun).toBe(0);
    expect(await uart.drain()).toEqual(bytes.slice(0, 16));
  }));

  test("interrupts as line status until it is read", on(async (uart) => {
    await uart.configure({ modem: mcr.loop });
    await uart.set(reg.ier, ier.status);
    await uart.loop([1]);
    expect(await uart.get(reg.iir)).toBe(iir.none);
    await uart.loop([2]);
    expect(await uart.get(reg.iir)).toBe(iir.status);
    await uart.get(reg.lsr);
    expect(await uart.get(reg.iir)).toBe(iir.none);
  }));
}

/** What the far end does to the wire, and the line status bit for it. */
const damages = [["framing", lsr.framing], ["parity", lsr.parity]] as const;

function errorTests(on: OnUart): void {
  describe("line errors", () => {
    test.each(damages)("a %s error shows with its character and interrupts", (kind, bit) =>
      on(async (uart, bench) => {
        await uart.configure({ format: 0x1b, bits: 11 });
        await uart.set(reg.ier, ier.status);
        await bench.disturb!(kind);
        await uart.arrive([0x41]);
        expect(await uart.get(reg.iir)).toBe(iir.status);
        expect((await uart.get(reg.lsr)) & 0x9f).toBe(bit | lsr.ready);
        expect(await uart.get(reg.iir)).toBe(iir.none);
        expect((await uart.get(reg.lsr)) & 0x9f).toBe(lsr.ready);
        expect(await uart.get(reg.data)).toBe(0x41);
      })());

    test("without a parity bit there is no parity error", on(async (uart, bench) => {
      await uart.configure();
      await bench.disturb!("parity");
      await uart.arrive([0x41]);
      expect((await uart.get(reg.lsr)) & 0x9f).toBe(lsr.ready);
    }));

    test("a break is one zero character with BI (8.4, bit 4)", on(async (uart, bench) => {
      await uart.configure({ fcr: 0x01 });
      await bench.disturb!("break");
      await uart.arrive([0x41]);
      await uart.characters(1);
      expect((await uart.get(reg.lsr)) & (lsr.break | lsr.ready)).toBe(lsr.break | lsr.ready);
      expect(await uart.get(reg.data)).toBe(0);
      expect((await uart.get(reg.lsr)) & (lsr.break | lsr.ready)).toBe(lsr.ready);
      expect(await uart.get(reg.data)).toBe(0x41);
    }));

    test("in the FIFO an error stays with its character, announced by bit 7", on(async (uart, bench) => {
      await uart.configure({ format: 0x1b, bits: 11, fcr: 0x01 });
      await uart.arrive([1, 2]);
      await bench.disturb!("parity");
      await uart.arrive([3, 4]);
      expect((await uart.get(reg.lsr)) & 0x9f).toBe(lsr.fifoError | lsr.ready);
      expect([await uart.get(reg.data), await uart.get(reg.data)]).toEqual([1, 2]);
      expect((await uart.get(reg.lsr)) & 0x9f).toBe(lsr.fifoError | lsr.parity | lsr.ready);
      expect((await uart.get(reg.lsr)) & 0x9f).toBe(lsr.ready);
      expect(await uart.drain()).toEqual([3, 4]);
    }));
  });
}
