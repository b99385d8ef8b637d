/** The 82540EM's transmit side: descriptors to frames. Source: 317453, 3.3 (descriptors), 3.4 (ring), 13.4.33. */
import type { Clock } from "../api/clock.ts";
import type { DmaPort } from "../bus/device.ts";
import { frameCheckSequence, insertInternetChecksum } from "./ethernet-checksum.ts";
import type { E1000Interrupts } from "./e1000-interrupts.ts";
import {
  Cause, Tctl, TxCommand, TxOption, TxStatus, ethernetHeaderBytes, fcsBytes, maxLongFrameBytes, minFrameBytes, vlanTagBytes,
} from "./e1000-registers.ts";
import { DescriptorRing } from "./e1000-ring.ts";
import { type VlanMode, insertTag } from "./e1000-vlan.ts";

/**
 * Work of one go: then the rest waits for a timer, so that a driver with a huge ring keeps no other device's registers waiting.
 * More than any driver queues at once.
 */
const sliceDescriptors = 1_024;
const sliceBytes = 1 << 20;
const sliceGapMicros = 10;

/** Frames are handed over in pieces of slabs of this size: one allocation for hundreds of frames instead of one each. */
const slabBytes = 1 << 18;
/** What a frame may need at most: its bytes with a check sequence of the driver's own. */
const frameRoomBytes = maxLongFrameBytes + fcsBytes;
/** And with the tag that the card puts in. */
const slabRoomBytes = frameRoomBytes + vlanTagBytes;

export class E1000Transmitter {
  readonly ring: DescriptorRing;
  control = 0;
  readonly #clock: Clock;
  readonly #dma: DmaPort;
  readonly #interrupts: E1000Interrupts;
  readonly #vlan: VlanMode;
  readonly #send: (frame: Uint8Array) => void;
  #slab: Uint8Array = new Uint8Array(slabBytes);
  /** Where the frame that is being put together starts, and its size so far. */
  #start = 0;
  #size = 0;
  /** Something of the frame could not be fetched, or it is too long: its descriptors are passed, and it is not sent. */
  #spoiled = false;
  /** Checksum offsets of the last context descriptor: words 0 and 1 (3.3.6). */
  #contextIp = 0;
  #contextTransport = 0;
  /** POPTS of the frame's first data descriptor, which holds for the frame (3.3.7). */
  #options = 0;
  #running = false;
  #causes = 0;
  /** First word in the ring's cache, length and ring index of the run of descriptors to be written back together, and the ring's layout then. */
  #runWord = 0;
  #runLength = 0;
  #runIndex = 0;
  #runLayout = 0;
  #cancel: (() => void) | undefined;
  spoiledFrames = 0;

  constructor(clock: Clock, dma: DmaPort, interrupts: E1000Interrupts, vlan: VlanMode, send: (frame: Uint8Array) => void) {
    this.#clock = clock;
    this.#dma = dma;
    this.#interrupts = interrupts;
    this.#vlan = vlan;
    this.#send = send;
    this.ring = new DescriptorRing(dma);
  }

  reset(): void {
    this.ring.reset();
    this.control = 0;
    this.#size = 0;
    this.#spoiled = false;
    this.#options = 0;
    this.#contextIp = 0;
    this.#contextTransport = 0;
    this.#runLength = 0;
    this.#cancel?.();
    this.#cancel = undefined;
  }

