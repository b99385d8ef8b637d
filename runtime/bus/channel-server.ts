/** The hardware thread's end of one channel: takes commands, performs them on the virtual bus, completes reads. */
import { realClock } from "../api/clock.ts";
import { AirlockError, isAirlockError } from "../api/errors.ts";
import type { AccessWidth } from "../api/grants.ts";
import { ChannelWord, CommandOp, ReadStatus, entryIndex, gateAll, ringEntries, wakeHost } from "./channel.ts";
import type { ChannelHandle } from "./channel-port.ts";
import type { HardwareBackend } from "./hardware-backend.ts";
import type { BusReport } from "./platform.ts";
import { VirtualBus } from "./virtual-bus.ts";

/** Commands performed per visit, so that one busy driver can't keep the hardware from the others. */
const commandsPerVisit = 256;

export class ChannelServer {
  readonly bus: VirtualBus;
  readonly connectedMicros = realClock.nowMicros();
  readonly #channel: Int32Array;
  /** Capabilities that were once seen closed: the gate's word can be opened again by a driver that wrote to the channel. */
  #closed = 0;
  #refused = false;
  #tail = 0;
  #reads = 0;

  constructor(handle: ChannelHandle, backend: HardwareBackend, report: (report: BusReport) => void) {
    this.#channel = new Int32Array(handle.channel);
    this.bus = new VirtualBus(backend, handle.grant, {
      raise: (irq) => {
        Atomics.or(this.#channel, ChannelWord.irqs, 1 << irq);
        wakeHost(this.#channel);
      },
      report,
    });
  }

  /** Whether commands wait. */
  get hasWork(): boolean {
    return Atomics.load(this.#channel, ChannelWord.head) !== this.#tail;
  }

  /** Reads that were completed, a signed number of 32 bits. */
  get reads(): number {
    return this.#reads;
  }

  /** Performs what waits, up to a limit; returns how many commands it took. */
  serve(): number {
    const head = Atomics.load(this.#channel, ChannelWord.head);
    const waiting = (head - this.#tail) | 0;
    this.#closed |= Atomics.load(this.#channel, ChannelWord.gate);
    if (waiting === 0) return 0;
    // A head outside the ring can only come from a driver that wrote to the channel itself.
    if (waiting < 0 || waiting > ringEntries) return this.#refuse("ring");
    const count = Math.min(waiting, commandsPerVisit);
    for (let taken = 0; taken < count; taken++) this.#perform();
    Atomics.store(this.#channel, ChannelWord.tail, this.#tail);
    // A producer that sleeps because the ring was full is woken when half of it is free, not once per visit.
    if (waiting - count <= ringEntries / 2 && Atomics.load(this.#channel, ChannelWord.blocked) !== 0) Atomics.notify(this.#channel, ChannelWord.tail);
    return count;
  }

  #perform(): void {
    const at = entryIndex(this.#tail);
    const word = this.#channel[at]!;
    const offset = this.#channel[at + 1]!;
    const value = this.#channel[at + 2]! >>> 0;
    this.#tail = (this.#tail + 1) | 0;
    const op = word & 0xff;
    const target = (word >>> 8) & 0xff;
    const detail = (word >>> 16) & 0xff;
    const capability = op === CommandOp.irq ? this.bus.grant.windows.length + target : target;
    this.#closed |= Atomics.load(this.#channel, ChannelWord.gate);
    const closed = ((this.#closed >>> capability) & 1) !== 0;
    if (op === CommandOp.read) this.#read(closed, target, offset, detail);
    else if (closed) return;
    else this.#attempt(() => {
      if (op === CommandOp.write) this.bus.write(target, offset, detail as AccessWidth, value);
      else if (op === CommandOp.irq) this.bus.irq(target, detail);
      else throw new AirlockError("CapabilityViolation", `unknown command ${op}`, { capability: "channel", reason: "command" });
    });
  }

  #read(closed: boolean, window: number, offset: number, width: number): void {
    let status: number = closed ? ReadStatus.revoked : ReadStatus.denied;
    let value = 0;
    if (!closed) {
      this.#attempt(() => {
        value = this.bus.read(window, offset, width as AccessWidth);
        status = ReadStatus.ok;
      });
    }
    this.#complete(status, value);
  }

  #complete(status: number, value: number): void {
    this.#reads = (this.#reads + 1) | 0;
    Atomics.store(this.#channel, ChannelWord.value, value | 0);
    Atomics.store(this.#channel, ChannelWord.status, status);
    Atomics.store(this.#channel, ChannelWord.completed, this.#reads);
    Atomics.notify(this.#channel, ChannelWord.completed);
  }

  /** Denials are reported and dropped; anything else is the hardware's trouble and goes up. */
  #attempt(perform: () => void): void {
    try {
      perform();
    } catch (error) {
      if (!isAirlockError(error, "CapabilityViolation")) throw error;
      this.#report(error);
    }
  }

  /** Closes capabilities for good, whatever the driver writes to its channel. What still comes is dropped without a word. */
  close(bits: number): void {
    this.#closed |= bits;
    Atomics.or(this.#channel, ChannelWord.gate, bits);
  }

  /** One report ends the driver: more would only be a flood. */
  #report(error: AirlockError): void {
    this.close(gateAll);
    if (this.#refused) return;
    this.#refused = true;
    this.bus.reportViolation(error);
  }

  /** The hardware is gone: every waiting and later read fails at once. */
  lose(): void {
    this.close(gateAll);
    this.#complete(ReadStatus.lost, 0);
  }

  #refuse(reason: string): number {
    this.#tail = Atomics.load(this.#channel, ChannelWord.head);
    this.#report(new AirlockError("CapabilityViolation", "the channel's ring was tampered with", { capability: "channel", reason }));
    return 0;
  }
}
