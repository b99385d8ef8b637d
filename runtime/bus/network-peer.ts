/** The far end of a network cable: what is plugged into a simulated network card. */

export interface NetworkPeer {
  /** Called once by the card: how the peer sends, and what it can ask of the wire. */
  connect(wire: NetworkWire): void;
  /** The card transmitted a frame, from destination address to end of payload, without check sequence. The bytes are the peer's. */
  receive(frame: Uint8Array): void;
  /** Called often, at least every `pollMicros` while the link is up: the moment to look for frames to send. */
  poll?(): void;
  /** How often `poll` wants to be called; undefined: never. */
  readonly pollMicros?: number;
  /** The machine ends: lets go of sockets and descriptors. */
  close?(): void;
}

/** The card's end of the cable, as the peer drives it. */
export interface NetworkWire {
  /** Puts a frame on the wire towards the card. False when the card has no room for it: it is lost, as on a real wire. */
  send(frame: Uint8Array): boolean;
  /**
   * Whether a frame of usual size would find room now: what a switch learns by flow control. Also true while the card takes
   * no frames at all: then they are to be sent, and lost.
   */
  hasRoom(): boolean;
  /** Plugs the cable in or pulls it. */
  setCarrier(up: boolean): void;
}
