/** What an export is: a folder `exports/<type>/export.ts` that offers one device's class to clients over a real protocol. */
import type { z } from "zod";
import type { Clock } from "../api/clock.ts";
import type { AirlockError } from "../api/errors.ts";

export interface ExportLog {
  debug(text: string): void;
  info(text: string): void;
  warn(text: string): void;
  error(text: string): void;
}

/** What a started export is given. `Client` is what its class's `openClient` gives, such as serial's `SerialPort`. */
export interface ExportContext<Options = unknown, Client = unknown> {
  /** Its name in the machine file; also the stem of default file names. */
  readonly name: string;
  /** The rest of its entry in the machine file, as the definition's `options` schema gave it back. */
  readonly options: Options;
  /**
   * Opens a client of the device's class. One that fails later is closed by the export, which then opens another one.
   * @throws AirlockError Closed when the machine is shutting down, which ends the export; else what the class's client says
   */
  open(): Promise<Client>;
  readonly log: ExportLog;
  /** Directory of the machine's state, which exists; for default paths. */
  readonly stateDirectory: string;
  /** The machine file's folder: relative paths of options are below it. */
  readonly directory: string;
  readonly clock: Clock;
}

/** An export that clients can use. */
export interface RunningExport {
  /** Where: a path or address to give to a client. */
  readonly address: string;
  /** Settles with the reason when the export ends by itself: its port is closed for good, or its end of the protocol broke. */
  readonly ended: Promise<AirlockError | undefined>;
  /** Disconnects the clients and removes what `start` put into the file system; idempotent. `ended` gives undefined then. */
  close(): Promise<void>;
}

/** The default export of `exports/<type>/export.ts`. */
export interface ExportDefinition<Options = unknown, Client = unknown> {
  /** The folder's name, and what a machine file calls it. */
  readonly type: string;
  /** The class of drivers it exports: a folder of runtime/classes. */
  readonly class: string;
  /** One sentence for `--help` and the machine file's schema. */
  readonly summary: string;
  /** Keys of its own in the machine file; strict, so that a mistyped key is an error. */
  readonly options: z.ZodType<Options>;
  /**
   * Starts serving; resolves when clients can connect, and leaves nothing behind when it rejects.
   * @throws AirlockError AddressInUse, AddonMissing, InvalidArgument, StateUnusable
   */
  start(context: ExportContext<Options, Client>): Promise<RunningExport>;
}
