/** The transmission phase of one connection: requests parsed from chunks as they come, within the budget (proto.md, "Transmission"). */
import { Budget, type SharedBudget } from "./budget.ts";
import type { Payloads } from "./payloads.ts";
import { Command, CommandFlag, Errno, Magic, maxPayloadBytes, requestBytes } from "./protocol.ts";
import type { Cookie } from "./reply-writer.ts";

/** A chunk stays in memory with data that is part of it: data that is much shorter is copied out. A full chunk of 64 KiB with writes of 4 KiB is not. */
const keepRatio = 16;

export interface Request extends Cookie {
  readonly type: number;
  readonly flags: number;
  /** NaN when it is beyond what any disk has. */
  readonly offset: number;
  readonly sizeBytes: number;
  /** Payload of a write: of `Payloads`, or a part of what came from the socket. */
  readonly data: Uint8Array | undefined;
  /** What it was charged with; to be given back. */
  readonly chargedBytes: number;
}

export interface TransmissionEvents {
  /** A request is complete. Its charge is given back with `release`. */
  request(request: Request): void;
  /** The client said goodbye: nothing more is taken. */
  disconnect(): void;
  /** What came is no request; nothing more is taken. */
  violation(reason: string): void;
  /** Whether more bytes are wanted from the socket. */
  flow(wanted: boolean): void;
}

interface Header {
  type: number;
  flags: number;
  high: number;
  low: number;
  offset: number;
  sizeBytes: number;
}

export class Transmission {
  readonly #events: TransmissionEvents;
  readonly #budget: Budget;
  readonly #memory: Payloads;
  /** Received and not parsed: what is left when the budget ran out. */
  readonly #waiting: Buffer[] = [];
  /** A header of which only a part has come. */
  readonly #partial = Buffer.alloc(requestBytes);
  #partialBytes = 0;
  readonly #header: Header = { type: 0, flags: 0, high: 0, low: 0, offset: 0, sizeBytes: 0 };
  /** What comes next: a header, or the rest of a write's data; or a header was read that the budget has no room for. */
  #state: "header" | "blocked" | "payload" | "closed" = "header";
  #payload: Uint8Array | undefined;
  #payloadBytes = 0;
  #payloads = 0;
  #parsing = false;

  constructor(shared: SharedBudget, payloads: Payloads, events: TransmissionEvents) {
    this.#memory = payloads;
    this.#events = events;
    this.#budget = new Budget(shared, () => this.#resume());
  }

  /** Requests whose replies have not been taken. */
  get inFlight(): number {
    return this.#budget.requests;
  }

  /** Number and size of the write whose data is still coming; undefined when there is none. */
  get receiving(): { readonly payload: number; readonly sizeBytes: number } | undefined {
    return this.#state === "payload" ? { payload: this.#payloads, sizeBytes: this.#header.sizeBytes } : undefined;
  }

