/** The receiving side of the 82540EM suite. Source: Intel 317453, sections named in the tests. */
import { describe, expect, test } from "vitest";
import { type DmaBenchFactory, dmaDiffers } from "./dma-bench.ts";
import { type Nic, type OnNic, broadcast, cardMac, cause, makeFrame, otherMac, rctl, reg, rxStatus } from "./e1000-rig.ts";

export function receiveTests(factory: DmaBenchFactory, on: OnNic): void {
  ringTests(on);
  sizeTests(on);
  overrunTests(factory, on);
  describe("filter", () => filterTests(on));
}

function ringTests(on: OnNic): void {
  test("puts a frame into memory and says so (3.2.3)", on(async (nic) => {
    await nic.openReceive();
    const frame = makeFrame(1_514);
    await nic.send(frame);
    const got = await nic.receive(false);
    expect(got.bytes).toEqual(frame);
    expect(got.status & (rxStatus.dd | rxStatus.eop | rxStatus.pif)).toBe(rxStatus.dd | rxStatus.eop);
    expect(got.errors).toBe(0);
    expect(await nic.get(reg.rdh)).toBe(1);
  }));

  test("writes nothing behind a frame's end", on(async (nic, bench) => {
    await nic.openReceive();
    await bench.writeMemory(nic.rxBuffers.iova, new Uint8Array(2_048).fill(0xee));
    await nic.send(makeFrame(100));
    await nic.receive();
    const after = await bench.readMemory(nic.rxBuffers.iova, 2_048);
    expect(after.subarray(100).every((byte) => byte === 0xee)).toBe(true);
  }));

  test("many in order, round the ring (3.2.6)", on(async (nic) => {
    await nic.openReceive({ count: 16 });
    for (let round = 0; round < 6; round++) {
      const sent = Array.from({ length: 11 }, (_, at) => makeFrame(60 + at * 100, round * 11 + at));
      await nic.send(...sent);
      for (const frame of sent) expect((await nic.receive()).bytes).toEqual(frame);
    }
    expect(await nic.get(reg.rdh)).toBe(66 % 16);
  }));

  test("uses no descriptor from RDT on (3.2.6)", on(async (nic, bench) => {
    await nic.openReceive({ count: 8, given: 3 });
    const sent = Array.from({ length: 6 }, (_, at) => makeFrame(100 + at, at));
    await nic.send(...sent);
    for (let at = 0; at < 3; at++) expect((await nic.receive(false)).bytes).toEqual(sent[at]);
    await nic.expectNothing();
    expect(await nic.get(reg.rdh)).toBe(3);
    expect((await bench.readMemory(nic.rxBuffers.iova + 3 * 2_048, 64)).every((byte) => byte === 0)).toBe(true);
    // What waited comes when there are descriptors again.
    await nic.set(reg.rdt, 7);
    for (let at = 3; at < 6; at++) expect((await nic.receive(false)).bytes).toEqual(sent[at]);
  }));

  test("switched off it takes nothing, and its ring is left alone", on(async (nic, bench) => {
    await nic.openReceive();
    await nic.send(makeFrame(100, 1));
    await nic.receive();
    await nic.set(reg.rctl, 0);
    const before = await bench.readMemory(nic.rxRing.iova, 128);
    await nic.send(makeFrame(100, 2));
    await nic.settle();
    expect(await bench.readMemory(nic.rxRing.iova, 128)).toEqual(before);
  }));

  test("a tail outside of the ring, or a ring of no length, does no harm", on(async (nic, bench) => {
    await nic.openReceive({ given: 0xffff });
    await nic.send(makeFrame(100, 1));
    await nic.settle();
    await nic.set(reg.rdlen, 0);
    await nic.set(reg.rdt, 3);
    await nic.send(makeFrame(100, 2));
    await nic.settle();
    await nic.set(reg.rctl, 0);
    await bench.takeFaults();
    await nic.openReceive({ count: 64 });
    await nic.send(makeFrame(100, 3));
    // What was sent before may have waited for this, or be lost.
    let got = await nic.receive();
    for (let earlier = 0; earlier < 2 && got.bytes[20] !== makeFrame(100, 3)[20]; earlier++) got = await nic.receive();
    expect(got.bytes).toEqual(makeFrame(100, 3));
  }));
}

function sizeTests(on: OnNic): void {
  test("a short frame arrives padded with zeros", on(async (nic) => {
    await nic.openReceive();
    await nic.send(makeFrame(20));
    const expected = new Uint8Array(60);
    expected.set(makeFrame(20));
    expect((await nic.receive()).bytes).toEqual(expected);
  }));

  test("with the check sequence unless it is stripped (13.4.22, SECRC)", on(async (nic) => {
    await nic.openReceive();
    await nic.set(reg.rctl, ((await nic.get(reg.rctl)) & ~rctl.secrc) >>> 0);
    await nic.bench.advanceMicros(1_000_000);
    await nic.send(makeFrame(100));
    const { bytes } = await nic.receive();
    expect(bytes.length).toBe(104);
    expect(bytes.subarray(0, 100)).toEqual(makeFrame(100));
  }));

  test("without LPE a frame of more than 1522 bytes is dropped and counted (13.4.22)", on(async (nic) => {
    await nic.openReceive();
    await nic.send(makeFrame(1_600, 1), makeFrame(1_514, 2));
    expect((await nic.receive()).bytes).toEqual(makeFrame(1_514, 2));
    expect(await nic.get(reg.roc)).toBe(1);
  }));

  test.for([[2_048, 0], [1_024, rctl.bsize1024], [256, rctl.bsize256], [4_096, rctl.bsize256 | rctl.bsex]] as const)(
    "long frames fill several buffers of %i bytes (3.2.2)", ([bufferBytes, bits], context) => on(async (nic) => {
      await nic.openReceive({ count: 64, bufferBytes, control: rctl.lpe | bits });
      for (const size of [60, 255, 256, 257, 2_047, 2_049, 9_014]) {
        await nic.send(makeFrame(size, size));
        const got = await nic.receive();
        expect(got.bytes).toEqual(makeFrame(size, size));
        expect(got.descriptors).toBe(Math.ceil(size / bufferBytes));
      }
    })(context));
}

