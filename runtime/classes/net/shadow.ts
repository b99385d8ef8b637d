/** The net shadow: an interface that stays up while drivers come and go; frames wait here, buffers are posted from here. */
import type { Args, Reply } from "../../api/contract.ts";
import { AirlockError, errorText, isAirlockError } from "../../api/errors.ts";
import { type MessageRecord, RecordKind } from "../../api/records.ts";
import { type CallPolicy, Calls, type ShadowCallOptions } from "../calls.ts";
import type { DriverPort, Shadow, ShadowEnvironment, ShadowState } from "../shadow.ts";
import { Carrier } from "./carrier.ts";
import { net } from "./contract.ts";
import { divide } from "./geometry.ts";
import type { LinkState, NetCounters, NetStatistics } from "./interface.ts";
import { formatMac } from "./mac.ts";
import { Receiver } from "./receiver.ts";
import { type NetShadowSettings, readSettings } from "./shadow-settings.ts";
import { Transmitter } from "./transmitter.ts";

type Identity = Reply<typeof net, "identify">;
type Link = Reply<typeof net, "getLink">;
export type Configuration = Args<typeof net, "configure">;

/** Who has the interface open, as the shadow tells it things: any of these may be called inside any call. */
export interface PortHolder {
  /** The array is the holder's. */
  received(frames: Uint8Array[]): void;
  room(): void;
  link(state: LinkState): void;
  /** The interface is closed from below: the driver was given up, or the machine ends. */
  ended(reason: AirlockError): void;
}

/** What the net client works with. An interface is open at most once; only its holder calls what is below `open`. */
export interface NetShadow extends Shadow {
  readonly driver: string;
  /** Largest MTU it can be configured for, as far as is known yet. */
  readonly maxMtu: number;
  readonly link: LinkState;
  readonly counters: NetCounters;
  note(text: string): void;
  /** @throws AirlockError AddressInUse when it is open already, DriverUnavailable, Closed */
  open(holder: PortHolder): void;
  identify(call: ShadowCallOptions): Promise<{ readonly mac: number; readonly maxMtu: number }>;
  configure(configuration: Configuration, call: ShadowCallOptions): Promise<void>;
  statistics(call: ShadowCallOptions): Promise<NetStatistics>;
  /** Frames of checked size; how many were taken. */
  send(frames: readonly Uint8Array[]): number;
  /** Gives the interface back: it goes down, and frames that wait are dropped. Nothing when somebody else has it. */
  release(holder: PortHolder): void;
}

const down: Configuration = { up: false, promiscuous: false, allMulticast: false, mtu: 1_500, mac: 0, multicast: new Uint8Array(0) };

/** @throws AirlockError InvalidArgument for settings that do not exist, ManifestInvalid for a driver without buffers */
export function createShadow(environment: ShadowEnvironment): NetShadow {
  return new NetShadowCore(environment, readSettings(environment));
}

class NetShadowCore implements NetShadow {
  readonly contract = net;
  readonly #environment: ShadowEnvironment;
  readonly #settings: NetShadowSettings;
  /** What the interface has while nobody has it open. */
  readonly #initial: Configuration;
  readonly #calls: Calls<typeof net>;
  readonly #transmitter: Transmitter;
  readonly #receiver: Receiver;
  readonly #carrier: Carrier;
  #holder: PortHolder | undefined;
  #identity: Identity | undefined;
  /** The driver that was attached last, while it is there. */
  #port: DriverPort | undefined;
  /** Ends what the shadow asked of that driver. */
  #asking = new AbortController();
  #unavailable: AirlockError | undefined;
  #drivers = 0;
  /** What the holder asked for last, and what the driver confirmed last. */
  #wantedUp = false;
  #isUp = false;
  /** Configurations under way that take the interface down: a driver would drop what it is given before them. */
  #downs = 0;

