/** Reads the binary format of WebAssembly from bytes that nobody checked yet; and writes it. */
import { AirlockError } from "../../api/errors.ts";

/** Bytes of the longest encoding of a 32-bit and of a 64-bit number; V8 refuses longer ones too. */
const longest32 = 5;
const longest64 = 10;
const decoder = new TextDecoder("utf-8", { fatal: true });

/** A place in a module. Every method throws BundleInvalid where the bytes end too early or say what cannot be. */
export class ByteReader {
  readonly bytes: Uint8Array;
  at: number;
  readonly end: number;

  constructor(bytes: Uint8Array, at = 0, end = bytes.length) {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
  }

  get atEnd(): boolean {
    return this.at >= this.end;
  }

  byte(): number {
    if (this.at >= this.end) throw malformed(this.at, "it ends in the middle of something");
    return this.bytes[this.at++]!;
  }

  skip(sizeBytes: number): void {
    if (sizeBytes > this.end - this.at) throw malformed(this.at, `${sizeBytes} bytes are announced, ${this.end - this.at} are there`);
    this.at += sizeBytes;
  }

  /** An unsigned number of 32 bits. */
  u32(): number {
    let value = 0;
    for (let count = 0; count < longest32; count++) {
      const byte = this.byte();
      value += (byte & 0x7f) * 2 ** (7 * count);
      if ((byte & 0x80) !== 0) continue;
      if (value > 0xffff_ffff) break;
      return value;
    }
    throw malformed(this.at, "a number has more than 32 bits");
  }

  /** A signed number of 32 bits, as an unsigned one. */
  s32(): number {
    let value = 0;
    for (let count = 0; count < longest32; count++) {
      const byte = this.byte();
      value |= (byte & 0x7f) << (7 * count);
      if ((byte & 0x80) !== 0) continue;
      if ((byte & 0x40) !== 0 && count < longest32 - 1) value |= -1 << (7 * (count + 1));
      return value >>> 0;
    }
    throw malformed(this.at, "a number has more than 32 bits");
  }

  /** Passes over a number of at most 32 (or 33) bits. */
  skip32(): void {
    this.#skipNumber(longest32);
  }

  skip64(): void {
    this.#skipNumber(longest64);
  }

  /** Bytes from here on; a view. */
  take(sizeBytes: number): Uint8Array {
    const from = this.at;
    this.skip(sizeBytes);
    return this.bytes.subarray(from, this.at);
  }

  name(): string {
    const from = this.at;
    try {
      return decoder.decode(this.take(this.u32()));
    } catch (cause) {
      if (cause instanceof AirlockError) throw cause;
      throw malformed(from, "a name is not UTF-8");
    }
  }

  /** A count of things that take at least a byte each. */
  count(): number {
    const count = this.u32();
    if (count > this.end - this.at) throw malformed(this.at, `${count} entries are announced in ${this.end - this.at} bytes`);
    return count;
  }

  #skipNumber(longest: number): void {
    for (let count = 0; count < longest; count++) if ((this.byte() & 0x80) === 0) return;
    throw malformed(this.at, "a number is too long");
  }
}

export function malformed(at: number, what: string): AirlockError {
  return new AirlockError("BundleInvalid", `not a valid WebAssembly module: at byte 0x${at.toString(16)} ${what}; build it anew`);
}

/** Bytes that are being put together. */
export class ByteWriter {
  #bytes: Uint8Array;
  #length = 0;

  constructor(capacity = 256) {
    this.#bytes = new Uint8Array(capacity);
  }

  get length(): number {
    return this.#length;
  }

  byte(value: number): void {
    this.#room(1);
    this.#bytes[this.#length++] = value;
  }

  bytes(values: Uint8Array | readonly number[]): void {
    this.#room(values.length);
    this.#bytes.set(values, this.#length);
    this.#length += values.length;
  }

  u32(value: number): void {
    let rest = value >>> 0;
    for (; rest >= 0x80; rest >>>= 7) this.byte((rest & 0x7f) | 0x80);
    this.byte(rest);
  }

  name(text: string): void {
    const bytes = new TextEncoder().encode(text);
    this.u32(bytes.length);
    this.bytes(bytes);
  }

  /** What was written; a view. */
  done(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  #room(more: number): void {
    if (this.#length + more <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(2 * this.#bytes.length, this.#length + more));
    larger.set(this.done());
    this.#bytes = larger;
  }
}

/** How many bytes a number takes. */
export function u32Bytes(value: number): number {
  let count = 1;
  for (let rest = value >>> 7; rest > 0; rest >>>= 7) count++;
  return count;
}
