/** The serial shadow: keeps a port open over restarts; unsent bytes wait here, and no byte is sent twice. */
import type { Reply } from "../../api/contract.ts";
import { AirlockError, errorText, isAirlockError } from "../../api/errors.ts";
import type { MessageRecord } from "../../api/records.ts";
import { type CallPolicy, Calls, type ShadowCallOptions } from "../calls.ts";
import type { DriverPort, Shadow, ShadowEnvironment, ShadowState } from "../shadow.ts";
import { serial } from "./contract.ts";
import { type LineSettings, characterMs, chunkBytes, defaultSettings, lineDelayMs } from "./line-time.ts";
import type { SerialNotice, SerialOutputSignals } from "./port.ts";
import { TransmitQueue } from "./transmit-queue.ts";

export type Inputs = Reply<typeof serial, "getSignals">;

/** Who has the port open, as the shadow tells it things. */
export interface PortHolder {
  received(data: Uint8Array): void;
  noticed(notice: SerialNotice): void;
  /** The port is closed from below: the driver was given up, or the machine ends. */
  ended(reason: AirlockError): void;
}

/** What the holder of an open port works with. */
export interface OpenLine {
  /** Outgoing bytes; after a push, `transmit` starts them. */
  readonly queue: TransmitQueue;
  transmit(): void;
  /** For the machine's log. */
  note(text: string): void;
  /** @throws AirlockError Unsupported when the device's nearest rate is no use; the line then runs at that rate */
  configure(settings: LineSettings, call: ShadowCallOptions): Promise<void>;
  setSignals(signals: SerialOutputSignals, call: ShadowCallOptions): Promise<void>;
  getSignals(call: ShadowCallOptions): Promise<Inputs>;
  /** Gives the port back: unsent bytes are discarded, DTR and RTS drop. Idempotent. */
  close(): void;
}

/** What the serial client works with. A port is open at most once. */
export interface SerialShadow extends Shadow {
  /** @throws AirlockError AddressInUse when it is open already, DriverUnavailable, Closed */
  open(holder: PortHolder): OpenLine;
}

/** Two ends that differ by more sample the last bit of a character in the wrong place: half a bit in ten is 5 %, and each end may be off. */
const baudTolerance = 0.025;

export function createShadow(environment: ShadowEnvironment): SerialShadow {
  return new SerialShadowCore(environment);
}

class SerialShadowCore implements SerialShadow {
  readonly contract = serial;
  readonly #environment: ShadowEnvironment;
  readonly #calls: Calls<typeof serial>;
  #holder: { readonly holder: PortHolder; readonly queue: TransmitQueue; readonly closing: AbortController } | undefined;
  /** What the line has, and what it was last asked to have: the slower one bounds how long it takes. */
  #settings = defaultSettings;
  #asked = defaultSettings;
  #outputs = { dtr: false, rts: false, break: false };
  #inputs: Inputs | undefined;
  #unavailable: AirlockError | undefined;
  #drivers = 0n;
  #droppedWhileShut = 0;

  constructor(environment: ShadowEnvironment) {
    this.#environment = environment;
    this.#calls = new Calls(serial, environment, this.#policy());
    this.#calls.preset("configure", defaultSettings);
    this.#calls.preset("setSignals", this.#outputs);
  }

  get state(): ShadowState {
    return this.#calls.state;
  }

