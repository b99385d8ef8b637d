/** The control socket's server: private to its user, and indifferent to whatever a client sends or does not send. */
import net from "node:net";
import { AirlockError, errorText } from "../../api/errors.ts";
import { jsonText } from "../output.ts";
import { type ClaimedSocket, claimSocket } from "./claim.ts";
import { LineSplitter } from "./line-splitter.ts";
import { type ControlReply, type ControlRequest, errorBody, parseRequest, requestMostBytes } from "./protocol.ts";

export interface ControlLimits {
  /** Connections at a time: people and their scripts, not a service. */
  readonly connections: number;
  /** How long a connection may be open without asking anything whole, or take to read its answer. */
  readonly idleMs: number;
  /** Requests of one connection that wait for the one before. */
  readonly queued: number;
  /** Requests that are none, after which a connection is closed: it is no client of ours. */
  readonly badRequests: number;
  /** Bytes a reader may be behind before it is dropped: 1000 log lines at their longest. */
  readonly unsentBytes: number;
}

export const standardLimits: ControlLimits = { connections: 32, idleMs: 30_000, queued: 16, badRequests: 8, unsentBytes: 4 * 1_048_576 };

/** One request being answered. */
export interface Answering {
  /** Sends one line before the result. False when the reader was too slow and has been dropped. */
  send(line: unknown): boolean;
  /** Aborted when the connection ends: nobody waits for the answer any more. */
  readonly ended: AbortSignal;
}

/** Answers one request; what it throws is the answer then. */
export type Handle = (request: ControlRequest, answering: Answering) => Promise<unknown>;

export interface ControlServerOptions {
  readonly socket: string;
  readonly handle: Handle;
  readonly limits?: Partial<ControlLimits>;
  /** For the log: what clients did that they should not do. */
  note?(text: string): void;
}

export class ControlServer {
  readonly #limits: ControlLimits;
  readonly #handle: Handle;
  readonly #note: (text: string) => void;
  readonly #connections = new Set<Connection>();
  readonly #server: net.Server;
  #claimed!: ClaimedSocket;
  #closing: Promise<void> | undefined;

  private constructor(options: ControlServerOptions) {
    this.#limits = { ...standardLimits, ...options.limits };
    this.#handle = options.handle;
    this.#note = options.note ?? (() => undefined);
    this.#server = net.createServer({ allowHalfOpen: true }, (socket) => this.#connected(socket));
    // A few more, so that those above the limit are told why they are refused.
    this.#server.maxConnections = this.#limits.connections + 8;
  }

  /** Listens. @throws AirlockError AddressInUse naming the pid that serves it, StateUnusable, InvalidArgument */
  static async listen(options: ControlServerOptions): Promise<ControlServer> {
    const server = new ControlServer(options);
    server.#claimed = await claimSocket(server.#server, options.socket);
    server.#server.on("error", (error) => server.#note(`control socket: ${error.message}`));
    return server;
  }

  /** Ends all connections and removes the socket; idempotent. */
  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  /** Removes the socket at once, for a process that is about to exit. */
  abandon(): void {
    this.#claimed.remove();
  }

