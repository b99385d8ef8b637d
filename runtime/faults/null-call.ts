/** Calls through a null pointer, in C. */
import type { FaultDefinition } from "./fault.ts";

const nullCall: FaultDefinition = {
  name: "null-call",
  title: "calls through a null pointer",
  where: "operation",
  tiers: ["wasm"],
  // AIRLOCK_FAULT_NULL_CALL
  run: ({ perform }) => perform!(8),
  detectedAs: ["exception"],
};

export default nullCall;
