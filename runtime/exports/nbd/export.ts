/** The NBD export: a disk for nbdcopy, QEMU, fio, nbdfuse and the kernel, over a Unix socket or TCP, with TLS if wanted. */
import net from "node:net";
import path from "node:path";
import { type AirlockError, errorText } from "../../api/errors.ts";
import type { Volume } from "../../classes/block/volume.ts";
import type { ExportContext, ExportDefinition, RunningExport } from "../export.ts";
import { BlockAccess } from "./block-access.ts";
import { SharedBudget } from "./budget.ts";
import { Payloads } from "./payloads.ts";
import { Connection, type ConnectionServer } from "./connection.ts";
import { startListening } from "./listener.ts";
import { LogGate } from "./log-gate.ts";
import type { Facts } from "./negotiation.ts";
import { options, type NbdOptions } from "./options.ts";
import { Transmission } from "./protocol.ts";
import { RangeLock } from "./range-lock.ts";
import { TlsServer } from "./tls.ts";
import { type OpenVolume, VolumeLink } from "./volume-link.ts";

/** How long a client that connects waits for a driver that is just starting, before it is told that the disk is away. */
const factsMicros = 10_000_000;
/** How often connections are looked at for deadlines. */
const sweepMicros = 1_000_000;
/** How long until requests are tried again that the volume had no room for. */
const retryMicros = 5_000;
/** How long requests in flight may take to end when the export is closed. */
const finishMicros = 1_000_000;
/** How long the device may take to put everything on the medium when the export is closed: a driver may have to come back first. */
const flushMicros = 4_000_000;

const definition: ExportDefinition<NbdOptions, Volume> = {
  type: "nbd",
  class: "block",
  summary: "a network block device, for several clients at once, on a Unix socket or a TCP port",
  options,
  async start(context) {
    const { tls } = context.options;
    const running = new NbdExport(context, tls === undefined ? undefined : await TlsServer.load(tls, context.directory));
    await running.start();
    return running;
  },
};

export default definition;

class NbdExport implements RunningExport, ConnectionServer {
  readonly ended: Promise<AirlockError | undefined>;
  readonly name: string;
  readonly description: string | undefined;
  readonly tls: TlsServer | undefined;
  readonly budget = new SharedBudget();
  readonly payloads = new Payloads();
  readonly #context: ExportContext<NbdOptions, Volume>;
  readonly #server: net.Server;
  readonly #gate: LogGate;
  /** One for all connections: two of them may change parts of the same block. */
  readonly #lock = new RangeLock();
  readonly #connections = new Set<Connection>();
  #end: (reason: AirlockError | undefined) => void = () => undefined;
  #address = "";
  #link: VolumeLink | undefined;
  #access: { readonly open: OpenVolume; readonly access: BlockAccess } | undefined;
  #cancelSweep: (() => void) | undefined;
  #retries: (() => void)[] = [];
  #cancelRetry: (() => void) | undefined;
  #idle: () => void = () => undefined;
  #closing: Promise<void> | undefined;

