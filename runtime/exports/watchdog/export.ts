/** The watchdog export: lines on a Unix socket start, ping and stop a watchdog, and tell when it runs out. */
import net from "node:net";
import path from "node:path";
import { z } from "zod";
import { AirlockError, errorText } from "../../api/errors.ts";
import type { WatchdogClient } from "../../classes/watchdog/client.ts";
import type { ExportContext, ExportDefinition, RunningExport } from "../export.ts";
import { clearSocketPath, listenOnUnixSocket } from "../unix-socket.ts";
import { WatchdogConnection } from "./connection.ts";

/** Any number of programs may ping, each its own; more than this at once is a program that forgets to disconnect. */
const maxConnections = 32;

const options = z.strictObject({
  /** Path of the socket; relative to the machine file; default `<name>.sock` in the state directory. */
  path: z.string().min(1).max(4_096).optional(),
});

/** Events as the log has them. */
const said = {
  expired: "the watchdog ran out", overdue: "the watchdog should have run out and has not",
  unattended: "nobody can ping the watchdog: its driver was given up",
} as const;

type WatchdogOptions = z.infer<typeof options>;

const definition: ExportDefinition<WatchdogOptions, WatchdogClient> = {
  type: "watchdog",
  class: "watchdog",
  summary: "a Unix socket for programs that have themselves watched: a line starts, pings or stops it",
  options,
  async start(context) {
    const running = new WatchdogExport(context);
    await running.start();
    return running;
  },
};

export default definition;

class WatchdogExport implements RunningExport {
  readonly address: string;
  readonly ended: Promise<AirlockError | undefined>;
  readonly #context: ExportContext<WatchdogOptions, WatchdogClient>;
  readonly #server: net.Server;
  readonly #sockets = new Set<net.Socket>();
  #end: (reason: AirlockError | undefined) => void = () => undefined;
  /** Hears when the device is closed for good; commands are its connections'. */
  #own: WatchdogClient | undefined;
  #closing: Promise<void> | undefined;

  constructor(context: ExportContext<WatchdogOptions, WatchdogClient>) {
    this.#context = context;
    const { path: chosen } = context.options;
    this.address = chosen === undefined ? path.resolve(context.stateDirectory, `${context.name}.sock`) : path.resolve(context.directory, chosen);
    this.ended = new Promise((resolve) => { this.#end = resolve; });
    this.#server = net.createServer({ allowHalfOpen: true }, (socket) => void this.#connected(socket));
    this.#server.maxConnections = maxConnections;
  }

  async start(): Promise<void> {
    try {
      await clearSocketPath(this.address);
      this.#own = await this.#context.open();
      this.#own.on(({ kind }) => {
        if (kind === "closed") this.#end(new AirlockError("Closed", `${this.#context.name}: the device was closed`));
        else if (kind !== "pretimeout") this.#context.log.warn(said[kind]);
      });
      await listenOnUnixSocket(this.#server, this.address);
    } catch (error) {
      await this.close();
      throw error;
    }
    this.#server.on("error", (error) => this.#context.log.error(`${this.address}: ${error.message}`));
    this.#context.log.info(`${this.address} takes clients`);
  }

  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  async #close(): Promise<void> {
    this.#end(undefined);
    this.#own?.close();
    for (const socket of this.#sockets) socket.destroy();
    // Closing a listening server removes its socket file.
    if (this.#server.listening) await new Promise((resolve) => { this.#server.close(resolve); });
  }

  async #connected(socket: net.Socket): Promise<void> {
    socket.on("error", (error) => this.#context.log.debug(`${this.address}: ${error.message}`));
    if (this.#closing !== undefined) return void socket.destroy();
    this.#sockets.add(socket);
    socket.on("close", () => this.#sockets.delete(socket));
    try {
      const client = await this.#context.open();
      // It may be gone by now, and nothing more will be heard of it.
      if (socket.destroyed) return client.close();
      new WatchdogConnection(socket, client, (text) => this.#context.log.warn(`${this.address}: ${text}`)).begin();
    } catch (error) {
      this.#context.log.warn(`${this.address}: a client is not served: ${errorText(error)}`);
      socket.destroy();
    }
  }
}
