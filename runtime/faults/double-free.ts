/** Frees twice, in C; the allocator finds it where it checks. */
import type { FaultDefinition } from "./fault.ts";

const doubleFree: FaultDefinition = {
  name: "double-free",
  title: "frees the same memory twice",
  where: "operation",
  tiers: ["wasm"],
  needsOption: "checking",
  // AIRLOCK_FAULT_DOUBLE_FREE
  run: ({ perform }) => perform!(7),
  detectedAs: ["exception"],
};

export default doubleFree;
