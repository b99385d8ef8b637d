/** A network interface: what the net class gives to programs, an Ethernet port that stays while its drivers come and go. */

export interface NetIdentity {
  /** The permanent address: "52:54:00:12:34:56". */
  readonly mac: string;
  readonly maxMtu: number;
}

export interface NetSettings {
  readonly up: boolean;
  readonly promiscuous: boolean;
  readonly allMulticast: boolean;
  /** Payload of an Ethernet frame, header not counted. */
  readonly mtu: number;
  /** The address to use instead of the permanent one. */
  readonly mac?: string;
  readonly multicast: readonly string[];
}

export interface LinkState {
  readonly up: boolean;
  readonly speedMbps: number;
  readonly fullDuplex: boolean;
}

/** What the shadow counted since the machine came up, over all drivers. */
export interface NetCounters {
  readonly sent: number;
  readonly received: number;
  /** Frames that were taken and not sent: there was no link, the driver dropped them, or died with them and `resend` is off. */
  readonly dropped: number;
  /** Frames given to a second driver because the first died with them: they may be on the wire twice. */
  readonly sentAgain: number;
  /** Frames from the driver that were refused: too short, or longer than the MTU allows. */
  readonly refused: number;
  /** Drivers there were; a frame that was under way while this changed may be lost without another word. */
  readonly drivers: number;
}

/** The device's own counters since its driver started. */
export interface NetStatistics {
  readonly received: number;
  readonly transmitted: number;
  readonly receiveErrors: number;
  readonly transmitErrors: number;
  /** Frames lost because there was no buffer for them. */
  readonly missed: number;
}

/** What a holder of the interface is told. Listeners are called in later turns, never inside a call. */
export interface NetListener {
  /** Frames arrived, each a copy of the listener's own, without check sequence. */
  received(frames: readonly Uint8Array[]): void;
  /** `send` took less than it was given; there is room again. */
  room(): void;
  /** The carrier changed. A restart is not shown unless it takes longer than the shadow's limit. */
  link(state: LinkState): void;
  /** The interface is closed from below: the driver was given up, or the machine ends. */
  ended(reason: Error): void;
}

export interface NetInterface {
  /** Resolves once a driver has said what the device is. @throws AirlockError DriverUnavailable, Closed */
  identity(): Promise<NetIdentity>;
  /** What is left out stays. Resolves when the driver has it. @throws AirlockError InvalidArgument, DriverUnavailable, Closed */
  configure(settings: Partial<NetSettings>): Promise<void>;
  /** @throws AirlockError DriverUnavailable, QueueFull, Closed */
  statistics(): Promise<NetStatistics>;
  readonly link: LinkState;
  readonly counters: NetCounters;
  /**
   * Queues frames from destination address to end of payload; the bytes are copied. Returns how many were taken, in order:
   * fewer than given when the queue is full, and then `room` is called once there is room; none after the end.
   * @throws AirlockError InvalidArgument for a frame shorter than a header or longer than the MTU allows
   */
  send(frames: readonly Uint8Array[]): number;
  /** Idempotent. */
  close(): void;
}

/** What `openClient` gives: opens the interface for one holder. @throws AirlockError AddressInUse, DriverUnavailable, Closed */
export type OpenInterface = (listener: NetListener) => NetInterface;
