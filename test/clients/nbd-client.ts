/** A bare NBD client for tests: sends exactly the bytes it is told, well-formed or not, and takes replies apart. */
import { once } from "node:events";
import net from "node:net";
import { Chunk, Command, Magic, Option, Rep } from "../../runtime/exports/nbd/protocol.ts";
import { Inbox } from "./client.ts";

const replyMs = 10_000;

/** One reply to a request; of a structured one, its only chunk. */
export interface Reply {
  readonly cookie: bigint;
  readonly errno: number;
  readonly data: Buffer;
}

export interface RequestFields {
  readonly type: number;
  readonly flags?: number;
  readonly cookie?: bigint;
  readonly offset?: bigint | number;
  readonly sizeBytes?: number;
  readonly magic?: number;
  readonly data?: Uint8Array;
}

/** A request's bytes. */
export function requestBytesOf({ type, flags = 0, cookie = 1n, offset = 0, sizeBytes = 0, magic = Magic.request, data }: RequestFields): Buffer {
  const header = Buffer.alloc(28);
  header.writeUInt32BE(magic, 0);
  header.writeUInt16BE(flags, 4);
  header.writeUInt16BE(type, 6);
  header.writeBigUInt64BE(cookie, 8);
  header.writeBigUInt64BE(BigInt(offset), 16);
  header.writeUInt32BE(sizeBytes, 24);
  return data === undefined ? header : Buffer.concat([header, data]);
}

/** An option's bytes. `sizeBytes`: the length it claims. */
export function optionBytesOf(
  option: number, data: Uint8Array = Buffer.alloc(0), sizeBytes = data.length, magic: readonly [number, number] = Magic.option,
): Buffer {
  const header = Buffer.alloc(16);
  header.writeUInt32BE(magic[0], 0);
  header.writeUInt32BE(magic[1], 4);
  header.writeUInt32BE(option, 8);
  header.writeUInt32BE(sizeBytes, 12);
  return Buffer.concat([header, data]);
}

/** Data of INFO and GO. */
export function infoData(name: string, wanted: readonly number[] = []): Buffer {
  const bytes = Buffer.from(name);
  const data = Buffer.alloc(4 + bytes.length + 2 + 2 * wanted.length);
  data.writeUInt32BE(bytes.length, 0);
  data.set(bytes, 4);
  data.writeUInt16BE(wanted.length, 4 + bytes.length);
  wanted.forEach((type, index) => data.writeUInt16BE(type, 6 + bytes.length + 2 * index));
  return data;
}

/** Data of LIST_META_CONTEXT and SET_META_CONTEXT. */
export function metaData(name: string, queries: readonly string[]): Buffer {
  const text = (value: string): Buffer => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(Buffer.byteLength(value));
    return Buffer.concat([length, Buffer.from(value)]);
  };
  const count = Buffer.alloc(4);
  count.writeUInt32BE(queries.length);
  return Buffer.concat([text(name), count, ...queries.map(text)]);
}

export interface OpenOptions {
  readonly structured?: boolean;
  /** Asks for base:allocation. */
  readonly meta?: boolean;
  readonly name?: string;
}

export class NbdClient implements AsyncDisposable {
  readonly socket: net.Socket;
  readonly inbox = new Inbox();
  structured = false;
  #cookie = 1n;

  private constructor(socket: net.Socket) {
    this.socket = socket;
    socket.on("data", this.inbox.put).on("error", () => socket.destroy());
  }

  /** Connects to a Unix socket; nothing is said yet. */
  static async connect(path: string): Promise<NbdClient> {
    const client = new NbdClient(net.connect(path));
    await once(client.socket, "connect");
    return client;
  }

  /** Connects and goes into transmission. */
  static async open(path: string, options: OpenOptions = {}): Promise<NbdClient> {
    const client = await NbdClient.connect(path);
    await client.greet();
    if (options.structured === true) {
      await client.option(Option.structuredReply);
      client.structured = true;
    }
    if (options.meta === true) await client.option(Option.setMetaContext, metaData(options.name ?? "", ["base:allocation"]));
    const replies = await client.option(Option.go, infoData(options.name ?? ""));
    if (replies.at(-1)?.type !== Rep.ack) throw new Error(`GO was refused: ${JSON.stringify(replies)}`);
    return client;
  }

