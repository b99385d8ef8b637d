/** The 82540EM's receive side: frames off the wire to descriptors. Source: 317453, 3.2 (reception), 13.4.22 to 13.4.31. */
import type { DmaPort } from "../bus/device.ts";
import { frameCheckSequence } from "./ethernet-checksum.ts";
import { Counter, type E1000Counters } from "./e1000-counters.ts";
import { ReceiveFifo } from "./e1000-fifo.ts";
import { type AddressFilter, isBroadcast } from "./e1000-filter.ts";
import type { E1000Interrupts } from "./e1000-interrupts.ts";
import {
  Cause, Rctl, RxStatus, ethernetHeaderBytes, fcsBytes, maxFrameBytes, maxLongFrameBytes, minFrameBytes,
} from "./e1000-registers.ts";
import { DescriptorRing } from "./e1000-ring.ts";
import { type VlanMode, removeTag, tagOf } from "./e1000-vlan.ts";

/** The half of a descriptor where the card writes. */
const statusBytes = 8;
/** A frame's status as it is kept: the status byte, and above it the word "special" with the tag that was taken out (3.2.3.4). */
const specialShift = 8;

export class E1000Receiver {
  readonly ring: DescriptorRing;
  readonly filter: AddressFilter;
  readonly #dma: DmaPort;
  readonly #interrupts: E1000Interrupts;
  readonly #counters: E1000Counters;
  readonly #vlan: VlanMode;
  readonly #fifo = new ReceiveFifo();
  /** How much of the oldest frame in the FIFO is in memory already. */
  #passedBytes = 0;
  #draining = false;
  #control = 0;
  #bufferBytes = 2_048;
  /** A frame with what the wire or the card adds: padding, check sequence. */
  readonly #staged = new Uint8Array(maxLongFrameBytes + fcsBytes);
  /** The second half of a descriptor: length, checksum, status, errors, special. */
  readonly #status = new Uint8Array(statusBytes);
  filteredFrames = 0;
  lostFrames = 0;

  constructor(dma: DmaPort, interrupts: E1000Interrupts, counters: E1000Counters, filter: AddressFilter, vlan: VlanMode) {
    this.#dma = dma;
    this.#interrupts = interrupts;
    this.#counters = counters;
    this.filter = filter;
    this.#vlan = vlan;
    this.ring = new DescriptorRing(dma);
  }

