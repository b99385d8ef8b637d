/** What can be plugged into QEMU's network cards over a stream socket: the device option `peer`. Main thread. */
import type net from "node:net";
import type { DeviceDescription } from "../../bus/device.ts";
import { NetworkHost, defaultHostAddress } from "../network-host.ts";
import { StreamFrames } from "./stream-frames.ts";

type Options = DeviceDescription["options"];

export interface QemuNetworkPeer {
  /** @throws AirlockError InvalidArgument for options it cannot have */
  check?(options: Options): void;
  plugIn(socket: net.Socket, options: Options): void;
}

/** The names agree with the simulator's peers; undefined leaves the cable unplugged. */
export const networkPeers: ReadonlyMap<string, QemuNetworkPeer | undefined> = new Map<string, QemuNetworkPeer | undefined>([
  ["host", {
    check: (options) => void makeHost(options),
    plugIn: (socket, options) => {
      const host = makeHost(options);
      const frames = new StreamFrames(socket, (frame) => {
        const answer = host.answer(frame);
        // Where the card takes nothing the answer is lost, as on a wire.
        if (answer !== undefined) frames.send(answer);
      });
    },
  }],
  ["none", undefined],
]);

/** Option `address`: the host's IPv4 address. */
function makeHost(options: Options): NetworkHost {
  return new NetworkHost(String(options["address"] ?? defaultHostAddress));
}
