/** The way out: a bounded queue of frames, given to the driver in batches, and to the next driver if this one dies with them. */
import { highWord, lowWord } from "../../api/words.ts";
import { QueueLink, type QueueUser } from "../queue-link.ts";
import type { DriverPort, ShadowEnvironment } from "../shadow.ts";
import { TransmitStatus, net } from "./contract.ts";
import { FrameRing } from "./frame-ring.ts";
import type { Geometry } from "./geometry.ts";

/** Whether frames go to the driver, wait, or are dropped because nobody is at the other end of the cable. */
export type TransmitMode = "send" | "hold" | "drop";

const { request, completion } = net.queues.transmit;
const atSize = request.at.sizeBytes;
const atLow = request.at.iovaLow;
const atHigh = request.at.iovaHigh;
const atStatus = completion.at.status;
const lastStatus = Math.max(...Object.values(TransmitStatus));

export class Transmitter implements QueueUser<number> {
  readonly link: QueueLink<number>;
  sent = 0;
  dropped = 0;
  sentAgain = 0;
  readonly #geometry: Geometry;
  readonly #ring: FrameRing;
  readonly #resend: boolean;
  readonly #room: () => void;
  #mode: TransmitMode = "hold";
  /** Somebody was told that the queue is full, and waits to hear that it is not. */
  #awaited = false;
  /** Frames that an earlier driver died with are those before this number. */
  #againBefore = 0;

  /** `room` is called once after each `send` that took less than it was given, when there is room for as many as were refused or half the queue. */
  constructor(environment: ShadowEnvironment, geometry: Geometry, resend: boolean, room: () => void) {
    this.#geometry = geometry;
    this.#resend = resend;
    this.#room = room;
    this.#ring = new FrameRing(geometry.slotBytes);
    this.link = new QueueLink(net.queues.transmit, environment, this);
  }

  /** A driver that takes `depth` frames at once; `mode` says when it gets them. */
  open(port: DriverPort, depth: number): void {
    this.link.open(port, Math.min(depth, this.#geometry.transmitSlots));
    this.pump();
  }

  /** The driver is gone. */
  close(): void {
    if (!this.link.isOpen) return;
    this.link.close();
    const end = this.#ring.given;
    if (this.#resend) {
      this.#ring.takeBack();
      this.#againBefore = Math.max(this.#againBefore, end);
    } else {
      this.dropped += this.#ring.forsake();
    }
    this.#tellRoom();
  }

  set mode(mode: TransmitMode) {
    this.#mode = mode;
    this.pump();
  }

  /** Frames that are neither sent nor dropped yet. */
  get queued(): number {
    return this.#ring.slots - this.#ring.room;
  }

  /** Takes as many frames as there is room for. */
  send(frames: readonly Uint8Array[]): number {
    if (this.#mode === "drop") {
      this.dropped += frames.length;
      return frames.length;
    }
    const count = Math.min(frames.length, this.#ring.room);
    for (let index = 0; index < count; index++) this.#ring.push(frames[index]!);
    if (count < frames.length) this.#awaited = true;
    this.pump();
    return count;
  }

  /** Drops what no driver has: whoever sent it is gone. */
  forget(): void {
    this.dropped += this.#ring.discard();
    this.#awaited = false;
  }

  /** Gives the driver what it may have now. */
  pump(): void {
    if (this.#mode === "drop") this.dropped += this.#ring.discard();
    if (this.#mode === "send" && this.link.isOpen) this.#give();
    this.#tellRoom();
  }

  /** See QueueUser. */
  completed(number: number, words: Uint32Array, at: number): string | undefined {
    const status = words[at + atStatus]!;
    if (status > lastStatus) return `a transmit completion with status ${status}, which there is not`;
    if (status === TransmitStatus.ok) this.sent++;
    else this.dropped++;
    this.#ring.complete(number);
    return undefined;
  }

  #give(): void {
    const { buffers, slotBytes, transmitOffset, transmitSlots } = this.#geometry;
    const ring = this.#ring;
    const { words } = this.link;
    while (this.link.room > 0) {
      const number = ring.peek();
      if (number < 0 || ring.span >= transmitSlots) break;
      const frame = ring.frame(number);
      const offset = transmitOffset + (number % transmitSlots) * slotBytes;
      buffers.write(offset, frame);
      const at = this.link.add(number);
      words[at + atSize] = frame.length;
      words[at + atLow] = lowWord(buffers.iova + offset);
      words[at + atHigh] = highWord(buffers.iova + offset);
      ring.give();
      if (number < this.#againBefore) this.sentAgain++;
    }
    this.link.flush();
  }

  #tellRoom(): void {
    // Half of the queue: fewer, larger wake-ups.
    if (!this.#awaited || this.#ring.room * 2 < this.#ring.slots) return;
    this.#awaited = false;
    this.#room();
  }
}
