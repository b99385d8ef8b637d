/** Finer points of the 82540EM model; what every such card must do is in test/conformance/devices/e1000.suite.ts. */
import { describe, expect, test } from "vitest";
import { frameCheckSequence } from "./ethernet-checksum.ts";
import { receiveFifoBytes } from "./e1000-fifo.ts";
import { negotiationMicros } from "./e1000-phy.ts";
import { Cause, Ctrl, Rctl, Reg, RxStatus, Tctl } from "./e1000-registers.ts";
import {
  type Rig, cardMac, frame, openRings, queue, received, rig, rxData, rxRing, takeAll, txRing, wholeFrame,
} from "./e1000-test-rig.ts";
import { ramBytes } from "./network-test-rig.ts";

describe("options", () => {
  test.each(["52:54:00:12:34", "01:00:00:00:00:01", "52:54:00:12:34:5g", "", 7])("mac %o is refused, by name", (mac) => {
    expect(() => rig({ mac })).toThrow(/device "nic": option mac is/);
  });
});

describe("link", () => {
  test("is down without carrier and comes after negotiation, with LSC", () => {
    const card = rig();
    expect(card.get(Reg.STATUS) & 2).toBe(2);
    card.wire.setCarrier(false);
    expect(card.get(Reg.STATUS) & 2).toBe(0);
    expect(card.get(Reg.ICR)).toBe(Cause.linkChange);
    card.wire.setCarrier(true);
    card.clock.advance(negotiationMicros - 1);
    expect(card.get(Reg.STATUS) & 2).toBe(0);
    card.clock.advance(1);
    expect(card.get(Reg.STATUS) & 2).toBe(2);
    expect(card.get(Reg.ICR)).toBe(Cause.linkChange);
  });

  test("is not seen by the MAC without SLU", () => {
    const card = rig();
    card.set(Reg.CTRL, 0);
    expect(card.get(Reg.STATUS) & 2).toBe(0);
    expect(card.wire.send(frame(60))).toBe(false);
  });

  test("its loss is kept in the PHY's status until it was read (IEEE 802.3, 22.2.4.2.13)", () => {
    const card = rig();
    const phyStatus = (): number => {
      card.set(Reg.MDIC, (2 << 26) | (1 << 21) | (1 << 16));
      return card.get(Reg.MDIC) & 0x24;
    };
    expect(phyStatus()).toBe(0x24);
    card.wire.setCarrier(false);
    card.wire.setCarrier(true);
    card.clock.advance(negotiationMicros);
    expect([phyStatus(), phyStatus()]).toEqual([0x20, 0x24]);
  });

  test("CTRL.RST clears the counters", () => {
    const card = rig();
    openRings(card);
    card.wire.send(frame(60));
    card.set(Reg.CTRL, 1 << 26);
    expect(card.get(0x4074)).toBe(0);
  });

  test("CTRL.RST leaves the PHY alone, CTRL.PHY_RST does not", () => {
    const card = rig();
    card.set(Reg.CTRL, card.get(Reg.CTRL) | (1 << 26));
    expect(card.get(Reg.STATUS) & 2).toBe(2);
    card.set(Reg.CTRL, card.get(Reg.CTRL) | 2 ** 31);
    expect(card.get(Reg.STATUS) & 2).toBe(0);
    expect(card.get(Reg.CTRL) >>> 31).toBe(0);
    card.clock.advance(negotiationMicros);
    expect(card.get(Reg.STATUS) & 2).toBe(2);
  });
});

describe("interrupt delays", () => {
  test("RDTR waits for quiet, RADV limits that, FPD ends it (13.4.30, 13.4.31)", () => {
    const card = rig();
    openRings(card, { count: 64 });
    card.set(Reg.IMS, Cause.rxTimer);
    card.set(Reg.RDTR, 100);
    card.wire.send(frame(60));
    card.clock.advance(90);
    card.wire.send(frame(60));
    card.clock.advance(100);
    expect(card.level).toBe(false);
    card.clock.advance(3);
    expect(card.level).toBe(true);
    expect(card.get(Reg.ICR)).toBe(Cause.rxTimer);

    card.set(Reg.RADV, 200);
    for (let at = 0; at < 3; at++) {
      expect(card.level).toBe(false);
      card.wire.send(frame(60));
      card.clock.advance(80);
    }
    expect(card.get(Reg.ICR)).toBe(Cause.rxTimer);

    card.clock.advance(1_000);
    card.get(Reg.ICR);
    card.wire.send(frame(60));
    card.set(Reg.RDTR, 2 ** 31 + 100);
    expect(card.get(Reg.ICR)).toBe(Cause.rxTimer);
    expect(card.clock.pending).toBe(0);
  });

  test("TIDV delays descriptors with IDE and no others (13.4.43)", () => {
    const card = rig();
    openRings(card);
    card.set(Reg.TIDV, 50);
    queue(card, 0, frame(60), wholeFrame | 0x80);
    card.set(Reg.TDT, 1);
    expect(card.get(Reg.ICR) & Cause.txDescriptorWritten).toBe(0);
    card.clock.advance(52);
    expect(card.get(Reg.ICR) & Cause.txDescriptorWritten).toBe(1);
    queue(card, 1, frame(60));
    card.set(Reg.TDT, 2);
    expect(card.get(Reg.ICR) & Cause.txDescriptorWritten).toBe(1);
  });

  test("ITR bounds the rate of rises", () => {
    const card = rig();
    card.set(Reg.ITR, 1_000);
    card.set(Reg.IMS, Cause.rxTimer);
    for (let at = 0; at < 1_000; at++) {
      card.set(Reg.ICS, Cause.rxTimer);
      card.clock.advance(10);
      card.get(Reg.ICR);
    }
    expect(card.rises).toBeGreaterThan(30);
    expect(card.rises).toBeLessThanOrEqual(Math.ceil(10_000 / 256) + 1);
  });
});

