/** What every 82540EM must do, simulated or QEMU's. Source: Intel 317453, sections named in the tests. */
import { describe, expect, test } from "vitest";
import { type DmaBenchFactory, dmaDiffers, withDmaBench } from "./dma-bench.ts";
import { interruptTests } from "./e1000-interrupts.suite.ts";
import { isolationTests } from "./e1000-isolation.suite.ts";
import { receiveTests } from "./e1000-receive.suite.ts";
import { Nic, type OnNic, broadcast, cardMac, cause, ctrl, makeFrame, otherMac, rctl, reg, status, tctl } from "./e1000-rig.ts";
import { transmitTests } from "./e1000-transmit.suite.ts";
import { vlanTests } from "./e1000-vlan.suite.ts";

export function e1000Suite(factory: DmaBenchFactory): void {
  const on: OnNic = (body, options) => (context) => withDmaBench(factory, async (bench) => {
    const nic = new Nic(bench);
    await nic.linkUp();
    await body(nic, bench, context);
  }, options);

  describe(`82540EM on ${factory.platform}`, () => {
    describe("identity", () => identityTests(factory, on));
    describe("link", () => linkTests(on));
    describe("transmit", () => transmitTests(factory, on));
    describe("receive", () => receiveTests(factory, on));
    describe("VLAN tags", () => vlanTests(on));
    describe("interrupts", () => interruptTests(on));
    describe("statistics", () => statisticsTests(on));
    describe("reset", () => resetTests(factory, on));
    describe("isolation", () => isolationTests(factory, on));
  });
}

function identityTests(factory: DmaBenchFactory, on: OnNic): void {
  test("the EEPROM holds the address and adds up to 0xbaba (5.6)", on(async (nic) => {
    const words: number[] = [];
    for (let at = 0; at < 64; at++) words.push(await nic.eepromWord(at));
    expect(words.slice(0, 3).flatMap((word) => [word & 0xff, word >> 8])).toEqual([...cardMac]);
    expect(words.reduce((sum, word) => sum + word, 0) & 0xffff).toBe(0xbaba);
  }));

  test("the EEPROM reads the same bit by bit (13.4.3)", on(async (nic) => {
    expect(await nic.microwireWord(0)).toBe(cardMac[0] | (cardMac[1] << 8));
    expect(await nic.microwireWord(2)).toBe(cardMac[4] | (cardMac[5] << 8));
    expect(await nic.microwireWord(0x0d)).toBe(await nic.eepromWord(0x0d));
  }));

  test("the first receive address is the EEPROM's, and valid (13.5.2)", on(async (nic) => {
    expect(await nic.get(reg.ral0)).toBe(0x1200_5452);
    expect((await nic.get(reg.rah0)) >>> 0).toBe(0x8000_5634);
  }));

  test("option mac is the address", on(async (nic) => {
    expect(await nic.eepromWord(0)).toBe(0x1102);
    expect(await nic.get(reg.ral0)).toBe(0x3322_1102);
  }, { mac: "02:11:22:33:44:55" }));

  test("tables hold what is written to them (13.5)", on(async (nic) => {
    for (const offset of [reg.mta, reg.mta + 127 * 4, reg.ral0 + 15 * 8, reg.vfta, reg.vfta + 127 * 4]) {
      await nic.set(offset, 0xa5a5_0000 + (offset & 0xfff));
      expect((await nic.get(offset)) >>> 0).toBe((0xa5a5_0000 + (offset & 0xfff)) >>> 0);
      await nic.set(offset, 0);
      expect(await nic.get(offset)).toBe(0);
    }
  }));

  test("ring registers keep their bits: 16-byte base, 128-byte length (13.4.24 to 13.4.28)", on(async (nic) => {
    for (const base of [reg.tdbal, reg.rdbal]) {
      await nic.set(base, 0x1234_5670);
      await nic.set(base + 8, 0x1_0080);
      expect(await nic.get(base)).toBe(0x1234_5670);
      expect(await nic.get(base + 8)).toBe(0x1_0080);
      await nic.set(base + 8, 0);
      await nic.set(base, 0);
    }
  }));

  const dead = factory.differences.has("e1000-io-window-dead");
  test(`IOADDR and IODATA reach the registers (13.2.2)${dmaDiffers(factory, "e1000-io-window-dead")}`, on(async (nic, bench) => {
    await bench.write("bar1", 0, 32, reg.ral0);
    expect(await bench.read("bar1", 4, 32)).toBe(dead ? 0 : 0x1200_5452);
    await bench.write("bar1", 0, 32, reg.mta);
    await bench.write("bar1", 4, 32, 0x1234_5678);
    expect(await nic.get(reg.mta)).toBe(dead ? 0 : 0x1234_5678);
  }));
}

