/** Fixed newstyle negotiation: the client's options up to the one that begins transmission (proto.md, "Fixed newstyle negotiation"). */
import type { HandshakeStream } from "./handshake-stream.ts";
import { parseInfoRequest, parseMetaQuery } from "./option-payloads.ts";
import {
  baseAllocation, Handshake, Info, Magic, maxPayloadBytes, maxTextBytes, Option, optionHeaderBytes, Rep, Transmission,
} from "./protocol.ts";

/** Longest data of an option: a name and a few queries, each of the longest. Nothing longer makes sense here. */
const maxOptionBytes = 8 * maxTextBytes;
/** Most options of one connection; the programs there are send fewer than ten. */
const maxOptions = 128;
/** What clients are asked to send at least for good speed. */
const preferredBytes = 4_096;

/** What a disk is to a client that chooses it. */
export interface Facts {
  readonly sizeBytes: number;
  readonly blockBytes: number;
  /** Transmission flags, but DF, which depends on what the client negotiates. */
  readonly flags: number;
}

export interface NegotiationServer {
  readonly name: string;
  readonly description: string | undefined;
  /** Whether TLS has to come first, is running, or is not offered. */
  readonly tls: "required" | "running" | "off";
  /** Waits for the disk, for a limited time. */
  facts(): Promise<Facts | undefined>;
}

export type Outcome =
  | { readonly kind: "serve"; readonly structured: boolean; readonly baseAllocation: boolean; readonly facts: Facts }
  | { readonly kind: "startTls" }
  /** The client is done, or left. */
  | { readonly kind: "gone" }
  | { readonly kind: "violation"; readonly reason: string };

/** Sends the greeting and serves options; after TLS was started, `greet` is false. The stream is not closed. */
export async function negotiate(stream: HandshakeStream, server: NegotiationServer, state: NegotiationState): Promise<Outcome> {
  if (!state.greeted) {
    const violation = await greet(stream, state);
    if (violation !== undefined) return violation;
  }
  const session = new Session(stream, server, state);
  while (state.options < maxOptions) {
    state.options++;
    const outcome = await session.next();
    if (outcome !== undefined) return outcome;
  }
  return { kind: "violation", reason: `more than ${maxOptions} options` };
}

/** What is kept of a negotiation when TLS starts; everything else is forgotten (proto.md, "NBD_OPT_STARTTLS"). */
export class NegotiationState {
  greeted = false;
  noZeroes = false;
  options = 0;
}

async function greet(stream: HandshakeStream, state: NegotiationState): Promise<Outcome | undefined> {
  const greeting = Buffer.alloc(18);
  words(greeting, 0, Magic.greeting);
  words(greeting, 8, Magic.option);
  greeting.writeUInt16BE(Handshake.fixedNewstyle | Handshake.noZeroes, 16);
  stream.socket.write(greeting);
  const answer = await stream.take(4);
  if (answer === undefined) return { kind: "gone" };
  const flags = answer.readUInt32BE(0);
  if ((flags & ~(Handshake.fixedNewstyle | Handshake.noZeroes)) !== 0) return { kind: "violation", reason: "unknown client flags" };
  state.noZeroes = (flags & Handshake.noZeroes) !== 0;
  state.greeted = true;
  return undefined;
}

/** The options of one connection, before or after TLS was started. */
class Session {
  readonly #stream: HandshakeStream;
  readonly #server: NegotiationServer;
  readonly #state: NegotiationState;
  #structured = false;
  #baseAllocation = false;

  constructor(stream: HandshakeStream, server: NegotiationServer, state: NegotiationState) {
    this.#stream = stream;
    this.#server = server;
    this.#state = state;
  }

  /** Serves one option; an outcome ends the negotiation. */
  async next(): Promise<Outcome | undefined> {
    const header = await this.#stream.take(optionHeaderBytes);
    if (header === undefined) return { kind: "gone" };
    if (header.readUInt32BE(0) !== Magic.option[0] || header.readUInt32BE(4) !== Magic.option[1]) {
      return { kind: "violation", reason: "wrong magic of an option" };
    }
    const option = header.readUInt32BE(8);
    const sizeBytes = header.readUInt32BE(12);
    if (sizeBytes > maxOptionBytes) {
      this.#refuse(option, Rep.errTooBig, `an option has at most ${maxOptionBytes} bytes`);
      return { kind: "violation", reason: "an option that is too long" };
    }
    const data = await this.#stream.take(sizeBytes);
    return data === undefined ? { kind: "gone" } : this.#option(option, data);
  }

