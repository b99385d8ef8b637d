/** The net client: opens the interface behind a shadow, checks what its holder asks, and tells it things in turns of their own. */
import { setMaxListeners } from "node:events";
import { AirlockError, errorText } from "../../api/errors.ts";
import { headerBytes, maxMulticast } from "./contract.ts";
import { frameLimit } from "./geometry.ts";
import type { LinkState, NetCounters, NetIdentity, NetInterface, NetListener, NetSettings, NetStatistics, OpenInterface } from "./interface.ts";
import { formatMac, isGroup, macBytes, macToBytes, parseMac } from "./mac.ts";
import type { NetShadow, PortHolder } from "./shadow.ts";

/** What an interface has when it is opened. */
const openSettings: NetSettings = { up: true, promiscuous: false, allMulticast: false, mtu: 1_500, multicast: [] };

export function openClient(shadow: NetShadow): OpenInterface {
  return (listener) => new OpenNetInterface(shadow, listener);
}

class OpenNetInterface implements NetInterface {
  readonly #listener: NetListener;
  readonly #shadow: NetShadow;
  readonly #holder: PortHolder;
  readonly #closing = new AbortController();
  #settings: NetSettings;
  /** Of the configuration that the driver confirmed. */
  #frameLimit: number;
  /** What the listener is told in the next turn. */
  #frames: Uint8Array[] = [];
  #room = false;
  #link: LinkState | undefined;
  #end: Error | undefined;
  #scheduled = false;
  #closed = false;

  /** @throws AirlockError AddressInUse, DriverUnavailable, Closed */
  constructor(shadow: NetShadow, listener: NetListener) {
    // Every pending call listens; their number is bounded by the shadow's queue.
    setMaxListeners(0, this.#closing.signal);
    this.#listener = listener;
    this.#settings = { ...openSettings, mtu: Math.min(openSettings.mtu, shadow.maxMtu) };
    this.#frameLimit = frameLimit(this.#settings.mtu);
    this.#shadow = shadow;
    this.#holder = {
      received: (frames) => {
        this.#frames = this.#frames.length === 0 ? frames : this.#frames.concat(frames);
        this.#schedule();
      },
      room: () => { this.#room = true; this.#schedule(); },
      link: (state) => { this.#link = state; this.#schedule(); },
      ended: (reason) => { this.#end = reason; this.#schedule(); },
    };
    shadow.open(this.#holder);
    // A driver that is away has it as soon as it is back; one that refuses it fails, which is no affair of the opening.
    this.#apply(this.#settings, true).catch((error: unknown) => {
      if (this.#end === undefined && !this.#closing.signal.aborted) this.#shadow.note(`the interface is not up: ${errorText(error)}`);
    });
  }

  get link(): LinkState {
    return this.#shadow.link;
  }

  get counters(): NetCounters {
    return this.#shadow.counters;
  }

  async identity(): Promise<NetIdentity> {
    this.#closing.signal.throwIfAborted();
    const { mac, maxMtu } = await this.#shadow.identify({ closing: this.#closing.signal });
    return { mac: formatMac(mac), maxMtu };
  }

  async configure(settings: Partial<NetSettings>): Promise<void> {
    this.#closing.signal.throwIfAborted();
    const wanted: NetSettings = { ...this.#settings, ...settings };
    const reason = this.#wrong(wanted);
    if (reason !== undefined) throw new AirlockError("InvalidArgument", `${this.#shadow.driver}: configure: ${reason}`);
    this.#settings = { ...wanted, multicast: [...wanted.multicast] };
    await this.#apply(this.#settings);
  }

  statistics(): Promise<NetStatistics> {
    return this.#shadow.statistics({ closing: this.#closing.signal });
  }

  send(frames: readonly Uint8Array[]): number {
    for (const { length } of frames) {
      if (length >= headerBytes && length <= this.#frameLimit) continue;
      const what = `a frame of ${length} bytes; frames have ${headerBytes} to ${this.#frameLimit} with this MTU`;
      throw new AirlockError("InvalidArgument", `${this.#shadow.driver}: send: ${what}`, { sizeBytes: length });
    }
    return this.#closed || this.#end !== undefined ? 0 : this.#shadow.send(frames);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#shadow.release(this.#holder);
    this.#closing.abort(new AirlockError("Closed", `${this.#shadow.driver}: the interface was closed by its client`));
  }

  async #apply(settings: NetSettings, internal = false): Promise<void> {
    const { up, promiscuous, allMulticast, mtu, mac, multicast } = settings;
    const addresses = new Uint8Array(multicast.length * macBytes);
    multicast.forEach((address, index) => addresses.set(macToBytes(parseMac(address)!), index * macBytes));
    const number = mac === undefined ? 0 : parseMac(mac)!;
    const configuration = { up, promiscuous, allMulticast, mtu, mac: number, multicast: addresses };
    await this.#shadow.configure(configuration, { closing: this.#closing.signal, internal });
    this.#frameLimit = frameLimit(mtu);
  }

  #wrong({ mtu, mac, multicast }: NetSettings): string | undefined {
    const { maxMtu } = this.#shadow;
    if (!(Number.isInteger(mtu) && mtu >= 68 && mtu <= maxMtu)) {
      return `an MTU of ${mtu}; this interface takes 68 to ${maxMtu} (the device's limit, and "maxMtu" of the driver's "shadow" section)`;
    }
    const number = mac === undefined ? undefined : parseMac(mac);
    if (mac !== undefined && (number === undefined || number === 0 || isGroup(number))) {
      return `"${mac}" is no address of a station; write one such as "52:54:00:12:34:56"`;
    }
    const odd = multicast.find((address) => { const group = parseMac(address); return group === undefined || !isGroup(group); });
    if (odd !== undefined) return `"${odd}" is no multicast address; write one such as "01:00:5e:00:00:01"`;
    if (multicast.length <= maxMulticast) return undefined;
    return `${multicast.length} multicast addresses, at most ${maxMulticast}; ask for allMulticast instead`;
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(this.#tell);
  }

  readonly #tell = (): void => {
    this.#scheduled = false;
    const frames = this.#frames;
    const room = this.#room;
    const link = this.#link;
    const end = this.#end;
    this.#frames = [];
    this.#room = false;
    this.#link = this.#end = undefined;
    if (frames.length > 0) this.#guard(() => this.#listener.received(frames));
    if (link !== undefined) this.#guard(() => this.#listener.link(link));
    if (room) this.#guard(() => this.#listener.room());
    if (end !== undefined) {
      this.#closing.abort(end);
      this.#guard(() => this.#listener.ended(end));
      this.#closed = true;
    }
  };

  /** A listener that throws harms nobody but itself; one that closed meanwhile is told no more. */
  #guard(call: () => void): void {
    if (this.#closed) return;
    try {
      call();
    } catch (error) {
      this.#shadow.note(`a client's listener threw: ${errorText(error)}`);
    }
  }
}
