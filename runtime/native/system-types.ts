/** Types of what the addon's calls take and give. */

/** A terminal's line settings. */
export interface LineSettings {
  readonly baudRate: number;
  readonly dataBits: 5 | 6 | 7 | 8;
  readonly stopBits: 1 | 2;
  readonly parity: "none" | "odd" | "even";
}

export interface TapOptions {
  /** Interface name of up to 15 characters; "%d" in it is replaced by a number. */
  readonly name: string;
  readonly mtu: number;
  /** Six bytes; the kernel chooses one when left out. */
  readonly mac?: Uint8Array;
  /** Brings the interface up. */
  readonly up: boolean;
}

/** The reading side of a TAP interface. */
export interface TapInterface {
  /** Asks for the next batch, after one was handled. */
  resume(): void;
  /** Ends the thread; nothing is called any more. To be called before the descriptor is closed; idempotent. */
  close(): void;
}
