/** The peer "host": a tiny IPv4 host of its own at the far end of the cable. Option `address` (default 10.77.0.2). */
import type { NetworkPeer, NetworkWire } from "../../../bus/network-peer.ts";
import { NetworkHost, defaultHostAddress } from "../../network-host.ts";
import type { PeerDefinition } from "./peer.ts";

class HostPeer implements NetworkPeer {
  readonly #host: NetworkHost;
  #wire: NetworkWire | undefined;

  constructor(address: string) {
    this.#host = new NetworkHost(address);
  }

  connect(wire: NetworkWire): void {
    this.#wire = wire;
    wire.setCarrier(true);
  }

  /** Its answer is on the wire before the card's next frame: at most one frame for each. */
  receive(frame: Uint8Array): void {
    const answer = this.#host.answer(frame);
    if (answer !== undefined) this.#wire?.send(answer);
  }
}

const host: PeerDefinition = { name: "host", createNetwork: (options) => new HostPeer(String(options["address"] ?? defaultHostAddress)) };

export default host;
