/** The RTL8139C's receive ring and address filter. Source: RTL8139C(L) data sheet, 5.1 (packet header), 5.2, 5.7, 5.11, 7.1 (ring). */
import type { DmaPort } from "../bus/device.ts";
import { frameCheckSequence } from "./ethernet-checksum.ts";
import type { Rtl8139Interrupts } from "./rtl8139-interrupts.ts";
import { Isr, Rcr, RxStatus } from "./rtl8139-registers.ts";

const headerBytes = 4;
const fcsBytes = 4;
const minFrameBytes = 60;
/** Longer ones are errors (5.1, LONG), which the card keeps only when it is told to take errors. */
const mostFrameBytes = 4_096 - fcsBytes;
/** A frame of usual size, with what the card puts around it. */
const usualBytes = 1_518 + headerBytes + fcsBytes;
/** CAPR is this much behind what was read, and is so after a reset. */
const pointerLag = 16;
/** The missed packet counter has 24 bits. */
const mostMissed = 0xff_ffff;
const multicastBits = 64;

export class Rtl8139Receiver {
  readonly #dma: DmaPort;
  readonly #interrupts: Rtl8139Interrupts;
  /** IDR0 to IDR5 and MAR0 to MAR7. */
  readonly address: Uint8Array;
  readonly multicast = new Uint8Array(multicastBits / 8);
  #start = 0;
  #control = 0;
  #enabled = false;
  /** Offsets in the ring: where the next frame goes, and up to where the driver has read. */
  #write = 0;
  #read = 0;
  #missed = 0;
  readonly #staged = new Uint8Array(headerBytes + mostFrameBytes + fcsBytes);
  filteredFrames = 0;
  lostFrames = 0;

  constructor(dma: DmaPort, interrupts: Rtl8139Interrupts, address: Uint8Array) {
    this.#dma = dma;
    this.#interrupts = interrupts;
    this.address = address.slice();
  }

  get control(): number { return this.#control; }
  get start(): number { return this.#start; }
  get enabled(): boolean { return this.#enabled; }
  get missed(): number { return this.#missed; }
  get isEmpty(): boolean { return this.#write === this.#read; }
  /** CAPR and CBR. */
  get readPointer(): number { return (this.#read - pointerLag) & 0xffff; }
  get writePointer(): number { return this.#write; }
  /**
   * Whether a frame of usual size is kept, or dropped for another reason than room. A far end that waits for room instead of losing its
   * frames must not wait for ever: the driver is told of the overflow that it would be, as of a real one.
   */
  askRoom(): boolean {
    if (!this.#enabled || usualBytes < this.#freeBytes()) return true;
    this.#interrupts.set(Isr.overflow);
    return false;
  }

  reset(): void {
    this.#control = 0;
    this.#enabled = false;
    this.#start = 0;
    this.#rewind();
    this.#missed = 0;
  }

  setEnabled(enabled: boolean): void {
    if (enabled && !this.#enabled) this.#rewind();
    this.#enabled = enabled;
  }

  setControl(value: number): void {
    this.#control = value & Rcr.settable;
  }

  setStart(value: number): void {
    this.#start = value;
  }

  setReadPointer(value: number): void {
    this.#read = ((value + pointerLag) & 0xffff) % this.#ringBytes();
  }

  clearMissed(): void {
    this.#missed = 0;
  }

  /** A frame from the wire. False when it is lost. */
  accept(frame: Uint8Array): boolean {
    if (!this.#enabled || frame.length > mostFrameBytes) return false;
    const passed = this.#filter(frame);
    if (passed === undefined) {
      this.filteredFrames++;
      return true;
    }
    const size = Math.max(frame.length, minFrameBytes) + fcsBytes;
    const taken = align(headerBytes + size);
    // All of the ring is never used: full would look like empty.
    if (taken >= this.#freeBytes()) {
      this.lostFrames++;
      this.#missed = Math.min(this.#missed + 1, mostMissed);
      this.#interrupts.set(Isr.overflow);
      return false;
    }
    if (!this.#store(this.#stage(frame, size, passed))) this.#interrupts.set(Isr.systemError);
    this.#write = (this.#write + taken) % this.#ringBytes();
    this.#interrupts.set(Isr.received);
    return true;
  }

  #rewind(): void {
    this.#write = 0;
    this.#read = 0;
  }

  /** RBLEN: 8 KiB, doubled (5.11). */
  #ringBytes(): number {
    return 8_192 << ((this.#control >>> Rcr.lengthShift) & 3);
  }

  #freeBytes(): number {
    const size = this.#ringBytes();
    return (this.#read - this.#write + size - 1) % size + 1;
  }

  /** Header, frame, padding and check sequence, as they go to memory. */
  #stage(frame: Uint8Array, size: number, passed: number): Uint8Array {
    const bytes = this.#staged;
    const status = RxStatus.ok | passed;
    bytes.set([status & 0xff, status >> 8, size & 0xff, size >> 8]);
    bytes.set(frame, headerBytes);
    const dataEnd = headerBytes + size - fcsBytes;
    bytes.fill(0, headerBytes + frame.length, dataEnd);
    const fcs = frameCheckSequence(bytes.subarray(headerBytes, dataEnd), dataEnd - headerBytes);
    for (let at = 0; at < fcsBytes; at++) bytes[dataEnd + at] = (fcs >>> (8 * at)) & 0xff;
    return bytes.subarray(0, headerBytes + size);
  }

  /** To the ring's end and on at its beginning, or with WRAP straight on behind its end; 64 KiB always wrap. */
  #store(bytes: Uint8Array): boolean {
    const ring = this.#ringBytes();
    const toEnd = ring - this.#write;
    const goesOn = (this.#control & Rcr.wrap) !== 0 && ring < 65_536;
    if (goesOn || bytes.length <= toEnd) return this.#dma.write(this.#start + this.#write, bytes);
    const first = this.#dma.write(this.#start + this.#write, bytes.subarray(0, toEnd));
    return this.#dma.write(this.#start, bytes.subarray(toEnd)) && first;
  }

  /** The status bit that says why a frame is taken, 0 when only because all are; undefined when it is not. */
  #filter(frame: Uint8Array): number | undefined {
    const control = this.#control;
    const others = (control & Rcr.allPhysical) !== 0 ? 0 : undefined;
    if ((frame[0]! & 1) === 0) {
      const mine = this.address.every((byte, at) => byte === frame[at]);
      if (mine) return (control & (Rcr.physicalMatch | Rcr.allPhysical)) !== 0 ? RxStatus.physical : undefined;
      return others;
    }
    if (frame.subarray(0, 6).every((byte) => byte === 0xff)) return (control & Rcr.broadcast) !== 0 ? RxStatus.broadcast : others;
    const hash = multicastHash(frame);
    const known = (this.multicast[hash >> 3]! & (1 << (hash & 7))) !== 0;
    return (control & Rcr.multicast) !== 0 && known ? RxStatus.multicast : others;
  }
}

function align(sizeBytes: number): number {
  return (sizeBytes + 3) & ~3;
}

/** The upper six bits of the CRC of the destination address, in the order in which they are sent (5.3; IEEE 802.3, 3.2.9). */
function multicastHash(frame: Uint8Array): number {
  const reflected = ~frameCheckSequence(frame, 6) >>> 0;
  let hash = 0;
  for (let bit = 0; bit < 6; bit++) hash = (hash << 1) | ((reflected >>> bit) & 1);
  return hash;
}
