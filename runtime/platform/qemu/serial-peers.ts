/** What is plugged into QEMU's serial ports: the device option `peer`, at the far end of each chardev socket. Main thread. */
import net from "node:net";
import { AirlockError, errorText } from "../../api/errors.ts";
import type { DeviceDescription } from "../../bus/device.ts";

/** A serial connector of a running QEMU. */
export interface SerialConnector {
  readonly device: string;
  /** The Unix socket where QEMU takes one connection. */
  readonly socketPath: string;
  /** The device option `peer`. */
  readonly peer: string;
}

/** A local connect takes microseconds, unless QEMU is stopped or going. */
const connectTimeoutMs = 2_000;

/** What each peer does with its socket. The names agree with the simulator's peers; undefined leaves the connector empty. */
const peers = new Map<string, ((socket: net.Socket) => void) | undefined>([
  // pipe() stops reading while the port takes nothing, which QEMU sees as a line that is busy.
  ["echo", (socket) => void socket.pipe(socket)],
  // QEMU drops what is sent to a connector without a connection.
  ["none", undefined],
]);

/**
 * The checked option `peer` of a device; "none" when there is none.
 * @throws AirlockError NotFound when there is no peer of that name
 */
export function peerOf(description: DeviceDescription): string {
  const name = description.options["peer"] ?? "none";
  if (typeof name === "string" && peers.has(name)) return name;
  throw new AirlockError(
    "NotFound", `device "${description.name}": there is no serial peer "${String(name)}" for QEMU; there are ${[...peers.keys()].sort().join(", ")}`,
    { device: description.name, peer: String(name) },
  );
}

/** The plugged-in peers of one QEMU. A peer whose connection ends stays unplugged. */
export class SerialPeers implements Disposable {
  readonly #sockets: net.Socket[] = [];

  /**
   * Plugs in all peers; QEMU has taken them when it answers the second qtest command from then on.
   * @throws AirlockError PlatformUnavailable when a connector takes no connection
   */
  static async plugIn(connectors: readonly SerialConnector[]): Promise<SerialPeers> {
    const all = new SerialPeers();
    try {
      for (const connector of connectors) {
        const behave = peers.get(connector.peer);
        if (behave === undefined) continue;
        const socket = await openConnector(connector);
        all.#sockets.push(socket);
        behave(socket);
      }
    } catch (error) {
      all[Symbol.dispose]();
      throw error;
    }
    return all;
  }

  /** Peers whose connection is up. */
  get connected(): number {
    return this.#sockets.filter((socket) => !socket.destroyed).length;
  }

  /** Pulls all plugs; idempotent. */
  [Symbol.dispose](): void {
    for (const socket of this.#sockets) socket.destroy();
  }
}

/** @throws AirlockError PlatformUnavailable */
export function openConnector(connector: SerialConnector): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ path: connector.socketPath, allowHalfOpen: false });
    const fail = (reason: string): void => {
      clearTimeout(deadline);
      socket.destroy();
      reject(new AirlockError("PlatformUnavailable", `QEMU's serial port "${connector.device}" takes no connection: ${reason}`, { device: connector.device }));
    };
    const deadline = setTimeout(() => fail(`no answer in ${connectTimeoutMs} ms`), connectTimeoutMs);
    const refused = (error: unknown): void => fail(errorText(error));
    socket.once("error", refused);
    socket.once("connect", () => {
      clearTimeout(deadline);
      socket.off("error", refused);
      // The end of QEMU resets the connection; the process's exit tells of it, once and better.
      socket.on("error", () => socket.destroy());
      resolve(socket);
    });
  });
}