  open(holder: PortHolder): OpenLine {
    const { driver } = this.#environment;
    if (this.state === "closed") throw new AirlockError("Closed", `${driver}: the device was closed`, { driver });
    if (this.#unavailable !== undefined) throw this.#unavailable;
    if (this.#holder !== undefined) {
      throw new AirlockError("AddressInUse", `${driver}: the port is open already; close it there first, or remove the export that holds it`, { driver });
    }
    if (this.#droppedWhileShut > 0) this.#environment.note(`${this.#droppedWhileShut} bytes arrived while nobody had the port open; they were dropped`);
    this.#droppedWhileShut = 0;
    const held = { holder, queue: new TransmitQueue(), closing: new AbortController() };
    this.#holder = held;
    this.#drive({ dtr: true, rts: true, break: false });
    return {
      queue: held.queue,
      transmit: () => this.#transmit(),
      note: (text) => this.#environment.note(text),
      configure: (settings, call) => this.#configure(settings, call),
      setSignals: async (signals, call) => {
        this.#outputs = {
          dtr: signals.dataTerminalReady ?? this.#outputs.dtr, rts: signals.requestToSend ?? this.#outputs.rts,
          break: signals.break ?? this.#outputs.break,
        };
        await this.#calls.call("setSignals", this.#outputs, call);
      },
      getSignals: async (call) => {
        this.#inputs = await this.#calls.call("getSignals", {}, call);
        return this.#inputs;
      },
      close: () => {
        if (this.#holder === held) this.#release(new AirlockError("Closed", `${driver}: the port was closed`, { driver }));
      },
    };
  }

  async attach(port: DriverPort): Promise<boolean> {
    this.#unavailable = undefined;
    this.#drivers++;
    const generation = port.generation ?? this.#drivers;
    const again = this.#drivers > 1n;
    const passive = await this.#calls.attach(port);
    if (passive && again) {
      this.#holder?.holder.noticed({ kind: "restarted", generation });
      this.#compareSignals();
    }
    return passive;
  }

  detach(): void {
    this.#calls.detach();
  }

  giveUp(error: AirlockError): void {
    if (this.state === "closed") return;
    this.#unavailable = error;
    this.#calls.giveUp(error);
    this.#end(error);
  }

  receive(record: MessageRecord): string | undefined {
    return this.#calls.receive(record);
  }

  close(): void {
    if (this.state === "closed") return;
    this.#calls.close();
    const { driver } = this.#environment;
    this.#end(new AirlockError("Closed", `${driver}: the device was closed`, { driver }));
  }

  #policy(): CallPolicy {
    return {
      maxInFlight: 4,
      extraMs: (name, args) => {
        if (name === "configure") this.#asked = args as LineSettings;
        const slower = characterMs(this.#asked) > characterMs(this.#settings) ? this.#asked : this.#settings;
        return name === "getSignals" ? 0 : lineDelayMs(slower, name === "transmit" ? (args["data"] as Uint8Array).length : 0);
      },
      inspect: (name, args, reply) => {
        const length = name === "transmit" ? (args["data"] as Uint8Array).length : undefined;
        return length === undefined || reply["sent"] === length ? undefined : `${String(reply["sent"])} bytes sent, asked for ${length}`;
      },
      answered: (name, args) => {
        if (name === "configure") this.#settings = args as LineSettings;
      },
      event: (name, value) => this.#event(name, value),
    };
  }

  #event(name: string, value: Readonly<Record<string, unknown>>): string | undefined {
    const holder = this.#holder?.holder;
    if (name === "received") {
      const data = value["data"] as Uint8Array;
      if (data.length === 0) return "it carries no bytes";
      if (holder === undefined) this.#droppedWhileShut += data.length;
      else holder.received(data);
    } else if (name === "lineStatus") {
      const { overruns, framing, parity, breaks } = value as Record<string, number>;
      if (overruns! > 0) holder?.noticed({ kind: "lost", bytes: overruns! });
      for (const [kind, count] of [["framing", framing!], ["parity", parity!], ["break", breaks!]] as const) {
        if (count > 0) holder?.noticed({ kind, count });
      }
    } else if (name === "signals") {
      this.#changed(value as Inputs);
    }
    return undefined;
  }

  async #configure(settings: LineSettings, call: ShadowCallOptions): Promise<void> {
    const { actualBaudRate } = await this.#calls.call("configure", settings, call);
    if (Math.abs(actualBaudRate / settings.baudRate - 1) <= baudTolerance) return;
    throw new AirlockError(
      "Unsupported",
      `${this.#environment.driver}: the device cannot make ${settings.baudRate} baud; it runs at ${actualBaudRate} now; choose a rate near one its divisor gives`,
      { baudRate: settings.baudRate, actualBaudRate },
    );
  }

  /** Gives the driver the next bytes, one chunk at a time. */
  #transmit(): void {
    const held = this.#holder;
    if (held === undefined) return;
    const data = held.queue.take(chunkBytes(this.#settings));
    if (data.length === 0) return;
    this.#calls.call("transmit", { data }, { closing: held.closing.signal, single: true }).then(
      () => {
        held.queue.confirm();
        return this.#continue(held.queue);
      },
      (error: unknown) => {
        if (isAirlockError(error, "MayHaveExecuted")) held.holder.noticed({ kind: "uncertain", bytes: held.queue.lose() });
        else held.queue.forsake();
        return this.#continue(held.queue);
      },
    );
  }

  #continue(queue: TransmitQueue): void {
    if (this.#holder?.queue === queue) this.#transmit();
  }

  async probe(): Promise<void> {
    await this.#calls.call("getSignals", {}, { internal: true });
  }

  /** Changes output signals for the shadow itself. */
  #drive(outputs: { dtr: boolean; rts: boolean; break: boolean }): void {
    this.#outputs = outputs;
    this.#calls.call("setSignals", outputs, { internal: true }).catch((error: unknown) => {
      if (!isAirlockError(error, "DriverUnavailable")) this.#environment.note(`the signals were not set: ${errorText(error)}`);
    });
  }

  /** Tells the holder of a change of the input signals that happened while no driver watched them. */
  #compareSignals(): void {
    if (this.#holder === undefined || this.#inputs === undefined) return;
    this.#calls.call("getSignals", {}, { internal: true }).then(
      (inputs) => this.#changed(inputs),
      (error: unknown) => this.#environment.note(`the signals were not read: ${errorText(error)}`),
    );
  }

  #changed(inputs: Inputs): void {
    const before = this.#inputs;
    this.#inputs = inputs;
    if (before !== undefined && before.cts === inputs.cts && before.dsr === inputs.dsr && before.ri === inputs.ri && before.dcd === inputs.dcd) return;
    this.#holder?.holder.noticed({ kind: "signals", signals: clientSignals(inputs) });
  }

  #end(reason: AirlockError): void {
    const holder = this.#holder?.holder;
    this.#release(reason);
    holder?.ended(reason);
  }

  #release(reason: AirlockError): void {
    const held = this.#holder;
    if (held === undefined) return;
    this.#holder = undefined;
    held.closing.abort(reason);
    held.queue.end(reason);
    if (this.state === "passive" || this.state === "active") this.#drive({ dtr: false, rts: false, break: false });
  }
}

/** Input signals by their names in Web Serial. */
export function clientSignals({ cts, dsr, ri, dcd }: Inputs): { clearToSend: boolean; dataSetReady: boolean; ringIndicator: boolean; dataCarrierDetect: boolean } {
  return { clearToSend: cts, dataSetReady: dsr, ringIndicator: ri, dataCarrierDetect: dcd };
}