  async #close(): Promise<void> {
    this.#claimed.remove();
    for (const connection of this.#connections) connection.destroy();
    await new Promise<void>((resolve) => { this.#server.close(() => resolve()); });
  }

  #connected(socket: net.Socket): void {
    if (this.#closing !== undefined) return void socket.destroy();
    socket.on("error", (error) => this.#note(`control socket: ${error.message}`));
    if (this.#connections.size >= this.#limits.connections) {
      const error = new AirlockError("QueueFull", `${this.#limits.connections} clients use the control socket already; end one first`);
      socket.setTimeout(this.#limits.idleMs, () => socket.destroy());
      socket.resume();
      return void socket.end(`${jsonText({ id: null, error: errorBody(error) })}\n`, () => socket.destroy());
    }
    const connection = new Connection(socket, this.#handle, this.#limits, this.#note);
    this.#connections.add(connection);
    socket.on("close", () => this.#connections.delete(connection));
  }
}

class Connection {
  readonly #socket: net.Socket;
  readonly #handle: Handle;
  readonly #limits: ControlLimits;
  readonly #note: (text: string) => void;
  readonly #ended = new AbortController();
  readonly #lines = new LineSplitter(requestMostBytes);
  readonly #queue: Uint8Array[] = [];
  #working = false;
  #halfClosed = false;
  #bad = 0;
  #idle: NodeJS.Timeout | undefined;

  constructor(socket: net.Socket, handle: Handle, limits: ControlLimits, note: (text: string) => void) {
    this.#socket = socket;
    this.#handle = handle;
    this.#limits = limits;
    this.#note = note;
    socket.on("data", (chunk) => this.#received(chunk));
    socket.on("end", () => this.#inputEnded());
    socket.on("close", () => {
      clearTimeout(this.#idle);
      this.#ended.abort();
    });
    this.#startIdle();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #received(chunk: Uint8Array): void {
    const lines = this.#lines.push(chunk);
    if (lines === undefined) return this.#refuse(`a request has at most ${requestMostBytes} bytes`);
    this.#queue.push(...lines);
    if (this.#queue.length > this.#limits.queued) return this.#refuse(`at most ${this.#limits.queued} requests may wait; read the answers first`);
    void this.#work();
  }

  /** A client that has said all it wants to (`nc -N`) still gets its answers; one that only listened is gone. */
  #inputEnded(): void {
    this.#halfClosed = true;
    this.#ended.abort();
    if (!this.#working) this.#socket.end(() => this.#socket.destroy());
  }

  /** Answers what is queued, one after the other. */
  async #work(): Promise<void> {
    if (this.#working) return;
    this.#working = true;
    clearTimeout(this.#idle);
    for (let line = this.#queue.shift(); line !== undefined && !this.#socket.destroyed; line = this.#queue.shift()) await this.#answer(line);
    this.#working = false;
    if (this.#socket.destroyed) return;
    this.#startIdle();
    if (this.#halfClosed) this.#socket.end(() => this.#socket.destroy());
  }

  async #answer(line: Uint8Array): Promise<void> {
    const parsed = parseRequest(line);
    if (!parsed.ok) {
      if (++this.#bad > this.#limits.badRequests) return this.#refuse("too many requests that are none");
      this.#reply({ id: parsed.id, error: errorBody(new AirlockError("InvalidArgument", parsed.reason)) });
      return this.#sent();
    }
    const { id } = parsed.request;
    const answering: Answering = { send: (one) => this.#reply({ id, line: one }), ended: this.#ended.signal };
    try {
      const result = await this.#handle(parsed.request, answering);
      this.#reply({ id, result: result ?? null });
    } catch (error) {
      this.#reply({ id, error: errorBody(error) });
    }
    return this.#sent();
  }

  /** False when the reader is too far behind and was dropped. */
  #reply(reply: ControlReply): boolean {
    const socket = this.#socket;
    if (socket.destroyed || !socket.writable) return false;
    if (socket.writableLength > this.#limits.unsentBytes) {
      this.#note(`control socket: a client does not read its answers; dropped`);
      socket.destroy();
      return false;
    }
    try {
      socket.write(`${jsonText(reply)}\n`);
    } catch (error) {
      // What cannot be written as JSON is a bug of ours, and no reason to end the daemon.
      this.#note(`control socket: an answer cannot be sent: ${errorText(error)}`);
      socket.destroy();
      return false;
    }
    return true;
  }

  /** Resolves when the answer is out of our memory, or the connection has ended. */
  async #sent(): Promise<void> {
    const socket = this.#socket;
    if (!socket.writableNeedDrain || socket.destroyed) return;
    const limit = setTimeout(() => socket.destroy(), this.#limits.idleMs);
    await new Promise<void>((resolve) => {
      const done = (): void => {
        socket.off("drain", done).off("close", done);
        resolve();
      };
      socket.on("drain", done).on("close", done);
    });
    clearTimeout(limit);
  }

  #refuse(reason: string): void {
    this.#note(`control socket: refused a client: ${reason}`);
    this.#socket.removeAllListeners("data");
    this.#queue.length = 0;
    this.#reply({ id: null, error: errorBody(new AirlockError("InvalidArgument", `${reason}; the connection is closed`)) });
    const socket = this.#socket;
    const limit = setTimeout(() => socket.destroy(), this.#limits.idleMs);
    socket.on("close", () => clearTimeout(limit));
    socket.resume();
    socket.end(() => socket.destroy());
  }

  #startIdle(): void {
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => this.#socket.destroy(), this.#limits.idleMs);
  }
}