  constructor(environment: ShadowEnvironment, settings: NetShadowSettings) {
    this.#environment = environment;
    this.#settings = settings;
    const geometry = divide(environment, settings.maxMtu);
    this.#initial = { ...down, mtu: Math.min(down.mtu, settings.maxMtu) };
    this.#receiver = new Receiver(environment, geometry, this.#initial.mtu);
    this.#transmitter = new Transmitter(environment, geometry, settings.resend, () => this.#holder?.room());
    this.#carrier = new Carrier(environment.clock, settings.carrierLossMs, (shown) => this.#linkChanged(shown));
    this.#calls = new Calls(net, environment, this.#policy());
    this.#calls.preset("configure", this.#initial);
  }

  get state(): ShadowState {
    return this.#calls.state;
  }

  get maxMtu(): number {
    return Math.min(this.#settings.maxMtu, this.#identity?.maxMtu ?? Infinity);
  }

  get driver(): string {
    return this.#environment.driver;
  }

  open(holder: PortHolder): void {
    const { driver } = this;
    if (this.state === "closed") throw new AirlockError("Closed", `${driver}: the device was closed`, { driver });
    if (this.#unavailable !== undefined) throw this.#unavailable;
    if (this.#holder !== undefined) {
      const advice = "close it there first, or remove the export that holds it";
      throw new AirlockError("AddressInUse", `${driver}: the interface is open already; ${advice}`, { driver });
    }
    this.#holder = holder;
  }

  release(holder: PortHolder): void {
    if (this.#holder === holder) this.#release();
  }

  get link(): LinkState {
    return this.#carrier.shown;
  }

  get counters(): NetCounters {
    const { sent, dropped, sentAgain } = this.#transmitter;
    const { received, refused } = this.#receiver;
    return { sent, received, dropped, sentAgain, refused, drivers: this.#drivers };
  }

  note(text: string): void {
    this.#environment.note(text);
  }

  async identify(call: ShadowCallOptions): Promise<{ readonly mac: number; readonly maxMtu: number }> {
    const { mac } = this.#identity ?? (await this.#calls.call("identify", {}, call));
    return { mac, maxMtu: this.maxMtu };
  }

  async configure(configuration: Configuration, call: ShadowCallOptions): Promise<void> {
    this.#wantedUp = configuration.up;
    if (!configuration.up) this.#downs++;
    this.#setMode();
    try {
      await this.#calls.call("configure", configuration, call);
    } finally {
      if (!configuration.up) this.#downs--;
      this.#setMode();
    }
  }

  statistics(call: ShadowCallOptions): Promise<NetStatistics> {
    return this.#calls.call("statistics", {}, call);
  }

  send(frames: readonly Uint8Array[]): number {
    return this.#transmitter.send(frames);
  }

  attach(port: DriverPort): Promise<boolean> {
    if (this.state === "closed") return Promise.resolve(false);
    this.detach();
    this.#unavailable = undefined;
    this.#port = port;
    this.#drivers++;
    const attached = this.#calls.attach(port);
    // Right behind the configuration: buffers and frames wait to know what the device can hold.
    this.#asking = new AbortController();
    void this.#ask("identify", this.#asking.signal);
    void this.#ask("getLink", this.#asking.signal);
    return attached;
  }

  detach(): void {
    if (this.#port === undefined) return;
    this.#port = undefined;
    this.#isUp = false;
    this.#asking.abort();
    this.#calls.detach();
    this.#receiver.close();
    this.#transmitter.close();
    this.#carrier.away();
  }

  giveUp(error: AirlockError): void {
    if (this.state === "closed") return;
    this.detach();
    this.#unavailable = error;
    this.#calls.giveUp(error);
    this.#end(error);
  }

  receive(record: MessageRecord): string | undefined {
    if (this.#port === undefined) return undefined;
    if (record.kind !== RecordKind.completions) return this.#calls.receive(record);
    return record.id === net.queues.receive.id ? this.#takeReceived(record) : this.#takeSent(record);
  }

  async probe(): Promise<void> {
    await this.#calls.call("getLink", {}, { internal: true });
  }

  close(): void {
    if (this.state === "closed") return;
    this.detach();
    this.#calls.close();
    const { driver } = this.#environment;
    this.#end(new AirlockError("Closed", `${driver}: the device was closed`, { driver }));
  }

  #policy(): CallPolicy {
    return {
      maxInFlight: 4,
      answered: (name, args, reply) => {
        switch (name) {
          case "identify": this.#identified(reply as Identity); break;
          case "getLink": this.#carrier.report(reply as Link); break;
          case "configure": this.#configured(args as Configuration); break;
        }
      },
      event: (_name, value) => {
        this.#carrier.report(value as Link);
        return undefined;
      },
    };
  }

  /** What the shadow wants to know of each new driver; one that is gone before it answers is asked no more. */
  async #ask(operation: "identify" | "getLink", signal: AbortSignal): Promise<void> {
    await this.#calls.call(operation, {}, { internal: true, single: true, closing: signal }).catch((error: unknown) => {
      if (!signal.aborted) this.note(`${operation} was not answered: ${errorText(error)}`);
    });
  }

  /** The driver says what its device is: buffers and frames may go there from now on. */
  #identified(identity: Identity): void {
    const before = this.#identity;
    this.#identity = identity;
    const { mac, maxMtu } = identity;
    const { mtu } = this.#receiver;
    if (before !== undefined && before.mac !== mac) this.note(`the permanent address was ${formatMac(before.mac)} and is ${formatMac(mac)} now`);
    if (maxMtu < mtu) this.note(`the device takes an MTU of at most ${maxMtu} now; the interface is configured for ${mtu}`);
    if (this.#port === undefined || this.#receiver.link.isOpen) return;
    this.#receiver.open(this.#port, identity.receiveDepth);
    this.#transmitter.open(this.#port, identity.transmitDepth);
  }

  #takeReceived(record: MessageRecord): string | undefined {
    const reason = this.#receiver.link.receive(record);
    const frames = this.#receiver.take();
    if (frames.length > 0 && this.#holder !== undefined) {
      this.#holder.received(frames);
      this.#environment.served("receive");
    }
    return reason;
  }

  #takeSent(record: MessageRecord): string | undefined {
    const { sent } = this.#transmitter;
    const reason = this.#transmitter.link.receive(record);
    if (this.#transmitter.sent > sent) this.#environment.served("transmit");
    this.#transmitter.pump();
    return reason;
  }

  #configured({ up, mtu }: Configuration): void {
    this.#receiver.mtu = mtu;
    this.#isUp = up;
    this.#setMode();
  }