  /** Sends what is in the ring: after a write of TDT or TCTL. Called again from within, it leaves the rest to the outer call. */
  run(): void {
    if (this.#running || this.#cancel !== undefined || (this.control & Tctl.enable) === 0 || this.ring.pending() === 0) return;
    this.#running = true;
    this.#causes = 0;
    let descriptors = sliceDescriptors;
    let bytes = sliceBytes;
    const { ring } = this;
    while (descriptors > 0 && bytes > 0 && (this.control & Tctl.enable) !== 0) {
      const at = ring.current();
      if (at < 0) break;
      bytes -= this.#descriptor(at);
      descriptors--;
      if (ring.cached === 0) this.#writeBack();
    }
    this.#writeBack();
    // A driver may change what it has queued until it moves the tail again.
    ring.drop();
    this.#running = false;
    if (ring.pending() === 0) this.#causes |= Cause.txQueueEmpty;
    else if (descriptors === 0 || bytes <= 0) this.#later();
    this.#interrupts.set(this.#causes);
  }

  #later(): void {
    this.#cancel = this.#clock.setTimer(sliceGapMicros, () => {
      this.#cancel = undefined;
      this.run();
    });
  }

  /**
   * Performs the descriptor at the head and passes it. Returns how many bytes it moved. Sending may bring an interrupt, whose
   * handler in the same thread may reset the card or lay the ring elsewhere: then there is nothing left to pass.
   */
  #descriptor(at: number): number {
    const { words, layout } = this.ring;
    const command = words[at + 2]!;
    const extended = (command & TxCommand.extended) !== 0;
    if (extended && (command & TxCommand.typeMask) !== TxCommand.typeData) {
      this.#contextIp = words[at]!;
      this.#contextTransport = words[at + 1]!;
      this.#finish(at, command);
      return 0;
    }
    const length = extended ? command & 0xf_ffff : command & 0xffff;
    this.#gather(words[at]! + words[at + 1]! * 2 ** 32, length);
    if (extended) this.#options |= words[at + 3]!;
    if ((command & TxCommand.endOfPacket) !== 0) this.#complete(at, command, extended);
    if (this.ring.layout === layout) this.#finish(at, command);
    return length;
  }

  /** Appends a descriptor's data to the frame. Beyond the longest frame nothing is fetched any more. */
  #gather(address: number, length: number): void {
    if (length === 0 || this.#spoiled) return;
    if (this.#size + length > frameRoomBytes) {
      this.#spoiled = true;
      return;
    }
    if (this.#size === 0 && this.#start + slabRoomBytes > slabBytes) {
      this.#slab = new Uint8Array(slabBytes);
      this.#start = 0;
    }
    const from = this.#start + this.#size;
    if (this.#dma.read(address, this.#slab.subarray(from, from + length))) this.#size += length;
    else this.#spoiled = true;
  }

  /** The frame's last descriptor: what is left to do to it, and out. */
  #complete(at: number, command: number, extended: boolean): void {
    const options = this.#options;
    const spoiled = this.#spoiled;
    let size = this.#size;
    this.#options = 0;
    this.#spoiled = false;
    this.#size = 0;
    if (spoiled || size < ethernetHeaderBytes) {
      this.spoiledFrames++;
      return;
    }
    const start = this.#start;
    const insertsFcs = (command & TxCommand.insertFcs) !== 0;
    const bytes = this.#slab.subarray(start, start + size);
    if (extended) this.#offload(bytes, options);
    else if ((command & TxCommand.insertChecksum) !== 0) insertInternetChecksum(bytes, (this.ring.words[at + 3]! >>> 8) & 0xff, size, (command >>> 16) & 0xff);
    // A check sequence of the driver's own would be wrong then.
    if (insertsFcs && (command & TxCommand.vlan) !== 0 && this.#vlan.isOn()) size = insertTag(this.#slab, start, size, this.#vlan.type(), this.ring.words[at + 3]! >>> 16);
    if ((this.control & Tctl.padShort) !== 0 && size < minFrameBytes && insertsFcs) {
      this.#slab.fill(0, start + size, start + minFrameBytes);
      size = minFrameBytes;
    }
    const frame = this.#slab.subarray(start, start + size);
    this.#start += size;
    if (insertsFcs && size <= maxLongFrameBytes) this.#send(frame);
    else this.#sendWithFcs(frame);
  }

  /** The driver made the check sequence itself: the far end drops what does not match. */
  #sendWithFcs(frame: Uint8Array): void {
    const size = frame.length - fcsBytes;
    const wanted = size < ethernetHeaderBytes ? 0 : frameCheckSequence(frame, size);
    const got = size < 0 ? 0 : (frame[size]! | (frame[size + 1]! << 8) | (frame[size + 2]! << 16) | (frame[size + 3]! << 24)) >>> 0;
    if (size >= ethernetHeaderBytes && wanted === got) this.#send(frame.subarray(0, size));
    else this.spoiledFrames++;
  }

  /** Checksums by context: start, offset and end (0: the end of the packet) of the IP header and of what it carries (3.3.6). */
  #offload(frame: Uint8Array, options: number): void {
    if ((options & TxOption.ipChecksum) !== 0) insertByContext(frame, this.#contextIp);
    if ((options & TxOption.transportChecksum) !== 0) insertByContext(frame, this.#contextTransport);
  }

  /** Status for the driver, and on to the next descriptor. */
  #finish(at: number, command: number): void {
    const { ring } = this;
    if ((command & TxCommand.reportStatus) === 0) this.#writeBack();
    else {
      ring.words[at + 3]! |= TxStatus.done;
      if (this.#runLength === 0) {
        this.#runWord = at;
        this.#runIndex = ring.head;
        this.#runLayout = ring.layout;
      }
      this.#runLength++;
      if ((command & TxCommand.delay) === 0 || this.#interrupts.transmitDelay.event()) this.#causes |= Cause.txDescriptorWritten;
    }
    ring.advance();
  }

  /** Writes a run of finished descriptors; only those whose status was asked for, the others are the driver's already. */
  #writeBack(): void {
    if (this.#runLength === 0) return;
    if (this.#runLayout === this.ring.layout) this.ring.writeBack(this.#runWord, this.#runLength, this.#runIndex);
    this.#runLength = 0;
  }
}

function insertByContext(frame: Uint8Array, context: number): void {
  const last = context >>> 16;
  insertInternetChecksum(frame, context & 0xff, last === 0 ? frame.length : last + 1, (context >>> 8) & 0xff);
}
