/** Interrupts of the 82540EM suite. Source: Intel 317453, sections named in the tests. */
import { expect, test } from "vitest";
import { type OnNic, cause, makeFrame, otherMac, rctl, reg } from "./e1000-rig.ts";

export function interruptTests(on: OnNic): void {
  maskTests(on);
  causeTests(on);
}

function maskTests(on: OnNic): void {
  test("reading ICR clears all causes and the pin (13.4.17)", on(async (nic) => {
    await nic.get(reg.icr);
    await nic.set(reg.ims, cause.rxt0 | cause.txdw);
    await nic.set(reg.ics, cause.rxt0 | cause.rxo);
    await nic.until(() => nic.pin(), "the pin rises");
    expect((await nic.get(reg.icr)) & 0xffff).toBe(cause.rxt0 | cause.rxo);
    await nic.until(async () => !(await nic.pin()), "the pin falls");
    expect((await nic.get(reg.icr)) & 0xffff).toBe(0);
  }));

  test("writing ones to ICR clears those causes (13.4.17)", on(async (nic) => {
    await nic.get(reg.icr);
    await nic.set(reg.ims, cause.rxt0 | cause.rxo);
    await nic.set(reg.ics, cause.rxt0 | cause.rxo);
    await nic.set(reg.icr, cause.rxt0);
    await nic.settle();
    expect(await nic.pin()).toBe(true);
    expect((await nic.get(reg.icr)) & 0xffff).toBe(cause.rxo);
    await nic.until(async () => !(await nic.pin()), "the pin falls");
  }));

  test("only enabled causes reach the pin; IMS adds and IMC takes away (13.4.20, 13.4.21)", on(async (nic) => {
    await nic.get(reg.icr);
    await nic.set(reg.ics, cause.rxt0);
    await nic.settle();
    expect(await nic.pin()).toBe(false);
    await nic.set(reg.ims, cause.rxo);
    await nic.settle();
    expect(await nic.pin()).toBe(false);
    await nic.set(reg.ims, cause.rxt0);
    await nic.until(() => nic.pin(), "the pin rises when a cause that is set is enabled");
    expect((await nic.get(reg.ims)) & 0xffff).toBe(cause.rxo | cause.rxt0);
    await nic.set(reg.imc, cause.rxt0);
    await nic.until(async () => !(await nic.pin()), "the pin falls when it is disabled");
    expect((await nic.get(reg.ims)) & 0xffff).toBe(cause.rxo);
    expect((await nic.get(reg.icr)) & 0xffff).toBe(cause.rxt0);
  }));

  test("after a rise the pin stays low for the time in ITR (13.4.18)", on(async (nic, bench) => {
    await nic.get(reg.icr);
    await bench.advanceMicros(10_000);
    // 2048 us.
    await nic.set(reg.itr, 8_000);
    await nic.set(reg.ims, cause.rxt0);
    await nic.set(reg.ics, cause.rxt0);
    expect(await nic.pin()).toBe(true);
    await nic.get(reg.icr);
    await nic.set(reg.ics, cause.rxt0);
    expect(await nic.pin()).toBe(false);
    await bench.advanceMicros(1_500);
    expect(await nic.pin()).toBe(false);
    await bench.advanceMicros(1_000);
    expect(await nic.pin()).toBe(true);
    await nic.get(reg.icr);
    expect(await nic.pin()).toBe(false);
  }));
}

function causeTests(on: OnNic): void {
  test("a frame that was received (13.4.17, RXT0)", on(async (nic) => {
    await nic.openReceive({ count: 64 });
    await nic.get(reg.icr);
    await nic.set(reg.ims, cause.rxt0);
    for (let round = 0; round < 3; round++) {
      await nic.settle();
      expect(await nic.pin()).toBe(false);
      await nic.send(makeFrame(100, round));
      await nic.until(() => nic.pin(), "the pin rises");
      expect((await nic.get(reg.icr)) & 0xffff).toBe(cause.rxt0);
      expect((await nic.receive()).bytes).toEqual(makeFrame(100, round));
    }
  }));

  test("a frame that was not for it does not interrupt", on(async (nic) => {
    await nic.openReceive();
    await nic.get(reg.icr);
    await nic.set(reg.ims, cause.rxt0);
    await nic.send(makeFrame(100, 1, otherMac));
    await nic.settle();
    expect(await nic.pin()).toBe(false);
  }));

  test("descriptors written back, and the end of the queue (TXDW, TXQE)", on(async (nic) => {
    await nic.openTransmit();
    await nic.settle();
    await nic.get(reg.icr);
    await nic.set(reg.ims, cause.txdw);
    await nic.transmit([makeFrame(100, 1, otherMac)]);
    await nic.until(() => nic.pin(), "the pin rises");
    expect((await nic.get(reg.icr)) & (cause.txdw | cause.txqe)).toBe(cause.txdw | cause.txqe);
    await nic.sent(1);
  }));

  test("few descriptors left: half, a quarter or an eighth of the ring (13.4.22, RDMTS)", on(async (nic) => {
    for (const [rdmts, least] of [[0, 32], [1, 16], [2, 8]] as const) {
      await nic.openReceive({ count: 64, control: rctl.rdmts(rdmts), given: least + 2 });
      await nic.get(reg.icr);
      await nic.send(makeFrame(100, 1));
      await nic.receive(false);
      expect((await nic.get(reg.icr)) & cause.rxdmt0).toBe(0);
      await nic.send(makeFrame(100, 2));
      await nic.receive(false);
      expect((await nic.get(reg.icr)) & cause.rxdmt0).toBe(cause.rxdmt0);
    }
  }));

  test("the end of an access to the PHY, when asked for (13.4.7, I)", on(async (nic) => {
    await nic.get(reg.icr);
    await nic.phyRead(1);
    expect((await nic.get(reg.icr)) & cause.mdac).toBe(0);
    await nic.set(reg.mdic, (1 << 29) | (2 << 26) | (1 << 21) | (1 << 16));
    await nic.until(async () => ((await nic.get(reg.icr)) & cause.mdac) !== 0, "MDAC is set");
  }));
}
