/** The rtc shadow: answers the time from its log while the driver is away, and makes up for an alarm missed meanwhile. */
import type { Args, OperationName, Reply } from "../../api/contract.ts";
import { AirlockError, errorText } from "../../api/errors.ts";
import type { MessageRecord } from "../../api/records.ts";
import { type CallPolicy, Calls, type ShadowCallOptions } from "../calls.ts";
import { Listeners } from "../listeners.ts";
import type { DriverPort, Shadow, ShadowEnvironment, ShadowState } from "../shadow.ts";
import { type Calendar, fromEpochSeconds, passed, toEpochSeconds } from "./calendar.ts";
import { rtc } from "./contract.ts";

export type RtcEvent =
  | { readonly kind: "alarm" | "update" | "batteryLow" }
  | { readonly kind: "periodic"; readonly count: number }
  /** The shadow was closed; nothing follows. */
  | { readonly kind: "closed" };

/** What the rtc client works with. One device has one alarm and one periodic rate: the last client to set them wins. */
export interface RtcShadow extends Shadow {
  call<K extends OperationName<typeof rtc>>(name: K, args: Args<typeof rtc, K>, options?: ShadowCallOptions): Promise<Reply<typeof rtc, K>>;
  /** Subscribes to events; returns the unsubscribing function. */
  on(listener: (event: RtcEvent) => void): () => void;
}

/** The log's time is up to a second behind the device's, so two reports of one alarm may be this far apart. */
const sameAlarmMicros = 1_500_000;

export function createShadow(environment: ShadowEnvironment): RtcShadow {
  return new RtcShadowCore(environment);
}

class RtcShadowCore implements RtcShadow {
  readonly contract = rtc;
  readonly #environment: ShadowEnvironment;
  readonly #calls: Calls<typeof rtc>;
  readonly #listeners: Listeners<RtcEvent>;
  /** The last time known, and when on our clock it was true. */
  #reading: { readonly seconds: number; readonly atMicros: number } | undefined;
  /** What the last setTime that was sent set. */
  #settingSeconds: number | undefined;
  /** Seconds after midnight. */
  #alarm: number | undefined;
  #lastAlarmMicros = -Infinity;
  /** When the driver went away, by the device's time and by ours; kept until the alarm was looked for. */
  #away: { readonly seconds: number; readonly atMicros: number } | undefined;

  constructor(environment: ShadowEnvironment) {
    this.#environment = environment;
    this.#listeners = new Listeners((text) => environment.note(text));
    this.#calls = new Calls(rtc, environment, this.#policy());
  }

  get state(): ShadowState {
    return this.#calls.state;
  }

  call<K extends OperationName<typeof rtc>>(name: K, args: Args<typeof rtc, K>, options?: ShadowCallOptions): Promise<Reply<typeof rtc, K>> {
    if (name === "setTime" && toEpochSeconds(args as Calendar) === undefined) {
      return Promise.reject(new AirlockError("InvalidArgument", `${this.#environment.driver}: setTime: there is no such date`));
    }
    return this.#calls.call(name, args, options);
  }

  on(listener: (event: RtcEvent) => void): () => void {
    return this.#listeners.add(listener);
  }

  async attach(port: DriverPort): Promise<boolean> {
    const passive = await this.#calls.attach(port);
    if (passive && (this.#reading === undefined || this.#away !== undefined)) this.#refresh();
    return passive;
  }

  detach(): void {
    const seconds = this.#estimate();
    if (this.#calls.state === "passive" && seconds !== undefined) this.#away ??= { seconds, atMicros: this.#environment.clock.nowMicros() };
    this.#calls.detach();
  }

  async probe(): Promise<void> {
    await this.#calls.call("readTime", {}, { internal: true });
  }

  giveUp(error: AirlockError): void {
    this.#calls.giveUp(error);
  }

  receive(record: MessageRecord): string | undefined {
    return this.#calls.receive(record);
  }

  close(): void {
    if (this.state === "closed") return;
    this.#calls.close();
    this.#listeners.emit({ kind: "closed" });
    this.#listeners.clear();
  }

  #policy(): CallPolicy {
    return {
      maxInFlight: 1,
      configGroup: (name) => (name === "clearAlarm" ? "setAlarm" : name),
      fromLog: () => {
        const seconds = this.#estimate();
        return seconds === undefined ? undefined : fromEpochSeconds(seconds);
      },
      revise: (_name, args, elapsedMicros) => {
        this.#settingSeconds = Math.floor(toEpochSeconds(args as Calendar)! + elapsedMicros / 1e6);
        return fromEpochSeconds(this.#settingSeconds) ?? args;
      },
      inspect: (name, _args, reply) =>
        name === "readTime" && toEpochSeconds(reply as Calendar) === undefined ? "there is no such date" : undefined,
      answered: (name, args, reply) => this.#answered(name, args, reply),
      event: (name, value) => this.#event(name, value),
    };
  }

  #answered(name: string, args: Readonly<Record<string, unknown>>, reply: Readonly<Record<string, unknown>>): void {
    const atMicros = this.#environment.clock.nowMicros();
    switch (name) {
      case "readTime":
        this.#reading = { seconds: toEpochSeconds(reply as Calendar)!, atMicros };
        break;
      case "setTime":
        // Until it is read back: not ahead of the device, which was set before this answer.
        if (this.#settingSeconds !== undefined) this.#reading = { seconds: this.#settingSeconds, atMicros };
        this.#away = undefined;
        this.#refresh();
        break;
      case "setAlarm": {
        const { hour, minute, second } = args as Args<typeof rtc, "setAlarm">;
        this.#alarm = hour * 3600 + minute * 60 + second;
        break;
      }
      case "clearAlarm":
        this.#alarm = undefined;
        break;
    }
  }

  #event(name: string, value: Readonly<Record<string, unknown>>): string | undefined {
    switch (name) {
      case "alarm": this.#raiseAlarm(this.#environment.clock.nowMicros() - sameAlarmMicros); break;
      case "periodic": this.#listeners.emit({ kind: "periodic", count: value["count"] as number }); break;
      case "update": this.#listeners.emit({ kind: "update" }); break;
      case "batteryLow": this.#listeners.emit({ kind: "batteryLow" }); break;
    }
    return undefined;
  }

  /** Tells the clients of an alarm, unless they were told of it since then. */
  #raiseAlarm(sinceMicros: number): void {
    if (this.#lastAlarmMicros > sinceMicros) return;
    this.#lastAlarmMicros = this.#environment.clock.nowMicros();
    this.#listeners.emit({ kind: "alarm" });
  }

  /** Seconds since the epoch by the log: never ahead of the device, because a reading is the start of its second or later. */
  #estimate(): number | undefined {
    if (this.#reading === undefined) return undefined;
    const { seconds, atMicros } = this.#reading;
    return seconds + Math.floor((this.#environment.clock.nowMicros() - atMicros) / 1e6);
  }

  /** Reads the time for the log, and finds out whether the alarm's time passed while nobody was there to hear it. */
  #refresh(): void {
    this.#calls.call("readTime", {}, { internal: true }).then(
      () => this.#compare(),
      (error: unknown) => this.#environment.note(`the time was not read for the log: ${errorText(error)}`),
    );
  }

  #compare(): void {
    const away = this.#away;
    if (away === undefined || this.state !== "passive") return;
    this.#away = undefined;
    if (this.#alarm === undefined || this.#reading === undefined) return;
    if (passed(this.#alarm, away.seconds, this.#reading.seconds)) this.#raiseAlarm(away.atMicros - sameAlarmMicros);
  }
}
