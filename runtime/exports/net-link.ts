/** The inner end of every net export: keeps an interface open, moves frames with backpressure, opens another when one ends. */
import { AirlockError, errorText, isAirlockError } from "../api/errors.ts";
import type { LinkState, NetIdentity, NetInterface, NetSettings, OpenInterface } from "../classes/net/interface.ts";
import type { ExportContext } from "./export.ts";

/** Time between two attempts to open an interface, so that a driver that is held costs next to nothing. */
const reopenMicros = 500_000;

/** How long a start waits for the driver; after that the export is there, and its interface comes when it comes. */
const patienceMicros = 2_000_000;

const linkDown: LinkState = { up: false, speedMbps: 0, fullDuplex: false };

/** The outer end, as the link tells it things; never inside a call of its own. */
export interface NetOuterEnd {
  received(frames: readonly Uint8Array[]): void;
  /** `send` took less than it was given, or nothing for want of an interface; there is room. */
  room(): void;
  link(state: LinkState): void;
  /** A driver said what the device is: first of all, and again after the interface was opened anew. */
  identified(identity: NetIdentity): void;
}

type Environment = Pick<ExportContext<unknown, OpenInterface>, "open" | "log" | "clock">;

export class NetLink {
  readonly #environment: Environment;
  readonly #settings: Partial<NetSettings>;
  readonly #outer: NetOuterEnd;
  /** Open, and configured or on the way to it. */
  #net: NetInterface | undefined;
  /** Its driver has said what it is and has the settings. */
  #serving = false;
  /** Somebody waits for `room`. */
  #refused = false;
  /** From then on whatever goes wrong is tried again. */
  #started = false;
  #closed = false;
  #cancelReopen: () => void = () => undefined;
  /** Whether the log knows that no interface can be had at present. */
  #away = false;
  #end: (reason: AirlockError | undefined) => void = () => undefined;
  /** Settles when there will be no interface any more, with the reason, or undefined after `close`. */
  readonly ended: Promise<AirlockError | undefined>;

  private constructor(environment: Environment, settings: Partial<NetSettings>, outer: NetOuterEnd) {
    this.#environment = environment;
    this.#settings = settings;
    this.#outer = outer;
    this.ended = new Promise((resolve) => { this.#end = resolve; });
  }

  /**
   * Opens the interface with these settings, and waits a moment for its driver; one that is held or slow is waited for later.
   * @throws what `open` rejects with; AirlockError InvalidArgument when the interface cannot have the settings
   */
  static async open(environment: Environment, settings: Partial<NetSettings>, outer: NetOuterEnd): Promise<NetLink> {
    const link = new NetLink(environment, settings, outer);
    let cancel = (): void => undefined;
    const late = new Promise<void>((resolve) => { cancel = environment.clock.setTimer(patienceMicros, resolve); });
    try {
      await Promise.race([link.#open(), late]);
    } catch (error) {
      if (!isAirlockError(error, "DriverUnavailable")) {
        link.close();
        throw error;
      }
    } finally {
      cancel();
    }
    link.#started = true;
    return link;
  }

  get link(): LinkState {
    return this.#net?.link ?? linkDown;
  }

  /** See NetInterface.send; 0 while there is no interface. */
  send(frames: readonly Uint8Array[]): number {
    const taken = this.#net?.send(frames) ?? 0;
    if (taken < frames.length) this.#refused = true;
    return taken;
  }

  /** Closes the interface; nothing is told afterwards. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#cancelReopen();
    this.#net?.close();
    this.#net = undefined;
    this.#end(undefined);
  }

  /** Opens and configures an interface; resolves when it serves. What goes wrong has been dealt with when this rejects, but at a start. */
  async #open(): Promise<void> {
    const mine: { net?: NetInterface } = {};
    const current = (): boolean => !this.#closed && this.#net === mine.net;
    try {
      const open = await this.#environment.open();
      if (this.#closed) return;
      const net = open({
        received: (frames) => { if (current()) this.#outer.received(frames); },
        room: () => { if (current()) this.#tellRoom(); },
        link: (state) => { if (current() && this.#serving) this.#outer.link(state); },
        ended: (reason) => { if (current()) this.#lose(reason); },
      });
      this.#net = mine.net = net;
      const [identity] = await Promise.all([net.identity(), net.configure(this.#settings)]);
      if (current()) this.#serve(net, identity);
    } catch (error) {
      if (current() && (this.#started || isAirlockError(error, "DriverUnavailable"))) this.#lose(error);
      throw error;
    }
  }

  #serve(net: NetInterface, identity: NetIdentity): void {
    if (this.#away) this.#environment.log.info("the interface is open again");
    this.#away = false;
    this.#serving = true;
    this.#outer.identified(identity);
    this.#outer.link(net.link);
    this.#tellRoom();
  }

  #tellRoom(): void {
    if (!this.#refused) return;
    this.#refused = false;
    this.#outer.room();
  }

  #lose(reason: unknown): void {
    if (this.#closed) return;
    this.#net?.close();
    this.#net = undefined;
    this.#serving = false;
    if (isAirlockError(reason, "Closed")) {
      this.#closed = true;
      return this.#end(reason);
    }
    if (!this.#away) this.#environment.log.warn(`the interface is away and is opened again when it can be: ${errorText(reason)}`);
    this.#away = true;
    this.#outer.link(linkDown);
    this.#cancelReopen = this.#environment.clock.setTimer(reopenMicros, () => {
      // What went wrong is known: the next attempt is set already.
      this.#open().catch(() => undefined);
    });
  }
}
