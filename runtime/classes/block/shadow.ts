/** The block shadow: a disk that stays while its drivers come and go, with nothing lost that was acknowledged. */
import { AirlockError, isAirlockError } from "../../api/errors.ts";
import { type MessageRecord, RecordKind } from "../../api/records.ts";
import { type CallPolicy, Calls } from "../calls.ts";
import type { DriverPort, Shadow, ShadowEnvironment, ShadowState } from "../shadow.ts";
import type { BlockCall } from "./block-call.ts";
import { Checksums, maxCheckedBlocks } from "./checksums.ts";
import { BlockStatus, block } from "./contract.ts";
import { Dispatcher, maxCalls } from "./dispatcher.ts";
import { type DeviceFacts, type Identity, difference, identityRefusal, volumeInfo } from "./geometry.ts";
import { type BlockShadowSettings, readSettings } from "./shadow-settings.ts";
import type { VolumeInfo } from "./volume.ts";

/** What the block client works with. */
export interface BlockShadow extends Shadow {
  /** What the device is; undefined until a driver has said so. */
  readonly told: VolumeInfo | undefined;
  /** Why calls fail at present; undefined when they are taken. */
  readonly refusal: AirlockError | undefined;
  /** Calls not finished yet. */
  readonly pending: number;
  /** What acknowledged changes that no flush covers take in memory. */
  readonly journalBytes: number;
  /** See Volume.info. */
  info(owner: object): Promise<VolumeInfo>;
  /** Takes a call whose range and abilities were checked. It settles exactly once, in a later turn. */
  submit(call: BlockCall): void;
  /** What this owner waits for fails with this, at once. */
  abandon(owner: object, error: AirlockError): void;
}

/** Notices of one driver that are logged: enough to see what is going on. */
const maxNotices = 16;

/** Drivers in a row that may say that the device is another one; after that it is. */
const maxChanges = 3;

/** @throws AirlockError InvalidArgument for settings that are wrong; Unsupported when the driver has no buffers */
export function createShadow(environment: ShadowEnvironment): BlockShadow {
  return new BlockShadowCore(environment);
}

interface InfoWaiter {
  readonly owner: object;
  readonly resolve: (info: VolumeInfo) => void;
  readonly reject: (reason: AirlockError) => void;
}

class BlockShadowCore implements BlockShadow {
  readonly contract = block;
  readonly #environment: ShadowEnvironment;
  readonly #settings: BlockShadowSettings;
  readonly #calls: Calls<typeof block>;
  readonly #dispatcher: Dispatcher;
  #state: ShadowState = "active";
  #hasDriver = false;
  #told: VolumeInfo | undefined;
  #waiters: InfoWaiter[] = [];
  /** Aborts what the present attach waits for. */
  #attempt = new AbortController();
  #unavailable: AirlockError | undefined;
  /** The volume is over for good, though the machine is not. */
  #ended: AirlockError | undefined;
  #changes = 0;
  #notices = 0;
  /** A device that ever had a volatile cache is treated as if it had one: a driver might say otherwise to be rid of the flushes. */
  #volatileCache = false;

  constructor(environment: ShadowEnvironment) {
    const { driver, buffers } = environment;
    if (buffers === undefined) {
      throw new AirlockError(
        "Unsupported",
        `${driver}: a block driver needs DMA memory for its class's buffers; give its manifest a region with "use": "buffers", and grant it`,
        { driver },
      );
    }
    this.#environment = environment;
    this.#settings = readSettings(environment);
    this.#calls = new Calls(block, environment, this.#policy());
    this.#dispatcher = new Dispatcher(environment, buffers, this.#settings);
  }

  get state(): ShadowState {
    return this.#state;
  }

  get told(): VolumeInfo | undefined {
    return this.#told;
  }

  get refusal(): AirlockError | undefined {
    return this.#state === "closed" ? this.#closed() : this.#ended ?? this.#unavailable;
  }

  get pending(): number {
    return this.#dispatcher.pending;
  }

  get journalBytes(): number {
    return this.#dispatcher.journalBytes;
  }

