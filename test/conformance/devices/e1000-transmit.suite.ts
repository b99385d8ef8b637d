/** The transmitting side of the 82540EM suite. Source: Intel 317453, sections named in the tests. */
import { expect, test } from "vitest";
import { type DmaBenchFactory, dmaDiffers } from "./dma-bench.ts";
import { type OnNic, type Segment, cmd, descriptorBytes, makeFrame, otherMac, reg, tctl } from "./e1000-rig.ts";

const whole = cmd.eop | cmd.ifcs | cmd.rs;
const frames = (count: number, size = (at: number): number => 60 + at * 13): Uint8Array[] =>
  Array.from({ length: count }, (_, at) => makeFrame(size(at), at, otherMac));

export function transmitTests(factory: DmaBenchFactory, on: OnNic): void {
  ringTests(on);
  frameTests(factory, on);
}

function ringTests(on: OnNic): void {
  test("sends a frame as it is and reports it done (3.3.3)", on(async (nic) => {
    await nic.openTransmit();
    const frame = makeFrame(1_514, 1, otherMac);
    await nic.transmit([frame]);
    expect(await nic.sent(1)).toEqual([frame]);
    expect(await nic.txDescriptorStatus(0)).toBe(1);
    expect(await nic.get(reg.tdh)).toBe(1);
  }));

  test("reports only what asks for it with RS (3.3.3.1)", on(async (nic) => {
    await nic.openTransmit();
    const [first, second] = frames(2);
    await nic.queue([{ iova: await nic.place(first!), length: first!.length, command: cmd.eop | cmd.ifcs }]);
    await nic.queue([{ iova: await nic.place(second!), length: second!.length, command: whole }]);
    await nic.kick();
    expect(await nic.sent(2)).toEqual([first, second]);
    expect([await nic.txDescriptorStatus(0), await nic.txDescriptorStatus(1)]).toEqual([0, 1]);
  }));

  test("sends many in order", on(async (nic) => {
    await nic.openTransmit({ count: 64 });
    const many = frames(60);
    await nic.transmit(many);
    expect(await nic.sent(60)).toEqual(many);
    for (let at = 0; at < 60; at++) expect(await nic.txDescriptorStatus(at)).toBe(1);
  }));

  test("goes round the ring (3.4)", on(async (nic) => {
    await nic.openTransmit({ count: 8 });
    for (let round = 0; round < 5; round++) {
      const some = frames(5, (at) => 60 + at + round * 50);
      await nic.transmit(some);
      expect(await nic.sent(5)).toEqual(some);
    }
    expect(await nic.get(reg.tdh)).toBe(25 % 8);
  }));

  test("a ring of hundreds, filled to its last descriptor", on(async (nic) => {
    await nic.openTransmit({ count: 256 });
    const many = frames(255, (at) => 60 + (at % 7));
    for (let round = 0; round < 2; round++) {
      await nic.transmit(many);
      expect(await nic.sent(255)).toEqual(many);
    }
  }));

  test("waits for TCTL.EN, and then sends what is queued (13.4.33)", on(async (nic) => {
    await nic.openTransmit({ control: 0 });
    const frame = makeFrame(80, 1, otherMac);
    const tail = await nic.queue([{ iova: await nic.place(frame), length: frame.length, command: whole }]);
    await nic.set(reg.tdt, tail);
    await nic.sent(0);
    expect(await nic.get(reg.tdh)).toBe(0);
    await nic.set(reg.tctl, tctl.en | tctl.psp);
    expect(await nic.sent(1)).toEqual([frame]);
    expect(await nic.get(reg.tdh)).toBe(1);
  }));

  test("a tail outside of the ring, or a ring of no length, does no harm", on(async (nic) => {
    await nic.openTransmit();
    for (const tail of [8, 200, 0xffff]) await nic.set(reg.tdt, tail);
    await nic.settle();
    await nic.set(reg.tdlen, 0);
    await nic.set(reg.tdt, 5);
    await nic.settle();
    await nic.bench.takeFromDevice!();
    await nic.bench.takeFaults();
    await nic.openTransmit();
    const frame = makeFrame(80, 1, otherMac);
    await nic.transmit([frame]);
    expect(await nic.sent(1)).toEqual([frame]);
  }));
}

