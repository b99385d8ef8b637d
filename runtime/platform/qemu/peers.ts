/** The plugged-in peers of one QEMU: each at the far end of a connector's socket. Main thread. */
import type net from "node:net";
import { type Connector, openConnector } from "./connector.ts";
import { networkPeers } from "./network-peers.ts";
import { serialPeers } from "./serial-peers.ts";

/** A peer whose connection ends stays unplugged. */
export class Peers implements Disposable {
  readonly #sockets: net.Socket[] = [];

  /**
   * Plugs in all peers; QEMU has taken them when it answers the second qtest command from then on.
   * @throws AirlockError PlatformUnavailable when a connector takes no connection
   */
  static async plugIn(connectors: readonly Connector[]): Promise<Peers> {
    const all = new Peers();
    try {
      for (const connector of connectors) {
        const plugIn = howToPlugIn(connector);
        if (plugIn === undefined) continue;
        const socket = await openConnector(connector);
        all.#sockets.push(socket);
        plugIn(socket);
      }
    } catch (error) {
      all[Symbol.dispose]();
      throw error;
    }
    return all;
  }

  /** Peers whose connection is up. */
  get connected(): number {
    return this.#sockets.filter((socket) => !socket.destroyed).length;
  }

  /** Pulls all plugs; idempotent. */
  [Symbol.dispose](): void {
    for (const socket of this.#sockets) socket.destroy();
  }
}

/** Undefined for a connector that stays empty. */
function howToPlugIn({ kind, peer, options }: Connector): ((socket: net.Socket) => void) | undefined {
  if (kind === "serial") return serialPeers.get(peer);
  const network = networkPeers.get(peer);
  return network && ((socket) => network.plugIn(socket, options));
}
