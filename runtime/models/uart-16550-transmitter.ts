/** The transmitter of the 16550A: holding register or FIFO, shift register, and the transmitter-empty interrupt. */
import type { Clock } from "../api/clock.ts";
import type { FrameTimes } from "./uart-16550-frame.ts";
import { Lsr, fifoSize } from "./uart-16550-registers.ts";

/** Source: PC16550D 8.4 (THRE, TEMT), 8.6 (resetting the interrupt), 8.11 (FIFO operation). */
export class UartTransmitter {
  readonly #clock: Clock;
  readonly #times: () => FrameTimes;
  readonly #sent: (byte: number) => void;
  readonly #changed: () => void;
  readonly #fifo: number[] = [];
  #fifoOn = false;
  /** The character in the shift register. */
  #shifting: number | undefined;
  #holdingEmpty = true;
  #pending = false;
  /** Two characters were in the FIFO at once since THRE was last set, or the FIFOs were just switched (8.11). */
  #prompt = true;
  #cancelShift: () => void = () => undefined;
  #cancelEmpty: () => void = () => undefined;
  #overwritten = 0;

  constructor(clock: Clock, times: () => FrameTimes, sent: (byte: number) => void, changed: () => void) {
    this.#clock = clock;
    this.#times = times;
    this.#sent = sent;
    this.#changed = changed;
  }

  /** Characters written while there was no room. */
  get overwritten(): number {
    return this.#overwritten;
  }

  /** The transmitter-empty interrupt waits to be identified. */
  get pending(): boolean {
    return this.#pending;
  }

  /** LSR bits 5 and 6. */
  status(): number {
    const idle = this.#shifting === undefined && this.#fifo.length === 0;
    return (this.#holdingEmpty ? Lsr.transmitHoldingEmpty : 0) | (idle && this.#holdingEmpty ? Lsr.transmitterEmpty : 0);
  }

  /** Writes the holding register; clears the interrupt. */
  write(byte: number): void {
    this.#cancelEmpty();
    this.#pending = false;
    this.#holdingEmpty = false;
    if (this.#fifo.length >= (this.#fifoOn ? fifoSize : 1)) {
      this.#overwritten++;
      if (!this.#fifoOn) this.#fifo[0] = byte;
    } else {
      this.#fifo.push(byte);
    }
    if (this.#fifo.length > 1) this.#prompt = true;
    if (this.#shifting === undefined) this.#load();
  }

  /** Reading IIR while it names this interrupt clears it (table IV). */
  identified(): void {
    this.#pending = false;
  }

  /** The interrupt was enabled: it comes at once when the holding register is empty (8.4, bit 5). */
  enabled(): void {
    if (this.#holdingEmpty) this.#pending = true;
  }

  /** FCR bit 0; a change of mode clears the FIFO (8.5). */
  configure(fifoOn: boolean): void {
    if (fifoOn === this.#fifoOn) return;
    this.#fifoOn = fifoOn;
    this.clear();
    this.#prompt = true;
  }

  /** Empties the FIFO; the character in the shift register is finished (8.5, bit 2). */
  clear(): void {
    this.#fifo.length = 0;
    this.#cancelEmpty();
    if (!this.#holdingEmpty) this.#setEmpty();
  }

  /** Master reset (table II). */
  reset(): void {
    this.#cancelShift();
    this.#cancelEmpty();
    this.#fifoOn = false;
    this.#fifo.length = 0;
    this.#shifting = undefined;
    this.#holdingEmpty = true;
    this.#pending = false;
    this.#prompt = true;
  }

  /** Moves the next character to the shift register. */
  #load(): void {
    const byte = this.#fifo.shift();
    if (byte === undefined) return;
    this.#shifting = byte;
    const { characterMicros, lastStopMicros } = this.#times();
    this.#cancelShift = this.#clock.setTimer(characterMicros, () => this.#shifted());
    if (this.#fifo.length > 0) return;
    if (!this.#fifoOn || this.#prompt) this.#setEmpty();
    else this.#cancelEmpty = this.#clock.setTimer(characterMicros - lastStopMicros, () => this.#emptyLater());
  }

  /**
   * With FIFOs, the indication is delayed by a character less its last stop bit unless two characters were waiting at
   * once (8.11): a program that sends single characters would otherwise be interrupted twice for each.
   */
  #emptyLater(): void {
    this.#setEmpty();
    this.#changed();
  }

  #setEmpty(): void {
    this.#holdingEmpty = true;
    this.#pending = true;
    this.#prompt = false;
  }

  #shifted(): void {
    const byte = this.#shifting!;
    this.#shifting = undefined;
    this.#load();
    this.#sent(byte);
    this.#changed();
  }
}
