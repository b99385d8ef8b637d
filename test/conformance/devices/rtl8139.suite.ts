/** What every RTL8139C must do, simulated or QEMU's. Source: Realtek RTL8139C(L) data sheet, sections named in the tests. */
import { describe, expect, test } from "vitest";
import { type DmaBenchFactory, type DmaDeviceBench, dmaDiffers, withDmaBench } from "./dma-bench.ts";
import { broadcast, cardMac, makeFrame, otherMac } from "./e1000-rig.ts";
import { Rtl8139, cr, isr, rcr, reg, tsd } from "./rtl8139-rig.ts";

type Body = (card: Rtl8139, bench: DmaDeviceBench) => Promise<void>;
type On = (body: Body) => () => Promise<void>;

export function rtl8139Suite(factory: DmaBenchFactory): void {
  const on: On = (body) => () => withDmaBench(factory, (bench) => body(new Rtl8139(bench), bench));
  describe(`RTL8139C on ${factory.platform}`, () => {
    describe("identity", () => identityTests(on));
    describe("transmit", () => transmitTests(factory, on));
    describe("receive", () => receiveTests(on));
    describe("filter", () => filterTests(on));
    describe("interrupts and link", () => interruptTests(on));
  });
}

function identityTests(on: On): void {
  test("IDR and the EEPROM hold the address (5.1, 6.1)", on(async (card) => {
    for (const [at, byte] of cardMac.entries()) expect(await card.get(reg.idr0 + at, 8)).toBe(byte);
    expect(await card.eepromWord(0)).toBe(0x8129);
    for (let at = 0; at < 3; at++) expect(await card.eepromWord(7 + at)).toBe(cardMac[2 * at]! | (cardMac[2 * at + 1]! << 8));
  }));

  test("both windows are the same registers, of any width", on(async (card, bench) => {
    await bench.write("bar0", reg.imr, 16, 0x0055);
    expect(await card.get(reg.imr)).toBe(0x0055);
    await card.set(reg.mar0, 0x8765_4321, 32);
    expect([await bench.read("bar0", reg.mar0, 8), await bench.read("bar0", reg.mar0 + 3, 8), await card.get(reg.mar0 + 2)]).toEqual([0x21, 0x87, 0x8765]);
  }));

  test("a reset clears itself, stops both directions, and leaves the addresses (5.7)", on(async (card) => {
    await card.open();
    await card.set(reg.imr, isr.rok);
    await card.set(reg.mar0, 0x1234_5678, 32);
    await card.set(reg.cr, cr.rst, 8);
    expect(await card.get(reg.cr, 8)).toBe(cr.empty);
    expect(await card.get(reg.imr)).toBe(0);
    expect(await card.get(reg.idr0, 32)).toBe(0x1200_5452);
    expect((await card.get(reg.tsd0, 32)) & tsd.own).toBe(tsd.own);
  }));

  test("configuration is locked until 9346CR opens it (5.13)", on(async (card) => {
    const before = await card.get(reg.config1, 8);
    await card.set(reg.config1, before ^ 0x20, 8);
    expect(await card.get(reg.config1, 8)).toBe(before);
    await card.set(reg.cr9346, 0xc0, 8);
    await card.set(reg.config1, before ^ 0x20, 8);
    await card.set(reg.cr9346, 0, 8);
    expect((await card.get(reg.config1, 8)) & 0x20).toBe((before ^ 0x20) & 0x20);
  }));
}

