/** The bus port of a driver host in a thread of its own: commands through the channel, reads by spinning, then waiting. */
import { type IrqOp } from "../api/bridge.ts";
import { AirlockError } from "../api/errors.ts";
import type { AccessWidth } from "../api/grants.ts";
import type { BusPort } from "./bus-port.ts";
import { ChannelWord, CommandOp, ReadStatus, entryIndex, ringDoorbell, ringEntries } from "./channel.ts";
import type { BusGrant } from "./platform.ts";
import { type Processors, StayApart } from "./processors.ts";
import type { RamHandle } from "./ram.ts";
import { WindowRights } from "./window-rights.ts";

/** What a host needs to open its port; crosses threads. */
export interface ChannelHandle {
  readonly channel: SharedArrayBuffer;
  readonly doorbell: SharedArrayBuffer;
  readonly grant: BusGrant;
  /** The platform's memory; undefined for a platform without. */
  readonly ram?: RamHandle;
}

/** A hardware thread that has not answered a read for this long is lost, or stopped by a debugger. */
const readTimeoutMs = 1_000;

/** Spins before a read sleeps: about 8 us, several times the answer time of a hardware thread that is awake. */
const spins = 1500;

export class ChannelPort implements BusPort {
  readonly #channel: Int32Array;
  readonly #doorbell: Int32Array;
  readonly #driver: string;
  readonly #windows: readonly WindowRights[];
  readonly #irqs: readonly string[];
  readonly #apart: StayApart;
  #head: number;
  #reads = 0;
  /** The window of the last read. */
  #posted = 0;

  /** `processors`: where the calling thread runs, where that is known. */
  constructor(handle: ChannelHandle, processors?: Processors) {
    this.#channel = new Int32Array(handle.channel);
    this.#doorbell = new Int32Array(handle.doorbell);
    this.#driver = handle.grant.driver;
    this.#windows = handle.grant.windows.map((window) => new WindowRights(window));
    this.#irqs = handle.grant.irqs.map(({ name }) => name);
    this.#apart = new StayApart(this.#doorbell, processors);
    this.#head = Atomics.load(this.#channel, ChannelWord.head);
  }

  read(window: number, offset: number, width: AccessWidth): number {
    this.postRead(window, offset, width);
    return this.takeRead();
  }

  postRead(window: number, offset: number, width: AccessWidth): void {
    this.#check(window, "read", offset, width, 0);
    this.#reads = (this.#reads + 1) | 0;
    this.#posted = window;
    this.#put(CommandOp.read, window, width, offset, 0);
  }

  /** Answers come in order, each over the one before: the last one is there when its number is. */
  takeRead(): number {
    if (this.#reads === 0) return 0;
    if (!this.#spin(this.#reads)) this.#sleep(this.#reads);
    const status = Atomics.load(this.#channel, ChannelWord.status);
    if (status === ReadStatus.revoked) throw this.#revoked(this.#windows[this.#posted]!.name);
    if (status === ReadStatus.lost) throw new AirlockError("HardwareLost", `${this.#driver}: the hardware is gone`, { holder: this.#driver });
    return Atomics.load(this.#channel, ChannelWord.value) >>> 0;
  }

  write(window: number, offset: number, width: AccessWidth, value: number): void {
    this.#check(window, "write", offset, width, value);
    this.#put(CommandOp.write, window, width, offset, value);
  }

  irq(line: number, op: IrqOp): void {
    const name = this.#irqs[line];
    if (name === undefined) throw this.#unknown("irq", line);
    if (this.#isClosed(this.#windows.length + line)) throw this.#revoked(name);
    this.#put(CommandOp.irq, line, op, 0, 0);
  }

  takeIrqs(): number[] {
    let bits = Atomics.exchange(this.#channel, ChannelWord.irqs, 0);
    const lines: number[] = [];
    for (let line = 0; bits !== 0; line++, bits >>>= 1) if ((bits & 1) !== 0) lines.push(line);
    return lines;
  }

  #check(window: number, direction: "read" | "write", offset: number, width: AccessWidth, value: number): void {
    const rights = this.#windows[window];
    if (rights === undefined) throw this.#unknown("window", window);
    if (this.#isClosed(window)) throw this.#revoked(rights.name);
    rights.check(this.#driver, direction, offset, width, value);
  }

  #isClosed(capability: number): boolean {
    return ((Atomics.load(this.#channel, ChannelWord.gate) >>> capability) & 1) !== 0;
  }

  #put(op: number, target: number, detail: number, offset: number, value: number): void {
    this.#awaitRoom();
    const at = entryIndex(this.#head);
    this.#channel[at] = op | (target << 8) | (detail << 16);
    this.#channel[at + 1] = offset;
    this.#channel[at + 2] = value;
    this.#head = (this.#head + 1) | 0;
    Atomics.store(this.#channel, ChannelWord.head, this.#head);
    ringDoorbell(this.#doorbell);
  }

  #awaitRoom(): void {
    if (this.#hasRoom()) return;
    Atomics.store(this.#channel, ChannelWord.blocked, 1);
    for (;;) {
      const tail = Atomics.load(this.#channel, ChannelWord.tail);
      if (this.#hasRoom()) break;
      ringDoorbell(this.#doorbell);
      if (Atomics.wait(this.#channel, ChannelWord.tail, tail, readTimeoutMs) === "timed-out") throw this.#timeout();
    }
    Atomics.store(this.#channel, ChannelWord.blocked, 0);
  }

  #hasRoom(): boolean {
    return ((this.#head - Atomics.load(this.#channel, ChannelWord.tail)) | 0) < ringEntries;
  }

  #spin(sequence: number): boolean {
    for (let spin = 0; spin < spins; spin++) if (Atomics.load(this.#channel, ChannelWord.completed) === sequence) return true;
    return false;
  }

  #sleep(sequence: number): void {
    this.#apart.beforeSleep();
    let seen = Atomics.load(this.#channel, ChannelWord.completed);
    while (seen !== sequence) {
      if (Atomics.wait(this.#channel, ChannelWord.completed, seen, readTimeoutMs) === "timed-out") throw this.#timeout();
      seen = Atomics.load(this.#channel, ChannelWord.completed);
    }
  }

  #timeout(): AirlockError {
    return new AirlockError("HardwareTimeout", `${this.#driver}: the hardware did not answer for ${readTimeoutMs} ms`, { holder: this.#driver });
  }

  #revoked(capability: string): AirlockError {
    return new AirlockError("CapabilityRevoked", `${this.#driver}: capability "${capability}" has been revoked`, { holder: this.#driver, capability });
  }

  #unknown(kind: string, index: number): AirlockError {
    return new AirlockError("CapabilityViolation", `${this.#driver}: there is no ${kind} number ${index}`, {
      holder: this.#driver, capability: `${kind} ${index}`, reason: "handle",
    });
  }
}
