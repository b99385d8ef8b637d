/** Register-level helpers for tests of a 16550A on any bench. */
import type { DeviceBench } from "./bench.ts";

/** Offsets in the window "regs". */
export const reg = { data: 0, ier: 1, iir: 2, fcr: 2, lcr: 3, mcr: 4, lsr: 5, msr: 6, scr: 7, dll: 0, dlm: 1 } as const;

export const ier = { received: 1, empty: 2, status: 4, modem: 8 } as const;

/** What IIR reads as without FIFOs; with them 0xc0 is added. */
export const iir = { none: 1, modem: 0, empty: 2, received: 4, status: 6, timeout: 0x0c } as const;

export const lsr = { ready: 1, overrun: 2, parity: 4, framing: 8, break: 0x10, holdingEmpty: 0x20, empty: 0x40, fifoError: 0x80 } as const;

export const mcr = { dtr: 1, rts: 2, out1: 4, out2: 8, loop: 0x10 } as const;

/** Eight data bits, no parity, one stop bit. */
export const format8n1 = 0x03;

/** One bit at divisor 1 from the PC's 1.8432 MHz crystal. */
export const bitMicros = (16 * 1e6) / 1_843_200;

/** Makes a test's body from one that is given a freshly powered port. */
export type OnUart = (body: (uart: Uart, bench: DeviceBench) => Promise<void>) => () => Promise<void>;

/** The port behind its eight registers. */
export class Uart {
  readonly bench: DeviceBench;
  readonly #instant: boolean;
  /** Time of one character as last configured. */
  characterMicros = 10 * bitMicros;

  /** `instant`: received characters take no time, so time has to pass before them. */
  constructor(bench: DeviceBench, instant: boolean) {
    this.bench = bench;
    this.#instant = instant;
  }

  async get(offset: number): Promise<number> {
    return await this.bench.read8("regs", offset);
  }

  async set(offset: number, value: number): Promise<void> {
    await this.bench.write8("regs", offset, value);
  }

  /** Programs rate, format, FIFO control and modem control; `bits` is the length of the frame, for `characters`. */
  async configure({ divisor = 1, format = format8n1, bits = 10, fcr = 0, modem = mcr.dtr | mcr.rts | mcr.out2 } = {}): Promise<void> {
    await this.set(reg.lcr, 0x80);
    await this.set(reg.dll, divisor & 0xff);
    await this.set(reg.dlm, divisor >> 8);
    await this.set(reg.lcr, format);
    await this.set(reg.fcr, fcr);
    await this.set(reg.mcr, modem);
    this.characterMicros = bits * bitMicros * divisor;
  }

  /** Lets this many character times pass. */
  async characters(count: number): Promise<void> {
    await this.bench.advanceMicros(count * this.characterMicros);
  }

  /** The far end sends, and its characters arrive; a quarter of a character of slack. */
  async arrive(bytes: readonly number[]): Promise<void> {
    if (this.#instant) await this.characters(bytes.length);
    await this.bench.sendToPort(Uint8Array.from(bytes));
    await this.characters(this.#instant ? 0.25 : bytes.length + 0.25);
  }

  /** Sends to itself in loopback; a quarter of a character of slack. */
  async loop(bytes: readonly number[]): Promise<void> {
    for (const byte of bytes) {
      await this.set(reg.data, byte);
      await this.characters(1.25);
    }
  }

  /** Reads the receiver until it is empty. */
  async drain(limit = 64): Promise<number[]> {
    const bytes: number[] = [];
    while (bytes.length < limit && ((await this.get(reg.lsr)) & lsr.ready) !== 0) bytes.push(await this.get(reg.data));
    return bytes;
  }

  async pin(): Promise<boolean> {
    return await this.bench.irqLevel("line");
  }
}
