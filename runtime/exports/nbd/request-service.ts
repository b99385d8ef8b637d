/** Performs one connection's requests on the volume and replies to each, in whatever order they end. */
import { errorText, isAirlockError } from "../../api/errors.ts";
import type { BlockAccess } from "./block-access.ts";
import { errnoOf } from "./errno.ts";
import type { Payloads } from "./payloads.ts";
import { baseAllocation, Chunk, Command, CommandFlag, Errno } from "./protocol.ts";
import type { Cookie, ReplyWriter } from "./reply-writer.ts";
import { refusal, type Request } from "./transmission.ts";

/** Longest explanation in an error reply. */
const maxMessageBytes = 256;
const highWord = 0x1_0000_0000;

export interface Negotiated {
  /** Reads are answered with structured replies. */
  readonly structured: boolean;
  /** Block status may be asked for. */
  readonly baseAllocation: boolean;
  /** The disk as the client was told. */
  readonly sizeBytes: number;
  readonly readOnly: boolean;
}

export interface ServiceDisk {
  /** The volume at present; undefined while there is none. */
  access(): BlockAccess | undefined;
  /** A call to that volume was rejected. */
  failed(access: BlockAccess, error: unknown): void;
  /** Calls `again` soon, or when the export closes. */
  retry(again: () => void): void;
}

export class RequestService {
  readonly #disk: ServiceDisk;
  readonly #negotiated: Negotiated;
  readonly #replies: ReplyWriter;
  readonly #payloads: Payloads;

  constructor(disk: ServiceDisk, negotiated: Negotiated, replies: ReplyWriter, payloads: Payloads) {
    this.#payloads = payloads;
    this.#disk = disk;
    this.#negotiated = negotiated;
    this.#replies = replies;
  }

  serve(request: Request): void {
    const refused = refusal(request, this.#negotiated);
    if (refused !== Errno.ok) return this.#fail(request, refused, "the request is outside the disk, or not allowed here");
    const access = this.#disk.access();
    if (access === undefined) return this.#fail(request, Errno.io, "the disk is away; its driver is held");
    const { type, flags, offset, sizeBytes } = request;
    const fua = (flags & CommandFlag.fua) !== 0;
    const done = (error: unknown): void => (error === undefined ? this.#ok(request) : this.#failed(request, access, error));
    switch (type) {
      case Command.read:
        access.read(offset, sizeBytes).then((data) => this.#data(request, data), done);
        return;
      case Command.write: return access.write(offset, request.data!, fua, done);
      case Command.flush:
        access.volume.flush().then(() => this.#ok(request), done);
        return;
      case Command.trim: return this.#trim(request, access, fua, done);
      case Command.writeZeroes: return this.#writeZeroes(request, access, fua, done);
      default: return this.#blockStatus(request);
    }
  }

  #trim(request: Request, access: BlockAccess, fua: boolean, done: (error: unknown) => void): void {
    if (!access.info.discard) return this.#fail(request, Errno.notsup, "the device cannot discard");
    access.discard(request.offset, request.sizeBytes, fua, done);
  }

  /** "NBD_CMD_FLAG_FAST_ZERO": zeroing by the device is fast, parts of blocks are not. */
  #writeZeroes(request: Request, access: BlockAccess, fua: boolean, done: (error: unknown) => void): void {
    const { flags, offset, sizeBytes } = request;
    if (!access.info.writeZeroes) return this.#fail(request, Errno.notsup, "the device cannot write zeroes");
    if ((flags & CommandFlag.fastZero) !== 0 && !access.isAligned(offset, sizeBytes)) {
      return this.#fail(request, Errno.notsup, "zeroing parts of blocks is not fast");
    }
    access.writeZeroes(offset, sizeBytes, { fua, mayDiscard: (flags & CommandFlag.noHole) === 0 }, done);
  }

  /** Nobody knows which blocks are allocated: all of them count as data. */
  #blockStatus(request: Request): void {
    const { sizeBytes } = request;
    if (!this.#negotiated.baseAllocation) return this.#fail(request, Errno.inval, "no metadata context was negotiated");
    if (sizeBytes === 0) return this.#fail(request, Errno.inval, "no length was given");
    this.#replies.chunk(Chunk.blockStatus, request, request.chargedBytes, [baseAllocation.id, sizeBytes, 0]);
  }

  #data(request: Request, data: Uint8Array): void {
    const { offset, sizeBytes, chargedBytes } = request;
    if (!this.#negotiated.structured) return this.#replies.simple(Errno.ok, request, chargedBytes, data);
    if (sizeBytes === 0) return this.#replies.chunk(Chunk.none, request, chargedBytes, []);
    this.#replies.chunk(Chunk.offsetData, request, chargedBytes, [Math.floor(offset / highWord), offset % highWord], data);
  }

  /** The volume is done with the data of a write that succeeded; of others it may not be. */
  #ok(request: Request): void {
    if (request.data !== undefined) this.#payloads.give(request.data);
    this.#replies.simple(Errno.ok, request, request.chargedBytes);
  }

  /** A volume that is full with calls of all its clients takes this one later: to NBD clients that is no error. */
  #failed(request: Request, access: BlockAccess, error: unknown): void {
    if (isAirlockError(error, "QueueFull")) return this.#disk.retry(() => this.serve(request));
    this.#disk.failed(access, error);
    this.#fail(request, errnoOf(error), errorText(error));
  }

  /** Where structured replies are negotiated, reads must fail with one, and a text for people fits in. */
  #fail(request: Request & Cookie, errno: Errno, text: string): void {
    if (!this.#negotiated.structured) return this.#replies.simple(errno, request, request.chargedBytes);
    const message = Buffer.from(text).subarray(0, maxMessageBytes);
    const data = Buffer.alloc(2 + message.length);
    data.writeUInt16BE(message.length);
    data.set(message, 2);
    this.#replies.chunk(Chunk.error, request, request.chargedBytes, [errno], data);
  }
}
