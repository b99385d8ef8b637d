/** An 82540EM on the rig of network cards, and its rings, for the model's own tests. */
import assert from "node:assert/strict";
import type { DeviceDescription } from "../bus/device.ts";
import { Rctl, Reg, Tctl } from "./e1000-registers.ts";
import e1000 from "./e1000.ts";
import { type Answer, type NetworkRig, networkRig } from "./network-test-rig.ts";

export const txRing = 0x1000;
export const rxRing = 0x2000;
const txData = 0x1_0000;
export const rxData = 0x8_0000;
export const cardMac = [0x52, 0x54, 0x00, 0x12, 0x34, 0x56] as const;
export const wholeFrame = 0x0b;

export interface Rig extends NetworkRig {
  get(offset: number): number;
  set(offset: number, value: number): void;
}

export function rig(options?: DeviceDescription["options"], answer?: Answer, keep?: (frame: Uint8Array) => void): Rig {
  const card = networkRig(e1000, options, answer, keep);
  const bar0 = card.model.spaces["bar0"]!;
  return Object.assign(card, {
    get: (offset: number) => bar0.read(offset, 32),
    set: (offset: number, value: number) => bar0.write(offset, 32, value >>> 0),
  });
}

export function openRings(card: Rig, settings: { receive?: number; count?: number; given?: number } = {}): void {
  const { receive = Rctl.stripCrc, count = 16, given = count - 1 } = settings;
  card.set(Reg.TDBAL, txRing);
  card.set(Reg.TDLEN, count * 16);
  card.set(Reg.RDBAL, rxRing);
  card.set(Reg.RDLEN, count * 16);
  for (let at = 0; at < count; at++) card.view.setBigUint64(rxRing + at * 16, BigInt(rxData + at * 2_048), true);
  card.set(Reg.TCTL, Tctl.enable | Tctl.padShort);
  card.set(Reg.RCTL, Rctl.enable | receive);
  card.set(Reg.RDT, given);
}

export function frame(sizeBytes: number, seed = 1): Uint8Array {
  const bytes = Uint8Array.from({ length: sizeBytes }, (_, at) => (at * 5 + seed) & 0xff);
  bytes.set(cardMac);
  return bytes;
}

/** What the receive descriptor says is in its buffer. */
export function received(card: Rig, index: number): Uint8Array {
  assert.equal(card.ram[rxRing + index * 16 + 12]! & 1, 1, `receive descriptor ${index} is done`);
  const from = card.view.getUint32(rxRing + index * 16, true);
  return card.ram.slice(from, from + card.view.getUint16(rxRing + index * 16 + 8, true));
}

/** Gives a ring of 16 descriptors to the card, five at a time, until this many frames of one descriptor have come. */
export function takeAll(card: Rig, count: number): Uint8Array[] {
  const got: Uint8Array[] = [];
  for (let tail = 0, head = 0; got.length < count;) {
    tail = (tail + 5) % 16;
    card.set(Reg.RDT, tail);
    for (; head !== card.get(Reg.RDH); head = (head + 1) % 16) got.push(received(card, head));
  }
  return got;
}

export function queue(card: Rig, index: number, bytes: Uint8Array, command = wholeFrame): void {
  card.ram.set(bytes, txData + index * 4_096);
  card.view.setBigUint64(txRing + index * 16, BigInt(txData + index * 4_096), true);
  card.view.setUint32(txRing + index * 16 + 8, bytes.length | (command << 24), true);
  card.view.setUint32(txRing + index * 16 + 12, 0, true);
}
