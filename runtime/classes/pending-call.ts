/** One call on its way through a shadow: its request, its client's promise, and who still waits for it. */
import type { Operation } from "../api/contract.ts";

export interface CallOptions {
  /** Aborting rejects the call at once with the signal's reason. A driver that already has it will still perform it. */
  readonly signal?: AbortSignal;
}

/** What a client's handle adds: its own end aborts the calls it made. */
export interface ShadowCallOptions extends CallOptions {
  readonly closing?: AbortSignal;
  /** Made by the shadow itself: its answer is no service to a client. */
  readonly internal?: boolean;
  /** Its class makes one at a time and would lose data without it: taken also when clients have filled the queue. */
  readonly single?: boolean;
}

/** The two ends of a client's promise. */
export interface CallClient {
  readonly resolve: (value: unknown) => void;
  readonly reject: (reason: unknown) => void;
}

export class PendingCall {
  readonly operation: Operation;
  /** The encoded arguments: a copy, so that what the client does to its objects later changes nothing. */
  readonly payload: Uint8Array;
  /** When the client asked. */
  readonly askedMicros: number;
  /** Sent from the log after a restart: no client waits for it. */
  readonly replay: boolean;
  /** Made by the shadow for itself. */
  readonly internal: boolean;
  readonly #resolve: (value: unknown) => void;
  readonly #reject: (reason: unknown) => void;
  #settled = false;
  readonly #stopListening: (() => void)[] = [];
  #cancelDeadline: () => void = () => undefined;

  /** Without a client, the call is a replay. */
  constructor(operation: Operation, payload: Uint8Array, askedMicros: number, client?: CallClient, internal = false) {
    this.operation = operation;
    this.payload = payload;
    this.askedMicros = askedMicros;
    this.replay = client === undefined;
    this.internal = internal || this.replay;
    this.#resolve = client?.resolve ?? (() => undefined);
    this.#reject = client?.reject ?? (() => undefined);
  }

  /** Nobody waits for the outcome: settled, or aborted by its client. */
  get settled(): boolean {
    return this.#settled;
  }

  /** Calls `aborted` once, after the client was told, if the signal fires before the call is settled. */
  listen(signal: AbortSignal, aborted: () => void): void {
    const listener = (): void => {
      this.fail(signal.reason);
      aborted();
    };
    signal.addEventListener("abort", listener, { once: true });
    this.#stopListening.push(() => signal.removeEventListener("abort", listener));
  }

  /** Remembers how to stop the deadline of the request that was sent. */
  sent(cancelDeadline: () => void): void {
    this.#cancelDeadline = cancelDeadline;
  }

  /** The request is not with a driver any more. */
  back(): void {
    this.#cancelDeadline();
  }

  answer(value: unknown): void {
    if (this.#settle()) this.#resolve(value);
  }

  fail(reason: unknown): void {
    if (this.#settle()) this.#reject(reason);
  }

  #settle(): boolean {
    if (this.#settled) return false;
    this.#settled = true;
    for (const stop of this.#stopListening.splice(0)) stop();
    return true;
  }
}
