/** The RTL8139C's four transmit descriptors, worked off in turn. Source: RTL8139C(L) data sheet, 5.5, 5.6, 5.10, 5.21. */
import type { DmaPort } from "../bus/device.ts";
import { Isr, Tcr, Tsd, transmitDescriptors } from "./rtl8139-registers.ts";
import type { Rtl8139Interrupts } from "./rtl8139-interrupts.ts";

/** Destination, source and type. */
const headerBytes = 14;
/** A descriptor holds no more than this (5.5, SIZE). */
const mostBytes = 0x700;
/** Frames are handed over in pieces of slabs: one allocation for many frames. */
const slabBytes = 1 << 18;

export class Rtl8139Transmitter {
  readonly #dma: DmaPort;
  readonly #interrupts: Rtl8139Interrupts;
  readonly #send: (frame: Uint8Array) => void;
  readonly #status = new Uint32Array(transmitDescriptors);
  readonly #address = new Uint32Array(transmitDescriptors);
  #slab = new Uint8Array(slabBytes);
  #used = 0;
  /** The descriptor that is next. */
  #next = 0;
  #running = false;
  #enabled = false;
  /** After a transfer that failed nothing is sent until the driver clears it (TCR, CLRABT). */
  #aborted = false;
  #control = 0;
  spoiledFrames = 0;

  constructor(dma: DmaPort, interrupts: Rtl8139Interrupts, send: (frame: Uint8Array) => void) {
    this.#dma = dma;
    this.#interrupts = interrupts;
    this.#send = send;
    this.reset();
  }

  get control(): number { return this.#control | Tcr.version; }
  get isLoopback(): boolean { return (this.#control & Tcr.loopback) === Tcr.loopback; }
  get enabled(): boolean { return this.#enabled; }

  reset(): void {
    this.#status.fill(Tsd.own);
    this.#address.fill(0);
    this.#next = 0;
    this.#enabled = false;
    this.#aborted = false;
    this.#control = 0;
  }

  /** Switched off, it starts with descriptor 0 when it is on again. */
  setEnabled(enabled: boolean): void {
    this.#enabled = enabled;
    if (!enabled) this.#next = 0;
    this.#run();
  }

  setControl(value: number): void {
    this.#control = value & Tcr.settable;
    if ((value & Tcr.clearAbort) === 0 || !this.#aborted) return;
    // The aborted descriptor is tried again.
    this.#aborted = false;
    this.#status[this.#next]! &= ~(Tsd.aborted | Tsd.own);
    this.#run();
  }

  status(descriptor: number): number { return this.#status[descriptor]!; }
  address(descriptor: number): number { return this.#address[descriptor]!; }

  setAddress(descriptor: number, value: number): void {
    this.#address[descriptor] = value;
  }

  /** A write with OWN clear gives the descriptor to the card. */
  setStatus(descriptor: number, value: number): void {
    if ((value & Tsd.own) !== 0) return;
    this.#status[descriptor] = value & Tsd.settable;
    this.#run();
  }

  /** TSAD: OWN, TABT, TUN and TOK of all descriptors, four bits each (5.21). */
  get summary(): number {
    let bits = 0;
    for (let at = 0; at < transmitDescriptors; at++) {
      const status = this.#status[at]!;
      if ((status & Tsd.own) !== 0) bits |= 1 << at;
      if ((status & Tsd.aborted) !== 0) bits |= 1 << (at + 4);
      if ((status & Tsd.ok) !== 0) bits |= 1 << (at + 12);
    }
    return bits;
  }

  #run(): void {
    // Sending may bring an interrupt, whose handler in the same thread may queue more: the loop that runs sends it.
    if (this.#running) return;
    this.#running = true;
    for (let count = 0; count < transmitDescriptors; count++) {
      const at = this.#next;
      if (!this.#enabled || this.#aborted || (this.#status[at]! & Tsd.own) !== 0) break;
      this.#transmit(at);
    }
    this.#running = false;
  }

  #transmit(at: number): void {
    const size = this.#status[at]! & Tsd.size;
    const frame = this.#room(Math.min(size, mostBytes));
    if (size > mostBytes || size < headerBytes) this.spoiledFrames++;
    else if (!this.#dma.read(this.#address[at]!, frame)) {
      this.#aborted = true;
      this.#status[at]! |= Tsd.aborted | Tsd.own;
      this.#interrupts.set(Isr.transmitError);
      return;
    } else {
      this.#used += size;
      this.#send(frame);
    }
    this.#status[at]! |= Tsd.ok | Tsd.own;
    this.#next = (at + 1) % transmitDescriptors;
    this.#interrupts.set(Isr.transmitted);
  }

  #room(sizeBytes: number): Uint8Array {
    if (this.#used + sizeBytes > slabBytes) {
      this.#slab = new Uint8Array(slabBytes);
      this.#used = 0;
    }
    return this.#slab.subarray(this.#used, this.#used + sizeBytes);
  }
}