  async greet(flags = 3): Promise<void> {
    await this.#take(18);
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(flags);
    this.socket.write(bytes);
  }

  /** Sends an option and takes its replies, up to the one that ends them. */
  async option(option: number, data?: Uint8Array): Promise<{ readonly type: number; readonly data: Buffer }[]> {
    this.socket.write(optionBytesOf(option, data));
    const replies: { type: number; data: Buffer }[] = [];
    for (;;) {
      const header = await this.#take(20);
      const type = header.readUInt32BE(12);
      replies.push({ type, data: await this.#take(header.readUInt32BE(16)) });
      if (header.readUInt32BE(8) !== option) throw new Error(`a reply to option ${header.readUInt32BE(8)}, not to ${option}`);
      if (type === Rep.ack || type >= 0x8000_0000) return replies;
    }
  }

  /** Sends a request and takes the next reply; only for one request at a time. */
  async request(fields: RequestFields): Promise<Reply> {
    const cookie = fields.cookie ?? this.#cookie++;
    this.socket.write(requestBytesOf({ ...fields, cookie }));
    const reply = await this.reply(fields.type === Command.read ? (fields.sizeBytes ?? 0) : 0);
    if (reply.cookie !== cookie) throw new Error(`a reply to ${reply.cookie}, not to ${cookie}`);
    return reply;
  }

  /** The next reply; `readBytes`: the length of the read it is for, which a simple reply does not say. */
  async reply(readBytes = 0): Promise<Reply> {
    const magic = (await this.#take(4)).readUInt32BE(0);
    if (magic === Magic.simpleReply) {
      const rest = await this.#take(12);
      const errno = rest.readUInt32BE(0);
      return { cookie: rest.readBigUInt64BE(4), errno, data: await this.#take(errno === 0 ? readBytes : 0) };
    }
    if (magic !== Magic.structuredReply) throw new Error(`no reply begins with ${magic.toString(16)}`);
    const rest = await this.#take(16);
    const payload = await this.#take(rest.readUInt32BE(12));
    const type = rest.readUInt16BE(2);
    const errno = type === Chunk.error ? payload.readUInt32BE(0) : 0;
    return { cookie: rest.readBigUInt64BE(4), errno, data: type === Chunk.offsetData ? payload.subarray(8) : payload };
  }

  async #take(sizeBytes: number): Promise<Buffer> {
    if (this.inbox.peek().length >= sizeBytes) return this.inbox.take(sizeBytes, replyMs);
    if (this.socket.closed) throw new Error("the server closed the connection");
    const left = new AbortController();
    const gone = once(this.socket, "close", { signal: left.signal }).then(() => {
      if (this.inbox.peek().length >= sizeBytes) return this.inbox.take(sizeBytes, replyMs);
      throw new Error("the server closed the connection");
    });
    try {
      return await Promise.race([this.inbox.take(sizeBytes, replyMs), gone]);
    } finally {
      left.abort();
      gone.catch(() => undefined);
    }
  }

  /** Resolves when the server has closed the connection. */
  async closed(): Promise<void> {
    if (!this.socket.closed) await once(this.socket, "close");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = this.closed();
    this.socket.destroy();
    await closed;
  }
}

/** A well-behaved client writes a block and reads it back. @throws Error when it cannot */
export async function servesWell(path: string): Promise<void> {
  await using client = await NbdClient.open(path, { structured: true, meta: true });
  const data = Buffer.alloc(4096, 0x5a);
  const wrote = await client.request({ type: Command.write, offset: 8192, sizeBytes: data.length, data });
  const read = await client.request({ type: Command.read, offset: 8192, sizeBytes: data.length });
  const flushed = await client.request({ type: Command.flush });
  if (wrote.errno !== 0 || read.errno !== 0 || flushed.errno !== 0 || !read.data.equals(data)) throw new Error("a well-behaved client is not served");
}
