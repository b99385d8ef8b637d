/** The stream export: frames on a socket as QEMU's stream and socket backends frame them, so that a virtual machine's card can be plugged in. */
import { once } from "node:events";
import net from "node:net";
import path from "node:path";
import { z } from "zod";
import { AirlockError, errorText } from "../../api/errors.ts";
import { headerBytes } from "../../classes/net/contract.ts";
import { frameLimit } from "../../classes/net/geometry.ts";
import type { NetSettings, OpenInterface } from "../../classes/net/interface.ts";
import { DropLog } from "../drop-log.ts";
import type { ExportContext, ExportDefinition, RunningExport } from "../export.ts";
import { NetLink } from "../net-link.ts";
import { clearSocketPath, listenOnUnixSocket } from "../unix-socket.ts";
import { FrameSplitter, joinFrames } from "./framing.ts";

/** Only programs on this machine, unless the machine file names an address. */
const defaultHost = "127.0.0.1";
/** Bytes kept for a client that does not read; what comes on top is dropped, as by a card whose host is too slow. */
const mostUnreadBytes = 1024 * 1024;
/** How long a second client waits before it is refused: one that comes back at once may be seen before its earlier connection is seen to end. */
const patienceMicros = 100_000;
/** The one client and those that wait to be refused. */
const maxConnections = 8;

const options = z.strictObject({
  /** Path of the Unix socket; relative to the machine file; default `<name>.sock` in the state directory. */
  path: z.string().min(1).max(4_096).optional(),
  /** TCP port instead of a Unix socket; 0 lets the system choose one. */
  port: z.number().int().min(0).max(65_535).optional(),
  /** Address to listen on with `port`. Without it only programs on this machine can connect; nobody is asked who they are. */
  host: z.string().min(1).max(253).optional(),
  mtu: z.number().int().min(68).max(9_216).default(1_500),
  /** Whether the card passes on frames that are for others: the machine that is plugged in has an address of its own. */
  promiscuous: z.boolean().default(true),
})
  .refine(({ path: file, port }) => file === undefined || port === undefined, { message: '"path" and "port" exclude each other', path: ["port"] })
  .refine(({ host, port }) => host === undefined || port !== undefined, { message: '"host" needs "port"', path: ["host"] });

type StreamOptions = z.infer<typeof options>;
type Context = ExportContext<StreamOptions, OpenInterface>;

const definition: ExportDefinition<StreamOptions, OpenInterface> = {
  type: "stream",
  class: "net",
  summary: "a socket with QEMU's network framing, to plug a virtual machine's card into",
  options,
  async start(context) {
    const running = new StreamExport(context);
    await running.start();
    return running;
  },
};

export default definition;

class StreamExport implements RunningExport {
  readonly ended: Promise<AirlockError | undefined>;
  #address = "";
  readonly #context: Context;
  readonly #server: net.Server;
  readonly #frameLimit: number;
  readonly #unread: DropLog;
  readonly #odd: DropLog;
  #end: (reason: AirlockError | undefined) => void = () => undefined;
  #link: NetLink | undefined;
  #client: net.Socket | undefined;
  /** What the link has not taken yet; meanwhile the client is not read. */
  #waiting: readonly Uint8Array[] = [];
  readonly #queued = new Set<net.Socket>();
  #closing: Promise<void> | undefined;

