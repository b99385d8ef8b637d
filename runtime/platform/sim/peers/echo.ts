/** The peer "echo": sends every character back, in order. Its modem says ready as long as it is plugged in. */
import { type SerialLine, type SerialPeer, serialLineBytes } from "../../../bus/device.ts";
import type { PeerDefinition } from "./peer.ts";

/** Characters kept while the line's queue is full; beyond them the newest are dropped, as a real echo's buffer would. */
export const echoBufferBytes = serialLineBytes;

class EchoPeer implements SerialPeer {
  #line: SerialLine | undefined;
  /** What the line's queue had no room for; empty nearly always. */
  #waiting: number[] = [];

  connect(line: SerialLine): void {
    this.#line = line;
    line.inputs({ cts: true, dsr: true, ri: false, dcd: true });
  }

  receive(byte: number): void {
    if (this.#waiting.length === 0 && this.#line?.send(Uint8Array.of(byte)) === 1) return;
    if (this.#waiting.length < echoBufferBytes) this.#waiting.push(byte);
  }

  /** Flow control is the line's affair: an echo looks at no signal. */
  outputs(): void {}

  ready(): void {
    const taken = this.#line?.send(Uint8Array.from(this.#waiting)) ?? 0;
    this.#waiting = this.#waiting.slice(taken);
  }
}

const echo: PeerDefinition = { name: "echo", createSerial: () => new EchoPeer() };

export default echo;
