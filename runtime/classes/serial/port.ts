/** The serial client's interface: the shape of Web Serial's SerialPort (WICG Web Serial API, section 4). */

export interface SerialOptions {
  /** Bits per second, 50..4_000_000. */
  readonly baudRate: number;
  /** Data bits per character, default 8. */
  readonly dataBits?: 5 | 6 | 7 | 8;
  /** Default 1. */
  readonly stopBits?: 1 | 2;
  /** Default "none". */
  readonly parity?: "none" | "odd" | "even";
}

export interface SerialOutputSignals {
  readonly dataTerminalReady?: boolean;
  readonly requestToSend?: boolean;
  readonly break?: boolean;
}

export interface SerialInputSignals {
  readonly dataCarrierDetect: boolean;
  readonly clearToSend: boolean;
  readonly ringIndicator: boolean;
  readonly dataSetReady: boolean;
}

/** What a client is told about its line; never silently dropped. */
export type SerialNotice =
  /** Bytes the hardware lost before a driver read them; the hardware says only that it was at least this many. */
  | { readonly kind: "lost"; readonly bytes: number }
  /** Bytes given to a driver that died before it confirmed them: sent or not, never sent twice. */
  | { readonly kind: "uncertain"; readonly bytes: number }
  | { readonly kind: "framing" | "parity" | "break"; readonly count: number }
  | { readonly kind: "signals"; readonly signals: SerialInputSignals }
  /**
   * The driver went away and came back. What it had read from the hardware and not handed on is lost with it: at most
   * one event's bytes (256), and nobody knows how many.
   */
  | { readonly kind: "restarted"; readonly generation: bigint };

/** An open serial port. Stays open through driver restarts. */
export interface SerialPort extends AsyncDisposable, AsyncIterable<Uint8Array> {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
  /** Changes the line settings; kept across restarts. */
  configure(options: SerialOptions, call?: { signal?: AbortSignal }): Promise<void>;
  setSignals(signals: SerialOutputSignals, call?: { signal?: AbortSignal }): Promise<void>;
  getSignals(call?: { signal?: AbortSignal }): Promise<SerialInputSignals>;
  /** Resolves when every byte written so far was handed to the hardware. */
  drain(call?: { signal?: AbortSignal }): Promise<void>;
  /** Subscribes to notices; returns the unsubscribing function. */
  onNotice(listener: (notice: SerialNotice) => void): () => void;
  /** Cancels what is pending and closes both streams; idempotent. */
  close(): Promise<void>;
}