  #option(option: number, data: Buffer): Outcome | undefined | Promise<Outcome | undefined> {
    if (option === Option.abort) {
      this.#reply(option, Rep.ack);
      return { kind: "gone" };
    }
    if (this.#server.tls === "required" && option !== Option.startTls) {
      if (option === Option.exportName) return { kind: "violation", reason: "an export asked for without TLS" };
      return this.#refuse(option, Rep.errTlsReqd, "this server wants TLS: send NBD_OPT_STARTTLS first");
    }
    switch (option) {
      case Option.exportName: return this.#exportName(data);
      case Option.info: return this.#info(option, data);
      case Option.go: return this.#info(option, data);
      case Option.listMetaContext: return this.#metaContext(option, data);
      case Option.setMetaContext: return this.#metaContext(option, data);
      case Option.list: case Option.startTls: case Option.structuredReply:
        return data.length > 0 ? this.#refuse(option, Rep.errInvalid, "this option has no data") : this.#bare(option);
      default: return this.#refuse(option, Rep.errUnsup, "this option is unknown here");
    }
  }

  /** Options without data. */
  #bare(option: number): Outcome | undefined {
    if (option === Option.structuredReply) {
      this.#structured = true;
      return this.#reply(option, Rep.ack);
    }
    if (option === Option.list) {
      const name = Buffer.from(this.#server.name);
      this.#reply(option, Rep.server, Buffer.concat([u32(name.length), name, Buffer.from(this.#server.description ?? "")]));
      return this.#reply(option, Rep.ack);
    }
    if (this.#server.tls === "running") return this.#refuse(option, Rep.errInvalid, "TLS is running");
    if (this.#server.tls === "off") return this.#refuse(option, Rep.errPolicy, "TLS is not configured");
    // Whatever came before TLS in plain text could have been put there by someone in between, as if the client had sent it.
    if (this.#stream.buffered > 0) return { kind: "violation", reason: "plain text after NBD_OPT_STARTTLS" };
    this.#reply(option, Rep.ack);
    return { kind: "startTls" };
  }

  async #exportName(data: Buffer): Promise<Outcome> {
    if (!this.#known(data.toString("utf8"))) return { kind: "violation", reason: "an export that does not exist" };
    const facts = await this.#server.facts();
    // This option has no way to say why.
    if (facts === undefined) return { kind: "gone" };
    const reply = Buffer.alloc(this.#state.noZeroes ? 10 : 134);
    reply.writeBigUInt64BE(BigInt(facts.sizeBytes), 0);
    reply.writeUInt16BE(this.#flags(facts), 8);
    this.#stream.socket.write(reply);
    return this.#serve(facts);
  }

  async #info(option: number, data: Buffer): Promise<Outcome | undefined> {
    const request = parseInfoRequest(data);
    if (request === undefined) return this.#refuse(option, Rep.errInvalid, "this is no information request");
    if (!this.#known(request.name)) return this.#refuse(option, Rep.errUnknown, `the export here is "${this.#server.name}"`);
    const facts = await this.#server.facts();
    if (facts === undefined) return this.#refuse(option, Rep.errPlatform, "the disk is away; its driver is held or does not start");
    const size = Buffer.alloc(12);
    size.writeUInt16BE(Info.export, 0);
    size.writeBigUInt64BE(BigInt(facts.sizeBytes), 2);
    size.writeUInt16BE(this.#flags(facts), 10);
    this.#reply(option, Rep.info, size);
    this.#reply(option, Rep.info, Buffer.concat([
      u16(Info.blockSize), u32(facts.blockBytes), u32(Math.max(preferredBytes, facts.blockBytes)), u32(maxPayloadBytes),
    ]));
    const { name, description } = this.#server;
    if (request.wanted.includes(Info.name)) this.#reply(option, Rep.info, Buffer.concat([u16(Info.name), Buffer.from(name)]));
    if (request.wanted.includes(Info.description) && description !== undefined) {
      this.#reply(option, Rep.info, Buffer.concat([u16(Info.description), Buffer.from(description)]));
    }
    this.#reply(option, Rep.ack);
    return option === Option.go ? this.#serve(facts) : undefined;
  }

  /** A query is a context's name, or for LIST a namespace with its colon; nothing asked for lists everything. */
  #metaContext(option: number, data: Buffer): undefined {
    const setting = option === Option.setMetaContext;
    if (setting) this.#baseAllocation = false;
    const query = parseMetaQuery(data);
    if (query === undefined) return this.#refuse(option, Rep.errInvalid, "this is no metadata context query");
    if (!this.#structured) return this.#refuse(option, Rep.errInvalid, "structured replies have to come first");
    if (!this.#known(query.name)) return this.#refuse(option, Rep.errUnknown, `the export here is "${this.#server.name}"`);
    const { name, id } = baseAllocation;
    const asked = query.queries.includes(name) || (!setting && (query.queries.length === 0 || query.queries.includes("base:")));
    if (asked) this.#reply(option, Rep.metaContext, Buffer.concat([u32(setting ? id : 0), Buffer.from(name)]));
    if (setting) this.#baseAllocation = asked;
    return this.#reply(option, Rep.ack);
  }

  #serve(facts: Facts): Outcome {
    return { kind: "serve", structured: this.#structured, baseAllocation: this.#baseAllocation, facts };
  }

  #known(name: string): boolean {
    return name === "" || name === this.#server.name;
  }

  #flags(facts: Facts): number {
    return facts.flags | (this.#structured ? Transmission.sendDf : 0);
  }

  #refuse(option: number, type: number, text: string): undefined {
    return this.#reply(option, type, Buffer.from(text));
  }

  #reply(option: number, type: number, data: Buffer = Buffer.alloc(0)): undefined {
    const header = Buffer.alloc(20);
    words(header, 0, Magic.optionReply);
    header.writeUInt32BE(option, 8);
    header.writeUInt32BE(type, 12);
    header.writeUInt32BE(data.length, 16);
    this.#stream.socket.write(Buffer.concat([header, data]));
  }
}

function words(into: Buffer, at: number, [high, low]: readonly [number, number]): void {
  into.writeUInt32BE(high, at);
  into.writeUInt32BE(low, at + 4);
}

function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
