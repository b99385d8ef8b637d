/** The frames of the net workload: numbered, of random content, with a checksum over all that must come back unchanged. */
import { crc32 } from "node:zlib";

/** IEEE 802 local experimental EtherType 1: the simulated peer "host" sends such frames back with their addresses swapped. */
const etherType = 0x88b5;
const macBytes = 6;

/** Offsets after the addresses: EtherType, session, number, size of the frame, checksum, then the content. */
const at = { etherType: 12, session: 14, number: 18, sizeBytes: 22, checksum: 24, content: 28 } as const;

/** The least a frame has on the wire, without check sequence: shorter ones come back padded. */
export const leastBytes = 60;

/** Random bytes from which the content of frames is cut. */
const poolBytes = 16_384;

export interface ProbeFrame {
  readonly number: number;
  readonly sizeBytes: number;
}

/** Makes and recognises the frames of one workload. */
export class ProbeFrames {
  readonly #pool: Uint8Array;
  readonly #random: () => number;
  readonly #session: number;

  constructor(random: () => number) {
    this.#random = random;
    this.#session = Math.floor(random() * 2 ** 32);
    this.#pool = Uint8Array.from({ length: poolBytes }, () => Math.floor(random() * 256));
  }

  make(destination: Uint8Array, source: Uint8Array, number: number, sizeBytes: number): Uint8Array {
    const frame = new Uint8Array(sizeBytes);
    const view = new DataView(frame.buffer);
    frame.set(destination, 0);
    frame.set(source, macBytes);
    view.setUint16(at.etherType, etherType);
    view.setUint32(at.session, this.#session);
    view.setUint32(at.number, number);
    view.setUint16(at.sizeBytes, sizeBytes);
    const from = Math.floor(this.#random() * (poolBytes - sizeBytes));
    frame.set(this.#pool.subarray(from, from + sizeBytes - at.content), at.content);
    view.setUint32(at.checksum, checksum(frame));
    return frame;
  }

  /** What came: a frame of ours, one that is damaged, or traffic of others (undefined). */
  recognise(frame: Uint8Array): ProbeFrame | "damaged" | undefined {
    if (frame.length < at.content) return undefined;
    const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
    if (view.getUint16(at.etherType) !== etherType) return undefined;
    const sizeBytes = view.getUint16(at.sizeBytes);
    const ours = view.getUint32(at.session) === this.#session;
    if (sizeBytes !== frame.length || view.getUint32(at.checksum) !== checksum(frame)) return "damaged";
    return ours ? { number: view.getUint32(at.number), sizeBytes } : undefined;
  }
}

/** Over everything but the addresses, which the far end swaps, and the checksum itself. */
function checksum(frame: Uint8Array): number {
  return crc32(frame.subarray(at.content), crc32(frame.subarray(at.etherType, at.checksum)));
}
