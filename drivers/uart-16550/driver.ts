/** Driver for the 16550A UART, interrupt driven in both directions. Source: National Semiconductor PC16550D data sheet. */
import { type DriverContext, type IrqLine, type RegisterWindow, defineDriver } from "airlock/driver";
import { serial } from "airlock/driver/serial";
import { Receiver } from "./receiver.ts";
import { Fcr, Ier, Iir, Lcr, Lsr, Mcr, Msr, Offset, clocksPerBit, fifoSize, maxDivisor, triggerLevel } from "./registers.ts";

export default defineDriver(serial, (context) => {
  const uart = new Uart(context);
  return {
    configure: (settings) => uart.configure(settings),
    setSignals: (signals) => uart.setSignals(signals),
    getSignals: () => uart.getSignals(),
    transmit: ({ data }) => uart.transmit(data),
  };
});

type Context = DriverContext<typeof serial>;
type Settings = { baudRate: number; dataBits: number; parity: "none" | "odd" | "even"; stopBits: number };

/** The crystal of a PC's serial port. */
const pcClockHz = 1_843_200;

/** Causes served per interrupt. There are five; a line that is still up after this many comes back as a new interrupt. */
const maxCauses = 16;

/**
 * The slowest line the contract allows needs 4.1 s for the 17 characters a transmitter holds (12 bits each at 50 baud).
 * What this driver's predecessor set is not known here, so the looks come at growing intervals.
 */
const maxDrainMs = 5000;
const maxLookMs = 50;

class Uart {
  readonly #context: Context;
  readonly #regs: RegisterWindow;
  readonly #line: IrqLine;
  readonly #receiver: Receiver;
  readonly #clockHz: number;
  #ier: number = Ier.receivedData | Ier.lineStatus | Ier.modemStatus;
  #lcr: number;
  #sending: { readonly data: Uint8Array; at: number; readonly done: () => void } | undefined;

