/** A connector of a device of QEMU: a Unix socket where QEMU takes one connection, and what is plugged into it. Main thread. */
import net from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { AirlockError, errorText } from "../../api/errors.ts";
import type { DeviceDescription } from "../../bus/device.ts";

/** A serial port's carries bytes; a network card's frames, each after its length in 4 bytes, big endian. */
export type ConnectorKind = "serial" | "network";

export interface Connector {
  readonly device: string;
  readonly kind: ConnectorKind;
  readonly socketPath: string;
  /** The device option `peer`. */
  readonly peer: string;
  /** All options of the device, for the peer. */
  readonly options: DeviceDescription["options"];
}

/** A local connect takes microseconds, unless QEMU is stopped or going. */
const connectTimeoutMs = 2_000;

/** How often a socket is looked for that is not there yet. */
const retryMs = 2;

/** QEMU makes a network card's socket in a thread of its own, maybe after its first answer. */
const notYet = new Set(["ENOENT", "ECONNREFUSED"]);

/** @throws AirlockError PlatformUnavailable when it takes no connection in time */
export async function openConnector(connector: Connector): Promise<net.Socket> {
  for (let waitedMs = 0; ; waitedMs += retryMs) {
    const result = await connect(connector.socketPath);
    if (result instanceof net.Socket) return result;
    if (!notYet.has(result.code ?? "") || waitedMs >= connectTimeoutMs) throw refused(connector, errorText(result), result);
    await sleep(retryMs);
  }
}

/** The connected socket, or why there is none. */
function connect(path: string): Promise<net.Socket | NodeJS.ErrnoException> {
  return new Promise((resolve) => {
    const socket = net.connect({ path, allowHalfOpen: false });
    const fail = (error: NodeJS.ErrnoException): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(error);
    };
    const timer = setTimeout(() => fail(new Error(`no answer in ${connectTimeoutMs} ms`)), connectTimeoutMs);
    socket.once("error", fail);
    socket.once("connect", () => {
      clearTimeout(timer);
      socket.off("error", fail);
      // The end of QEMU resets the connection; the process's exit tells of it, once and better.
      socket.on("error", () => socket.destroy());
      resolve(socket);
    });
  });
}

function refused({ kind, device }: Connector, why: string, cause: unknown): AirlockError {
  return new AirlockError("PlatformUnavailable", `QEMU's ${kind} port "${device}" takes no connection: ${why}`, { device }, { cause });
}
