/** Frames over QEMU's stream socket: each after its length, 4 bytes, big endian. Source: QEMU net/net.c, net_fill_rstate. */
import type net from "node:net";

/** The longest frame that QEMU's net layer carries (NET_BUFSIZE); a longer one is not the protocol. */
const maxFrameBytes = 4_096 + 65_536;

const lengthBytes = 4;

/** Frames waiting for the socket to take them; beyond this they are lost, as on a wire that is busy. */
const maxQueuedBytes = 1_048_576;

/** The far end of a network card. Whoever sends it anything but frames is cut off. */
export class StreamFrames {
  readonly #socket: net.Socket;
  readonly #receive: (frame: Uint8Array) => void;
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  /** Frames that had no room. */
  dropped = 0;

  /** `receive` gets each frame; the bytes are its own. */
  constructor(socket: net.Socket, receive: (frame: Uint8Array) => void) {
    this.#socket = socket;
    this.#receive = receive;
    socket.on("data", (chunk: Buffer) => this.#take(chunk));
  }

  /** False when the card takes frames so slowly that this one is lost. */
  send(frame: Uint8Array): boolean {
    if (frame.length === 0 || frame.length > maxFrameBytes || this.#socket.destroyed) return false;
    if (this.#socket.writableLength + frame.length > maxQueuedBytes) {
      this.dropped++;
      return false;
    }
    const bytes = Buffer.allocUnsafe(lengthBytes + frame.length);
    bytes.writeUInt32BE(frame.length, 0);
    bytes.set(frame, lengthBytes);
    this.#socket.write(bytes);
    return true;
  }

  #take(chunk: Buffer): void {
    this.#waiting.push(chunk);
    this.#waitingBytes += chunk.length;
    if (this.#waitingBytes < lengthBytes) return;
    let bytes = this.#waiting.length === 1 ? chunk : Buffer.concat(this.#waiting, this.#waitingBytes);
    while (bytes.length >= lengthBytes) {
      const length = bytes.readUInt32BE(0);
      if (length > maxFrameBytes) {
        this.#socket.destroy();
        bytes = Buffer.alloc(0);
        break;
      }
      if (bytes.length < lengthBytes + length) break;
      // A frame of no bytes tells nothing.
      if (length > 0) this.#receive(Uint8Array.from(bytes.subarray(lengthBytes, lengthBytes + length)));
      bytes = bytes.subarray(lengthBytes + length);
    }
    this.#waiting = bytes.length > 0 ? [bytes] : [];
    this.#waitingBytes = bytes.length;
  }
}
