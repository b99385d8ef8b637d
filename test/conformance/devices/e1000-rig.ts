/** Register-level helpers for tests of an 82540EM on any bench. */
import assert from "node:assert/strict";
import type { TestContext } from "vitest";
import type { DmaBlock, DmaDeviceBench } from "./dma-bench.ts";

/** Offsets in the window "bar0" (317453, table 13-2). */
export const reg = {
  ctrl: 0x0000, status: 0x0008, eerd: 0x0014, eecd: 0x0010, mdic: 0x0020, icr: 0x00c0, itr: 0x00c4, ics: 0x00c8, ims: 0x00d0, imc: 0x00d8,
  rctl: 0x0100, tctl: 0x0400, rdbal: 0x2800, rdbah: 0x2804, rdlen: 0x2808, rdh: 0x2810, rdt: 0x2818, rdtr: 0x2820, radv: 0x282c,
  tdbal: 0x3800, tdbah: 0x3804, tdlen: 0x3808, tdh: 0x3810, tdt: 0x3818, tidv: 0x3820, tadv: 0x382c,
  mpc: 0x4010, gprc: 0x4074, bprc: 0x4078, mprc: 0x407c, gptc: 0x4080, gorcl: 0x4088, gorch: 0x408c, gotcl: 0x4090, gotch: 0x4094,
  rnbc: 0x40a0, ruc: 0x40a4, roc: 0x40ac, tpr: 0x40d0, tpt: 0x40d4, mptc: 0x40f0, bptc: 0x40f4,
  mta: 0x5200, ral0: 0x5400, rah0: 0x5404, vfta: 0x5600,
} as const;

export const ctrl = { fd: 1, slu: 0x40, rst: 1 << 26, phyRst: 2 ** 31 } as const;
export const status = { fd: 1, lu: 2 } as const;
export const cause = { txdw: 1, txqe: 2, lsc: 4, rxdmt0: 0x10, rxo: 0x40, rxt0: 0x80, mdac: 0x200 } as const;
export const rctl = {
  en: 1 << 1, upe: 1 << 3, mpe: 1 << 4, lpe: 1 << 5, bam: 1 << 15, secrc: 1 << 26, bsize256: 3 << 16, bsize1024: 1 << 16,
  bsex: 1 << 25, mo: (value: number) => value << 12, rdmts: (value: number) => value << 8,
} as const;
export const tctl = { en: 1 << 1, psp: 1 << 3 } as const;
/** Command byte of a transmit descriptor (3.3.3.1). */
export const cmd = { eop: 1, ifcs: 2, ic: 4, rs: 8, dext: 0x20, ide: 0x80 } as const;
export const rxStatus = { dd: 1, eop: 2, pif: 0x80 } as const;

export const descriptorBytes = 16;
export const broadcast = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff] as const;
/** The address that benches give the card, and one that is not its. */
export const cardMac = [0x52, 0x54, 0x00, 0x12, 0x34, 0x56] as const;
export const otherMac = [0x02, 0x00, 0x00, 0x00, 0x00, 0x99] as const;

/** Device time of one step while the suite waits: shorter than any delay it measures. */
const stepMicros = 1_000;
/** A receiver that was just enabled may sleep this long. */
const enableMicros = 1_000_000;

/** A frame of this size from destination to end, with a type of its own and bytes that follow from `seed`. */
export function makeFrame(sizeBytes: number, seed = 1, destination: readonly number[] = cardMac): Uint8Array {
  const frame = new Uint8Array(sizeBytes);
  for (let at = 14; at < sizeBytes; at++) frame[at] = (at * 7 + seed * 31 + (at >> 8)) & 0xff;
  frame.set(destination, 0);
  frame.set(otherMac, 6);
  frame.set([0x88, 0xb5], 12);
  return frame;
}

export interface Received {
  readonly bytes: Uint8Array;
  readonly status: number;
  readonly errors: number;
  /** How many descriptors it took. */
  readonly descriptors: number;
}

export interface Segment {
  readonly iova: number;
  readonly length: number;
  readonly command: number;
  /** CSO and CSS of the descriptor (3.3.3). */
  readonly checksumOffset?: number;
  readonly checksumStart?: number;
}

/** Makes a test's body from one that is given a freshly powered card whose link is up. */
export type OnNic = (
  body: (nic: Nic, bench: DmaDeviceBench, context: TestContext) => Promise<void>, options?: Readonly<Record<string, string | number | boolean>>,
) => (context: TestContext) => Promise<void>;

/** The card behind its registers, with a ring each way that the rig lays out in memory of the bench. */
export class Nic {
  readonly bench: DmaDeviceBench;
  txRing!: DmaBlock;
  rxRing!: DmaBlock;
  txCount = 0;
  rxCount = 0;
  rxBufferBytes = 2_048;
  rxBuffers!: DmaBlock;
  #txData!: DmaBlock;
  #txTail = 0;
  /** Where the next frame's bytes go, so that one not yet sent is not overwritten. */
  #txNext = 0;
  #rxNext = 0;

