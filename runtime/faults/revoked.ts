/** Touches a register after its window was revoked. */
import type { FaultDefinition } from "./fault.ts";

const revoked: FaultDefinition = {
  name: "revoked",
  title: "uses a capability after its revocation",
  where: "now",
  run: ({ bridge }) => bridge.read(0, 0, 8),
  detectedAs: ["capability-revoked"],
  revokes: true,
};

export default revoked;