describe("transmit", () => {
  test("without IFCS the driver's own check sequence has to be right", () => {
    const card = rig();
    openRings(card);
    const bytes = frame(100);
    new DataView(bytes.buffer).setUint32(96, frameCheckSequence(bytes, 96), true);
    queue(card, 0, bytes, 0x09);
    bytes[96]! ^= 1;
    queue(card, 1, bytes, 0x09);
    card.set(Reg.TDT, 2);
    expect(card.received).toEqual([frame(100).slice(0, 96)]);
    expect(card.model.statistics()).toMatchObject({ spoiledFrames: 1 });
  });

  test("a frame that cannot be fetched whole is not sent, nor anything that was sent before", () => {
    const card = rig();
    openRings(card);
    for (let at = 0; at < 3; at++) queue(card, at, frame(300, at), at === 1 ? 0x08 : wholeFrame);
    queue(card, 3, frame(300, 3));
    // Its first half is there, its second half is not.
    card.view.setUint32(txRing + 2 * 16, ramBytes - 100, true);
    card.set(Reg.TDT, 4);
    expect(card.received).toEqual([frame(300, 0), frame(300, 3)]);
    expect(card.model.statistics()).toMatchObject({ spoiledFrames: 1, framesTransmitted: 2 });
  });

  test("a frame longer than 16288 bytes is not sent, and its rest not even fetched (3.3)", () => {
    const card = rig();
    openRings(card);
    const long = new Uint8Array(4_096).fill(1);
    for (let at = 0; at < 8; at++) queue(card, at, long, at === 7 ? wholeFrame : 0x08);
    card.moved.bytes = 0;
    card.set(Reg.TDT, 8);
    expect(card.received).toEqual([]);
    expect(card.moved.bytes).toBeLessThan(16_288 + 2 * 16 * 16);
    for (let at = 0; at < 3; at++) queue(card, 8 + at, frame(4_000, at), at === 2 ? wholeFrame : 0x08);
    card.set(Reg.TDT, 11);
    expect(card.received.map(({ length }) => length)).toEqual([12_000]);
  });

  test("descriptors changed while the transmitter is off count when it is on again", () => {
    const card: Rig = rig({}, () => card.set(Reg.TCTL, 0));
    openRings(card);
    for (let at = 0; at < 2; at++) queue(card, at, frame(100, at));
    card.set(Reg.TDT, 2);
    queue(card, 1, frame(200, 7));
    card.set(Reg.TCTL, Tctl.enable);
    expect(card.received).toEqual([frame(100, 0), frame(200, 7)]);
  });

  test("checksum options hold for their own frame only (3.3.7)", () => {
    const card = rig();
    openRings(card);
    // A context that would sum from 14 on and put the result at 50.
    card.view.setUint32(txRing, 14 | (50 << 8), true);
    card.view.setUint32(txRing + 8, 0x20 << 24, true);
    for (const at of [1, 2]) {
      queue(card, at, frame(100), wholeFrame | 0x20);
      card.view.setUint32(txRing + at * 16 + 8, 100 | (1 << 20) | ((wholeFrame | 0x20) << 24), true);
    }
    card.view.setUint32(txRing + 16 + 12, 1 << 8, true);
    card.set(Reg.TDT, 3);
    expect(card.received[0]).not.toEqual(frame(100));
    expect(card.received[1]).toEqual(frame(100));
  });

  test("frames belong to the far end: later ones leave them as they are", () => {
    const kept: Uint8Array[] = [];
    const card = rig({}, () => undefined, (bytes) => kept.push(bytes));
    openRings(card);
    for (let at = 0; at < 500; at++) {
      queue(card, at % 16, frame(1_514, at));
      card.set(Reg.TDT, (at + 1) % 16);
    }
    expect(kept.length).toBe(500);
    expect(kept.findIndex((bytes, at) => Buffer.compare(bytes, frame(1_514, at)) !== 0)).toBe(-1);
  });

  test("a huge queue is worked off in slices, with device time between them", () => {
    const card = rig();
    openRings(card, { count: 4_096 });
    card.set(Reg.TDBAL, 0x2_0000);
    for (let at = 0; at < 4_095; at++) {
      card.view.setUint32(0x2_0000 + at * 16, 0x4_0000, true);
      card.view.setUint32(0x2_0000 + at * 16 + 8, 60 | (0x03 << 24), true);
    }
    card.set(Reg.TDT, 4_095);
    expect(card.received.length).toBe(1_024);
    card.set(Reg.TDT, 4_095);
    expect(card.received.length).toBe(1_024);
    card.clock.advance(100);
    expect(card.received.length).toBe(4_095);
    expect(card.clock.pending).toBe(0);
  });

  test("a driver that reacts to the interrupt of a frame's echo by queueing more does not nest", () => {
    let depth = 0;
    let deepest = 0;
    const card = rig({}, (bytes, wire) => {
      depth++;
      deepest = Math.max(deepest, depth);
      wire.send(bytes);
      // As a driver in the same thread may from its interrupt handler.
      card.set(Reg.TDT, 3);
      depth--;
    });
    openRings(card);
    for (let at = 0; at < 3; at++) queue(card, at, frame(60, at));
    card.set(Reg.TDT, 1);
    expect(deepest).toBe(1);
    expect(card.received.length).toBe(3);
    expect(card.get(Reg.RDH)).toBe(3);
  });
});