function frameTests(factory: DmaBenchFactory, on: OnNic): void {
  test("joins several descriptors to a frame (3.3.1)", on(async (nic) => {
    await nic.openTransmit({ count: 16 });
    const frame = makeFrame(1_000, 1, otherMac);
    const base = await nic.place(frame);
    const cuts = [0, 14, 15, 300, 301, 999, 1_000];
    const segments = cuts.slice(1).map((end, at): Segment => ({
      iova: base + cuts[at]!, length: end - cuts[at]!, command: end === 1_000 ? whole : cmd.rs,
    }));
    await nic.queue(segments);
    await nic.kick();
    expect(await nic.sent(1)).toEqual([frame]);
    for (let at = 0; at < segments.length; at++) expect(await nic.txDescriptorStatus(at)).toBe(1);
  }));

  test("keeps the start of a frame until its rest is queued", on(async (nic) => {
    await nic.openTransmit();
    const frame = makeFrame(500, 1, otherMac);
    const iova = await nic.place(frame);
    await nic.queue([{ iova, length: 200, command: cmd.rs }]);
    await nic.kick();
    await nic.sent(0);
    await nic.queue([{ iova: iova + 200, length: 300, command: whole }]);
    await nic.kick();
    expect(await nic.sent(1)).toEqual([frame]);
  }));

  test("a descriptor of no length adds nothing", on(async (nic) => {
    await nic.openTransmit();
    const frame = makeFrame(100, 1, otherMac);
    const iova = await nic.place(frame);
    await nic.queue([{ iova, length: 60, command: cmd.rs }, { iova, length: 0, command: cmd.rs }, { iova: iova + 60, length: 40, command: whole }]);
    await nic.kick();
    expect(await nic.sent(1)).toEqual([frame]);
  }));

  const unpadded = factory.differences.has("e1000-no-transmit-padding");
  test(`pads a short frame with zeros (13.4.33, PSP)${dmaDiffers(factory, "e1000-no-transmit-padding")}`, on(async (nic) => {
    await nic.openTransmit();
    const short = makeFrame(30, 1, otherMac);
    await nic.place(new Uint8Array(64).fill(0xee));
    await nic.transmit([short]);
    const padded = new Uint8Array(60);
    padded.set(short);
    expect(await nic.sent(1)).toEqual([unpadded ? short : padded]);
  }));

  const noChecksum = factory.differences.has("e1000-no-legacy-checksum");
  test(`inserts a checksum with IC, CSS and CSO (3.3.3)${dmaDiffers(factory, "e1000-no-legacy-checksum")}`, on(async (nic) => {
    await nic.openTransmit();
    const frame = makeFrame(101, 3, otherMac);
    frame.set([0, 0], 40);
    await nic.queue([{ iova: await nic.place(frame), length: frame.length, command: whole | cmd.ic, checksumStart: 20, checksumOffset: 40 }]);
    await nic.kick();
    const expected = frame.slice();
    if (!noChecksum) new DataView(expected.buffer).setUint16(40, internetChecksum(frame.subarray(20)));
    expect(await nic.sent(1)).toEqual([expected]);
  }));

  test("inserts checksums by a context descriptor (3.3.6, 3.3.7)", on(async (nic) => {
    await nic.openTransmit();
    const frame = makeFrame(120, 3, otherMac);
    frame.set([0, 0], 24);
    frame.set([0, 0], 40);
    const context = new Uint8Array(descriptorBytes);
    // IPCSS 14, IPCSO 24, IPCSE 33; TUCSS 34, TUCSO 40, TUCSE 0; no segmentation.
    context.set([14, 24, 33, 0, 34, 40, 0, 0, 0, 0, 0, 0x20]);
    const data = new Uint8Array(descriptorBytes);
    const view = new DataView(data.buffer);
    view.setBigUint64(0, BigInt(await nic.place(frame)), true);
    view.setUint32(8, frame.length | (1 << 20) | ((whole | cmd.dext) << 24), true);
    data[13] = 3;
    await nic.bench.writeMemory(nic.txRing.iova, context);
    await nic.bench.writeMemory(nic.txRing.iova + descriptorBytes, data);
    await nic.set(reg.tdt, 2);
    await nic.until(async () => (await nic.get(reg.tdh)) === 2, "TDH reaches TDT");
    const expected = frame.slice();
    new DataView(expected.buffer).setUint16(24, internetChecksum(frame.subarray(14, 34)));
    new DataView(expected.buffer).setUint16(40, internetChecksum(frame.subarray(34)));
    expect(await nic.sent(1)).toEqual([expected]);
    expect(await nic.txDescriptorStatus(1)).toBe(1);
  }));

  test("frames without end do no harm", on(async (nic) => {
    await nic.openTransmit();
    const iova = await nic.place(new Uint8Array(4_096).fill(0x55));
    for (let round = 0; round < 4; round++) {
      await nic.queue(Array.from({ length: 7 }, () => ({ iova, length: 4_096, command: cmd.rs })));
      await nic.kick();
    }
    await nic.sent(0);
    await nic.queue([{ iova, length: 64, command: whole }]);
    await nic.kick();
    await nic.settle();
    await nic.bench.takeFromDevice!();
    const frame = makeFrame(90, 1, otherMac);
    await nic.transmit([frame]);
    expect(await nic.sent(1)).toEqual([frame]);
  }));
}

/** RFC 1071. */
function internetChecksum(bytes: Uint8Array): number {
  let sum = 0;
  bytes.forEach((byte, at) => { sum += at % 2 === 0 ? byte << 8 : byte; });
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
