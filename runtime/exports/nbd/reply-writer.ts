/** Outgoing replies of one connection: gathered for a turn of the event loop, written at once, one batch after the other. */
import type { Duplex } from "node:stream";
import type { Payloads } from "./payloads.ts";
import { Chunk, chunkHeaderBytes, Magic, simpleReplyBytes } from "./protocol.ts";

/** Headers and short data of one batch: 31 replies of 4 KiB. A larger batch takes a second block. Memory only as it is filled. */
const blockBytes = 128 * 1024;
/** Data up to this is copied beside its header: cheaper than one more buffer in the write. */
const copyBytes = 16 * 1024;

/** A request's handle (proto.md: "cookie"), which its reply repeats; any two numbers. */
export interface Cookie {
  readonly high: number;
  readonly low: number;
}

export class ReplyWriter {
  readonly #socket: Duplex;
  readonly #payloads: Payloads;
  readonly #written: (requests: number, sizeBytes: number) => void;
  /** Buffers of the batch being gathered, before the open run of `#block`. */
  #pieces: Uint8Array[] = [];
  /** Data among them. */
  #data: Uint8Array[] = [];
  #block: Buffer | undefined;
  #spare: Buffer | undefined;
  #runStart = 0;
  #at = 0;
  /** What the gathered batch and the one being written stand for. */
  #gathered = { requests: 0, bytes: 0 };
  #underWay: { requests: number; bytes: number; block: Buffer | undefined; data: readonly Uint8Array[] } | undefined;
  #scheduled = false;
  #closed = false;
  /** Counts batches, to see whether one is stuck. */
  #batches = 0;

  /**
   * Replies' data is given to `payloads` when the system has taken it. `written` is called with the requests and bytes that were charged
   * for replies the system has taken, or that will never be sent.
   */
  constructor(socket: Duplex, payloads: Payloads, written: (requests: number, sizeBytes: number) => void) {
    this.#socket = socket;
    this.#payloads = payloads;
    this.#written = written;
  }

  /** Number of the batch the client has not taken yet, and its bytes; undefined when it has taken everything. */
  get stuck(): { readonly batch: number; readonly sizeBytes: number } | undefined {
    return this.#underWay === undefined ? undefined : { batch: this.#batches, sizeBytes: this.#underWay.bytes };
  }

  /** Whether nothing waits to be written. */
  get idle(): boolean {
    return this.#underWay === undefined && this.#gathered.requests === 0;
  }

  /** A simple reply; `chargedBytes` is what the request was charged with. */
  simple(errno: number, { high, low }: Cookie, chargedBytes: number, data?: Uint8Array): void {
    const block = this.#room(simpleReplyBytes);
    const at = this.#at;
    put32(block, at, Magic.simpleReply);
    put32(block, at + 4, errno);
    put32(block, at + 8, high);
    put32(block, at + 12, low);
    this.#at = at + simpleReplyBytes;
    if (data !== undefined) this.#append(data);
    this.#done(chargedBytes);
  }

  /** A structured reply of one chunk, with `body` and then `data` as its payload. */
  chunk(type: number, { high, low }: Cookie, chargedBytes: number, body: readonly number[], data?: Uint8Array): void {
    const block = this.#room(chunkHeaderBytes + 4 * body.length);
    const at = this.#at;
    put32(block, at, Magic.structuredReply);
    put32(block, at + 4, Chunk.done * 0x1_0000 + type);
    put32(block, at + 8, high);
    put32(block, at + 12, low);
    put32(block, at + 16, 4 * body.length + (data?.length ?? 0));
    for (let index = 0; index < body.length; index++) put32(block, at + chunkHeaderBytes + 4 * index, body[index]!);
    this.#at = at + chunkHeaderBytes + 4 * body.length;
    if (data !== undefined) this.#append(data);
    this.#done(chargedBytes);
  }

  /** Nothing is sent any more; everything charged is given back. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    const { requests, bytes } = this.#gathered;
    const underWay = this.#underWay ?? { requests: 0, bytes: 0 };
    // The data is left to the garbage collector: the system may still be reading it.
    this.#pieces = [];
    this.#data = [];
    this.#block = this.#spare = this.#underWay = undefined;
    this.#gathered = { requests: 0, bytes: 0 };
    this.#written(requests + underWay.requests, bytes + underWay.bytes);
  }

  /** Makes sure that the block has room for a header. */
  #room(sizeBytes: number): Buffer {
    if (this.#block !== undefined && this.#at + sizeBytes <= blockBytes) return this.#block;
    this.#endRun();
    this.#block = this.#spare ?? Buffer.allocUnsafeSlow(blockBytes);
    this.#spare = undefined;
    this.#at = this.#runStart = 0;
    return this.#block;
  }

  #append(data: Uint8Array): void {
    if (data.length <= copyBytes && this.#at + data.length <= blockBytes) {
      this.#block!.set(data, this.#at);
      this.#at += data.length;
      this.#payloads.give(data);
      return;
    }
    this.#endRun();
    if (data.length === 0) return;
    this.#pieces.push(data);
    this.#data.push(data);
  }

  #endRun(): void {
    if (this.#block !== undefined && this.#at > this.#runStart) this.#pieces.push(this.#block.subarray(this.#runStart, this.#at));
    this.#runStart = this.#at;
  }

  #done(chargedBytes: number): void {
    if (this.#closed) {
      this.#at = this.#runStart = 0;
      this.#pieces = [];
      this.#data = [];
      return this.#written(1, chargedBytes);
    }
    this.#gathered.requests++;
    this.#gathered.bytes += chargedBytes;
    if (this.#scheduled || this.#underWay !== undefined) return;
    this.#scheduled = true;
    // Runs when all promises that are settled by now have been served: the replies of one turn go out together.
    process.nextTick(this.#flush);
  }

  readonly #flush = (): void => {
    this.#scheduled = false;
    if (this.#closed || this.#underWay !== undefined || this.#gathered.requests === 0) return;
    this.#endRun();
    const pieces = this.#pieces;
    this.#pieces = [];
    this.#underWay = { ...this.#gathered, block: this.#block, data: this.#data };
    this.#data = [];
    this.#gathered = { requests: 0, bytes: 0 };
    this.#block = undefined;
    this.#batches++;
    if (pieces.length === 1) {
      this.#socket.write(pieces[0], this.#taken);
      return;
    }
    this.#socket.cork();
    for (let index = 0; index < pieces.length - 1; index++) this.#socket.write(pieces[index]);
    this.#socket.write(pieces.at(-1), this.#taken);
    this.#socket.uncork();
  };

  readonly #taken = (error?: Error | null): void => {
    if (error !== undefined && error !== null) return this.close();
    const underWay = this.#underWay;
    if (underWay === undefined) return;
    this.#underWay = undefined;
    this.#spare ??= underWay.block;
    for (const data of underWay.data) this.#payloads.give(data);
    if (this.#gathered.requests > 0) this.#flush();
    this.#written(underWay.requests, underWay.bytes);
  };
}

function put32(into: Uint8Array, at: number, value: number): void {
  into[at] = value >>> 24;
  into[at + 1] = value >>> 16;
  into[at + 2] = value >>> 8;
  into[at + 3] = value;
}