  constructor(bench: DmaDeviceBench) {
    this.bench = bench;
  }

  async get(offset: number): Promise<number> {
    return await this.bench.read("bar0", offset, 32);
  }

  async set(offset: number, value: number): Promise<void> {
    await this.bench.write("bar0", offset, 32, value >>> 0);
  }

  /** Waits, with device time passing, until `condition` holds. */
  async until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
    await this.bench.until(async () => {
      if (await condition()) return true;
      await this.bench.advanceMicros(stepMicros);
      return await condition();
    }, what);
  }

  /** Every wait of a driver that must not see something: longer than the card takes for anything immediate. */
  async settle(): Promise<void> {
    await this.bench.advanceMicros(20_000);
    for (let at = 0; at < 4; at++) await this.get(reg.status);
  }

  async linkUp(): Promise<void> {
    await this.set(reg.ctrl, (await this.get(reg.ctrl)) | ctrl.slu);
    const isUp = async (): Promise<boolean> => ((await this.get(reg.status)) & status.lu) !== 0;
    await this.bench.until(async () => {
      if (await isUp()) return true;
      await this.bench.advanceMicros(50_000);
      return await isUp();
    }, "the link is up");
  }

  async pin(): Promise<boolean> {
    return await this.bench.irqLevel("intx");
  }

  async phyRead(register: number, phy = 1): Promise<number> {
    return await this.#mdi((2 << 26) | (phy << 21) | (register << 16));
  }

  async phyWrite(register: number, value: number): Promise<void> {
    await this.#mdi((1 << 26) | (1 << 21) | (register << 16) | value);
  }

  /** MDIC as it is when the operation is over. */
  async #mdi(command: number): Promise<number> {
    await this.set(reg.mdic, command);
    await this.until(async () => ((await this.get(reg.mdic)) & (1 << 28)) !== 0, "MDIC is ready");
    return await this.get(reg.mdic);
  }

  async eepromWord(address: number): Promise<number> {
    await this.set(reg.eerd, (address << 8) | 1);
    await this.until(async () => ((await this.get(reg.eerd)) & 0x10) !== 0, "EERD is done");
    return (await this.get(reg.eerd)) >>> 16;
  }

  /** A word of the EEPROM by the four wires of EECD: start, operation 10, six bits of address, then a bit per clock. */
  async microwireWord(address: number): Promise<number> {
    const [clock, select, dataIn, dataOut, request, grant] = [1, 2, 4, 8, 0x40, 0x80];
    await this.set(reg.eecd, request);
    await this.until(async () => ((await this.get(reg.eecd)) & grant) !== 0, "the EEPROM is granted");
    await this.set(reg.eecd, request | select);
    const shift = async (bit: number): Promise<number> => {
      const wires = request | select | (bit === 0 ? 0 : dataIn);
      await this.set(reg.eecd, wires);
      await this.set(reg.eecd, wires | clock);
      const out = (await this.get(reg.eecd)) & dataOut;
      await this.set(reg.eecd, wires);
      return out === 0 ? 0 : 1;
    };
    const command = (0b110 << 6) | address;
    for (let at = 8; at >= 0; at--) await shift((command >> at) & 1);
    let word = 0;
    for (let at = 0; at < 16; at++) word = (word << 1) | (await shift(0));
    await this.set(reg.eecd, 0);
    return word;
  }

  /** Lays out a transmit ring and switches the transmitter on. */
  async openTransmit({ count = 8, control = tctl.en | tctl.psp }: { count?: number; control?: number } = {}): Promise<void> {
    this.txCount = count;
    this.txRing = await this.bench.allocate(Math.max(4_096, count * descriptorBytes));
    this.#txData = await this.bench.allocate(128 * 1_024);
    await this.set(reg.tctl, 0);
    await this.#ring(reg.tdbal, this.txRing.iova, count);
    this.#txTail = 0;
    await this.set(reg.tctl, control);
  }

  /** Lays out a receive ring whose descriptors all but one belong to the card, and switches the receiver on. */
  async openReceive({ count = 8, control = 0, bufferBytes = 2_048, given = count - 1 }: {
    count?: number; control?: number; bufferBytes?: number; given?: number;
  } = {}): Promise<void> {
    this.rxCount = count;
    this.rxBufferBytes = bufferBytes;
    this.rxRing = await this.bench.allocate(Math.max(4_096, count * descriptorBytes));
    this.rxBuffers = await this.bench.allocate(count * bufferBytes);
    const ring = new Uint8Array(count * descriptorBytes);
    const view = new DataView(ring.buffer);
    for (let at = 0; at < count; at++) view.setBigUint64(at * descriptorBytes, BigInt(this.rxBuffers.iova + at * bufferBytes), true);
    await this.bench.writeMemory(this.rxRing.iova, ring);
    await this.set(reg.rctl, 0);
    await this.#ring(reg.rdbal, this.rxRing.iova, count);
    this.#rxNext = 0;
    await this.set(reg.rctl, control | rctl.en | rctl.secrc);
    await this.set(reg.rdt, given);
    await this.bench.advanceMicros(enableMicros);
  }

  async #ring(base: number, iova: number, count: number): Promise<void> {
    await this.set(base, iova % 2 ** 32);
    await this.set(base + 4, Math.floor(iova / 2 ** 32));
    await this.set(base + 8, count * descriptorBytes);
    await this.set(base + 0x10, 0);
    await this.set(base + 0x18, 0);
  }

  /** Puts bytes where the card can fetch them. */
  async place(bytes: Uint8Array): Promise<number> {
    if (this.#txNext + bytes.length > this.#txData.sizeBytes) this.#txNext = 0;
    const iova = this.#txData.iova + this.#txNext;
    await this.bench.writeMemory(iova, bytes);
    this.#txNext += Math.ceil(bytes.length / 16) * 16;
    return iova;
  }

  /** Writes descriptors from the tail on, without moving it. Returns the new tail. */
  async queue(segments: readonly Segment[]): Promise<number> {
    for (const { iova, length, command, checksumOffset = 0, checksumStart = 0 } of segments) {
      const bytes = new Uint8Array(descriptorBytes);
      const view = new DataView(bytes.buffer);
      view.setBigUint64(0, BigInt(iova), true);
      view.setUint16(8, length, true);
      bytes.set([checksumOffset, command, 0, checksumStart], 10);
      await this.bench.writeMemory(this.txRing.iova + this.#txTail * descriptorBytes, bytes);
      this.#txTail = (this.#txTail + 1) % this.txCount;
    }
    return this.#txTail;
  }

  /** One descriptor per frame, RS on each. Resolves when the card has taken them all. */
  async transmit(frames: readonly Uint8Array[], command: number = cmd.eop | cmd.ifcs | cmd.rs): Promise<void> {
    for (const frame of frames) await this.queue([{ iova: await this.place(frame), length: frame.length, command }]);
    await this.kick();
  }

  /** Moves the tail to what is queued and waits for the head to get there. */
  async kick(): Promise<void> {
    await this.set(reg.tdt, this.#txTail);
    await this.until(async () => (await this.get(reg.tdh)) === this.#txTail, "TDH reaches TDT");
  }

  async txDescriptorStatus(index: number): Promise<number> {
    return (await this.bench.readMemory(this.txRing.iova + index * descriptorBytes, descriptorBytes))[12]! & 0x0f;
  }

  /** What arrives at the far end: exactly `count` frames, and no more after them. */
  async sent(count: number): Promise<Uint8Array[]> {
    const frames: Uint8Array[] = [];
    const take = async (): Promise<boolean> => {
      frames.push(...(await this.bench.takeFromDevice!()));
      return frames.length >= count;
    };
    if (count > 0) await this.bench.until(take, `${count} frames arrive at the far end`);
    await this.settle();
    await take();
    assert.equal(frames.length, count, `${count} frames arrive at the far end`);
    return frames;
  }

  async send(...frames: readonly Uint8Array[]): Promise<void> {
    for (const frame of frames) await this.bench.sendToDevice!(frame);
  }

  /** Waits for the next received frame, of one descriptor or several, and takes it. `giveBack`: its descriptors are the card's again. */
  async receive(giveBack = true): Promise<Received> {
    const parts: Uint8Array[] = [];
    for (;;) {
      const iova = this.rxRing.iova + this.#rxNext * descriptorBytes;
      const isDone = async (): Promise<boolean> => ((await this.bench.readMemory(iova, descriptorBytes))[12]! & rxStatus.dd) !== 0;
      await this.until(isDone, `receive descriptor ${this.#rxNext} is done`);
      const view = new DataView((await this.bench.readMemory(iova, descriptorBytes)).slice().buffer);
      parts.push(await this.bench.readMemory(Number(view.getBigUint64(0, true)), view.getUint16(8, true)));
      await this.bench.writeMemory(iova + 12, Uint8Array.of(0));
      const at = this.#rxNext;
      this.#rxNext = (at + 1) % this.rxCount;
      if (giveBack) await this.set(reg.rdt, at);
      if ((view.getUint8(12) & rxStatus.eop) === 0) continue;
      return { bytes: join(parts), status: view.getUint8(12), errors: view.getUint8(13), descriptors: parts.length };
    }
  }

  /** That nothing more was received: the next descriptor is untouched. */
  async expectNothing(): Promise<void> {
    await this.settle();
    const descriptor = await this.bench.readMemory(this.rxRing.iova + this.#rxNext * descriptorBytes, descriptorBytes);
    assert.equal(descriptor[12]! & rxStatus.dd, 0, "nothing more is received");
  }
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
