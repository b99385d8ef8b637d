/** What an NVMe namespace's blocks are kept in, and the one that keeps them in memory. */

/** Non-volatile contents. Offsets and sizes are multiples of the block size and within `sizeBytes`; the callers check. */
export interface NvmeStore {
  readonly sizeBytes: number;
  /** Whether what was discarded reads as zeros. */
  readonly discardsToZeros: boolean;
  /** Bytes from `offset`, at most `limitBytes` and at least a block; valid until the next call. Undefined: it cannot be read. */
  readable(offset: number, limitBytes: number): Uint8Array | undefined;
  /** Where to put bytes that are to be at `offset`, at most `limitBytes` and at least a block; `written` follows. */
  writable(offset: number, limitBytes: number): Uint8Array;
  /** The first `bytes` of the last `writable` are there now. False: they could not be written. */
  written(bytes: number): boolean;
  /** The range is not needed any more. */
  discard(offset: number, sizeBytes: number): void;
  /** Makes the range read as zeros. False: it could not be written. */
  zero(offset: number, sizeBytes: number): boolean;
  /** All that was written is safe. False: it may not be. */
  sync(): boolean;
  /** Lets go of what it has open; the next access opens it again. */
  close(): void;
}

/** Memory is taken in pieces of this size, when something is written there. */
const chunkBytes = 65_536;

/** A chunk that nobody wrote to: never written itself. */
const untouched = new Uint8Array(chunkBytes);

/** Blocks in memory, sparse: what was never written costs nothing. */
export class NvmeRamStore implements NvmeStore {
  readonly sizeBytes: number;
  readonly discardsToZeros = true;
  readonly #chunks: (Uint8Array | undefined)[] = [];

  constructor(sizeBytes: number) {
    this.sizeBytes = sizeBytes;
  }

  readable(offset: number, limitBytes: number): Uint8Array {
    return part(this.#chunks[Math.floor(offset / chunkBytes)] ?? untouched, offset % chunkBytes, limitBytes);
  }

  writable(offset: number, limitBytes: number): Uint8Array {
    return part((this.#chunks[Math.floor(offset / chunkBytes)] ??= new Uint8Array(chunkBytes)), offset % chunkBytes, limitBytes);
  }

  written(): boolean {
    return true;
  }

  discard(offset: number, sizeBytes: number): void {
    // Chunks are numbered up to the highest written: beyond there is nothing to do.
    const end = Math.min(offset + sizeBytes, this.#chunks.length * chunkBytes);
    for (let at = offset; at < end;) {
      const index = Math.floor(at / chunkBytes);
      const from = at % chunkBytes;
      const to = Math.min(chunkBytes, from + end - at);
      if (to - from === chunkBytes) this.#chunks[index] = undefined;
      else this.#chunks[index]?.fill(0, from, to);
      at += to - from;
    }
  }

  zero(offset: number, sizeBytes: number): boolean {
    this.discard(offset, sizeBytes);
    return true;
  }

  sync(): boolean {
    return true;
  }

  close(): void {
    // Memory has nothing open.
  }
}

function part(chunk: Uint8Array, from: number, limitBytes: number): Uint8Array {
  return chunk.subarray(from, Math.min(chunkBytes, from + limitBytes));
}
