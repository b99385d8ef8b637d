/** Keeps a volume open for all connections: waits for a driver that is held, opens another volume after one was closed. */
import { AirlockError, errorText, isAirlockError } from "../../api/errors.ts";
import type { Volume, VolumeInfo } from "../../classes/block/volume.ts";
import type { ExportContext } from "../export.ts";

/** Time between two attempts, so that a driver that is held costs next to nothing. */
const reopenMicros = 500_000;

export interface OpenVolume {
  readonly volume: Volume;
  readonly info: VolumeInfo;
}

type Environment = Pick<ExportContext<unknown, Volume>, "open" | "log" | "clock">;

export class VolumeLink {
  /** Settles when no volume will come any more, with the reason, or undefined after `close`. */
  readonly ended: Promise<AirlockError | undefined>;
  readonly #environment: Environment;
  readonly #replaced: () => void;
  readonly #changed = new Set<() => void>();
  /** The volume from its opening until it is closed. */
  #volume: Volume | undefined;
  /** The same once it is known what it is. */
  #current: OpenVolume | undefined;
  #known: VolumeInfo | undefined;
  #closed = false;
  /** Whether the log knows that there is no volume at present. */
  #away = false;

  private constructor(environment: Environment, first: Volume | undefined, replaced: () => void) {
    this.#environment = environment;
    this.#replaced = replaced;
    this.ended = this.#run(first);
  }

  /**
   * Opens the volume; does not wait for its driver. `replaced` is called when another opening gave a disk of another size or
   * kind: clients that know the old one must not go on with it. @throws what `open` rejects with but DriverUnavailable
   */
  static async open(environment: Environment, replaced: () => void): Promise<VolumeLink> {
    const first = await environment.open().catch((error: unknown) => {
      if (isAirlockError(error, "DriverUnavailable")) return undefined;
      throw error;
    });
    return new VolumeLink(environment, first, replaced);
  }

  /** The volume to use now; undefined while there is none. */
  get current(): OpenVolume | undefined {
    return this.#current;
  }

  /** Waits for a volume; undefined when none came in time, or after the end. */
  async ready(limitMicros: number): Promise<OpenVolume | undefined> {
    let late = false;
    const cancel = this.#environment.clock.setTimer(limitMicros, () => {
      late = true;
      this.#notify();
    });
    while (this.#current === undefined && !late && !this.#closed) await new Promise<void>((resolve) => { this.#changed.add(resolve); });
    cancel();
    return this.#current;
  }

  /** A call was rejected: if the volume itself was closed, another is opened. */
  failed(open: OpenVolume, error: unknown): void {
    if (this.#current !== open || !isAirlockError(error, "Closed")) return;
    this.#current = undefined;
    this.#notify();
  }

  /** Closes the volume; what is pending there is rejected. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#current = undefined;
    this.#volume?.close();
    this.#notify();
    await this.ended;
  }

  async #run(first: Volume | undefined): Promise<AirlockError | undefined> {
    this.#volume = first;
    while (!this.#closed) {
      try {
        this.#volume ??= await this.#environment.open();
        await this.#serve(this.#volume);
      } catch (error) {
        if (!this.#closed && !isAirlockError(error, "DriverUnavailable")) this.#drop();
        if (!this.#closed && !this.#away) this.#environment.log.warn(`the volume is away and tried again: ${errorText(error)}`);
        this.#away = true;
        if (this.#volume === undefined && isAirlockError(error, "Closed")) return this.#end(error);
      }
      if (!this.#closed) await this.#pause();
    }
    this.#drop();
    return undefined;
  }

  /** Offers the volume until it is closed. @throws when it does not say what it is */
  async #serve(volume: Volume): Promise<void> {
    const info = await volume.info();
    if (this.#closed) return;
    if (this.#known !== undefined && !sameDisk(this.#known, info)) this.#replaced();
    this.#known = info;
    const open = { volume, info };
    this.#current = open;
    if (this.#away) this.#environment.log.info("the volume is back");
    this.#away = false;
    this.#notify();
    while (this.#current === open) await new Promise<void>((resolve) => { this.#changed.add(resolve); });
    this.#drop();
  }

  #drop(): void {
    this.#volume?.close();
    this.#volume = undefined;
  }

  #end(reason: AirlockError): AirlockError {
    this.#closed = true;
    this.#notify();
    return reason;
  }

  #notify(): void {
    const waiting = [...this.#changed];
    this.#changed.clear();
    for (const wake of waiting) wake();
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        cancel();
        this.#changed.delete(done);
        resolve();
      };
      const cancel = this.#environment.clock.setTimer(reopenMicros, done);
      this.#changed.add(done);
    });
  }
}

/** Whether a client that knows one can go on with the other. */
function sameDisk(one: VolumeInfo, other: VolumeInfo): boolean {
  return one.sizeBytes === other.sizeBytes && one.blockBytes === other.blockBytes && one.readOnly === other.readOnly;
}
