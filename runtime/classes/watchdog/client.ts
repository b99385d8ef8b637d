/** The watchdog client: starts, pings and stops a watchdog, whatever happens to the driver below. */
import { setMaxListeners } from "node:events";
import { AirlockError } from "../../api/errors.ts";
import type { CallOptions, ShadowCallOptions } from "../calls.ts";
import type { WatchdogEvent, WatchdogIdentity, WatchdogShadow } from "./shadow.ts";

/** What the device can. */
export interface WatchdogFeatures {
  readonly minTimeoutMs: number;
  readonly maxTimeoutMs: number;
  /** False: once started it runs until the next reset. */
  readonly canStop: boolean;
  readonly hasPretimeout: boolean;
  /** The machine's last reset came from this watchdog, as the first driver found it. */
  readonly causedReset: boolean;
}

export interface WatchdogSettings {
  /** Rounded up to what the device can. */
  readonly timeoutMs: number;
  /** `pretimeout` is told this long before it runs out; 0, the default, for never. Only where the device has it. */
  readonly pretimeoutMs?: number;
  /** From now on it cannot be stopped. */
  readonly noWayOut?: boolean;
}

/** An open watchdog. Every call takes an AbortSignal. */
export interface WatchdogClient extends Disposable {
  identify(call?: CallOptions): Promise<WatchdogFeatures>;
  /** Starts it, or starts it anew with these settings; resolves with its timeout in milliseconds. @throws AirlockError InvalidArgument */
  start(settings: WatchdogSettings, call?: CallOptions): Promise<number>;
  /** @throws AirlockError InvalidArgument when it cannot be stopped any more, Unsupported when its device goes on all the same */
  stop(call?: CallOptions): Promise<void>;
  /** Resolves when it counts anew: the next is due a timeout from then. @throws AirlockError InvalidArgument when it is not running */
  ping(call?: CallOptions): Promise<void>;
  /** Milliseconds until it runs out, by the device or else by the last ping; 0 when it is stopped. */
  timeLeft(call?: CallOptions): Promise<number>;
  /** Subscribes to events; returns the unsubscribing function. */
  on(listener: (event: WatchdogEvent) => void): () => void;
  /** Rejects this client's pending calls with Closed; idempotent. The device goes on counting, if it does: whoever watches nothing stops it. */
  close(): void;
}

/** Opens the watchdog behind a shadow. Any number of clients may have it open; a ping of any of them is one. */
export function openClient(shadow: WatchdogShadow): WatchdogClient {
  return new OpenWatchdog(shadow);
}

/** What a stopped watchdog is configured for: it has to be something. */
const stoppedTimeoutMs = 1;

class OpenWatchdog implements WatchdogClient {
  readonly #shadow: WatchdogShadow;
  readonly #closing = new AbortController();
  readonly #unsubscribe = new Set<() => void>();

  constructor(shadow: WatchdogShadow) {
    this.#shadow = shadow;
    // Every pending call listens; their number is bounded by the shadow's queue.
    setMaxListeners(0, this.#closing.signal);
  }

  async identify(call?: CallOptions): Promise<WatchdogFeatures> {
    const { minTimeoutMs, maxTimeoutMs, canStop, hasPretimeout, hasExpired }: WatchdogIdentity = await this.#shadow.identify(this.#options(call));
    return { minTimeoutMs, maxTimeoutMs, canStop, hasPretimeout, causedReset: hasExpired };
  }

  async start({ timeoutMs, pretimeoutMs = 0, noWayOut = false }: WatchdogSettings, call?: CallOptions): Promise<number> {
    return (await this.#shadow.configure({ running: true, timeoutMs, pretimeoutMs, noWayOut }, this.#options(call))).timeoutMs;
  }

  async stop(call?: CallOptions): Promise<void> {
    const { isRunning } = await this.#shadow.configure({ running: false, timeoutMs: stoppedTimeoutMs, pretimeoutMs: 0, noWayOut: false }, this.#options(call));
    if (isRunning) throw new AirlockError("Unsupported", "stop: the device goes on all the same; ping it until the next reset");
  }

  ping(call?: CallOptions): Promise<void> {
    return this.#shadow.ping(this.#options(call));
  }

  timeLeft(call?: CallOptions): Promise<number> {
    return this.#shadow.timeLeft(this.#options(call));
  }

  on(listener: (event: WatchdogEvent) => void): () => void {
    this.#closing.signal.throwIfAborted();
    const stop = this.#shadow.on(listener);
    this.#unsubscribe.add(stop);
    return () => {
      stop();
      this.#unsubscribe.delete(stop);
    };
  }

  close(): void {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort(new AirlockError("Closed", "the watchdog was closed by its client"));
    for (const stop of this.#unsubscribe) stop();
    this.#unsubscribe.clear();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #options(call: CallOptions | undefined): ShadowCallOptions {
    return { ...call, closing: this.#closing.signal };
  }
}
