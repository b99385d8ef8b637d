/**
 * The qtest protocol, synchronous: one line per command, answered in order by "OK", with "IRQ raise N" and "IRQ lower N" in
 * between wherever they happen. Source: QEMU docs/devel/qtest.rst. Commands are checked before they are formatted, because
 * QEMU aborts on a malformed line, and the connection can do anything to the machine: only trusted code holds it.
 */
import { AirlockError } from "../../api/errors.ts";
import type { AccessWidth } from "../../api/grants.ts";
import type { QtestChannel } from "./qtest-channel.ts";

/**
 * Posted writes sent together at most. Their answers (and interrupts) must fit into the reply FIFO's 64 KiB, or QEMU and we
 * would wait for each other; and a line of about 20 bytes each must fit into the other.
 */
export const maxPostedWrites = 256;

/** QEMU's answers to what is sent here are under 40 bytes; a longer line is not qtest's. */
const maxReplyLineBytes = 256;

/** Received at once: a flushed batch's answers. */
const receiveBytes = 16_384;

/** Ports are 16 bits. */
const portSpaceBytes = 0x1_0000;
/** Guest-physical addresses that a number holds exactly, and more than any machine here decodes. */
const memorySpaceBytes = 2 ** 52;

/** I/O APIC inputs of the machines here are 24; a number beyond this is not an interrupt. */
const maxGsi = 1_023;

const portRead = { 8: "inb", 16: "inw", 32: "inl" } as const;
const portWrite = { 8: "outb", 16: "outw", 32: "outl" } as const;
const memoryRead = { 8: "readb", 16: "readw", 32: "readl" } as const;
const memoryWrite = { 8: "writeb", 16: "writew", 32: "writel" } as const;

/** An intercepted interrupt input changed its level. */
export type IrqChange = (gsi: number, asserted: boolean) => void;

/**
 * Every method throws AirlockError HardwareLost once QEMU is gone or answers with anything but the protocol, and
 * InvalidArgument, with nothing sent, for a number outside its range.
 *
 * Interrupt changes are reported in order, after the exchange they arrived in: the callback may use the connection. Those
 * that QEMU sends by itself wait in the FIFO for the next exchange, so whoever wants to hear of them makes one: the backend's
 * `advance` steps the clock for that. (Measured: an exchange costs 12 us, as much as a poll of the FIFO would save.)
 */
export class QtestConnection {
  readonly #channel: QtestChannel;
  readonly #irqChange: IrqChange;
  readonly #received = Buffer.alloc(receiveBytes);
  #start = 0;
  #end = 0;
  #posted = "";
  #postedCount = 0;
  #changes: { gsi: number; asserted: boolean }[] = [];
  #delivering = false;
  #lost: AirlockError | undefined;

  constructor(channel: QtestChannel, irqChange: IrqChange) {
    this.#channel = channel;
    this.#irqChange = irqChange;
  }

  /** Writes posted and not yet sent. */
  get posted(): number {
    return this.#postedCount;
  }

  readPort(port: number, width: AccessWidth): number {
    return this.#value(`${portRead[checkPlace(port, width, portSpaceBytes)]} 0x${port.toString(16)}\n`, width);
  }

  writePort(port: number, width: AccessWidth, value: number): void {
    this.#post(`${portWrite[checkPlace(port, width, portSpaceBytes)]} 0x${port.toString(16)} 0x${checkValue(value, width).toString(16)}\n`);
  }

  readMemory(address: number, width: AccessWidth): number {
    return this.#value(`${memoryRead[checkPlace(address, width, memorySpaceBytes)]} 0x${address.toString(16)}\n`, width);
  }

  writeMemory(address: number, width: AccessWidth, value: number): void {
    this.#post(`${memoryWrite[checkPlace(address, width, memorySpaceBytes)]} 0x${address.toString(16)} 0x${checkValue(value, width).toString(16)}\n`);
  }

  /** Moves QEMU's virtual clock, running what becomes due on the way; whole nanoseconds. */
  stepClock(nanos: number): void {
    if (!Number.isSafeInteger(nanos) || nanos < 0) throw new AirlockError("InvalidArgument", `a clock step of ${String(nanos)} ns: not a whole number from 0 up`);
    this.#exchange(`clock_step ${nanos}\n`);
  }

  /** From now on the I/O APIC's inputs are reported here instead of reaching it. Once per QEMU. */
  interceptIrqs(): void {
    this.#exchange("irq_intercept_in ioapic\n");
  }