const noCable = "this platform's bench cannot pull the cable";

function linkTests(on: OnNic): void {
  test("is up with a cable, full duplex (13.4.2)", on(async (nic) => {
    expect((await nic.get(reg.status)) & (status.lu | status.fd)).toBe(status.lu | status.fd);
  }));

  test("the PHY is a Marvell's at address 1, and nobody else answers (13.4.7)", on(async (nic) => {
    expect((await nic.phyRead(2)) & 0xffff).toBe(0x0141);
    expect((await nic.phyRead(3)) & 0xfff0).toBe(0x0c20);
    expect(((await nic.phyRead(2, 7)) & (1 << 30)) !== 0).toBe(true);
    expect((await nic.phyRead(2)) & (1 << 30)).toBe(0);
  }));

  test("auto-negotiation takes its time, and ends with link and partner", on(async (nic) => {
    await nic.get(reg.icr);
    await nic.phyWrite(0, 0x1340);
    expect((await nic.get(reg.status)) & status.lu).toBe(0);
    expect((await nic.phyRead(1)) & 0x24).toBe(0);
    await nic.linkUp();
    expect((await nic.get(reg.icr)) & cause.lsc).toBe(cause.lsc);
    // The latched failure of the link is shown once (IEEE 802.3, 22.2.4.2.13).
    await nic.phyRead(1);
    expect((await nic.phyRead(1)) & 0x24).toBe(0x24);
    expect((await nic.phyRead(5)) & 0x01e0).toBe(0x01e0);
    expect((await nic.phyRead(0)) & 0x8200).toBe(0);
  }));

  test("pulling the cable and plugging it in again is seen and interrupts", on(async (nic, bench, context) => {
    if (bench.setCarrier === undefined) return context.skip(noCable);
    await nic.get(reg.icr);
    await nic.set(reg.ims, cause.lsc);
    await bench.setCarrier(false);
    await nic.until(async () => ((await nic.get(reg.status)) & status.lu) === 0, "the link is down");
    await nic.until(() => nic.pin(), "LSC interrupts");
    expect((await nic.get(reg.icr)) & cause.lsc).toBe(cause.lsc);
    await bench.setCarrier(true);
    await nic.linkUp();
    await nic.until(() => nic.pin(), "LSC interrupts again");
    expect((await nic.get(reg.icr)) & cause.lsc).toBe(cause.lsc);
  }));

  test("without link nothing gets through, and afterwards everything does", on(async (nic, bench, context) => {
    if (bench.setCarrier === undefined) return context.skip(noCable);
    await nic.openTransmit();
    await nic.openReceive();
    await bench.setCarrier(false);
    await nic.until(async () => ((await nic.get(reg.status)) & status.lu) === 0, "the link is down");
    await nic.transmit([makeFrame(100, 1, otherMac)]);
    await nic.sent(0);
    await bench.setCarrier(true);
    await nic.linkUp();
    const out = makeFrame(100, 2, otherMac);
    await nic.transmit([out]);
    expect(await nic.sent(1)).toEqual([out]);
    await nic.send(makeFrame(80, 3));
    expect((await nic.receive()).bytes).toEqual(makeFrame(80, 3));
  }));

  test("in the PHY's loopback the card hears itself, and the wire nothing", on(async (nic) => {
    await nic.openTransmit();
    await nic.openReceive();
    await nic.phyWrite(0, ((await nic.phyRead(0)) & 0xffff) | 0x4000);
    const frame = makeFrame(300, 5);
    await nic.transmit([frame]);
    expect((await nic.receive()).bytes).toEqual(frame);
    await nic.sent(0);
  }));
}

