/** Cuts a byte stream into lines of bounded length, without holding more than one line and one chunk. */

export class LineSplitter {
  readonly #mostBytes: number;
  #parts: Uint8Array[] = [];
  #bytes = 0;

  constructor(mostBytes: number) {
    this.#mostBytes = mostBytes;
  }

  /** Whether a line has begun and not ended. */
  get partial(): boolean {
    return this.#bytes > 0;
  }

  /** The lines that end in this chunk, without their ends; undefined when one is too long, after which nothing is taken. */
  push(chunk: Uint8Array): Uint8Array[] | undefined {
    const lines: Uint8Array[] = [];
    let start = 0;
    for (let end = chunk.indexOf(0x0a); end >= 0; end = chunk.indexOf(0x0a, start)) {
      if (!this.#keep(chunk.subarray(start, end))) return undefined;
      lines.push(Buffer.concat(this.#parts));
      this.#parts = [];
      this.#bytes = 0;
      start = end + 1;
    }
    return this.#keep(chunk.subarray(start)) ? lines : undefined;
  }

  #keep(part: Uint8Array): boolean {
    this.#bytes += part.length;
    if (this.#bytes > this.#mostBytes) return false;
    if (part.length > 0) this.#parts.push(part);
    return true;
  }
}