function transmitTests(factory: DmaBenchFactory, on: On): void {
  test("frames leave by the four descriptors in turn (5.5)", on(async (card, bench) => {
    await card.open();
    const frames = Array.from({ length: 10 }, (_, at) => makeFrame(60 + at * 100, at, otherMac));
    for (const frame of frames) await card.sent(await card.queue(frame));
    const seen: Uint8Array[] = [];
    await bench.until(async () => {
      seen.push(...(await bench.takeFromDevice!()));
      return seen.length >= frames.length;
    }, "all frames are sent");
    expect(seen).toEqual(frames);
  }));

  test("a transmitter that is off sends nothing (5.7, TE)", on(async (card, bench) => {
    await card.open();
    await card.set(reg.cr, cr.re, 8);
    await card.queue(makeFrame(100, 1, otherMac));
    await bench.advanceMicros(10_000);
    expect(await bench.takeFromDevice!()).toEqual([]);
  }));

  const ignores = factory.differences.has("rtl8139-ignores-dma-faults");
  test(`a frame outside of the card's domain is not sent, and is reported${dmaDiffers(factory, "rtl8139-ignores-dma-faults")}`, on(async (card, bench) => {
    await card.open();
    const at = await card.queue(makeFrame(100, 1, otherMac), 0x4000_0000);
    await bench.until(async () => ((await card.get(reg.tsd0 + 4 * at, 32)) & (tsd.tok | tsd.tabt)) !== 0, "the descriptor is done");
    expect(((await card.get(reg.tsd0 + 4 * at, 32)) & tsd.tabt) !== 0).toBe(!ignores);
    const faults = await bench.takeFaults();
    expect(faults.length).toBeGreaterThan(0);
    expect(faults[0]).toMatchObject({ device: "device", direction: "read" });
    const sent = await bench.takeFromDevice!();
    for (const frame of sent) expect([...frame]).toEqual(Array.from({ length: 100 }, () => 0));
    expect(sent.length).toBe(ignores ? 1 : 0);
  }));

  test("in loopback a frame comes back and does not leave (5.10, LBK)", on(async (card, bench) => {
    await card.open();
    await card.set(reg.tcr, 0x0306_0600, 32);
    const frame = makeFrame(200, 9, cardMac);
    await card.sent(await card.queue(frame));
    expect((await card.receive()).bytes).toEqual(frame);
    expect(await bench.takeFromDevice!()).toEqual([]);
  }));
}

function receiveTests(on: On): void {
  test("a frame is filed with its header, and padded (5.1, 7.1)", on(async (card, bench) => {
    await card.open();
    expect(await card.hasFrame()).toBe(false);
    await bench.sendToDevice!(makeFrame(100, 1));
    await bench.sendToDevice!(makeFrame(1_514, 2));
    expect((await card.receive()).bytes).toEqual(makeFrame(100, 1));
    expect((await card.receive()).bytes).toEqual(makeFrame(1_514, 2));
    expect(await card.hasFrame()).toBe(false);
  }));

  for (const wrap of [false, true]) {
    test(`the ring goes round ${wrap ? "behind its end" : "at its end"} (5.11, WRAP)`, on(async (card, bench) => {
      await card.open(rcr.apm | (wrap ? rcr.wrap : 0));
      for (let at = 0; at < 40; at++) {
        const frame = makeFrame(60 + ((at * 389) % 1_400), at);
        await bench.sendToDevice!(frame);
        expect((await card.receive()).bytes).toEqual(frame);
      }
    }));
  }

  test("a full ring loses what comes, says so, and goes on when it is read (5.9, RXOVW)", on(async (card, bench) => {
    await card.open();
    // Eight times 1 KiB: the last one does not fit into 8 KiB.
    for (let at = 0; at < 8; at++) await bench.sendToDevice!(makeFrame(1_016, at));
    for (let at = 0; at < 7; at++) expect((await card.receive()).bytes).toEqual(makeFrame(1_016, at));
    await bench.sendToDevice!(makeFrame(300, 99));
    const next = await card.receive();
    // A platform may hold a frame back instead of losing it.
    expect([makeFrame(1_016, 7), makeFrame(300, 99)]).toContainEqual(next.bytes);
  }));

  for (const window of ["bar0", "bar1"]) {
    test(`a frame that comes while little of the ring is free and RXOVW masked arrives when that is unmasked at the latest, by ${window} (5.8)`, on(async (card, bench) => {
      await card.open();
      await card.set(reg.imr, isr.rok);
      // Seven times 1 KiB of 8: the room left is less than the longest frame takes.
      for (let at = 0; at < 7; at++) await bench.sendToDevice!(makeFrame(1_016, at));
      await bench.until(async () => ((await card.get(reg.cbr)) & 0xffff) === 7 * 1_024, "seven frames are filed");
      await card.set(reg.isr, 0xffff);
      await bench.sendToDevice!(makeFrame(100, 99));
      await bench.write(window, reg.imr, 16, isr.rok | isr.rxovw);
      await bench.until(async () => ((await card.get(reg.isr)) & isr.rok) !== 0, "the frame is filed");
      for (let at = 0; at < 7; at++) expect((await card.receive()).bytes).toEqual(makeFrame(1_016, at));
      expect((await card.receive()).bytes).toEqual(makeFrame(100, 99));
    }));
  }

  test("nothing is written outside of the card's domain", on(async (card, bench) => {
    await card.open();
    await bench.unmap({ iova: card.ring.iova, sizeBytes: 4_096 });
    await bench.sendToDevice!(makeFrame(100, 1));
    const faults: unknown[] = [];
    await bench.until(async () => faults.push(...(await bench.takeFaults())) > 0, "the fault is reported");
    expect(faults[0]).toMatchObject({ device: "device", direction: "write" });
  }));
}

