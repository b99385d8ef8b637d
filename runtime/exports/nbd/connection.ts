/** One client: negotiation, TLS, transmission, and the deadlines that keep a slow or silent one from holding anything. */
import type { Duplex } from "node:stream";
import { errorText } from "../../api/errors.ts";
import type { SharedBudget } from "./budget.ts";
import { HandshakeStream } from "./handshake-stream.ts";
import { type Facts, type NegotiationServer, NegotiationState, negotiate, type Outcome } from "./negotiation.ts";
import type { Payloads } from "./payloads.ts";
import { Transmission as Flag } from "./protocol.ts";
import { ReplyWriter } from "./reply-writer.ts";
import { RequestService, type ServiceDisk } from "./request-service.ts";
import type { TlsServer } from "./tls.ts";
import { Transmission } from "./transmission.ts";

/** From connecting to the first request may take this many sweeps, TLS included; programs take milliseconds. */
const handshakeSweeps = 15;
/** A write's data, or a batch of replies, may take this many sweeps, and one more for each so many bytes: a slow link, not a stopped one. */
const transferSweeps = 30;
const bytesPerSweep = 256 * 1024;

export interface ConnectionServer extends ServiceDisk {
  readonly name: string;
  readonly description: string | undefined;
  readonly tls: TlsServer | undefined;
  readonly budget: SharedBudget;
  readonly payloads: Payloads;
  facts(): Promise<Facts | undefined>;
  /** The client broke the protocol or a deadline and is cut off. `kind` is one of a few words. */
  cutOff(kind: string, reason: string): void;
  /** The socket is closed and nothing is in flight: once. */
  gone(connection: Connection): void;
}

export class Connection {
  readonly #server: ConnectionServer;
  readonly #raw: Duplex;
  #socket: Duplex;
  #transmission: Transmission | undefined;
  #replies: ReplyWriter | undefined;
  #stream: HandshakeStream | undefined;
  #closed = false;
  #left = false;
  #cut = false;
  /** No more requests are taken; the socket closes when all are answered. */
  #finishing = false;
  /** Sweeps since the connection was made, or since what is watched last moved on. */
  #negotiatingSweeps = 0;
  readonly #received = new Stall();
  readonly #sent = new Stall();

  constructor(socket: Duplex, server: ConnectionServer) {
    this.#server = server;
    this.#raw = this.#socket = socket;
    socket.on("error", () => this.destroy());
    socket.on("close", () => this.#close());
    this.#run().catch((error: unknown) => this.cut("handshake", errorText(error)));
  }

  /** Called once a second: cuts off a client that keeps something waiting for too long. */
  sweep(): void {
    if (this.#closed) return;
    if (this.#transmission === undefined) {
      if (++this.#negotiatingSweeps > handshakeSweeps) this.cut("slow", "its negotiation took too long");
      return;
    }
    const receiving = this.#transmission.receiving;
    const stuck = this.#replies?.stuck;
    if (this.#received.tooLong(receiving?.payload, receiving?.sizeBytes)) this.cut("slow", "the data of a write did not come");
    else if (this.#sent.tooLong(stuck?.batch, stuck?.sizeBytes)) this.cut("slow", "it did not take its replies");
  }

  /** Takes no more requests and disconnects when those in flight are answered. */
  finish(): void {
    if (this.#finishing) return;
    this.#finishing = true;
    this.#transmission?.close();
    this.#finishIfIdle();
  }

  /** Disconnects at once; what is in flight at the volume ends unheard. */
  destroy(): void {
    // At once, not when the socket has closed: what waits for room must not be served into a socket that is going.
    this.#transmission?.close();
    this.#replies?.close();
    this.#raw.destroy();
  }

  /** The same, with a line in the log. */
  cut(kind: string, reason: string): void {
    if (this.#cut) return;
    this.#cut = true;
    this.#server.cutOff(kind, reason);
    // What has been written, such as an error reply, may still go out; what has not been taken is dropped.
    this.#socket.end();
    this.destroy();
  }

  async #run(): Promise<void> {
    const state = new NegotiationState();
    let outcome = await this.#negotiate(state, this.#server.tls === undefined ? "off" : "required");
    if (outcome.kind === "startTls") {
      this.#socket = await this.#server.tls!.upgrade(this.#raw);
      this.#socket.on("error", () => this.destroy());
      this.#socket.on("close", () => this.destroy());
      outcome = await this.#negotiate(state, "running");
    }
    switch (outcome.kind) {
      case "serve": return this.#serve(outcome);
      case "violation": return this.cut("protocol", outcome.reason);
      default: this.#socket.end(() => this.destroy());
    }
  }

  async #negotiate(state: NegotiationState, tls: NegotiationServer["tls"]): Promise<Outcome> {
    const { name, description } = this.#server;
    this.#stream = new HandshakeStream(this.#socket);
    const outcome = await negotiate(this.#stream, { name, description, tls, facts: () => this.#server.facts() }, state);
    if (outcome.kind === "startTls") this.#stream.detach();
    return outcome;
  }

  #serve({ structured, baseAllocation, facts }: Extract<Outcome, { kind: "serve" }>): void {
    const rest = this.#stream!.detach();
    this.#stream = undefined;
    if (this.#closed || this.#finishing) return this.destroy();
    const socket = this.#socket;
    const negotiated = { structured, baseAllocation, sizeBytes: facts.sizeBytes, readOnly: (facts.flags & Flag.readOnly) !== 0 };
    const replies = (this.#replies = new ReplyWriter(socket, this.#server.payloads, (requests, sizeBytes) => {
      transmission.release(requests, sizeBytes);
      if (this.#finishing || this.#closed) this.#finishIfIdle();
    }));
    const service = new RequestService(this.#server, negotiated, replies, this.#server.payloads);
    const transmission = (this.#transmission = new Transmission(this.#server.budget, this.#server.payloads, {
      request: (request) => service.serve(request),
      disconnect: () => this.finish(),
      violation: (reason) => this.cut("protocol", reason),
      flow: (wanted) => void (wanted ? socket.resume() : socket.pause()),
    }));
    socket.on("data", (chunk: Buffer) => transmission.receive(chunk));
    // A client that closes its sending side has nothing to say any more; it still gets its replies.
    socket.on("end", () => this.finish());
    socket.resume();
    if (rest.length > 0) transmission.receive(rest);
  }

  #finishIfIdle(): void {
    const inFlight = this.#transmission?.inFlight ?? 0;
    if (inFlight > 0) return;
    if (this.#closed) {
      if (this.#left) return;
      this.#left = true;
      this.#server.gone(this);
    } else if (!this.#raw.destroyed) this.#socket.end(() => this.destroy());
  }

  #close(): void {
    this.#closed = true;
    this.#stream?.detach();
    this.#transmission?.close();
    this.#replies?.close();
    this.#finishIfIdle();
  }
}

/** How long something with a number has been the same. */
class Stall {
  #what: number | undefined;
  #sweeps = 0;

  tooLong(what: number | undefined, sizeBytes = 0): boolean {
    if (what === undefined || what !== this.#what) this.#sweeps = 0;
    this.#what = what;
    return what !== undefined && ++this.#sweeps > transferSweeps + sizeBytes / bytesPerSweep;
  }
}