  /** A driver drops frames that it is given while the interface is down or without a link: what is only on its way up is waited for. */
  #setMode(): void {
    const { link } = this.#carrier;
    if (!this.#wantedUp || link === "down") this.#transmitter.mode = "drop";
    else this.#transmitter.mode = this.#isUp && this.#downs === 0 && link === "up" ? "send" : "hold";
  }

  #linkChanged(shown: LinkState | undefined): void {
    this.#setMode();
    if (shown !== undefined) this.#holder?.link(shown);
  }

  #end(reason: AirlockError): void {
    const holder = this.#holder;
    this.#release();
    this.#carrier.lose();
    holder?.ended(reason);
  }

  #release(): void {
    if (this.#holder === undefined) return;
    this.#holder = undefined;
    this.#wantedUp = false;
    this.#setMode();
    this.#transmitter.forget();
    // A driver that comes back after it was given up finds the interface down as well.
    if (this.state === "unavailable") return this.#calls.preset("configure", this.#initial);
    if (this.state === "closed") return;
    this.configure(this.#initial, { internal: true, single: true }).catch((error: unknown) => {
      if (isAirlockError(error, "DriverUnavailable") || isAirlockError(error, "Closed")) return;
      this.note(`the interface is not down: ${errorText(error)}`);
    });
  }
}
