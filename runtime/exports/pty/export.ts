/** The PTY export: a serial port as a terminal that picocom, Python's termios and the npm package serialport can open. */
import path from "node:path";
import { z } from "zod";
import { AirlockError, errorText } from "../../api/errors.ts";
import type { SerialOptions, SerialPort } from "../../classes/serial/port.ts";
import { loadAddon } from "../../native/addon.ts";
import type { ExportContext, ExportDefinition, RunningExport } from "../export.ts";
import { SerialLink } from "../serial-link.ts";
import { placeLink, removeLink } from "./link.ts";
import { Terminal, type TerminalEvents } from "./terminal.ts";

/**
 * How often the terminal's speed is looked at while its client is silent; before bytes of a client are passed on it is
 * looked at as well, so bytes never leave at a speed that their client had replaced before it wrote them. The kernel could
 * tell (TIOCPKT with EXTPROC), but EXTPROC changes what clients see of a terminal, and most of them switch it off.
 */
const settingsPollMicros = 100_000;
/** Speeds the serial class takes; a client that sets 0 hangs up, which a port that others may open next does not repeat. */
const baudRates = { min: 50, max: 4_000_000 };

const options = z.strictObject({
  /** Path of a symbolic link to the terminal; relative to the machine file; default `<name>.tty` in the state directory. */
  link: z.string().min(1).max(4_096).optional(),
  /** Line settings until a client sets others. Linux keeps data bits and parity from PTY clients, so these stay. */
  baudRate: z.number().int().min(baudRates.min).max(baudRates.max).default(115_200),
  dataBits: z.union([z.literal(5), z.literal(6), z.literal(7), z.literal(8)]).default(8),
  stopBits: z.union([z.literal(1), z.literal(2)]).default(1),
  parity: z.enum(["none", "odd", "even"]).default("none"),
});

type PtyOptions = z.infer<typeof options>;

const definition: ExportDefinition<PtyOptions, SerialPort> = {
  type: "pty",
  class: "serial",
  summary: "a pseudo-terminal, for terminal programs",
  options,
  async start(context) {
    const running = new PtyExport(context);
    await running.start();
    return running;
  },
};

export default definition;

class PtyExport implements RunningExport {
  readonly address: string;
  readonly ended: Promise<AirlockError | undefined>;
  readonly #context: ExportContext<PtyOptions, SerialPort>;
  readonly #terminal: Terminal;
  #end: (reason: AirlockError | undefined) => void = () => undefined;
  #link: SerialLink | undefined;
  #settings: Required<SerialOptions>;
  #applying: Promise<void> = Promise.resolve();
  #cancelPoll: () => void = () => undefined;
  #closing: Promise<void> | undefined;

  constructor(context: ExportContext<PtyOptions, SerialPort>) {
    this.#context = context;
    const { link } = context.options;
    this.address = link === undefined ? path.resolve(context.stateDirectory, `${context.name}.tty`) : path.resolve(context.directory, link);
    this.ended = new Promise((resolve) => { this.#end = resolve; });
    this.#terminal = openTerminal(context.options, {
      received: async (bytes) => {
        await this.#follow();
        await this.#link?.send(bytes);
      },
      failed: (cause) => this.#end(new AirlockError("Closed", `the terminal of ${context.name} broke: ${errorText(cause)}`, {}, { cause })),
    });
    this.#settings = this.#terminal.settings();
  }

  async start(): Promise<void> {
    try {
      const { baudRate, dataBits, stopBits, parity } = this.#context.options;
      this.#link = await SerialLink.open(this.#context, (bytes) => this.#terminal.write(bytes));
      void this.#link.ended.then((reason) => this.#end(reason));
      await this.#link.configure({ baudRate, dataBits, stopBits, parity });
      await placeLink(this.address, this.#terminal.path);
    } catch (error) {
      await this.close();
      throw error;
    }
    this.#schedule();
    this.#context.log.info(`${this.address} is ${this.#terminal.path}`);
  }

  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  async #close(): Promise<void> {
    this.#cancelPoll();
    this.#end(undefined);
    await removeLink(this.address, this.#terminal.path)
      .catch((error: unknown) => this.#context.log.warn(`${this.address} is left there: ${errorText(error)}`));
    this.#terminal.close();
    await this.#link?.close();
  }

  #schedule(): void {
    this.#cancelPoll = this.#context.clock.setTimer(settingsPollMicros, () => {
      void this.#follow().finally(() => {
        if (this.#closing === undefined) this.#schedule();
      });
    });
  }

  /** Passes the terminal's settings on if a client changed them; one change at a time, the latest wins. Never rejects. */
  #follow(): Promise<void> {
    this.#applying = this.#applying.then(() => this.#passOn())
      .catch((error: unknown) => this.#context.log.warn(`the line settings of ${this.address} cannot be read: ${errorText(error)}`));
    return this.#applying;
  }

  async #passOn(): Promise<void> {
    if (this.#closing !== undefined) return;
    const wanted = this.#terminal.settings();
    const known = this.#settings;
    if (wanted.baudRate === known.baudRate && wanted.stopBits === known.stopBits) return;
    this.#settings = wanted;
    if (wanted.baudRate < baudRates.min || wanted.baudRate > baudRates.max) return;
    const { dataBits, parity } = this.#context.options;
    await this.#link?.configure({ baudRate: wanted.baudRate, stopBits: wanted.stopBits, dataBits, parity });
  }
}

function openTerminal({ baudRate, stopBits }: PtyOptions, events: TerminalEvents): Terminal {
  const addon = loadAddon();
  try {
    return new Terminal(addon, baudRate, stopBits, events);
  } catch (cause) {
    throw new AirlockError("Unsupported", `no pseudo-terminal can be made here: ${errorText(cause)}; is /dev/pts mounted?`, {}, { cause });
  }
}
