/** Takes memory until there is none, in C. */
import type { FaultDefinition } from "./fault.ts";

const exhaustMemory: FaultDefinition = {
  name: "exhaust-memory",
  title: "takes all its memory",
  where: "operation",
  tiers: ["wasm"],
  // AIRLOCK_FAULT_EXHAUST_MEMORY
  run: ({ perform }) => perform!(9),
  detectedAs: ["memory"],
};

export default exhaustMemory;
