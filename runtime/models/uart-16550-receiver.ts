/** The receiver of the 16550A: FIFO with the errors of each character, overrun, trigger level and character timeout. */
import type { Clock } from "../api/clock.ts";
import { Lsr, fifoSize, triggerLevels } from "./uart-16550-registers.ts";

/** The timeout interrupt comes after so many character times without a new character or a read (8.11). */
const timeoutCharacters = 4;

interface Received {
  readonly byte: number;
  /** Parity, framing and break bits of this character. */
  errors: number;
}

/** Source: PC16550D 8.4 (line status), 8.5 and 8.11 (FIFO operation). */
export class UartReceiver {
  readonly #clock: Clock;
  readonly #characterMicros: () => number;
  readonly #changed: () => void;
  readonly #fifo: Received[] = [];
  #fifoOn = false;
  #trigger: number = triggerLevels[0];
  /** Error bits LSR shows until it is read: overrun, and those of the characters that were at the top since. */
  #errors = 0;
  /** What the receiver buffer returns when nothing new is there: the character it last held. */
  #last = 0;
  #timedOut = false;
  #cancelTimeout: () => void = () => undefined;
  #overruns = 0;
  #discarded = 0;

  constructor(clock: Clock, characterMicros: () => number, changed: () => void) {
    this.#clock = clock;
    this.#characterMicros = characterMicros;
    this.#changed = changed;
  }

  /** Characters lost because the receiver was full when they were complete. */
  get overruns(): number {
    return this.#overruns;
  }

  /** Characters received but cleared before they were read. */
  get discarded(): number {
    return this.#discarded;
  }

  /** The received-data interrupt's condition: the trigger level with FIFOs, one character without. */
  get dataAvailable(): boolean {
    return this.#fifo.length >= (this.#fifoOn ? this.#trigger : 1);
  }

  get timedOut(): boolean {
    return this.#timedOut;
  }

  /** The line status interrupt's condition. */
  get hasErrors(): boolean {
    return this.#errors !== 0;
  }

  /** LSR bits 0-4 and 7. */
  status(): number {
    const fifoError = this.#fifoOn && this.#fifo.some((received) => received.errors !== 0);
    return (this.#fifo.length > 0 ? Lsr.dataReady : 0) | this.#errors | (fifoError ? Lsr.fifoError : 0);
  }

  /** Reading LSR clears the errors it shows; bit 7 stays while a later character has one (8.4, bit 7). */
  clearErrors(): void {
    this.#errors = 0;
    if (this.#fifo.length > 0) this.#fifo[0]!.errors = 0;
  }

  accept(byte: number, errors: number): void {
    if (!this.#fifoOn && this.#fifo.length > 0) {
      // Without FIFOs the unread character is destroyed; with FIFOs the new one is lost in the shift register (8.4, OE).
      this.#fifo.length = 0;
      this.#overrun();
    }
    if (this.#fifo.length < fifoSize) {
      this.#fifo.push({ byte, errors });
      if (this.#fifo.length === 1) this.#show();
    } else {
      this.#overrun();
    }
    this.#restartTimeout();
    this.#changed();
  }

  /** Reads the receiver buffer. */
  take(): number {
    const received = this.#fifo.shift();
    if (received !== undefined) {
      this.#last = received.byte;
      this.#show();
    }
    this.#timedOut = false;
    this.#restartTimeout();
    return this.#last;
  }

  /** FCR bits 0 and 7-6; a change of mode clears the FIFO (8.5, bit 0). */
  configure(fifoOn: boolean, triggerCode: number): void {
    if (fifoOn !== this.#fifoOn) {
      this.#fifoOn = fifoOn;
      this.clear();
    }
    this.#trigger = triggerLevels[triggerCode & 3]!;
  }

  /** Empties the FIFO; a character still in the shift register is not touched (8.5, bit 1). */
  clear(): void {
    this.#discarded += this.#fifo.length;
    this.#fifo.length = 0;
    this.#timedOut = false;
    this.#cancelTimeout();
  }

  /** Master reset (table II). */
  reset(): void {
    this.configure(false, 0);
    this.clear();
    this.#errors = 0;
  }

  #overrun(): void {
    this.#overruns++;
    this.#errors |= Lsr.overrun;
  }

  /** Errors are revealed when their character comes to the top. */
  #show(): void {
    this.#errors |= this.#fifo[0]?.errors ?? 0;
  }

  #restartTimeout(): void {
    this.#cancelTimeout();
    if (!this.#fifoOn || this.#fifo.length === 0 || this.#timedOut) return;
    this.#cancelTimeout = this.#clock.setTimer(timeoutCharacters * this.#characterMicros(), () => {
      this.#timedOut = true;
      this.#changed();
    });
  }
}