  receive(chunk: Buffer): void {
    if (this.#state === "closed") return;
    if (this.#waiting.length > 0 || this.#parsing || this.#state === "blocked") {
      this.#waiting.push(chunk);
      return;
    }
    this.#parse(chunk);
  }

  /** Gives back what requests were charged. */
  release(requests: number, sizeBytes: number): void {
    if (requests > 0) this.#budget.give(requests, sizeBytes);
  }

  /** Nothing is taken any more; an unfinished write is given up. Idempotent. */
  close(): void {
    if (this.#state === "closed") return;
    const unfinished = this.#state === "payload";
    this.#state = "closed";
    this.#waiting.length = 0;
    this.#payload = undefined;
    this.#budget.close();
    if (unfinished) this.#budget.give(1, charge(this.#header));
  }

  #resume(): void {
    if (this.#state !== "blocked" || this.#parsing) return;
    const chunk = this.#waiting.shift() ?? Buffer.alloc(0);
    this.#parse(chunk);
    while (this.#waiting.length > 0 && this.#takes()) this.#parse(this.#waiting.shift()!);
    if (this.#takes()) this.#events.flow(true);
  }

  /** Whether bytes can be parsed now. A request that is served may change it. */
  #takes(): boolean {
    return this.#state === "header" || this.#state === "payload";
  }

  #parse(chunk: Buffer): void {
    this.#parsing = true;
    let at = 0;
    for (;;) {
      if (this.#state === "blocked" && !this.#begin()) break;
      if (this.#state === "payload") {
        at = this.#takePayload(chunk, at);
        if (this.#state === "payload") break;
      }
      if (this.#state !== "header" || at >= chunk.length) break;
      at = this.#takeHeader(chunk, at);
    }
    this.#parsing = false;
    if (this.#state !== "blocked") return;
    if (at < chunk.length) this.#waiting.unshift(chunk.subarray(at));
    this.#events.flow(false);
  }

  /** Takes a header, or as much of it as there is; returns where it ends. */
  #takeHeader(chunk: Buffer, at: number): number {
    if (this.#partialBytes === 0 && chunk.length - at >= requestBytes) {
      this.#decode(chunk, at);
      return at + requestBytes;
    }
    const taken = Math.min(requestBytes - this.#partialBytes, chunk.length - at);
    this.#partial.set(chunk.subarray(at, at + taken), this.#partialBytes);
    this.#partialBytes += taken;
    if (this.#partialBytes === requestBytes) {
      this.#partialBytes = 0;
      this.#decode(this.#partial, 0);
    }
    return at + taken;
  }

  #decode(bytes: Uint8Array, at: number): void {
    const header = this.#header;
    if (get32(bytes, at) !== Magic.request) return this.#violation("wrong magic of a request");
    const word = get32(bytes, at + 4);
    header.flags = word >>> 16;
    header.type = word & 0xffff;
    header.high = get32(bytes, at + 8);
    header.low = get32(bytes, at + 12);
    const offsetHigh = get32(bytes, at + 16);
    // Above 2^53 numbers are not exact, and no disk is that long.
    header.offset = offsetHigh < 0x20_0000 ? offsetHigh * 0x1_0000_0000 + get32(bytes, at + 20) : Number.NaN;
    header.sizeBytes = get32(bytes, at + 24);
    if (header.type === Command.write && header.sizeBytes > maxPayloadBytes) return this.#violation("a write that is too long");
    if (header.type === Command.disconnect) {
      this.#state = "closed";
      this.#waiting.length = 0;
      this.#budget.close();
      this.#events.flow(true);
      return this.#events.disconnect();
    }
    this.#state = "blocked";
  }

  /** Charges the request of the header; false when it has to wait. */
  #begin(): boolean {
    const header = this.#header;
    if (!this.#budget.take(charge(header))) return false;
    this.#state = "header";
    if (header.type === Command.write && header.sizeBytes > 0) {
      this.#state = "payload";
      this.#payloadBytes = 0;
      this.#payloads++;
    } else this.#complete(header.type === Command.write ? new Uint8Array(0) : undefined);
    return true;
  }

  #takePayload(chunk: Buffer, at: number): number {
    const { sizeBytes } = this.#header;
    const there = chunk.length - at;
    if (this.#payloadBytes === 0 && there >= sizeBytes) {
      const within = chunk.subarray(at, at + sizeBytes);
      this.#state = "header";
      this.#complete(chunk.length > keepRatio * sizeBytes ? new Uint8Array(within) : within);
      return at + sizeBytes;
    }
    if (there === 0) return at;
    const payload = (this.#payload ??= this.#memory.take(sizeBytes));
    const taken = Math.min(there, sizeBytes - this.#payloadBytes);
    payload.set(chunk.subarray(at, at + taken), this.#payloadBytes);
    this.#payloadBytes += taken;
    if (this.#payloadBytes === sizeBytes) {
      this.#state = "header";
      this.#payload = undefined;
      this.#complete(payload);
    }
    return at + taken;
  }

  #complete(data: Uint8Array | undefined): void {
    const { type, flags, high, low, offset, sizeBytes } = this.#header;
    this.#events.request({ type, flags, high, low, offset, sizeBytes, data, chargedBytes: charge(this.#header) });
  }

  #violation(reason: string): void {
    this.close();
    this.#events.violation(reason);
  }
}

/** Memory a request takes: itself and its data, going in or coming out. */
function charge({ type, sizeBytes }: Pick<Header, "type" | "sizeBytes">): number {
  const data = type === Command.write || (type === Command.read && sizeBytes <= maxPayloadBytes) ? sizeBytes : 0;
  return requestBytes + data;
}

function get32(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}

/** Why a request is refused before the volume sees it; `ok` when it is not. */
export function refusal(
  request: Pick<Request, "type" | "flags" | "offset" | "sizeBytes">, disk: { readonly sizeBytes: number; readonly readOnly: boolean },
): Errno {
  const { type, flags, offset, sizeBytes } = request;
  const allowed = allowedFlags[type];
  if (allowed === undefined || (flags & ~(allowed | CommandFlag.fua)) !== 0) return Errno.inval;
  const changes = type === Command.write || type === Command.trim || type === Command.writeZeroes;
  if (changes && disk.readOnly) return Errno.perm;
  if (type === Command.flush) return Errno.ok;
  // A comparison with NaN is false.
  if (!(offset + sizeBytes <= disk.sizeBytes)) return type === Command.write || type === Command.writeZeroes ? Errno.nospc : Errno.inval;
  if (type === Command.read && sizeBytes > maxPayloadBytes) return Errno.inval;
  return Errno.ok;
}

/** Flags of each command besides FUA, which is allowed everywhere ("Command flags"). */
const allowedFlags: Readonly<Record<number, number>> = {
  [Command.read]: CommandFlag.dontFragment,
  [Command.write]: 0,
  [Command.flush]: 0,
  [Command.trim]: 0,
  [Command.writeZeroes]: CommandFlag.noHole | CommandFlag.fastZero,
  [Command.blockStatus]: CommandFlag.reqOne,
};