function overrunTests(factory: DmaBenchFactory, on: OnNic): void {
  const holds = factory.differences.has("e1000-holds-frames");

  const note = dmaDiffers(factory, "e1000-holds-frames");
  test(`without descriptors frames wait in the card, and are missed when it is full (13.7.4)${note}`, on(async (nic) => {
    const count = 64;
    await nic.openReceive({ count: 128, given: 0 });
    await nic.get(reg.icr);
    const sent = Array.from({ length: count }, (_, at) => makeFrame(1_514, at));
    await nic.send(...sent);
    await nic.settle();
    const missed = await nic.get(reg.mpc);
    if (holds) expect(missed).toBe(0);
    else {
      expect(missed).toBeGreaterThan(count - 34);
      expect(missed).toBeLessThan(count - 20);
      expect((await nic.get(reg.icr)) & cause.rxo).toBe(cause.rxo);
      expect(await nic.get(reg.rnbc)).toBeGreaterThan(0);
    }
    await nic.set(reg.rdt, 100);
    for (let at = 0; at < count - missed; at++) expect((await nic.receive(false)).bytes).toEqual(sent[at]);
    await nic.expectNothing();
    const next = makeFrame(77, 99);
    await nic.send(next);
    expect((await nic.receive(false)).bytes).toEqual(next);
  }));
}

/** Sends a frame to `destination` between two that pass; whether it came. */
async function passes(nic: Nic, destination: readonly number[]): Promise<boolean> {
  await nic.send(makeFrame(99, 1, destination), makeFrame(61, 2));
  const first = await nic.receive();
  if (first.bytes.length === 61) return false;
  expect(first.bytes).toEqual(makeFrame(99, 1, destination));
  expect((await nic.receive()).bytes.length).toBe(61);
  return true;
}

/** Groups, and the part of the hash table they are in by MO (13.5.1). */
const group = [0x01, 0x00, 0x5e, 0x12, 0x34, 0x56] as const;
const hashes = [[0, 0x563], [1, 0xac6], [2, 0x58d], [3, 0x634]] as const;

function filterTests(on: OnNic): void {
  test("its own address passes, others do not (13.5.2)", on(async (nic) => {
    await nic.openReceive();
    expect(await passes(nic, cardMac)).toBe(true);
    expect(await passes(nic, otherMac)).toBe(false);
    expect(await passes(nic, [...cardMac.slice(0, 5), 0x57])).toBe(false);
    expect(await passes(nic, broadcast)).toBe(false);
    expect(await passes(nic, group)).toBe(false);
  }));

  test("every receive address counts while it is valid (13.5.3)", on(async (nic) => {
    await nic.openReceive();
    for (const entry of [1, 15]) {
      await nic.set(reg.ral0 + entry * 8, 0x0000_0002);
      await nic.set(reg.ral0 + entry * 8 + 4, 0x8000_9900);
      expect(await passes(nic, otherMac)).toBe(true);
      await nic.set(reg.ral0 + entry * 8 + 4, 0x0000_9900);
      expect(await passes(nic, otherMac)).toBe(false);
    }
  }));

  test("broadcast passes with BAM (13.4.22)", on(async (nic) => {
    await nic.openReceive({ control: rctl.bam });
    expect(await passes(nic, broadcast)).toBe(true);
    expect(await passes(nic, group)).toBe(false);
    expect(await passes(nic, otherMac)).toBe(false);
  }));

  test("unicast promiscuous takes every station's, no group's (13.4.22, UPE)", on(async (nic) => {
    await nic.openReceive({ control: rctl.upe });
    expect(await passes(nic, otherMac)).toBe(true);
    expect(await passes(nic, group)).toBe(false);
  }));

  test("multicast promiscuous takes every group's, no other station's (13.4.22, MPE)", on(async (nic) => {
    await nic.openReceive({ control: rctl.mpe });
    expect(await passes(nic, group)).toBe(true);
    expect(await passes(nic, otherMac)).toBe(false);
  }));

  test.for(hashes)("the multicast table is looked up by the bits that MO %i names (13.5.1)", ([mo, hash], context) => on(async (nic) => {
    await nic.openReceive({ control: rctl.mo(mo) });
    expect(await passes(nic, group)).toBe(false);
    await nic.set(reg.mta + (hash >> 5) * 4, 2 ** (hash & 31));
    expect(await passes(nic, group)).toBe(true);
    await nic.set(reg.mta + (hash >> 5) * 4, (~(2 ** (hash & 31))) >>> 0);
    expect(await passes(nic, group)).toBe(false);
  })(context));
}
