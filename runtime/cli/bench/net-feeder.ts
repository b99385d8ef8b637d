/** A shadow that does nothing for anybody: gives a network driver the same frames again and again, as fast as it takes them. */
import { RecordKind, type MessageRecord } from "../../api/records.ts";
import { lowWord } from "../../api/words.ts";
import { TransmitStatus, net } from "../../classes/net/contract.ts";
import type { DriverPort, Shadow, ShadowEnvironment, ShadowState } from "../../classes/shadow.ts";

const { request, completion } = net.queues.transmit;
const { configure, getLink } = net.operations;

/** Room for one frame in the buffers. */
const slotBytes = 2048;

/** Makes the payload of a batch of requests for frames of one size, `strideBytes` apart in the buffers. */
export function transmitBatch(firstTag: number, frames: number, iova: number, frameBytes: number, strideBytes = 0): Uint8Array {
  const words = new Uint32Array(frames * request.words);
  for (let frame = 0; frame < frames; frame++) {
    const at = frame * request.words;
    words[at + request.at.tag] = firstTag + frame;
    words[at + request.at.sizeBytes] = frameBytes;
    words[at + request.at.iovaLow] = lowWord(iova + frame * strideBytes);
  }
  return new Uint8Array(words.buffer);
}

/** What a network card is told before anything else. */
export function upRequest(): Uint8Array {
  return configure.args.encode({ up: true, promiscuous: false, allMulticast: false, mtu: 1500, mac: 0, multicast: new Uint8Array(0) });
}

export class NetFeeder implements Shadow {
  readonly contract = net;
  state: ShadowState = "active";
  /** Frames that drivers have sent. */
  completed = 0;
  /** Frames that drivers did not send. */
  refused = 0;
  readonly #environment: ShadowEnvironment;
  readonly #up: Promise<void>;
  #told: () => void = () => undefined;
  #port: DriverPort | undefined;
  #nextTag = 1;

  constructor(environment: ShadowEnvironment) {
    this.#environment = environment;
    this.#up = new Promise((resolve) => { this.#told = resolve; });
  }

  /** Resolves when the card is up and has a link. */
  get up(): Promise<void> {
    return this.#up;
  }

  /** Puts frames into the buffers and gives them to the driver as one batch; false when its inbox is full. */
  send(frames: readonly Uint8Array[]): boolean {
    const { buffers } = this.#environment;
    for (const [index, frame] of frames.entries()) buffers!.write(index * slotBytes, frame);
    const payload = transmitBatch(this.#nextTag, frames.length, buffers!.iova, frames[0]!.length, slotBytes);
    if (this.#port?.send(RecordKind.requests, net.queues.transmit.id, 0, payload) !== true) return false;
    this.#nextTag = (this.#nextTag + frames.length) % 0x4000_0000;
    return true;
  }

  async attach(port: DriverPort): Promise<boolean> {
    this.#port = port;
    port.send(RecordKind.request, configure.id, 1, upRequest());
    this.state = "passive";
    return true;
  }

  detach(): void {
    this.#port = undefined;
    this.state = "active";
  }

  receive({ kind, id, payload }: MessageRecord): string | undefined {
    if (kind === RecordKind.completions) this.#count(payload);
    else if (kind === RecordKind.reply && id === configure.id) this.#port?.send(RecordKind.request, getLink.id, 2, getLink.args.encode({}));
    else if (kind === RecordKind.reply && id === getLink.id) {
      // A link that was up before the driver came is no event.
      const link = getLink.reply.decode(payload);
      if (link.ok && link.value.up) this.#told();
    } else if (kind === RecordKind.event && id === net.events.link.id) {
      const link = net.events.link.payload.decode(payload);
      if (link.ok && link.value.up) this.#told();
    }
    return undefined;
  }

  #count(payload: Uint8Array): void {
    const words = new Uint32Array(payload.slice().buffer);
    for (let at = completion.at.status; at < words.length; at += completion.words) {
      if (words[at] === TransmitStatus.ok) this.completed++;
      else this.refused++;
    }
  }

  giveUp(): void {
    this.state = "unavailable";
  }

  async probe(): Promise<void> {}

  close(): void {
    this.state = "closed";
  }
}