describe("a driver that reacts at once", () => {
  /** What its interrupt handler does, in the middle of the card's sending. */
  const reactions: readonly (readonly [string, (card: Rig) => void])[] = [
    ["resets the card", (card) => card.set(Reg.CTRL, 1 << 26)],
    ["lays the ring elsewhere", (card) => { card.set(Reg.TDBAL, 0x3000); card.set(Reg.TDH, 0); card.set(Reg.TDT, 0); }],
    ["takes the ring away", (card) => card.set(Reg.TDLEN, 0)],
    ["takes back what it queued", (card) => card.set(Reg.TDT, 2)],
    ["switches the transmitter off", (card) => card.set(Reg.TCTL, 0)],
  ];

  test.each(reactions)("and %s finds nothing written but what it queued", (_name, react) => {
    const card: Rig = rig({}, () => { if (card.received.length === 2) react(card); });
    openRings(card);
    for (let at = 0; at < 5; at++) queue(card, at, frame(60, at));
    const before = card.ram.slice();
    card.set(Reg.TDT, 5);
    expect(card.received.length).toBe(2);
    const changed: number[] = [];
    card.ram.forEach((byte, at) => { if (byte !== before[at]) changed.push(at); });
    expect([txRing + 12, txRing + 28]).toEqual(expect.arrayContaining(changed));
    expect(card.clock.pending).toBe(0);
  });
});

