/** A small NBD client: reads and writes an export over a Unix socket, several requests at once. Source: the NBD project's doc/proto.md. */
import { once } from "node:events";
import net from "node:net";
import { AirlockError, errorText } from "../../api/errors.ts";

const greetingBytes = 18;
const optionMagic = 0x4948_4156_454f_5054n;
const optionReplyBytes = 20;
const optionGo = 7;
const replyAck = 1;
const replyInfo = 3;
const firstErrorReply = 0x8000_0000;
const infoExport = 0;
/** Fixed newstyle, and no zeroes after the negotiation. */
const clientFlags = 3;
const requestMagic = 0x2560_9513;
const simpleReplyMagic = 0x6744_6698;
const requestHeaderBytes = 28;
const replyHeaderBytes = 16;
/** Longest answer to the one option that is asked. */
const mostReplyBytes = 65_536;

const Command = { read: 0, write: 1, disconnect: 2, flush: 3 } as const;

/** A server that says nothing for this long has gone; a driver that is restarted answers well before. */
const silenceMs = 60_000;

interface Waiting {
  readonly sizeBytes: number;
  resolve(data: Buffer): void;
  reject(error: Error): void;
}

export class NbdClient {
  readonly sizeBytes: number;
  readonly #socket: net.Socket;
  readonly #input: Input;
  readonly #waiting = new Map<bigint, Waiting>();
  #nextCookie = 1n;

  private constructor(socket: net.Socket, input: Input, sizeBytes: number) {
    this.#socket = socket;
    this.#input = input;
    this.sizeBytes = sizeBytes;
    void this.#receive();
  }

  /** Connects and chooses the export. @throws AirlockError HardwareLost with the server's reason */
  static async connect(socketPath: string, exportName: string): Promise<NbdClient> {
    const socket = net.connect(socketPath);
    await once(socket, "connect");
    socket.setTimeout(silenceMs, () => socket.destroy(new Error(`the server said nothing for ${silenceMs} ms`)));
    const input = new Input(socket);
    await input.take(greetingBytes);
    const name = Buffer.from(exportName);
    const asked = Buffer.alloc(4 + 16 + 4 + name.length + 2);
    asked.writeUInt32BE(clientFlags, 0);
    asked.writeBigUInt64BE(optionMagic, 4);
    asked.writeUInt32BE(optionGo, 12);
    asked.writeUInt32BE(4 + name.length + 2, 16);
    asked.writeUInt32BE(name.length, 20);
    name.copy(asked, 24);
    socket.write(asked);
    return new NbdClient(socket, input, await negotiated(input));
  }

  read(offset: number, sizeBytes: number): Promise<Buffer> {
    return this.#request(Command.read, offset, sizeBytes, sizeBytes);
  }

  async write(offset: number, data: Uint8Array): Promise<void> {
    await this.#request(Command.write, offset, data.length, 0, data);
  }

  async flush(): Promise<void> {
    await this.#request(Command.flush, 0, 0, 0);
  }

  close(): void {
    this.#socket.end(header(Command.disconnect, 0n, 0, 0));
    this.#socket.destroySoon();
  }

  #request(command: number, offset: number, sizeBytes: number, answerBytes: number, data?: Uint8Array): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const cookie = this.#nextCookie++;
      this.#waiting.set(cookie, { sizeBytes: answerBytes, resolve, reject });
      this.#socket.cork();
      this.#socket.write(header(command, cookie, offset, sizeBytes));
      if (data !== undefined) this.#socket.write(data);
      this.#socket.uncork();
    });
  }

  async #receive(): Promise<void> {
    try {
      for (;;) {
        const reply = await this.#input.take(replyHeaderBytes);
        const waiting = this.#waiting.get(reply.readBigUInt64BE(8));
        if (reply.readUInt32BE(0) !== simpleReplyMagic || waiting === undefined) throw lost("an answer that nobody asked for");
        this.#waiting.delete(reply.readBigUInt64BE(8));
        const errno = reply.readUInt32BE(4);
        if (errno === 0) waiting.resolve(await this.#input.take(waiting.sizeBytes));
        else waiting.reject(lost(`error ${errno}`));
      }
    } catch (error) {
      for (const { reject } of this.#waiting.values()) reject(error instanceof Error ? error : lost(errorText(error)));
      this.#waiting.clear();
      this.#socket.destroy();
    }
  }
}

/** The export's size, once the server has acknowledged. */
async function negotiated(input: Input): Promise<number> {
  for (let sizeBytes = -1; ;) {
    const reply = await input.take(optionReplyBytes);
    const type = reply.readUInt32BE(12);
    const length = reply.readUInt32BE(16);
    if (length > mostReplyBytes) throw lost(`an answer of ${length} bytes to an option`);
    const data = await input.take(length);
    if (type >= firstErrorReply) throw lost(`the export was refused: ${data.toString("utf8") || `reply 0x${type.toString(16)}`}`);
    if (type === replyInfo && data.readUInt16BE(0) === infoExport) sizeBytes = Number(data.readBigUInt64BE(2));
    else if (type === replyAck && sizeBytes >= 0) return sizeBytes;
  }
}

function header(command: number, cookie: bigint, offset: number, sizeBytes: number): Buffer {
  const bytes = Buffer.alloc(requestHeaderBytes);
  bytes.writeUInt32BE(requestMagic, 0);
  bytes.writeUInt16BE(command, 6);
  bytes.writeBigUInt64BE(cookie, 8);
  bytes.writeBigUInt64BE(BigInt(offset), 16);
  bytes.writeUInt32BE(sizeBytes, 24);
  return bytes;
}

/** The stream as a queue of bytes. */
class Input {
  readonly #socket: net.Socket;
  #chunks: Buffer[] = [];
  #length = 0;
  #wake: () => void = () => undefined;
  #ended: Error | undefined;

  constructor(socket: net.Socket) {
    this.#socket = socket;
    socket.on("data", (chunk: Buffer) => { this.#chunks.push(chunk); this.#length += chunk.length; this.#wake(); });
    socket.on("error", (error) => this.#end(lost(error.message)));
    socket.on("close", () => this.#end(lost("it ended the connection")));
  }

  async take(sizeBytes: number): Promise<Buffer> {
    while (this.#length < sizeBytes) {
      if (this.#ended !== undefined) throw this.#ended;
      await new Promise<void>((resolve) => { this.#wake = resolve; });
    }
    const all = this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks);
    this.#chunks = all.length > sizeBytes ? [all.subarray(sizeBytes)] : [];
    this.#length -= sizeBytes;
    return all.subarray(0, sizeBytes);
  }

  #end(error: Error): void {
    this.#ended ??= error;
    this.#wake();
    this.#socket.destroy();
  }
}

function lost(what: string): AirlockError {
  return new AirlockError("HardwareLost", `the NBD server: ${what}`);
}
