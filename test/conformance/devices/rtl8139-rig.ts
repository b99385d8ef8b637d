/** Register-level helpers for tests of an RTL8139C on any bench. */
import type { DmaBlock, DmaDeviceBench } from "./dma-bench.ts";

/** Offsets in both windows (RTL8139C data sheet, chapter 5). */
export const reg = {
  idr0: 0x00, mar0: 0x08, tsd0: 0x10, tsad0: 0x20, rbstart: 0x30, cr: 0x37, capr: 0x38, cbr: 0x3a, imr: 0x3c, isr: 0x3e, tcr: 0x40, rcr: 0x44, mpc: 0x4c,
  cr9346: 0x50, config1: 0x52, msr: 0x58, bmcr: 0x62, bmsr: 0x64,
} as const;
export const cr = { empty: 1, te: 4, re: 8, rst: 0x10 } as const;
export const isr = { rok: 1, tok: 4, ter: 8, rxovw: 0x10, link: 0x20, serr: 0x8000 } as const;
export const rcr = { aap: 1, apm: 2, am: 4, ab: 8, wrap: 0x80, ring: (kib: 8 | 16 | 32 | 64) => Math.log2(kib / 8) << 11 } as const;
export const tsd = { own: 0x2000, tok: 0x8000, tabt: 0x4000_0000 } as const;

/** Behind its ring the driver leaves room for a frame that does not wrap (7.1). */
const ringSlackBytes = 2_048;

export interface Received {
  readonly status: number;
  readonly bytes: Uint8Array;
}

export class Rtl8139 {
  readonly bench: DmaDeviceBench;
  ring!: DmaBlock;
  #data!: DmaBlock;
  #ringBytes = 8_192;
  #wraps = true;
  #read = 0;
  #next = 0;

  constructor(bench: DmaDeviceBench) {
    this.bench = bench;
  }

  async get(offset: number, width: 8 | 16 | 32 = 16): Promise<number> {
    return (await this.bench.read("bar1", offset, width)) >>> 0;
  }

  async set(offset: number, value: number, width: 8 | 16 | 32 = 16): Promise<void> {
    await this.bench.write("bar1", offset, width, value >>> 0);
  }

  /** Switches both directions on, with a ring of `kib` KiB. */
  async open(control: number = rcr.apm | rcr.ab, kib: 8 | 16 | 32 | 64 = 8): Promise<void> {
    this.#ringBytes = kib * 1_024;
    this.#wraps = (control & rcr.wrap) === 0 || kib === 64;
    this.ring = await this.bench.allocate(this.#ringBytes + ringSlackBytes);
    this.#data = await this.bench.allocate(4 * 4_096);
    this.#read = 0;
    this.#next = 0;
    await this.set(reg.cr, cr.te | cr.re, 8);
    await this.set(reg.rbstart, this.ring.iova, 32);
    await this.set(reg.rcr, control | rcr.ring(kib), 32);
    await this.set(reg.tcr, 0x0300_0600, 32);
  }

  /** Hands a frame to the next descriptor. Returns its number. */
  async queue(frame: Uint8Array, iova?: number): Promise<number> {
    const at = this.#next;
    this.#next = (at + 1) % 4;
    await this.bench.writeMemory(this.#data.iova + at * 4_096, frame);
    await this.set(reg.tsad0 + 4 * at, iova ?? this.#data.iova + at * 4_096, 32);
    await this.set(reg.tsd0 + 4 * at, frame.length, 32);
    return at;
  }

  async sent(descriptor: number): Promise<void> {
    await this.bench.until(async () => ((await this.get(reg.tsd0 + 4 * descriptor, 32)) & tsd.tok) !== 0, `descriptor ${descriptor} is sent`);
  }

  async hasFrame(): Promise<boolean> {
    return ((await this.get(reg.cr, 8)) & cr.empty) === 0;
  }

  /** The next frame of the ring, without its check sequence, and the ring's read pointer moved behind it. */
  async receive(): Promise<Received> {
    await this.bench.until(() => this.hasFrame(), "a frame is in the ring");
    const [low, high, lengthLow, lengthHigh] = await this.#bytes(this.#read, 4);
    const length = lengthLow! | (lengthHigh! << 8);
    const bytes = await this.#bytes(this.#read + 4, length - 4);
    this.#read = ((this.#read + 4 + length + 3) & ~3) % this.#ringBytes;
    await this.set(reg.capr, (this.#read - 16) & 0xffff);
    return { status: low! | (high! << 8), bytes };
  }

  /** A word of the EEPROM by the four wires of 9346CR (5.13). */
  async eepromWord(address: number): Promise<number> {
    const [dataIn, clock, select, program] = [2, 4, 8, 0x80];
    await this.set(reg.cr9346, program, 8);
    const shift = async (bit: number): Promise<number> => {
      const wires = program | select | (bit === 0 ? 0 : dataIn);
      await this.set(reg.cr9346, wires, 8);
      await this.set(reg.cr9346, wires | clock, 8);
      const out = (await this.get(reg.cr9346, 8)) & 1;
      await this.set(reg.cr9346, wires, 8);
      return out;
    };
    await this.set(reg.cr9346, program | select, 8);
    const command = (0b110 << 6) | address;
    for (let at = 8; at >= 0; at--) await shift((command >> at) & 1);
    let word = 0;
    for (let at = 0; at < 16; at++) word = (word << 1) | (await shift(0));
    await this.set(reg.cr9346, 0, 8);
    return word;
  }

  async #bytes(offset: number, count: number): Promise<Uint8Array> {
    const at = this.#wraps || offset < this.#ringBytes ? offset % this.#ringBytes : offset;
    const first = this.#wraps ? Math.min(count, this.#ringBytes - at) : count;
    const head = await this.bench.readMemory(this.ring.iova + at, first);
    return first === count ? head : Uint8Array.from([...head, ...(await this.bench.readMemory(this.ring.iova, count - first))]);
  }
}
