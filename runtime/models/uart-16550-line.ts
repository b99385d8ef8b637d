/** The wire into a 16550A: a bounded queue of characters that arrive one per character time. */
import type { Clock } from "../api/clock.ts";
import { serialLineBytes } from "../bus/device.ts";
import { Lsr } from "./uart-16550-registers.ts";

/** What the line needs to know of its UART. */
export interface LineEnd {
  /** Time one character takes now. */
  characterMicros(): number;
  /** Whether the far end may start a character: with flow control, while RTS is asserted. */
  mayStart(): boolean;
  /** A character has arrived whole; `errors` are line status bits. */
  arrived(byte: number, errors: number): void;
  /** The queue has room again after it was full. */
  hasRoom(): void;
}

export class SerialWire {
  readonly #clock: Clock;
  readonly #end: LineEnd;
  /** Ring of characters; the upper byte of an entry holds its line status bits. Made on first use. */
  #ring: Uint16Array | undefined;
  #first = 0;
  #count = 0;
  /** Damage to the next character that is queued. */
  #nextErrors = 0;
  #cancelArrival: (() => void) | undefined;
  /** The last `send` was cut short. */
  #wasFull = false;

  constructor(clock: Clock, end: LineEnd) {
    this.#clock = clock;
    this.#end = end;
  }

  /** Queues characters; returns how many there was room for. */
  send(bytes: Uint8Array): number {
    const taken = Math.min(bytes.length, serialLineBytes - this.#count);
    for (let at = 0; at < taken; at++) this.#put(bytes[at]!, 0);
    if (taken < bytes.length) this.#wasFull = true;
    this.start();
    return taken;
  }

  /**
   * A break is a character of its own: zero, without a stop bit (8.4, "BI"). A framing or parity error damages the next
   * character that is sent.
   */
  disturb(kind: "break" | "framing" | "parity"): void {
    if (kind === "framing") this.#nextErrors |= Lsr.framing;
    else if (kind === "parity") this.#nextErrors |= Lsr.parity;
    else if (this.#count < serialLineBytes) this.#put(0, Lsr.break | Lsr.framing);
    this.start();
  }

  /** Starts the next character when the wire is idle and the far end may send. Call it when RTS rises. */
  start(): void {
    if (this.#cancelArrival !== undefined || this.#count === 0 || !this.#end.mayStart()) return;
    this.#cancelArrival = this.#clock.setTimer(this.#end.characterMicros(), () => this.#arrive());
  }

  /** Takes everything off the wire; returns the number of characters lost. */
  clear(): number {
    const lost = this.#count;
    this.#cancelArrival?.();
    this.#cancelArrival = undefined;
    this.#count = 0;
    this.#nextErrors = 0;
    this.#wasFull = false;
    return lost;
  }

  #put(byte: number, errors: number): void {
    this.#ring ??= new Uint16Array(serialLineBytes);
    this.#ring[(this.#first + this.#count) % serialLineBytes] = byte | ((errors | this.#nextErrors) << 8);
    this.#nextErrors = 0;
    this.#count++;
  }

  #arrive(): void {
    const entry = this.#ring![this.#first]!;
    this.#first = (this.#first + 1) % serialLineBytes;
    this.#count--;
    this.#cancelArrival = undefined;
    // The next character starts right behind this one, before the UART's side can change anything.
    this.start();
    this.#end.arrived(entry & 0xff, entry >> 8);
    if (!this.#wasFull || this.#count > serialLineBytes / 2) return;
    this.#wasFull = false;
    this.#end.hasRoom();
  }
}