function filterTests(on: On): void {
  const multicast = [0x01, 0x00, 0x5e, 0x00, 0x00, 0x01];

  async function passes(card: Rtl8139, bench: DmaDeviceBench, destination: readonly number[]): Promise<boolean> {
    const probe = makeFrame(70, 5, destination);
    await bench.sendToDevice!(probe);
    await bench.sendToDevice!(makeFrame(80, 6));
    const first = await card.receive();
    if (first.bytes.length === 80) return false;
    expect(first.bytes).toEqual(probe);
    expect((await card.receive()).bytes).toEqual(makeFrame(80, 6));
    return true;
  }

  test("own address and broadcasts pass, others do not (5.11)", on(async (card, bench) => {
    await card.open(rcr.apm | rcr.ab);
    expect(await passes(card, bench, otherMac)).toBe(false);
    expect(await passes(card, bench, broadcast)).toBe(true);
    expect(await passes(card, bench, multicast)).toBe(false);
  }));

  test("a changed address is the one that passes (5.1)", on(async (card, bench) => {
    await card.set(reg.cr9346, 0xc0, 8);
    await card.set(reg.idr0, 0x0000_0002, 32);
    await card.set(reg.idr0 + 4, 0x0000_0700, 32);
    await card.set(reg.cr9346, 0, 8);
    await card.open(rcr.apm);
    await bench.sendToDevice!(makeFrame(100, 1));
    await bench.sendToDevice!(makeFrame(90, 2, [2, 0, 0, 0, 0, 7]));
    expect((await card.receive()).bytes).toEqual(makeFrame(90, 2, [2, 0, 0, 0, 0, 7]));
  }));

  test("multicasts pass by the upper six bits of their CRC (5.2)", on(async (card, bench) => {
    await card.open(rcr.apm | rcr.am);
    expect(await passes(card, bench, multicast)).toBe(false);
    // The CRC of 01-00-5e-00-00-01 is 0x7f..., whose upper six bits are 31 (computed by hand from IEEE 802.3, 3.2.9).
    await card.set(reg.mar0, 2 ** 31, 32);
    expect(await passes(card, bench, multicast)).toBe(true);
    expect(await passes(card, bench, [0x33, 0x33, 0, 0, 0, 1])).toBe(false);
  }));

  test("with AAP everything passes", on(async (card, bench) => {
    await card.open(rcr.aap | rcr.apm | rcr.am | rcr.ab);
    await card.set(reg.mar0, 0xffff_ffff, 32);
    await card.set(reg.mar0 + 4, 0xffff_ffff, 32);
    for (const destination of [otherMac, multicast, broadcast]) expect(await passes(card, bench, destination)).toBe(true);
  }));
}

function interruptTests(on: On): void {
  test("the pin follows status and mask, and ones clear (5.8, 5.9)", on(async (card, bench) => {
    await card.open();
    await card.sent(await card.queue(makeFrame(60, 1, otherMac)));
    expect(await bench.irqLevel("intx")).toBe(false);
    expect((await card.get(reg.isr)) & isr.tok).toBe(isr.tok);
    await card.set(reg.imr, isr.tok | isr.rok);
    expect(await bench.irqLevel("intx")).toBe(true);
    await card.set(reg.isr, isr.tok);
    expect(await bench.irqLevel("intx")).toBe(false);
    await bench.sendToDevice!(makeFrame(64, 2));
    await bench.until(() => bench.irqLevel("intx"), "the frame's interrupt");
    expect((await card.get(reg.isr)) & (isr.tok | isr.rok)).toBe(isr.rok);
    await card.set(reg.isr, isr.tok);
    expect(await bench.irqLevel("intx")).toBe(true);
    await card.set(reg.isr, 0xffff);
    expect(await bench.irqLevel("intx")).toBe(false);
  }));

  test("a pulled cable shows, and comes with an interrupt (5.9, 5.23)", on(async (card, bench) => {
    await card.open();
    expect((await card.get(reg.bmsr)) & 4).toBe(4);
    await card.set(reg.imr, isr.link);
    await bench.setCarrier!(false);
    await bench.until(() => bench.irqLevel("intx"), "the link's interrupt");
    expect((await card.get(reg.bmsr)) & 4).toBe(0);
    await card.set(reg.isr, isr.link);
    await bench.setCarrier!(true);
    await bench.until(() => bench.irqLevel("intx"), "the link's interrupt");
    expect((await card.get(reg.bmsr)) & 4).toBe(4);
  }));
}
