/** The RTL8139C's interrupt mask and status, and its timer. Source: RTL8139C(L) data sheet, 5.8, 5.9, 5.12, 5.16. */
import type { Clock } from "../api/clock.ts";
import type { IrqPin } from "../bus/device.ts";
import { Isr } from "./rtl8139-registers.ts";

/** The timer counts cycles of the PCI clock. */
const ticksPerMicro = 33;
const timerRange = 2 ** 32;

export class Rtl8139Interrupts {
  readonly #clock: Clock;
  readonly #line: IrqPin;
  #mask = 0;
  #status = 0;
  #asserted = false;
  /** When the counter was 0, and where it sets its interrupt; 0: nowhere. */
  #zeroMicros = 0;
  #compare = 0;
  #cancel: (() => void) | undefined;
  raised = 0;

  constructor(clock: Clock, line: IrqPin) {
    this.#clock = clock;
    this.#line = line;
  }

  get mask(): number { return this.#mask; }
  get status(): number { return this.#status; }
  get compare(): number { return this.#compare; }

  reset(): void {
    this.#mask = 0;
    this.#status = 0;
    this.#compare = 0;
    this.restartCounter();
    this.#update();
  }

  set(causes: number): void {
    this.#status |= causes;
    this.#update();
  }

  /** Ones clear. */
  clear(causes: number): void {
    this.#status &= ~causes;
    this.#update();
  }

  setMask(value: number): void {
    this.#mask = value & Isr.all;
    this.#update();
  }

  /** Cycles since the counter was started anew. */
  get counter(): number {
    return Math.floor((this.#clock.nowMicros() - this.#zeroMicros) * ticksPerMicro) % timerRange;
  }

  /** Any write of TCTR. */
  restartCounter(): void {
    this.#zeroMicros = this.#clock.nowMicros();
    this.#arm();
  }

  setCompare(value: number): void {
    this.#compare = value;
    this.#arm();
  }

  #arm(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    if (this.#compare === 0) return;
    const ticks = (this.#compare - this.counter + timerRange) % timerRange || timerRange;
    this.#cancel = this.#clock.setTimer(ticks / ticksPerMicro, () => {
      this.#cancel = undefined;
      this.set(Isr.timer);
      this.#arm();
    });
  }

  #update(): void {
    const asserted = (this.#status & this.#mask) !== 0;
    if (asserted === this.#asserted) return;
    this.#asserted = asserted;
    if (asserted) this.raised++;
    this.#line.set(asserted);
  }
}
