/** The TAP export: a network interface of Linux whose cable end is the sandboxed driver's card. */
import { z } from "zod";
import { AirlockError } from "../../api/errors.ts";
import { frameLimit } from "../../classes/net/geometry.ts";
import type { LinkState, NetIdentity, NetSettings, OpenInterface } from "../../classes/net/interface.ts";
import { macToBytes, parseMac } from "../../classes/net/mac.ts";
import { type NativeAddon, loadAddon } from "../../native/addon.ts";
import { DropLog } from "../drop-log.ts";
import type { ExportContext, ExportDefinition, RunningExport } from "../export.ts";
import { NetLink } from "../net-link.ts";
import { TapDevice } from "./device.ts";

/** Linux' IFNAMSIZ has room for 15 and a final 0; these characters need no quotes anywhere. */
const interfaceName = /^(?!\.{1,2}$)[A-Za-z0-9_.-]{1,15}$/;

const options = z.strictObject({
  /** Name of the interface; default "al-" and the export's name. */
  interface: z.string().regex(interfaceName, "an interface name has 1 to 15 letters, digits, or characters of _.-").optional(),
  mtu: z.number().int().min(68).max(9_216).default(1_500),
  /** Address of the interface and of the card; default is the card's own. */
  mac: z.string().regex(/^[0-9a-f][02468ace](?::[0-9a-f]{2}){5}$/i, 'a station\'s address looks like "52:54:00:12:34:56"').optional(),
  /** Whether the card passes on frames that are for others: for a bridge, or several addresses behind the interface. */
  promiscuous: z.boolean().default(false),
});

type TapExportOptions = z.infer<typeof options>;
type Context = ExportContext<TapExportOptions, OpenInterface>;

const definition: ExportDefinition<TapExportOptions, OpenInterface> = {
  type: "tap",
  class: "net",
  summary: "a network interface of Linux (TAP), for every program that uses the network",
  options,
  async start(context) {
    const running = new TapExport(context, loadAddon());
    await running.start();
    return running;
  },
};

export default definition;

/**
 * Programs' frames are taken only when the shadow has room for them: the kernel's queue fills and pushes back. Frames for
 * programs that the kernel does not take are dropped, as by any card.
 */
class TapExport implements RunningExport {
  readonly address: string;
  readonly ended: Promise<AirlockError | undefined>;
  readonly #context: Context;
  readonly #addon: NativeAddon;
  readonly #frameLimit: number;
  readonly #unwanted: DropLog;
  readonly #oversized: DropLog;
  #end: (reason: AirlockError | undefined) => void = () => undefined;
  #link: NetLink | undefined;
  #device: TapDevice | undefined;
  #mac: string | undefined;
  /** What the link has not taken yet of the last batch. */
  #waiting: readonly Uint8Array[] = [];
  #carrierHindered = false;
  #closing: Promise<void> | undefined;

  constructor(context: Context, addon: NativeAddon) {
    const { interface: chosen = `al-${context.name}`, mtu } = context.options;
    if (!interfaceName.test(chosen)) {
      const what = `"${chosen}" is no name for an interface, which has 1 to 15 letters, digits, or characters of _.-`;
      throw new AirlockError("InvalidArgument", `${what}; choose one with "interface"`, { interface: chosen });
    }
    this.address = chosen;
    this.#context = context;
    this.#addon = addon;
    this.#frameLimit = frameLimit(mtu);
    this.#unwanted = new DropLog(context, `frames from the network were not taken by ${chosen}`);
    this.#oversized = new DropLog(context, `frames sent through ${chosen} were dropped: they are longer than an MTU of ${mtu} allows`);
    this.ended = new Promise((resolve) => { this.#end = resolve; });
  }

  async start(): Promise<void> {
    const { mtu, mac, promiscuous } = this.#context.options;
    // Programs join groups by the kernel's own list, which a TAP interface does not tell anybody.
    const settings: Partial<NetSettings> = { up: true, mtu, promiscuous, allMulticast: true, ...(mac !== undefined && { mac }) };
    try {
      this.#link = await NetLink.open(this.#context, settings, {
        received: (frames) => { if (this.#device !== undefined) this.#unwanted.add(this.#device.write(frames)); },
        room: () => this.#send(),
        link: (state) => this.#showLink(state),
        identified: (identity) => this.#identified(identity),
      });
    } catch (error) {
      await this.close();
      throw error;
    }
    void this.#link.ended.then((reason) => this.#end(reason));
    if (this.#device === undefined) this.#context.log.warn(`the interface ${this.address} is made as soon as a driver says what its card is`);
  }

  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  async #close(): Promise<void> {
    this.#end(undefined);
    this.#link?.close();
    this.#device?.close();
    this.#unwanted.close();
    this.#oversized.close();
  }

  /** The first time this makes the interface: it has the card's address, or the card would not take frames that are for it. */
  #identified({ mac: permanent }: NetIdentity): void {
    const { mtu, mac = permanent } = this.#context.options;
    if (this.#closing !== undefined) return;
    if (this.#device !== undefined) {
      const what = `the card's address is ${mac} now, and ${this.address} still has ${this.#mac ?? "none"}`;
      if (mac !== this.#mac) this.#context.log.warn(`${what}; set "mac", or restart the machine`);
      return;
    }
    this.#mac = mac;
    this.#device = new TapDevice(this.#addon, { name: this.address, mtu, mac: macToBytes(parseMac(mac)!), up: true }, {
      sent: (frames) => {
        const fitting = frames.filter(({ length }) => length <= this.#frameLimit);
        this.#oversized.add(frames.length - fitting.length);
        this.#waiting = fitting;
        this.#send();
      },
      failed: (error) => this.#end(error),
    });
    const advice = `give it an IP address with: ip address add 192.0.2.1/24 dev ${this.address}`;
    this.#context.log.info(`${this.address} has address ${mac} and MTU ${mtu}; ${advice}`);
  }

  /** Passes on what waits; the next batch comes when all of it was taken. */
  #send(): void {
    if (this.#device === undefined) return;
    const had = this.#waiting.length;
    const taken = this.#link?.send(this.#waiting) ?? had;
    this.#waiting = this.#waiting.slice(taken);
    if (this.#waiting.length === 0) this.#device.resume();
  }

  #showLink({ up }: LinkState): void {
    const hindrance = this.#device?.setCarrier(up);
    if (hindrance === undefined || this.#carrierHindered) return;
    this.#carrierHindered = true;
    this.#context.log.info(`programs do not see whether ${this.address} has a link: ${hindrance}; kernels from 5.0 on show it`);
  }
}
