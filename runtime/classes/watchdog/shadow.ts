/** The watchdog shadow: keeps the device counting for its client while drivers come and go, and never instead of its client. */
import type { Args, Reply } from "../../api/contract.ts";
import { AirlockError, errorText } from "../../api/errors.ts";
import type { MessageRecord } from "../../api/records.ts";
import { type CallPolicy, Calls, type ShadowCallOptions } from "../calls.ts";
import { Listeners } from "../listeners.ts";
import type { DriverPort, Shadow, ShadowEnvironment, ShadowState } from "../shadow.ts";
import { watchdog } from "./contract.ts";
import { Countdown } from "./countdown.ts";

export type WatchdogIdentity = Reply<typeof watchdog, "identify">;
export type WatchdogConfiguration = Args<typeof watchdog, "configure">;

export type WatchdogEvent =
  /** It runs out soon unless it is pinged. */
  | { readonly kind: "pretimeout" }
  /** It ran out, and whoever should have reset the machine has not yet. It is stopped; a client may start it again. */
  | { readonly kind: "expired" }
  /** Its time is over and it has not run out: its drivers keep it from that, or it is broken. A late ping is taken all the same. */
  | { readonly kind: "overdue" }
  /** The driver was given up while the watchdog was running: nobody can ping it. It runs out, unless its last driver stopped it to get to know it. */
  | { readonly kind: "unattended" }
  /** The shadow was closed; nothing follows. */
  | { readonly kind: "closed" };

/** What the watchdog client works with. One device has one timeout: any client may ping, the last to configure wins. */
export interface WatchdogShadow extends Shadow {
  /** What the device can; `hasExpired` is as the machine's first driver found it. */
  identify(call?: ShadowCallOptions): Promise<WatchdogIdentity>;
  /** @throws (rejects) AirlockError InvalidArgument for what the device cannot, and as every call does */
  configure(configuration: WatchdogConfiguration, call?: ShadowCallOptions): Promise<Reply<typeof watchdog, "configure">>;
  /** Resolves when the device counts anew. @throws (rejects) AirlockError InvalidArgument when no client has started it, or it ran out */
  ping(call?: ShadowCallOptions): Promise<void>;
  /** Milliseconds, never more than there are; 0 when it is stopped or has run out. */
  timeLeft(call?: ShadowCallOptions): Promise<number>;
  on(listener: (event: WatchdogEvent) => void): () => void;
}

/** A ping is answered some time after the device was told; more than this is no such time. */
const earlyMs = 1_000;

/** Who says that the watchdog ran out. The platform is believed; a driver may find its device's flag long after. */
type Witness = "platform" | "driver";

export function createShadow(environment: ShadowEnvironment): WatchdogShadow {
  return new WatchdogShadowCore(environment);
}

class WatchdogShadowCore implements WatchdogShadow {
  readonly contract = watchdog;
  readonly #environment: ShadowEnvironment;
  readonly #calls: Calls<typeof watchdog>;
  readonly #listeners: Listeners<WatchdogEvent>;
  #identity: WatchdogIdentity | undefined;
  /** What a client set last and a driver confirmed; stopped again when the device ran out. */
  #set: WatchdogConfiguration | undefined;
  readonly #countdown: Countdown;
  /** Pings that clients wait for. */
  #waiting = 0;
  /** Starts that clients wait for, and since when the current driver may have been told of them. */
  #starting = 0;
  #startingMicros = 0;
  /** When it ran out last, by the platform. */
  #ranOutMicros = -Infinity;
  /** Who told of the last expiry; the other one is still to tell of the same. */
  #witness: Witness | undefined;
  /** Clients were told of this countdown's pretimeout. */
  #isWarned = false;
  /** The first configuration that the current driver confirms is the one of before. */
  #isReplaying = false;
  /** Ends what the shadow asked of the current driver. */
  #asking = new AbortController();

  constructor(environment: ShadowEnvironment) {
    this.#environment = environment;
    this.#listeners = new Listeners((text) => environment.note(text));
    this.#countdown = new Countdown(environment.clock, () => this.#missed());
    this.#calls = new Calls(watchdog, environment, this.#policy());
  }

  get state(): ShadowState {
    return this.#calls.state;
  }

  async identify(call: ShadowCallOptions = {}): Promise<WatchdogIdentity> {
    return this.#identity ?? (await this.#calls.call("identify", {}, call));
  }