  constructor(context: ExportContext<NbdOptions, Volume>, tls: TlsServer | undefined) {
    this.#context = context;
    this.tls = tls;
    this.name = context.options.export ?? context.name;
    this.description = context.options.description;
    this.#gate = new LogGate(context.log, context.clock);
    this.ended = new Promise((resolve) => { this.#end = resolve; });
    // Replies go on after a client has closed its sending side.
    const settings = { noDelay: true, keepAlive: true, allowHalfOpen: true, pauseOnConnect: true };
    this.#server = net.createServer(settings, (socket) => this.#connected(socket));
  }

  get address(): string {
    return this.#address;
  }

  async start(): Promise<void> {
    const { name, options: chosen, directory, stateDirectory, log } = this.#context;
    try {
      this.#link = await VolumeLink.open(this.#context, () => this.#replaced());
      void this.#link.ended.then((reason) => this.#end(reason));
      const defaultPath = path.resolve(stateDirectory, `${name}.sock`);
      this.#address = await startListening(this.#server, { options: chosen, exportName: this.name, defaultPath, directory });
    } catch (error) {
      await this.close();
      throw error;
    }
    this.#server.on("error", (error) => log.error(`${this.address}: ${error.message}`));
    log.info(`${this.address} takes clients`);
  }

  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  access(): BlockAccess | undefined {
    const open = this.#link?.current;
    if (open === undefined) return undefined;
    if (this.#access?.open !== open) this.#access = { open, access: new BlockAccess(open.volume, open.info, this.#lock, this.payloads) };
    return this.#access.access;
  }

  failed(access: BlockAccess, error: unknown): void {
    if (this.#access?.access === access) this.#link?.failed(this.#access.open, error);
  }

  retry(again: () => void): void {
    this.#retries.push(again);
    this.#cancelRetry ??= this.#context.clock.setTimer(retryMicros, () => this.#retry());
  }

  async facts(): Promise<Facts | undefined> {
    const open = await this.#link?.ready(factsMicros);
    if (open === undefined) return undefined;
    const { sizeBytes, blockBytes } = open.info;
    const readOnly = open.info.readOnly || this.#context.options.readOnly;
    // Several connections are as good as one: all of them use one volume, and its flush covers every write that was answered
    // before, whoever sent it. FUA holds also without a volatile cache, and FAST_ZERO as the device itself zeroes.
    let flags = Transmission.hasFlags | Transmission.sendFlush | Transmission.sendFua | Transmission.canMultiConn;
    if (readOnly) flags |= Transmission.readOnly;
    else {
      if (open.info.discard) flags |= Transmission.sendTrim;
      if (open.info.writeZeroes) flags |= Transmission.sendWriteZeroes | Transmission.sendFastZero;
    }
    return { sizeBytes, blockBytes, flags };
  }

  cutOff(kind: string, reason: string): void {
    this.#gate.warn(kind, `a client was cut off: ${reason}`);
  }

  gone(connection: Connection): void {
    this.#connections.delete(connection);
    if (this.#connections.size === 0) this.#idle();
  }

  #connected(socket: net.Socket): void {
    const { maxConnections } = this.#context.options;
    // A client that left counts as long as the volume is busy with its requests: else leaving would be a way around the limits.
    if (this.#closing !== undefined || this.#connections.size >= maxConnections) {
      socket.on("error", () => socket.destroy());
      socket.destroy();
      if (this.#closing === undefined) this.#gate.warn("connections", `a client was refused: there are ${maxConnections} already ("maxConnections")`);
      return;
    }
    this.#connections.add(new Connection(socket, this));
    this.#cancelSweep ??= this.#context.clock.setTimer(sweepMicros, this.#sweep);
  }

  readonly #sweep = (): void => {
    for (const connection of this.#connections) connection.sweep();
    const more = this.#connections.size > 0 && this.#closing === undefined;
    this.#cancelSweep = more ? this.#context.clock.setTimer(sweepMicros, this.#sweep) : undefined;
  };

  #retry(): void {
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
    const retries = this.#retries;
    this.#retries = [];
    for (const again of retries) again();
  }

  /** The disk is another one now: clients have to look at it anew. */
  #replaced(): void {
    if (this.#connections.size > 0) this.#context.log.warn("the disk has another size or kind now: its clients are disconnected");
    for (const connection of this.#connections) connection.destroy();
  }

  /** The device may lose its power when the machine has ended: what clients were told is written is put on the medium before. */
  async #flush(): Promise<void> {
    const volume = this.#link?.current?.volume;
    if (volume === undefined || this.#context.options.readOnly) return;
    await new Promise<void>((resolve) => {
      const cancel = this.#context.clock.setTimer(flushMicros, () => {
        this.#context.log.warn("the disk was not flushed in time: what no client has flushed may be lost");
        resolve();
      });
      volume.flush().catch((error: unknown) => this.#context.log.warn(`the disk was not flushed: ${errorText(error)}`)).finally(() => {
        cancel();
        resolve();
      });
    });
  }

  async #close(): Promise<void> {
    this.#cancelSweep?.();
    // Closing a listening server removes its socket file; its callback waits for the connections.
    const closed = this.#server.listening ? new Promise((resolve) => { this.#server.close(resolve); }) : undefined;
    if (this.#connections.size > 0) {
      await new Promise<void>((resolve) => {
        const cancel = this.#context.clock.setTimer(finishMicros, resolve);
        this.#idle = () => {
          cancel();
          resolve();
        };
        for (const connection of this.#connections) connection.finish();
      });
    }
    for (const connection of this.#connections) connection.destroy();
    await this.#flush();
    await this.#link?.close();
    // There is no volume any more: they end with an error, which nobody hears.
    this.#retry();
    await closed;
    this.#end(undefined);
  }
}