  constructor(context: Context) {
    const { mtu } = context.options;
    this.#context = context;
    this.#frameLimit = frameLimit(mtu);
    this.#unread = new DropLog(context, "frames were dropped: the client does not read fast enough");
    this.#odd = new DropLog(context, `frames of the client were dropped: they are shorter than a header or longer than an MTU of ${mtu} allows`);
    this.ended = new Promise((resolve) => { this.#end = resolve; });
    this.#server = net.createServer((socket) => this.#connected(socket));
    this.#server.maxConnections = maxConnections;
  }

  get address(): string {
    return this.#address;
  }

  async start(): Promise<void> {
    const { mtu, promiscuous } = this.#context.options;
    const settings: Partial<NetSettings> = { up: true, mtu, promiscuous, allMulticast: true };
    try {
      if (this.#context.options.port === undefined) await clearSocketPath(this.#file());
      this.#link = await NetLink.open(this.#context, settings, {
        received: (frames) => this.#deliver(frames),
        room: () => this.#send(),
        // A client has no way to hear of it: QEMU's backend has a link as long as it has a connection.
        link: () => undefined,
        identified: () => undefined,
      });
      this.#address = await this.#listen();
    } catch (error) {
      await this.close();
      throw error;
    }
    void this.#link.ended.then((reason) => this.#end(reason));
    this.#server.on("error", (error) => this.#context.log.error(`${this.address}: ${error.message}`));
    this.#context.log.info(`${this.address} takes a client`);
  }

  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  async #close(): Promise<void> {
    this.#end(undefined);
    this.#link?.close();
    this.#client?.destroy();
    for (const socket of this.#queued) socket.destroy();
    // Closing a listening server removes its socket file.
    if (this.#server.listening) await new Promise((resolve) => { this.#server.close(resolve); });
    this.#unread.close();
    this.#odd.close();
  }

  #file(): string {
    const { options: { path: chosen }, name, directory, stateDirectory } = this.#context;
    return chosen === undefined ? path.resolve(stateDirectory, `${name}.sock`) : path.resolve(directory, chosen);
  }

  async #listen(): Promise<string> {
    const { port, host = defaultHost } = this.#context.options;
    if (port === undefined) {
      const file = this.#file();
      await listenOnUnixSocket(this.#server, file);
      return file;
    }
    try {
      this.#server.listen({ host, port });
      await once(this.#server, "listening");
    } catch (cause) {
      const what = `cannot listen on ${host}, port ${port}: ${errorText(cause)}`;
      const taken = (cause as NodeJS.ErrnoException).code === "EADDRINUSE";
      if (taken) throw new AirlockError("AddressInUse", `${what}; choose another "port"`, { host, port }, { cause });
      throw new AirlockError("InvalidArgument", `${what}; choose another "host" or "port"`, { host, port }, { cause });
    }
    return `${host.includes(":") ? `[${host}]` : host}:${(this.#server.address() as net.AddressInfo).port}`;
  }

  #connected(socket: net.Socket): void {
    socket.on("error", (error) => this.#context.log.debug(`${this.address}: ${error.message}`));
    if (this.#closing !== undefined) return void socket.destroy();
    socket.setNoDelay(true);
    if (this.#client === undefined) return this.#accept(socket);
    this.#queued.add(socket);
    socket.on("close", () => this.#queued.delete(socket));
    this.#context.clock.setTimer(patienceMicros, () => {
      if (!this.#queued.delete(socket)) return;
      this.#context.log.warn(`${this.address}: a second client was refused; a cable has two ends`);
      socket.destroy();
    });
  }

  #accept(socket: net.Socket): void {
    this.#client = socket;
    this.#waiting = [];
    const splitter = new FrameSplitter();
    socket.on("data", (chunk: Uint8Array) => {
      const frames = splitter.push(chunk);
      if (typeof frames === "string") {
        this.#context.log.warn(`${this.address}: the client was cut off: ${frames}`);
        return void socket.destroy();
      }
      const fitting = frames.filter(({ length }) => length >= headerBytes && length <= this.#frameLimit);
      this.#odd.add(frames.length - fitting.length);
      this.#waiting = fitting;
      this.#send();
    });
    socket.on("close", () => {
      if (this.#client === socket) this.#client = undefined;
      const [next] = this.#queued;
      if (next === undefined || this.#client !== undefined || this.#closing !== undefined) return;
      this.#queued.delete(next);
      this.#accept(next);
    });
  }

  /** Passes on what waits; the client is read again when all of it was taken. */
  #send(): void {
    const socket = this.#client;
    if (socket === undefined) return;
    const taken = this.#link?.send(this.#waiting) ?? this.#waiting.length;
    this.#waiting = this.#waiting.slice(taken);
    if (this.#waiting.length > 0) socket.pause();
    else if (socket.isPaused()) socket.resume();
  }

  #deliver(frames: readonly Uint8Array[]): void {
    const socket = this.#client;
    // Nobody is plugged in.
    if (socket === undefined || socket.destroyed || socket.writableEnded) return;
    if (socket.writableLength > mostUnreadBytes) return this.#unread.add(frames.length);
    socket.write(joinFrames(frames));
  }
}