function statisticsTests(on: OnNic): void {
  const sizes = [60, 100, 1_514];
  const total = sizes.reduce((sum, size) => sum + size, 0);

  test("count what was sent, and are cleared by reading (13.7)", on(async (nic) => {
    await nic.openTransmit();
    await nic.transmit([makeFrame(60, 1, otherMac), makeFrame(100, 2, broadcast), makeFrame(1_514, 3, [1, 0, 0x5e, 0, 0, 1])]);
    await nic.sent(3);
    expect([await nic.get(reg.gptc), await nic.get(reg.tpt), await nic.get(reg.bptc), await nic.get(reg.mptc)]).toEqual([3, 3, 1, 1]);
    expect(await nic.get(reg.gotcl)).toBe(total + 3 * 4);
    expect(await nic.get(reg.gotch)).toBe(0);
    for (const offset of [reg.gptc, reg.tpt, reg.bptc, reg.mptc, reg.gotcl]) expect(await nic.get(offset)).toBe(0);
  }));

  test("count what was received", on(async (nic) => {
    await nic.openReceive({ control: rctl.bam });
    // The group's hash with MO 0 is 0x010.
    await nic.set(reg.mta, 2 ** 16);
    await nic.send(makeFrame(60, 1), makeFrame(100, 2, broadcast), makeFrame(1_514, 3, [1, 0, 0x5e, 0, 0, 1]));
    await nic.send(makeFrame(99, 4, otherMac), makeFrame(60, 5));
    for (let at = 0; at < 4; at++) await nic.receive();
    expect([await nic.get(reg.gprc), await nic.get(reg.tpr), await nic.get(reg.bprc), await nic.get(reg.mprc)]).toEqual([4, 4, 1, 1]);
    expect(await nic.get(reg.gorcl)).toBe(total + 60 + 4 * 4);
    expect(await nic.get(reg.gorch)).toBe(0);
    expect(await nic.get(reg.mpc)).toBe(0);
    for (const offset of [reg.gprc, reg.tpr, reg.bprc, reg.mprc, reg.gorcl]) expect(await nic.get(offset)).toBe(0);
  }));
}

function resetTests(factory: DmaBenchFactory, on: OnNic): void {
  const nothing = factory.differences.has("e1000-reset-does-nothing");

  test(`CTRL.RST stops both ways, masks interrupts and clears itself (13.4.1)${dmaDiffers(factory, "e1000-reset-does-nothing")}`, on(async (nic) => {
    await nic.openTransmit();
    await nic.openReceive();
    await nic.set(reg.ims, cause.rxt0);
    await nic.set(reg.ral0, 0x1111_1110);
    await nic.set(reg.ctrl, (await nic.get(reg.ctrl)) | ctrl.rst);
    await nic.settle();
    expect((await nic.get(reg.ctrl)) & ctrl.rst).toBe(0);
    expect((await nic.get(reg.rctl)) & rctl.en).toBe(nothing ? rctl.en : 0);
    expect((await nic.get(reg.tctl)) & tctl.en).toBe(nothing ? tctl.en : 0);
    expect(await nic.get(reg.ims)).toBe(nothing ? cause.rxt0 : 0);
    expect(await nic.get(reg.tdlen)).toBe(nothing ? 128 : 0);
    expect(await nic.get(reg.ral0)).toBe(nothing ? 0x1111_1110 : 0x1200_5452);
    expect(await nic.pin()).toBe(false);
  }));

  test("everything works again after it", on(async (nic) => {
    for (let round = 0; round < 3; round++) {
      await nic.set(reg.imc, 0xffff_ffff);
      await nic.set(reg.ctrl, (await nic.get(reg.ctrl)) | ctrl.rst);
      await nic.settle();
      await nic.linkUp();
      await nic.openTransmit();
      await nic.openReceive();
      await nic.transmit([makeFrame(70 + round, round, otherMac)]);
      expect(await nic.sent(1)).toEqual([makeFrame(70 + round, round, otherMac)]);
      await nic.send(makeFrame(90 + round, round));
      expect((await nic.receive()).bytes).toEqual(makeFrame(90 + round, round));
    }
  }));
}
