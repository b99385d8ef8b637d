/** The receiving half: empties the FIFO into one event per interrupt and counts what went wrong on the line. */
import type { DriverContext, RegisterWindow } from "airlock/driver";
import type { serial } from "airlock/driver/serial";
import { Lsr, Offset } from "./registers.ts";

/** Most bytes in one received event, by the contract. */
const maxEventBytes = 256;

export class Receiver {
  readonly #context: DriverContext<typeof serial>;
  readonly #regs: RegisterWindow;
  readonly #bytes = new Uint8Array(maxEventBytes);
  #length = 0;
  #errors = { overruns: 0, framing: 0, parity: 0, breaks: 0 };
  #hasErrors = false;

  constructor(context: DriverContext<typeof serial>) {
    this.#context = context;
    this.#regs = context.window("regs");
  }

  /** Reads the line status, and keeps what the read clears in the device. */
  status(): number {
    const lsr = this.#regs.read8(Offset.lineStatus);
    if ((lsr & Lsr.errors) !== 0) {
      this.#hasErrors = true;
      if ((lsr & Lsr.overrun) !== 0) this.#errors.overruns++;
      if ((lsr & Lsr.break) !== 0) this.#errors.breaks++;
      else if ((lsr & Lsr.framing) !== 0) this.#errors.framing++;
      if ((lsr & Lsr.parity) !== 0) this.#errors.parity++;
    }
    return lsr;
  }

  /**
   * Takes what the FIFO holds; what is more than one event stays for the next interrupt. `certain` characters are known to be there (8.11: an RDA interrupt means
   * the trigger level is reached); while no character has an error they are read without looking at each one's status.
   */
  drain(certain: number): void {
    let burst = certain;
    while (this.#length < maxEventBytes - certain) {
      const lsr = this.status();
      if ((lsr & Lsr.dataReady) === 0) return;
      const clean = (lsr & (Lsr.errors | Lsr.fifoError)) === 0;
      for (let count = clean ? Math.max(1, burst) : 1; count > 0; count--) this.take((lsr & Lsr.break) !== 0);
      burst = 0;
    }
    this.report();
  }

  /** Takes the oldest character. A break comes as a NUL that nobody sent. */
  take(afterBreak = false): void {
    const byte = this.#regs.read8(Offset.data);
    if (!(afterBreak && byte === 0)) this.#bytes[this.#length++] = byte;
  }

  /** Tells the clients what there is to tell. */
  report(): void {
    if (this.#length > 0) this.#context.emit("received", { data: this.#bytes.subarray(0, this.#length) });
    this.#length = 0;
    if (!this.#hasErrors) return;
    this.#context.emit("lineStatus", this.#errors);
    this.#errors = { overruns: 0, framing: 0, parity: 0, breaks: 0 };
    this.#hasErrors = false;
  }
}
