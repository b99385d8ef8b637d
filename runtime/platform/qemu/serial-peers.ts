/** What can be plugged into QEMU's serial ports: the device option `peer`. Main thread. */
import type net from "node:net";
import { AirlockError } from "../../api/errors.ts";
import type { DeviceDescription } from "../../bus/device.ts";

/** What each peer does with its socket. The names agree with the simulator's peers; undefined leaves the connector empty. */
export const serialPeers: ReadonlyMap<string, ((socket: net.Socket) => void) | undefined> = new Map([
  // pipe() stops reading while the port takes nothing, which QEMU sees as a line that is busy.
  ["echo", (socket: net.Socket) => void socket.pipe(socket)],
  // QEMU drops what is sent to a connector without a connection.
  ["none", undefined],
]);

/**
 * The checked option `peer` of a device; "none" when there is none.
 * @throws AirlockError NotFound when there is no peer of that name
 */
export function serialPeerOf(description: DeviceDescription): string {
  const name = description.options["peer"] ?? "none";
  if (typeof name === "string" && serialPeers.has(name)) return name;
  throw new AirlockError(
    "NotFound", `device "${description.name}": there is no serial peer "${String(name)}" for QEMU; there are ${[...serialPeers.keys()].sort().join(", ")}`,
    { device: description.name, peer: String(name) },
  );
}