  /** Takes the device over as it is: what it received meanwhile stays, what it is sending goes out. */
  constructor(context: Context) {
    this.#context = context;
    this.#regs = context.window("regs");
    this.#line = context.irq("line");
    this.#receiver = new Receiver(context);
    this.#clockHz = Number(context.options["clockHz"] ?? pcClockHz);
    // A driver that died while it set the divisor left the latch in front of the data registers.
    this.#lcr = this.#regs.read8(Offset.lineControl) & Lcr.format;
    this.#regs.write8(Offset.lineControl, this.#lcr);
    this.#enableFifos();
    this.#regs.write8(Offset.modemControl, Mcr.out2);
    this.#line.attach(() => this.#service());
    this.#regs.write8(Offset.interruptEnable, this.#ier);
    context.clock.after(0, () => this.#receiver.report());
  }

  async configure({ baudRate, dataBits, parity, stopBits }: Settings): Promise<{ actualBaudRate: number }> {
    await this.#untilSent();
    const divisor = Math.max(1, Math.min(maxDivisor, Math.round(this.#clockHz / (clocksPerBit * baudRate))));
    this.#lcr = (dataBits - 5) | (stopBits === 2 ? Lcr.twoStopBits : 0) | (parity === "none" ? 0 : Lcr.parity)
      | (parity === "even" ? Lcr.evenParity : 0) | (this.#lcr & Lcr.break);
    this.#regs.write8(Offset.lineControl, Lcr.divisorLatch);
    this.#regs.write8(Offset.divisorLow, divisor & 0xff);
    this.#regs.write8(Offset.divisorHigh, divisor >> 8);
    this.#regs.write8(Offset.lineControl, this.#lcr);
    return { actualBaudRate: Math.max(1, Math.round(this.#clockHz / (clocksPerBit * divisor))) };
  }

  async setSignals(signals: { dtr: boolean; rts: boolean; break: boolean }): Promise<Record<string, never>> {
    const lcr = (this.#lcr & Lcr.format) | (signals.break ? Lcr.break : 0);
    if (lcr !== this.#lcr) {
      await this.#untilSent();
      this.#lcr = lcr;
      this.#regs.write8(Offset.lineControl, lcr);
    }
    this.#regs.write8(Offset.modemControl, Mcr.out2 | (signals.dtr ? Mcr.dtr : 0) | (signals.rts ? Mcr.rts : 0));
    return {};
  }

  /** Reading the inputs clears the device's memory of their changes, so a change seen here is told here. */
  getSignals(): { cts: boolean; dsr: boolean; ri: boolean; dcd: boolean } {
    const msr = this.#regs.read8(Offset.modemStatus);
    const signals = {
      cts: (msr & Msr.cts) !== 0, dsr: (msr & Msr.dsr) !== 0, ri: (msr & Msr.ri) !== 0, dcd: (msr & Msr.dcd) !== 0,
    };
    if ((msr & Msr.deltas) !== 0) this.#context.emit("signals", signals);
    return signals;
  }

  /** The shadow gives one at a time. Starts at once when the FIFO is empty; the interrupt does the rest. */
  transmit(data: Uint8Array): Promise<{ sent: number }> {
    return new Promise((resolve) => {
      this.#sending = { data, at: 0, done: () => resolve({ sent: data.length }) };
      const ready = (this.#receiver.status() & Lsr.transmitHoldingEmpty) !== 0;
      this.#receiver.report();
      if (ready) this.#feed();
      else this.#enableTransmit(true);
    });
  }

  /** Serves causes in the device's order of urgency until there is none (8.6). */
  #service(): void {
    for (let count = 0; count < maxCauses; count++) {
      const iir = this.#regs.read8(Offset.interruptIdentification);
      if ((iir & Iir.none) !== 0) break;
      switch (iir & Iir.causeMask) {
        case Iir.receivedData: this.#receiver.drain(triggerLevel); break;
        case Iir.lineStatus:
        case Iir.characterTimeout: this.#receiver.drain(0); break;
        // Reading the IIR has cleared this one.
        case Iir.transmitterEmpty: this.#feed(); break;
        case Iir.modemStatus: this.getSignals(); break;
      }
    }
    this.#receiver.report();
    this.#line.ack();
  }

  /** Fills the transmitter's FIFO, which is empty: THRE means that in FIFO mode (8.4). */
  #feed(): void {
    const sending = this.#sending;
    if (sending === undefined) return this.#enableTransmit(false);
    const end = Math.min(sending.data.length, sending.at + fifoSize);
    for (; sending.at < end; sending.at++) this.#regs.write8(Offset.data, sending.data[sending.at]!);
    const more = end < sending.data.length;
    this.#enableTransmit(more);
    if (more) return;
    this.#sending = undefined;
    sending.done();
  }

  #enableTransmit(on: boolean): void {
    const ier = on ? this.#ier | Ier.transmitterEmpty : this.#ier & ~Ier.transmitterEmpty;
    if (ier !== this.#ier) this.#regs.write8(Offset.interruptEnable, ier);
    this.#ier = ier;
  }

  /** New settings would garble a character in progress. */
  async #untilSent(): Promise<void> {
    let waitMs = 1;
    for (let spentMs = 0; spentMs < maxDrainMs; spentMs += waitMs) {
      if ((this.#receiver.status() & Lsr.transmitterEmpty) !== 0) return;
      waitMs = Math.min(maxLookMs, waitMs * 2);
      await this.#context.clock.sleep(waitMs);
    }
    throw new Error(`the transmitter did not run empty within ${maxDrainMs} ms`);
  }

  /** Turning the FIFOs on clears them (8.5), so a character that waits is taken first; when they are on, nothing is lost. */
  #enableFifos(): void {
    const lsr = this.#receiver.status();
    const on = (this.#regs.read8(Offset.interruptIdentification) & Iir.fifosOn) === Iir.fifosOn;
    if (!on && (lsr & Lsr.dataReady) !== 0) this.#receiver.take((lsr & Lsr.break) !== 0);
    this.#regs.write8(Offset.fifoControl, Fcr.enable | Fcr.triggerAt8);
  }
}
