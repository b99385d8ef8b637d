/** The controller's registers: finding it, disabling, enabling, its doorbells. Source: NVM Express Base Specification 1.4, 3.1 and 7.6. */
import { AirlockError, type DriverClock, type RegisterWindow, highWord, lowWord } from "airlock/driver";
import { type Capabilities, Cc, Csts, Offset, allOnes, decodeCapabilities, pageShift } from "./registers.ts";

/** 2^6 bytes of a submission, 2^4 of a completion queue entry: the only sizes of the NVM command set. */
const entrySizes = (6 << Cc.submissionEntryShift) | (4 << Cc.completionEntryShift);

/** Looks at a register that will change come at growing intervals: soon enough for a fast device, seldom for a slow one. */
const firstLookMs = 0.1;
const lastLookMs = 20;

export class Controller {
  readonly capabilities: Capabilities;
  readonly #regs: RegisterWindow;
  readonly #clock: DriverClock;

  /** @throws AirlockError HardwareLost when there is no device, Unsupported when it is not one this driver can use */
  constructor(regs: RegisterWindow, clock: DriverClock) {
    this.#regs = regs;
    this.#clock = clock;
    const low = this.#read(Offset.capabilitiesLow);
    this.capabilities = decodeCapabilities(low, regs.read32(Offset.capabilitiesHigh));
    const { nvmCommandSet, minPageShift, maxEntries } = this.capabilities;
    if (!nvmCommandSet) throw unsupported("does not know the NVM command set");
    if (minPageShift > pageShift) throw unsupported(`has pages of at least ${2 ** minPageShift} bytes`);
    if (maxEntries < 2) throw unsupported("has queues of one entry");
    if (this.doorbell(1, "head") + 4 > regs.sizeBytes) throw unsupported("has its doorbells outside the granted window");
  }

  /** Offset of a queue's doorbell. */
  doorbell(queue: number, end: "tail" | "head"): number {
    return Offset.doorbells + (2 * queue + (end === "head" ? 1 : 0)) * this.capabilities.doorbellStrideBytes;
  }

  /** Takes the controller back, whatever it was doing: when this resolves it does no DMA (7.3.2). */
  async disable(): Promise<void> {
    this.status();
    this.#regs.write32(Offset.configuration, 0);
    await this.#until("be disabled", (status) => (status & Csts.ready) === 0);
  }

  /** Starts the disabled controller with these admin rings (7.6.1). */
  async enable(submissionIova: number, completionIova: number, entries: number): Promise<void> {
    const regs = this.#regs;
    regs.write32(Offset.adminQueueAttributes, ((entries - 1) << 16) | (entries - 1));
    regs.write32(Offset.adminSubmissionLow, lowWord(submissionIova));
    regs.write32(Offset.adminSubmissionHigh, highWord(submissionIova));
    regs.write32(Offset.adminCompletionLow, lowWord(completionIova));
    regs.write32(Offset.adminCompletionHigh, highWord(completionIova));
    regs.write32(Offset.configuration, entrySizes | Cc.enable);
    await this.#until("become ready", (status) => {
      if ((status & Csts.fatal) !== 0) throw new Error("the controller reports a fatal error instead of becoming ready (CSTS.CFS)");
      return (status & Csts.ready) !== 0;
    });
  }

  /** The status register. @throws AirlockError HardwareLost */
  status(): number {
    return this.#read(Offset.status);
  }

  /** Whether the controller is beyond anything but a reset. */
  failed(): boolean {
    const status = this.status();
    return (status & Csts.fatal) !== 0 || (status & Csts.ready) === 0;
  }

  #read(offset: number): number {
    const value = this.#regs.read32(offset);
    if (value === allOnes) throw new AirlockError("HardwareLost", "the NVMe controller is gone: its registers read as all ones");
    return value;
  }

  async #until(what: string, done: (status: number) => boolean): Promise<void> {
    const limitMs = this.capabilities.readyTimeoutMs;
    let waitMs = firstLookMs;
    for (let spentMs = 0; !done(this.status()); spentMs += waitMs) {
      if (spentMs >= limitMs) throw new AirlockError("HardwareTimeout", `the NVMe controller did not ${what} within ${limitMs} ms (CAP.TO)`);
      waitMs = Math.min(lastLookMs, waitMs * 2);
      await this.#clock.sleep(waitMs);
    }
  }
}

function unsupported(why: string): AirlockError {
  return new AirlockError("Unsupported", `the NVMe controller ${why}; this driver cannot use it`);
}