  async configure(configuration: WatchdogConfiguration, call: ShadowCallOptions = {}): Promise<Reply<typeof watchdog, "configure">> {
    this.#check(configuration, await this.identify(call));
    if (!configuration.running) return this.#calls.call("configure", configuration, call);
    if (this.#starting++ === 0) this.#startingMicros = this.#environment.clock.nowMicros();
    try {
      return await this.#calls.call("configure", configuration, call);
    } finally {
      this.#starting--;
    }
  }

  async ping(call: ShadowCallOptions = {}): Promise<void> {
    if (this.#set?.running !== true && this.state !== "closed" && this.state !== "unavailable") {
      throw this.#invalid("ping", "it is not running; start it first, also when it has run out");
    }
    this.#waiting++;
    try {
      await this.#calls.call("ping", { timeoutMs: this.#set?.timeoutMs ?? 1 }, call);
    } finally {
      this.#waiting--;
    }
    if (this.#set?.running !== true) throw this.#invalid("ping", "it ran out or was stopped before the device was told; start it again");
  }

  async timeLeft(call: ShadowCallOptions = {}): Promise<number> {
    if (this.state === "passive" && this.#identity?.tellsTimeLeft === true) return (await this.#calls.call("timeLeft", {}, call)).leftMs;
    call.signal?.throwIfAborted();
    call.closing?.throwIfAborted();
    return this.#countdown.leftMs;
  }

  on(listener: (event: WatchdogEvent) => void): () => void {
    return this.#listeners.add(listener);
  }

  attach(port: DriverPort): Promise<boolean> {
    if (this.state === "closed") return Promise.resolve(false);
    this.detach();
    if (this.#set !== undefined) {
      this.#calls.preset("configure", this.#forNextDriver(this.#set));
      this.#isReplaying = true;
    }
    // Clients' starts are made again.
    this.#startingMicros = this.#environment.clock.nowMicros();
    const attached = this.#calls.attach(port);
    this.#asking = new AbortController();
    void this.#ask(this.#asking.signal);
    return attached;
  }

  detach(): void {
    this.#asking.abort();
    this.#calls.detach();
  }

  giveUp(error: AirlockError): void {
    if (this.state === "closed" || this.state === "unavailable") return;
    this.detach();
    this.#calls.giveUp(error);
    if (this.#set?.running !== true) return;
    this.#environment.note(`nobody can ping the watchdog: it runs out in ${this.#countdown.leftMs} ms, unless its last driver stopped it`);
    this.#listeners.emit({ kind: "unattended" });
  }

  receive(record: MessageRecord): string | undefined {
    return this.#calls.receive(record);
  }

  async probe(): Promise<void> {
    await this.#calls.call("identify", {}, { internal: true });
  }

  resetRequested(): void {
    // Without a driver at fault a watchdog runs out when its client is silent.
    const leftMs = this.#countdown.leftMs;
    if (leftMs > earlyMs) this.#environment.note(`the watchdog ran out ${leftMs} ms early: its driver has not done what it said`);
    this.#ranOutMicros = this.#environment.clock.nowMicros();
    this.#expire("platform");
  }

  close(): void {
    if (this.state === "closed") return;
    this.detach();
    if (this.#set?.running === true) this.#environment.note(`the watchdog is left running: it runs out in ${this.#countdown.leftMs} ms`);
    this.#countdown.stop();
    this.#calls.close();
    this.#listeners.emit({ kind: "closed" });
    this.#listeners.clear();
  }

  #policy(): CallPolicy {
    return {
      maxInFlight: 1,
      revise: () => ({ timeoutMs: this.#set?.timeoutMs ?? 1 }),
      inspect: (name, args, reply) => this.#inspect(name, args, reply),
      answered: (name, args, reply) => {
        switch (name) {
          case "identify": this.#identified(reply as WatchdogIdentity); break;
          case "configure": this.#configured(args as WatchdogConfiguration); break;
          case "ping": this.#pinged(); break;
        }
      },
      event: (name) => this.#event(name),
    };
  }

  /**
   * Time that the last client's ping left, and no more: a driver that dies again and again must not keep a watchdog from running out
   * whose client is silent. A client that waits for a ping is not. The next ping says the full time again.
   */
  #forNextDriver(set: WatchdogConfiguration): WatchdogConfiguration {
    if (!set.running || this.#waiting > 0) return set;
    const timeoutMs = Math.min(set.timeoutMs, Math.max(1, Math.ceil(this.#countdown.leftMicros / 1_000)));
    return { ...set, timeoutMs, pretimeoutMs: set.pretimeoutMs < timeoutMs ? set.pretimeoutMs : 0 };
  }

  #check({ running, timeoutMs, pretimeoutMs, noWayOut }: WatchdogConfiguration, { canStop, hasPretimeout, maxTimeoutMs, isRunning }: WatchdogIdentity): void {
    const runs = this.#set?.running ?? isRunning;
    if (!running && runs && (!canStop || this.#set?.noWayOut === true)) throw this.#invalid("configure", "it cannot be stopped any more before the next reset");
    if (!running && noWayOut) throw this.#invalid("configure", "noWayOut is for a watchdog that runs");
    if (timeoutMs > maxTimeoutMs) throw this.#invalid("configure", `timeoutMs is ${timeoutMs}, the device can count ${maxTimeoutMs} at most`);
    if (pretimeoutMs > 0 && !hasPretimeout) throw this.#invalid("configure", "the device has no pretimeout; leave it out");
    if (pretimeoutMs >= timeoutMs) throw this.#invalid("configure", `pretimeoutMs is ${pretimeoutMs}, not less than timeoutMs`);
  }

  /** Wrong data, as far as it can be told. */
  #inspect(name: string, args: Readonly<Record<string, unknown>>, reply: Readonly<Record<string, unknown>>): string | undefined {
    if (name === "identify") {
      const { minTimeoutMs, maxTimeoutMs } = reply as WatchdogIdentity;
      return minTimeoutMs > maxTimeoutMs ? `at least ${minTimeoutMs} ms and at most ${maxTimeoutMs} ms` : undefined;
    }
    if (name === "timeLeft") {
      const { leftMs } = reply as Reply<typeof watchdog, "timeLeft">;
      return this.#identity !== undefined && leftMs > this.#identity.maxTimeoutMs ? `${leftMs} ms, more than the device can count` : undefined;
    }
    if (name !== "configure") return undefined;
    const asked = args as WatchdogConfiguration;
    const { isRunning, timeoutMs } = reply as Reply<typeof watchdog, "configure">;
    if (!asked.running) return undefined;
    if (!isRunning) return "it does not run, though it was started";
    if (timeoutMs < asked.timeoutMs) return `${timeoutMs} ms, less than the ${asked.timeoutMs} ms asked for`;
    return this.#identity !== undefined && timeoutMs > this.#identity.maxTimeoutMs ? `${timeoutMs} ms, more than the device can count` : undefined;
  }

  #configured(args: WatchdogConfiguration): void {
    if (this.#isReplaying) {
      // What a client has set stays as it was set.
      this.#isReplaying = false;
      return;
    }
    // What cannot be stopped stays so until it runs out, whatever it is configured for.
    this.#set = { ...args, noWayOut: args.noWayOut || (args.running && this.#set?.running === true && this.#set.noWayOut) };
    if (!args.running) return this.#countdown.stop();
    this.#pinged();
    // A device may be faster than its driver's answer.
    if (this.#ranOutMicros >= this.#startingMicros + args.timeoutMs * 1_000) this.#expire("platform");
  }

  #pinged(): void {
    if (this.#set?.running !== true) return;
    this.#isWarned = false;
    this.#countdown.start(this.#set.timeoutMs);
  }

  #missed(): void {
    this.#environment.note("the watchdog should have run out and has not: its drivers keep it from that, or its device is broken");
    this.#listeners.emit({ kind: "overdue" });
  }

  /** The first driver tells why the machine was reset; a later one, what happened while there was none. */
  #identified(identity: WatchdogIdentity): void {
    const isFirst = this.#identity === undefined;
    this.#identity = { ...identity, hasExpired: this.#identity?.hasExpired ?? identity.hasExpired };
    if (!isFirst && identity.hasExpired) this.#expire("driver");
  }

  #event(name: string): string | undefined {
    if (name === "expired") this.#expire("driver");
    else if (this.#set?.running === true) {
      if (this.#set.pretimeoutMs === 0) return "none was asked for";
      if (!this.#isWarned) this.#listeners.emit({ kind: "pretimeout" });
      this.#isWarned = true;
    }
    return undefined;
  }

  /**
   * Told at most once per start, whoever tells it: the platform, a driver that saw it, a driver that finds its flag. A driver may find
   * the flag when the device has been started again; then it is the expiry that the platform told of.
   */
  #expire(witness: Witness): void {
    const isSame = this.#witness !== undefined && this.#witness !== witness;
    if (this.#set?.running !== true || (isSame && witness === "driver" && this.#countdown.leftMs > 0)) {
      if (isSame) this.#witness = undefined;
      else if (witness === "platform") this.#witness = witness;
      return;
    }
    this.#witness = witness;
    this.#countdown.stop();
    this.#set = { ...this.#set, running: false, noWayOut: false, pretimeoutMs: 0 };
    this.#calls.preset("configure", this.#set);
    this.#environment.note("the watchdog ran out: it was not pinged in time");
    this.#listeners.emit({ kind: "expired" });
  }

  async #ask(signal: AbortSignal): Promise<void> {
    await this.#calls.call("identify", {}, { internal: true, single: true, closing: signal }).catch((error: unknown) => {
      if (!signal.aborted) this.#environment.note(`identify was not answered: ${errorText(error)}`);
    });
  }

  #invalid(operation: string, reason: string): AirlockError {
    return new AirlockError("InvalidArgument", `${this.#environment.driver}: ${operation}: ${reason}`, { operation });
  }
}