  get control(): number { return this.#control; }

  /** Whether the next frame is kept, or dropped for another reason than its size. */
  get hasRoom(): boolean {
    return (this.#control & Rctl.enable) === 0 || this.#fifo.hasRoomFor((this.#control & Rctl.longPackets) !== 0 ? maxLongFrameBytes : maxFrameBytes);
  }

  /** Buffer sizes: BSIZE alone 2048 to 256, with BSEX sixteen times as much, of which 32768 is reserved (13.4.22). */
  setControl(value: number): void {
    const enabled = (value & ~this.#control & Rctl.enable) !== 0;
    this.#control = value;
    const size = 2_048 >> ((value >>> Rctl.sizeShift) & 3);
    this.#bufferBytes = (value & Rctl.sizeExtension) !== 0 && size < 2_048 ? size * 16 : size;
    if (enabled) this.ring.drop();
    if ((value & Rctl.enable) !== 0) this.drain();
  }

  reset(): void {
    this.ring.reset();
    this.#fifo.clear();
    this.#passedBytes = 0;
    this.#control = 0;
    this.#bufferBytes = 2_048;
  }

  /** A frame from the wire. False when it is lost: the receiver is off, or there is no room. */
  accept(frame: Uint8Array): boolean {
    const control = this.#control;
    if ((control & Rctl.enable) === 0 || frame.length < ethernetHeaderBytes) return false;
    const passed = this.filter.passes(frame, control);
    if (passed === "no" || !this.#passesVlan(frame, control)) {
      this.filteredFrames++;
      return true;
    }
    const size = Math.max(frame.length, minFrameBytes);
    this.#counters.arrived(size);
    if (frame.length > ((control & Rctl.longPackets) !== 0 ? maxLongFrameBytes : maxFrameBytes)) {
      this.#counters.add(Counter.ROC);
      return true;
    }
    const tag = this.#tag(frame);
    const whole = this.#asKept(frame, size, tag !== undefined);
    const status = (passed === "inexact" ? RxStatus.inexact : 0) | (tag === undefined ? 0 : RxStatus.vlan | (tag << specialShift));
    if (!this.#file(whole, status)) {
      this.lostFrames++;
      this.#counters.add(Counter.MPC);
      this.#interrupts.set(Cause.rxOverrun);
      return false;
    }
    this.#counters.received(size, frame[0]!, isBroadcast(frame));
    return true;
  }

  /** Files what waits: after a write of RDT or RCTL. */
  drain(): void {
    if (this.#draining || (this.#control & Rctl.enable) === 0 || this.#fifo.isEmpty) return;
    this.#draining = true;
    while (!this.#fifo.isEmpty && this.#drainOne()) continue;
    this.#draining = false;
  }

  /** Straight into memory when nothing waits before it and there are descriptors for all of it; else into the FIFO. */
  #file(frame: Uint8Array, status: number): boolean {
    const free = this.ring.pending();
    if (this.#fifo.isEmpty && free * this.#bufferBytes >= frame.length) return this.#store(frame, status);
    if (free === 0) this.#counters.add(Counter.RNBC);
    if (!this.#fifo.push(frame, status)) return false;
    this.drain();
    return true;
  }

  /** False when not even the descriptors can be fetched. */
  #store(frame: Uint8Array, status: number): boolean {
    const size = frame.length;
    for (let offset = 0; offset < size;) {
      const part = Math.min(size - offset, this.#bufferBytes);
      const data = part === size ? frame : frame.subarray(offset, offset + part);
      offset += part;
      if (!this.#descriptor(data, status | (offset === size ? RxStatus.endOfPacket : 0))) return false;
    }
    this.#received();
    return true;
  }

  /** One buffer's worth of the oldest frame of the FIFO. False when there is no descriptor. */
  #drainOne(): boolean {
    if (this.ring.pending() === 0) return false;
    const size = this.#fifo.firstBytes;
    const part = Math.min(size - this.#passedBytes, this.#bufferBytes);
    const data = this.#staged.subarray(0, part);
    this.#fifo.copyFirst(this.#passedBytes, part, data);
    const last = this.#passedBytes + part === size;
    if (!this.#descriptor(data, this.#fifo.firstStatus | (last ? RxStatus.endOfPacket : 0))) return false;
    this.#passedBytes = last ? 0 : this.#passedBytes + part;
    if (!last) return true;
    this.#fifo.pop();
    this.#received();
    return true;
  }

  /** Data into the buffer of the descriptor at the head, then its status. Blocked data is lost, as on a bus that aborts it. */
  #descriptor(data: Uint8Array, status: number): boolean {
    const { ring } = this;
    const at = ring.current();
    if (at < 0) return false;
    this.#dma.write(ring.words[at]! + ring.words[at + 1]! * 2 ** 32, data);
    const half = this.#status;
    half[0] = data.length & 0xff;
    half[1] = data.length >> 8;
    half[4] = (status & 0xff) | RxStatus.done | RxStatus.ignoreChecksum;
    half[6] = status >>> specialShift;
    half[7] = status >>> (specialShift + 8);
    ring.writeStatus(half);
    ring.advance();
    return true;
  }

  /** A frame is in memory. RXDMT0 comes when no more than the part of the ring that RDMTS names is free (13.4.22). */
  #received(): void {
    const { ring } = this;
    const least = ring.count >> (((this.#control >>> Rctl.minimumShift) & 3) + 1);
    const causes = (this.#interrupts.receiveDelay.event() ? Cause.rxTimer : 0) | (ring.pending() <= least ? Cause.rxMinimum : 0);
    if (causes !== 0) this.#interrupts.set(causes);
  }

  /** Only tagged frames are looked at, and only while VFE is set. */
  #passesVlan(frame: Uint8Array, control: number): boolean {
    if ((control & Rctl.vlanFilter) === 0) return true;
    const tag = tagOf(frame, this.#vlan.type());
    return tag === undefined || this.filter.passesVlan(tag & 0xfff);
  }

  /** The tag that is to be taken out of the frame, if it has one. */
  #tag(frame: Uint8Array): number | undefined {
    return this.#vlan.isOn() ? tagOf(frame, this.#vlan.type()) : undefined;
  }

  /**
   * What the driver gets of a frame: padded to the smallest size as its sender would have, without its tag where the card takes it
   * out, with the wire's check sequence unless SECRC.
   */
  #asKept(frame: Uint8Array, size: number, isTagged: boolean): Uint8Array {
    const strip = (this.#control & Rctl.stripCrc) !== 0;
    if (strip && !isTagged && frame.length === size) return frame;
    const staged = this.#staged;
    staged.set(frame);
    staged.fill(0, frame.length, size);
    const fcs = strip ? 0 : frameCheckSequence(staged, size);
    const kept = isTagged ? removeTag(staged, size) : size;
    if (strip) return staged.subarray(0, kept);
    for (let at = 0; at < fcsBytes; at++) staged[kept + at] = (fcs >>> (8 * at)) & 0xff;
    return staged.subarray(0, kept + fcsBytes);
  }
}
