/** The journal's own memory: the data of its entries, copied, in one piece that is allocated once and filled as it is needed. */
import { Extents, pageBytes } from "./extents.ts";

/** Where an entry's data lies. */
export interface JournalPlace {
  readonly offset: number;
  readonly data: Uint8Array;
}

export class JournalMemory {
  readonly #extents: Extents;
  readonly #bytes: Uint8Array;

  /** `sizeBytes`: at least a page of 4096 bytes. */
  constructor(sizeBytes: number) {
    this.#extents = new Extents(sizeBytes, 1);
    this.#bytes = new Uint8Array(sizeBytes);
  }

  /** Whole pages, so more than the data has. */
  get takenBytes(): number {
    return this.#extents.takenBytes;
  }

  /** Copies `data`; undefined when there is no room in one piece. */
  put(data: Uint8Array): JournalPlace | undefined {
    if (data.length > this.#extents.largestBytes) return undefined;
    const offset = this.#extents.take(data.length);
    if (offset < 0) return undefined;
    const copy = this.#bytes.subarray(offset, offset + data.length);
    copy.set(data);
    return { offset, data: copy };
  }

  give(place: JournalPlace): void {
    this.#extents.give(place.offset);
  }

  /** Whether `data` fits where other data lies that is given back first. */
  fits(place: JournalPlace, data: Uint8Array): boolean {
    return Math.ceil(data.length / pageBytes) <= Math.ceil(place.data.length / pageBytes);
  }
}