  /** Returns when the devices have seen every posted write. */
  flush(): void {
    if (this.#postedCount > 0) this.#exchange("");
    else if (this.#lost !== undefined) throw this.#lost;
  }

  /** Ends the connection; what is posted is dropped. Idempotent. */
  close(): void {
    this.#lost ??= new AirlockError("HardwareLost", "the connection to QEMU is closed", { platform: "qemu" });
    this.#channel.close();
  }

  #post(line: string): void {
    if (this.#lost !== undefined) throw this.#lost;
    this.#posted += line;
    this.#postedCount++;
    if (this.#postedCount >= maxPostedWrites) this.flush();
  }

  #value(line: string, width: AccessWidth): number {
    const reply = this.#exchange(line);
    const value = /^0x[0-9a-f]{1,16}$/i.test(reply) ? Number(reply) : Number.NaN;
    if (!(value < 2 ** width)) throw this.#fail(`answered a ${width}-bit read with "${reply}"`);
    return value;
  }

  /** Sends the posted writes and then `line`, takes the answers to all of them, and returns the last one's text after "OK". */
  #exchange(line: string): string {
    if (this.#lost !== undefined) throw this.#lost;
    const count = this.#postedCount + (line === "" ? 0 : 1);
    const text = this.#posted + line;
    this.#posted = "";
    this.#postedCount = 0;
    let reply = "";
    try {
      this.#channel.write(text);
      for (let i = 0; i < count; i++) reply = this.#reply();
    } catch (error) {
      this.#lost ??= error instanceof AirlockError ? error : undefined;
      throw error;
    }
    this.#deliver();
    return reply;
  }

  #reply(): string {
    for (;;) {
      const line = this.#line();
      if (line === "OK") return "";
      if (line.startsWith("OK ")) return line.slice(3);
      const irq = /^IRQ (raise|lower) (\d{1,4})$/.exec(line);
      const gsi = Number(irq?.[2]);
      if (irq === null || gsi > maxGsi) throw this.#fail(`sent "${line}"`);
      this.#changes.push({ gsi, asserted: irq[1] === "raise" });
    }
  }

  /** The next line without its end. */
  #line(): string {
    let scanned = this.#start;
    for (;;) {
      const end = this.#received.subarray(0, this.#end).indexOf(0x0a, scanned);
      if (end >= 0) {
        const line = this.#received.toString("latin1", this.#start, end);
        this.#start = end + 1;
        return line;
      }
      if (this.#end - this.#start > maxReplyLineBytes) throw this.#fail("sent a line of no end");
      scanned = this.#receive();
    }
  }

  /** Waits for more bytes; where to look for the line's end from. */
  #receive(): number {
    this.#received.copyWithin(0, this.#start, this.#end);
    this.#end -= this.#start;
    this.#start = 0;
    const from = this.#end;
    const count = this.#channel.read(this.#received, from);
    if (count <= 0) throw this.#fail(from > 0 ? "ended in the middle of a line" : "ended");
    this.#end += count;
    return from;
  }

  /** Reports what has arrived. A change that comes while one is being reported waits its turn here. */
  #deliver(): void {
    if (this.#delivering || this.#changes.length === 0) return;
    this.#delivering = true;
    try {
      while (this.#changes.length > 0) {
        const changes = this.#changes;
        this.#changes = [];
        for (const { gsi, asserted } of changes) this.#irqChange(gsi, asserted);
      }
    } finally {
      this.#delivering = false;
    }
  }

  #fail(what: string): AirlockError {
    const printable = what.replaceAll(/[^\x20-\x7e]/g, "?").slice(0, 120);
    this.#lost ??= new AirlockError("HardwareLost", `QEMU ${printable}`, { platform: "qemu" });
    return this.#lost;
  }
}

/** The width, when address and width can be formatted. */
function checkPlace(address: number, width: AccessWidth, spaceBytes: number): AccessWidth {
  if (width !== 8 && width !== 16 && width !== 32) throw new AirlockError("InvalidArgument", `an access of ${String(width)} bits: not 8, 16 or 32`);
  if (!Number.isSafeInteger(address) || address < 0 || address + width / 8 > spaceBytes) {
    throw new AirlockError("InvalidArgument", `a ${width}-bit access at ${String(address)}: not within 0..0x${(spaceBytes - 1).toString(16)}`);
  }
  return width;
}

function checkValue(value: number, width: AccessWidth): number {
  if (!Number.isSafeInteger(value) || value < 0 || value >= 2 ** width) {
    throw new AirlockError("InvalidArgument", `the value ${String(value)}: not an unsigned ${width}-bit number`);
  }
  return value;
}
