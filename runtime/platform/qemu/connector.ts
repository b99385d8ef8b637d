/** A connector of a device of QEMU: a Unix socket where QEMU takes one connection, and what is plugged into it. Main thread. */
import net from "node:net";
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

/** @throws AirlockError PlatformUnavailable */
export function openConnector(connector: Connector): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ path: connector.socketPath, allowHalfOpen: false });
    const fail = (reason: string): void => {
      clearTimeout(deadline);
      socket.destroy();
      reject(new AirlockError("PlatformUnavailable", `QEMU's ${connector.kind} port "${connector.device}" takes no connection: ${reason}`, { device: connector.device }));
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