  info(owner: object): Promise<VolumeInfo> {
    const { refusal } = this;
    if (this.#told !== undefined && this.#state !== "closed" && this.#ended === undefined) return Promise.resolve(this.#told);
    if (refusal !== undefined) return Promise.reject(refusal);
    if (this.#waiters.length >= maxCalls) {
      const { driver } = this.#environment;
      return Promise.reject(new AirlockError("QueueFull", `${driver}: ${maxCalls} calls wait for the first driver; wait for info first`));
    }
    return new Promise((resolve, reject) => { this.#waiters.push({ owner, resolve, reject }); });
  }

  submit(call: BlockCall): void {
    const { refusal } = this;
    if (refusal === undefined) return this.#dispatcher.submit(call);
    call.error = refusal;
    call.settle();
  }

  abandon(owner: object, error: AirlockError): void {
    const theirs = this.#waiters.filter((waiter) => waiter.owner === owner);
    this.#waiters = this.#waiters.filter((waiter) => waiter.owner !== owner);
    for (const waiter of theirs) waiter.reject(error);
    this.#dispatcher.abandon(owner, error);
  }

  async attach(port: DriverPort): Promise<boolean> {
    if (this.#state === "closed") return false;
    this.detach();
    this.#unavailable = undefined;
    this.#hasDriver = true;
    this.#notices = 0;
    this.#state = "active";
    const attempt = new AbortController();
    this.#attempt = attempt;
    // The class has no configuration to replay, so nothing is waited for here.
    void this.#calls.attach(port);
    let identity: Identity;
    try {
      identity = await this.#calls.call("identify", {}, { internal: true, closing: attempt.signal });
    } catch (error) {
      if (attempt.signal.aborted || isAirlockError(error)) return false;
      throw error;
    }
    if (attempt.signal.aborted) return false;
    if (this.#ended === undefined && !this.#accept(identity)) return false;
    if (this.#ended === undefined) {
      if (!(await this.#dispatcher.start(port, this.#facts(identity)))) return false;
      if (attempt.signal.aborted) return false;
    }
    this.#state = "passive";
    return true;
  }

  detach(): void {
    this.#hasDriver = false;
    this.#attempt.abort(new AirlockError("Closed", "the driver is gone"));
    this.#calls.detach();
    this.#dispatcher.stop();
    if (this.#state === "passive") this.#state = "active";
  }

  giveUp(error: AirlockError): void {
    if (this.#state === "closed") return;
    this.detach();
    this.#state = "unavailable";
    this.#unavailable = error;
    this.#calls.giveUp(error);
    this.#failAll(error);
  }

  receive(record: MessageRecord): string | undefined {
    if (!this.#hasDriver) return undefined;
    // What a driver that is at fault says went wrong is asked of the next one again, with what came in the same batch.
    if (record.kind === RecordKind.completions && hasErrors(record.payload) && this.#environment.isAccused?.() === true) return undefined;
    return record.kind === RecordKind.completions ? this.#dispatcher.receive(record) : this.#calls.receive(record);
  }

  async probe(): Promise<void> {
    await this.#calls.call("identify", {}, { internal: true });
  }

  close(): void {
    if (this.#state === "closed") return;
    this.detach();
    this.#state = "closed";
    this.#calls.close();
    this.#failAll(this.#closed());
    this.#dispatcher.clear();
  }

  #policy(): CallPolicy {
    return {
      maxInFlight: 1,
      inspect: (_name, _args, reply) => identityRefusal(reply as Identity),
      event: (_name, value) => {
        const { kind, code } = value as { readonly kind: string; readonly code: number };
        if (this.#notices++ < maxNotices) this.#environment.note(`the device tells of its ${kind}: code 0x${code.toString(16)}`);
        return undefined;
      },
    };
  }

  /** Compares the device with what clients were told, or tells them. False when this driver is not taken. */
  #accept(identity: Identity): boolean {
    const { driver } = this.#environment;
    const now = volumeInfo(identity);
    if (this.#told === undefined) {
      const wrong = this.#unusable(identity);
      if (wrong === undefined) this.#tell(now);
      else this.#end(wrong);
      return true;
    }
    const changed = difference(this.#told, now);
    if (changed === undefined) {
      this.#changes = 0;
      return true;
    }
    // A driver may lie, and the next one may not.
    if (++this.#changes < maxChanges) {
      const message = `${driver}: the device is not the one that is open: ${changed}`;
      this.#environment.fail({ kind: "protocol-violation", operation: "identify", message });
      return false;
    }
    this.#end(new AirlockError(
      "HardwareLost",
      `${driver}: ${maxChanges} drivers in a row say that the device is not the one that is open: ${changed}; bring the machine up again`,
      { driver, status: "changed" },
    ));
    return true;
  }

  /** Why this device cannot be used with these settings. */
  #unusable({ blocks, blockBytes }: Identity): AirlockError | undefined {
    const { driver } = this.#environment;
    if (blockBytes > this.#dispatcher.largestTransferBytes) {
      return new AirlockError(
        "Unsupported",
        `${driver}: its class's buffers are too small for blocks of ${blockBytes} bytes; give the region at least ${8 * blockBytes} bytes`,
        { driver },
      );
    }
    if (this.#settings.checksums && blocks > maxCheckedBlocks) {
      return new AirlockError(
        "InvalidArgument",
        `${driver}: checksums are kept for up to ${maxCheckedBlocks} blocks and the device has ${blocks}; leave "checksums" out of its shadow section`,
        { driver, setting: "checksums" },
      );
    }
    return undefined;
  }

  #tell(info: VolumeInfo): void {
    this.#told = info;
    if (this.#settings.checksums) this.#dispatcher.checksums = new Checksums(info.sizeBytes / info.blockBytes, info.blockBytes);
    for (const waiter of this.#waiters.splice(0)) waiter.resolve(info);
  }

  #facts({ blockBytes, maxTransferBytes, queueDepth, volatileCache, fua }: Identity): DeviceFacts {
    this.#volatileCache ||= volatileCache;
    const maxTransferBlocks = Math.floor(Math.min(maxTransferBytes, this.#dispatcher.largestTransferBytes) / blockBytes);
    return { blockBytes, maxTransferBlocks, queueDepth, volatileCache: this.#volatileCache, fua };
  }

  #end(error: AirlockError): void {
    this.#ended = error;
    this.#environment.note(error.message);
    this.#failAll(error);
    this.#dispatcher.clear();
  }

  #failAll(error: AirlockError): void {
    for (const waiter of this.#waiters.splice(0)) waiter.reject(error);
    this.#dispatcher.failAll(error);
  }

  #closed(): AirlockError {
    const { driver } = this.#environment;
    return new AirlockError("Closed", `${driver}: the device was closed`, { driver });
  }
}

const { words: completionWords, at: completionAt } = block.queues.io.completion;
const wordBytes = 4;

/** Whether any completion of a batch, well-formed or not, says that something went wrong. */
function hasErrors(payload: Uint8Array): boolean {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  const step = completionWords * wordBytes;
  for (let at = completionAt.status * wordBytes; at + wordBytes <= payload.byteLength; at += step) {
    if (view.getUint32(at, true) !== BlockStatus.ok) return true;
  }
  return false;
}