describe("receive", () => {
  test("the packet buffer holds 48 KiB and no more; each frame is filed or missed", () => {
    const card = rig();
    openRings(card, { given: 0 });
    const sizes = Array.from({ length: 100 }, (_, at) => 60 + ((at * 997) % 1_400));
    const taken = sizes.flatMap((size, at) => (card.wire.send(frame(size, at)) ? [frame(size, at)] : []));
    const bytes = taken.reduce((sum, { length }) => sum + length, 0);
    expect(bytes).toBeLessThanOrEqual(receiveFifoBytes);
    expect(bytes).toBeGreaterThan(receiveFifoBytes * 0.9);
    expect(card.wire.hasRoom()).toBe(false);
    expect(card.get(0x4010)).toBe(100 - taken.length);
    expect(card.model.statistics()).toMatchObject({ framesReceived: 100, lostFrames: 100 - taken.length });
    expect(takeAll(card, taken.length)).toEqual(taken);
    expect(card.wire.hasRoom()).toBe(true);
  });

  test("its bytes stay whole when the buffer goes round", () => {
    const card = rig();
    openRings(card, { given: 0 });
    const sent = Array.from({ length: 300 }, (_, at) => frame(901 + at, at));
    // Five always wait, so that the buffer is never empty and goes on where it is.
    for (const [at, bytes] of sent.entries()) {
      expect(card.wire.send(bytes)).toBe(true);
      if (at < 5) continue;
      card.set(Reg.RDT, (at - 4) % 16);
      expect(received(card, (at - 5) % 16)).toEqual(sent[at - 5]);
    }
  });

  test("a frame that comes while others wait is filed after them", () => {
    const card = rig();
    openRings(card, { given: 0 });
    card.wire.send(frame(100, 1));
    // Descriptors there are, but nothing has told the card to look.
    card.set(Reg.RDH, 8);
    card.wire.send(frame(100, 2));
    expect([received(card, 8), received(card, 9)]).toEqual([frame(100, 1), frame(100, 2)]);
  });

  test("descriptors changed while the receiver is off count when it is on again", () => {
    const card = rig();
    openRings(card);
    card.wire.send(frame(100, 1));
    const control = card.get(Reg.RCTL);
    card.set(Reg.RCTL, 0);
    card.view.setUint32(rxRing + 16, 0xf_0000, true);
    card.set(Reg.RCTL, control);
    card.wire.send(frame(100, 2));
    expect(card.ram.slice(0xf_0000, 0xf_0000 + 100)).toEqual(frame(100, 2));
  });

  test("in the MAC's loopback the wire is not heard, and nothing goes out", () => {
    const card = rig();
    openRings(card, { receive: Rctl.stripCrc | (1 << 6) });
    expect(card.wire.send(frame(100, 1))).toBe(false);
    queue(card, 0, frame(100, 2));
    card.set(Reg.TDT, 1);
    expect(card.received).toEqual([]);
    expect(received(card, 0)).toEqual(frame(100, 2));
  });

  test("a frame longer than all descriptors given is filed piece by piece", () => {
    const card = rig();
    openRings(card, { count: 8, given: 2, receive: Rctl.stripCrc | Rctl.longPackets | (3 << Rctl.sizeShift) });
    const sent = frame(3_000);
    expect(card.wire.send(sent)).toBe(true);
    const got: number[] = [];
    for (let head = 0, tail = 2; got.length < 3_000; tail = (tail + 2) % 8) {
      for (; head !== card.get(Reg.RDH); head = (head + 1) % 8) {
        const length = card.view.getUint16(rxRing + head * 16 + 8, true);
        const from = card.view.getUint32(rxRing + head * 16, true);
        got.push(...card.ram.subarray(from, from + length));
        expect((card.ram[rxRing + head * 16 + 12]! & 2) !== 0).toBe(got.length === 3_000);
      }
      card.set(Reg.RDT, tail);
    }
    expect(Uint8Array.from(got)).toEqual(sent);
  });

  test("the check sequence is the wire's when it is not stripped", () => {
    const card = rig();
    openRings(card, { receive: 0 });
    card.wire.send(frame(64));
    expect(card.view.getUint16(rxRing + 8, true)).toBe(68);
    expect(card.view.getUint32(rxData + 64, true)).toBe(frameCheckSequence(frame(64), 64));
    // The residue that IEEE 802.3 receivers look for.
    expect((~frameCheckSequence(card.ram.subarray(rxData), 68)) >>> 0).toBe(0xdebb_20e3);
  });

  test("a tagged frame that waits for its descriptor keeps its tag's place in it (9.3)", () => {
    const card = rig();
    openRings(card, { given: 0 });
    card.set(Reg.CTRL, card.get(Reg.CTRL) | Ctrl.vlanMode);
    const tagged = frame(70);
    tagged.set([0x81, 0x00, 0xa1, 0x23], 12);
    card.wire.send(tagged);
    card.set(Reg.RDT, 1);
    expect(received(card, 0)).toEqual(Uint8Array.of(...tagged.subarray(0, 12), ...tagged.subarray(16)));
    expect([card.ram[rxRing + 12]! & RxStatus.vlan, card.view.getUint16(rxRing + 14, true)]).toEqual([RxStatus.vlan, 0xa123]);
  });

  test("with VFE only tagged frames of listed VLANs pass (13.4.22)", () => {
    const card = rig();
    openRings(card, { receive: Rctl.stripCrc | Rctl.vlanFilter });
    const tagged = frame(64);
    tagged.set([0x81, 0x00, 0x01, 0x23], 12);
    card.wire.send(tagged);
    expect(card.get(Reg.RDH)).toBe(0);
    card.set(Reg.VFTA + (0x123 >> 5) * 4, 2 ** (0x123 & 31));
    card.wire.send(tagged);
    expect(card.get(Reg.RDH)).toBe(1);
  });
});

test("a wide access sees what narrow ones see, and narrow writes do nothing", () => {
  const card = rig();
  const bar0 = card.model.spaces["bar0"]!;
  expect([0, 1, 2, 3].map((at) => bar0.read(Reg.RA + at, 8))).toEqual(cardMac.slice(0, 4));
  expect(bar0.read(Reg.RA + 2, 16)).toBe(0x1200);
  bar0.write(Reg.RA, 8, 0xff);
  expect(card.get(Reg.RA)).toBe(0x1200_5452);
});
