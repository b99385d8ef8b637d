/** The peer "none": nothing is plugged in. Characters go nowhere, all modem inputs stay inactive. */
import type { PeerDefinition } from "./peer.ts";

const none: PeerDefinition = {
  name: "none",
  create: () => ({ connect: () => undefined, receive: () => undefined, outputs: () => undefined }),
};

export default none;
