/** The Unix socket export: a serial port's bytes on a socket, one client at a time, with no addon needed. */
import net from "node:net";
import path from "node:path";
import { z } from "zod";
import type { AirlockError } from "../../api/errors.ts";
import type { SerialPort } from "../../classes/serial/port.ts";
import type { ExportContext, ExportDefinition, RunningExport } from "../export.ts";
import { SerialLink } from "../serial-link.ts";
import { clearSocketPath, listenOnUnixSocket } from "../unix-socket.ts";

/**
 * How long a second client waits before it is refused: one that comes back at once may be seen before its own earlier
 * connection is seen to end.
 */
const patienceMicros = 100_000;
/** The one client and those that wait to be refused. */
const maxConnections = 8;

const options = z.strictObject({
  /** Path of the socket; relative to the machine file; default `<name>.sock` in the state directory. */
  path: z.string().min(1).max(4_096).optional(),
  /** Line settings of the port: a socket has none that a client could change. */
  baudRate: z.number().int().min(50).max(4_000_000).default(115_200),
  dataBits: z.union([z.literal(5), z.literal(6), z.literal(7), z.literal(8)]).default(8),
  stopBits: z.union([z.literal(1), z.literal(2)]).default(1),
  parity: z.enum(["none", "odd", "even"]).default("none"),
});

type UnixOptions = z.infer<typeof options>;

const definition: ExportDefinition<UnixOptions, SerialPort> = {
  type: "unix",
  class: "serial",
  summary: "a Unix socket that carries the line's bytes, for one client at a time",
  options,
  async start(context) {
    const running = new UnixExport(context);
    await running.start();
    return running;
  },
};

export default definition;

/**
 * A second client is told in one line that the port is taken, and disconnected: two would steal each other's bytes. What
 * the device sends while nobody is connected is dropped, as on a port that nobody has opened, and its length is logged.
 */
class UnixExport implements RunningExport {
  readonly address: string;
  readonly ended: Promise<AirlockError | undefined>;
  readonly #context: ExportContext<UnixOptions, SerialPort>;
  readonly #server: net.Server;
  #end: (reason: AirlockError | undefined) => void = () => undefined;
  #link: SerialLink | undefined;
  #client: net.Socket | undefined;
  readonly #waiting = new Set<net.Socket>();
  #unheardBytes = 0;
  #closing: Promise<void> | undefined;

  constructor(context: ExportContext<UnixOptions, SerialPort>) {
    this.#context = context;
    const { path: chosen } = context.options;
    this.address = chosen === undefined ? path.resolve(context.stateDirectory, `${context.name}.sock`) : path.resolve(context.directory, chosen);
    this.ended = new Promise((resolve) => { this.#end = resolve; });
    this.#server = net.createServer((socket) => this.#connected(socket));
    this.#server.maxConnections = maxConnections;
  }

  async start(): Promise<void> {
    const { baudRate, dataBits, stopBits, parity } = this.#context.options;
    try {
      await clearSocketPath(this.address);
      this.#link = await SerialLink.open(this.#context, (bytes) => this.#deliver(bytes));
      void this.#link.ended.then((reason) => this.#end(reason));
      await this.#link.configure({ baudRate, dataBits, stopBits, parity });
      await listenOnUnixSocket(this.#server, this.address);
    } catch (error) {
      await this.close();
      throw error;
    }
    this.#server.on("error", (error) => this.#context.log.error(`${this.address}: ${error.message}`));
    this.#context.log.info(`${this.address} takes a client`);
  }

  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  async #close(): Promise<void> {
    this.#end(undefined);
    this.#client?.destroy();
    for (const socket of this.#waiting) socket.destroy();
    // Closing a listening server removes its socket file.
    if (this.#server.listening) await new Promise((resolve) => { this.#server.close(resolve); });
    await this.#link?.close();
  }

  #connected(socket: net.Socket): void {
    socket.on("error", (error) => this.#context.log.debug(`${this.address}: ${error.message}`));
    if (this.#closing !== undefined) return void socket.destroy();
    if (this.#client === undefined) return this.#accept(socket);
    this.#waiting.add(socket);
    socket.on("close", () => this.#waiting.delete(socket));
    this.#context.clock.setTimer(patienceMicros, () => {
      if (!this.#waiting.delete(socket)) return;
      socket.end(`airlock: ${this.#context.name} is in use by another client\r\n`);
      socket.resume();
    });
  }

  #accept(socket: net.Socket): void {
    this.#client = socket;
    if (this.#unheardBytes > 0) this.#context.log.info(`${this.#unheardBytes} bytes came while no client was connected`);
    this.#unheardBytes = 0;
    socket.on("data", (bytes) => {
      socket.pause();
      void this.#link?.send(bytes).then(() => socket.resume());
    });
    socket.on("close", () => {
      if (this.#client === socket) this.#client = undefined;
      const [next] = this.#waiting;
      if (next === undefined || this.#client !== undefined || this.#closing !== undefined) return;
      this.#waiting.delete(next);
      this.#accept(next);
    });
  }

  /** Resolves when the client has taken the bytes, or is gone. */
  async #deliver(bytes: Uint8Array): Promise<void> {
    const client = this.#client;
    if (client === undefined || client.destroyed || client.writableEnded) {
      this.#unheardBytes += bytes.length;
      return;
    }
    if (client.write(bytes)) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        client.off("drain", done).off("close", done);
        resolve();
      };
      client.on("drain", done).on("close", done);
    });
  }
}
