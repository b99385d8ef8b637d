/** A socket's bytes on demand, for the negotiation: so many at a time, and nothing read from the socket meanwhile. */
import type { Duplex } from "node:stream";

export class HandshakeStream {
  readonly socket: Duplex;
  #bytes: Buffer = Buffer.alloc(0);
  #ended = false;
  #wake: () => void = () => undefined;

  constructor(socket: Duplex) {
    this.socket = socket;
    socket.pause();
    socket.on("data", this.#receive).on("end", this.#end).on("close", this.#end);
  }

  /** Bytes that came and were not taken. */
  get buffered(): number {
    return this.#bytes.length;
  }

  /** Resolves to exactly this many bytes, or undefined when the client leaves before. One call at a time. */
  async take(sizeBytes: number): Promise<Buffer | undefined> {
    while (this.#bytes.length < sizeBytes) {
      if (this.#ended) return undefined;
      this.socket.resume();
      await new Promise<void>((resolve) => { this.#wake = resolve; });
      this.socket.pause();
    }
    const taken = this.#bytes.subarray(0, sizeBytes);
    this.#bytes = this.#bytes.subarray(sizeBytes);
    return taken;
  }

  /** Hands the socket on, paused; gives the bytes that were not taken. */
  detach(): Buffer {
    this.socket.pause();
    this.socket.off("data", this.#receive).off("end", this.#end).off("close", this.#end);
    this.#ended = true;
    this.#wake();
    return this.#bytes;
  }

  readonly #receive = (chunk: Buffer): void => {
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk]);
    this.#wake();
  };

  readonly #end = (): void => {
    this.#ended = true;
    this.#wake();
  };
}
