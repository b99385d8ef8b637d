/** A volume by bytes: requests in whole blocks go straight through, others are made of whole blocks by reading and writing back. */
import type { VolumeInfo, Volume } from "../../classes/block/volume.ts";
import type { Payloads } from "./payloads.ts";
import { maxPayloadBytes } from "./protocol.ts";
import type { HeldRange, RangeLock } from "./range-lock.ts";

/** Called once: with undefined, or with what went wrong. */
export type Done = (error: unknown) => void;

/**
 * One open volume with the lock of everybody who changes it through this export. Changes tell their end by a callback: a
 * promise for each would cost as much as everything else here.
 */
export class BlockAccess {
  readonly volume: Volume;
  readonly info: VolumeInfo;
  readonly #lock: RangeLock;
  readonly #payloads: Payloads;

  constructor(volume: Volume, info: VolumeInfo, lock: RangeLock, payloads: Payloads) {
    this.#payloads = payloads;
    this.volume = volume;
    this.info = info;
    this.#lock = lock;
  }

  isAligned(offset: number, sizeBytes: number): boolean {
    const { blockBytes } = this.info;
    return offset % blockBytes === 0 && sizeBytes % blockBytes === 0;
  }

  /** Up to `maxPayloadBytes`, anywhere within the volume. The data may be of `payloads`. */
  read(offset: number, sizeBytes: number): Promise<Uint8Array> {
    return this.isAligned(offset, sizeBytes) ? this.volume.read(offset, sizeBytes, this.#payloads.take(sizeBytes)) : this.#readPart(offset, sizeBytes);
  }

  write(offset: number, data: Uint8Array, fua: boolean, done: Done): void {
    if (this.isAligned(offset, data.length)) {
      return this.#change(offset, data.length, false, done, () => this.volume.write(offset, data, fua ? { fua: true } : undefined));
    }
    this.#change(offset, data.length, true, done, () => this.#writePart(offset, data, fua));
  }

  /** Any length within the volume. */
  writeZeroes(offset: number, sizeBytes: number, options: { readonly fua: boolean; readonly mayDiscard: boolean }, done: Done): void {
    const exclusive = !this.isAligned(offset, sizeBytes);
    this.#change(offset, sizeBytes, exclusive, done, async () => {
      const { head, first, end } = this.#inner(offset, sizeBytes);
      if (head > 0) await this.#patch(offset, new Uint8Array(head), options.fua);
      await pieces(first, end - first, (at, size) => this.volume.writeZeroes(at, size, options));
      const tail = offset + sizeBytes - end;
      if (tail > 0) await this.#patch(end, new Uint8Array(tail), options.fua);
    });
  }

  /** Blocks that are only partly in the range are left alone: discarding is advice. */
  discard(offset: number, sizeBytes: number, fua: boolean, done: Done): void {
    const { first, end } = this.#inner(offset, sizeBytes);
    this.#change(first, Math.max(0, end - first), false, done, async () => {
      await pieces(first, end - first, (at, size) => this.volume.discard(at, size));
      if (fua) await this.volume.flush();
    });
  }

  #change(offset: number, sizeBytes: number, exclusive: boolean, done: Done, work: () => Promise<void>): void {
    const { blockBytes } = this.info;
    const first = exclusive ? offset - (offset % blockBytes) : offset;
    const end = exclusive ? roundUp(offset + sizeBytes, blockBytes) : offset + sizeBytes;
    this.#lock.hold(first, end, exclusive, (held) => {
      work().then(() => this.#release(held, done, undefined), (error: unknown) => this.#release(held, done, error));
    });
  }

  #release(held: HeldRange, done: Done, error: unknown): void {
    this.#lock.release(held);
    done(error);
  }

  /** The whole blocks within a range, and how many bytes come before them. Without a whole block, all bytes come before. */
  #inner(offset: number, sizeBytes: number): { readonly head: number; readonly first: number; readonly end: number } {
    const { blockBytes } = this.info;
    const first = Math.min(roundUp(offset, blockBytes), offset + sizeBytes);
    const end = Math.max(first, offset + sizeBytes - ((offset + sizeBytes) % blockBytes));
    return { head: first - offset, first, end };
  }

  async #readPart(offset: number, sizeBytes: number): Promise<Uint8Array> {
    const { blockBytes } = this.info;
    const first = offset - (offset % blockBytes);
    const end = roundUp(offset + sizeBytes, blockBytes);
    const whole = await this.#readBlocks(first, end - first);
    return whole.subarray(offset - first, offset - first + sizeBytes);
  }

  /** The blocks around a request of the longest size are longer than the volume takes at once. */
  async #readBlocks(first: number, sizeBytes: number): Promise<Uint8Array> {
    if (sizeBytes <= maxPayloadBytes) return this.volume.read(first, sizeBytes);
    const whole = new Uint8Array(sizeBytes);
    await pieces(first, sizeBytes, async (at, size) => { whole.set(await this.volume.read(at, size), at - first); });
    return whole;
  }

  /** The blocks are held. */
  async #writePart(offset: number, data: Uint8Array, fua: boolean): Promise<void> {
    const { head, first, end } = this.#inner(offset, data.length);
    const tail = offset + data.length - end;
    if (head > 0) await this.#patch(offset, data.subarray(0, head), fua);
    if (end > first) await this.volume.write(first, data.subarray(head, head + end - first), { fua });
    if (tail > 0) await this.#patch(end, data.subarray(data.length - tail), fua);
  }

  /** Changes bytes within one block. */
  async #patch(offset: number, data: Uint8Array, fua: boolean): Promise<void> {
    const { blockBytes } = this.info;
    const first = offset - (offset % blockBytes);
    const old = await this.volume.read(first, blockBytes);
    old.set(data, offset - first);
    await this.volume.write(first, old, { fua });
  }
}

/** Does a long range in pieces the volume takes, one after the other. */
async function pieces(offset: number, sizeBytes: number, work: (offset: number, sizeBytes: number) => Promise<void>): Promise<void> {
  for (let at = 0; at < sizeBytes; at += maxPayloadBytes) await work(offset + at, Math.min(maxPayloadBytes, sizeBytes - at));
}

function roundUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}
