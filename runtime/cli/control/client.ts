/** The control socket's client, as the commands use it. */
import net from "node:net";
import { AirlockError } from "../../api/errors.ts";
import { LineSplitter } from "./line-splitter.ts";
import { type ControlReply, checkSocketPath, errorFrom, replyMostBytes, replySchema, type Wish } from "./protocol.ts";

/** How long a daemon may take to accept a connection: it is on this machine. */
const connectMs = 2_000;
/** How long an answer may take: a restart of a driver that starts slowly, and its teardown before. */
const answerMs = 20_000;

export interface RequestOptions {
  /** Takes what comes before the result. */
  onLine?(line: unknown): void;
  /** Infinity: until the daemon ends. */
  readonly limitMs?: number;
}

interface Waiting {
  readonly id: number;
  readonly onLine: (line: unknown) => void;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** One connection; requests one at a time. */
export class ControlClient {
  readonly #socket: net.Socket;
  readonly #lines = new LineSplitter(replyMostBytes);
  #waiting: Waiting | undefined;
  #nextId = 1;
  #ended: Error | undefined;

  private constructor(socket: net.Socket) {
    this.#socket = socket;
    socket.on("data", (chunk) => this.#received(chunk));
    socket.on("error", (error) => this.#end(gone(error)));
    socket.on("close", () => this.#end(gone()));
  }

  /** @throws AirlockError NotFound when nobody serves the socket, with the system's error as its cause; StateUnusable */
  static async connect(path: string, limitMs: number = connectMs): Promise<ControlClient> {
    checkSocketPath(path);
    const socket = net.connect(path);
    const limit = setTimeout(() => socket.destroy(new Error("it does not accept the connection")), limitMs);
    try {
      await new Promise<void>((resolve, reject) => {
        socket.once("connect", resolve);
        socket.once("error", reject);
      });
    } catch (cause) {
      const { code, message } = cause as NodeJS.ErrnoException;
      if (code === "ENOENT" || code === "ECONNREFUSED") {
        throw new AirlockError("NotFound", `no machine is running at ${path}; start one with \`airlock run <machine.yaml>\``, { path }, { cause });
      }
      throw new AirlockError("StateUnusable", `cannot connect to ${path}: ${message}; check that it is yours and that its daemon is alive`, { path }, { cause });
    } finally {
      clearTimeout(limit);
    }
    return new ControlClient(socket);
  }

  /** The result. @throws what the daemon answers, and AirlockError Closed when it ends before it answers */
  async request(wish: Wish, options: RequestOptions = {}): Promise<unknown> {
    if (this.#ended !== undefined) throw this.#ended;
    if (this.#waiting !== undefined) throw new AirlockError("QueueFull", "a request is being answered; wait for it");
    const id = this.#nextId++;
    const limitMs = options.limitMs ?? answerMs;
    const limit = limitMs === Infinity ? undefined : setTimeout(() => this.#end(new AirlockError("Closed", `the daemon did not answer within ${limitMs} ms`)), limitMs);
    try {
      return await new Promise<unknown>((resolve, reject) => {
        this.#waiting = { id, resolve, reject, onLine: (line) => options.onLine?.(line) };
        this.#socket.write(`${JSON.stringify({ id, ...wish })}\n`);
      });
    } finally {
      clearTimeout(limit);
      this.#waiting = undefined;
    }
  }

  close(): void {
    this.#end(new AirlockError("Closed", "the connection was closed"));
  }

  #received(chunk: Uint8Array): void {
    const lines = this.#lines.push(chunk);
    if (lines === undefined) return this.#end(new AirlockError("ProtocolViolation", "the daemon sent an answer that is too long"));
    for (const line of lines) this.#reply(line);
  }

  #reply(line: Uint8Array): void {
    const reply = parseReply(line);
    if (reply === undefined) return this.#end(new AirlockError("ProtocolViolation", "what answers at the control socket is not airlock"));
    const waiting = this.#waiting;
    // An error without an id is about the connection.
    if (waiting === undefined || (reply.id !== waiting.id && reply.id !== null)) return;
    if ("line" in reply) waiting.onLine(reply.line);
    else if ("error" in reply) waiting.reject(errorFrom({ ...reply.error, fields: reply.error.fields as Record<string, string | number | boolean> }));
    else waiting.resolve(reply.result);
  }

  #end(reason: Error): void {
    this.#ended ??= reason;
    this.#socket.destroy();
    this.#waiting?.reject(this.#ended);
  }
}

function parseReply(line: Uint8Array): ControlReply | undefined {
  try {
    const parsed = replySchema.safeParse(JSON.parse(Buffer.from(line).toString("utf8")));
    return parsed.success ? parsed.data : undefined;
  } catch {
    return undefined;
  }
}

function gone(cause?: Error): AirlockError {
  return new AirlockError("Closed", "the daemon closed the connection before it answered; it ended, or dropped a slow reader", {}, { cause });
}
