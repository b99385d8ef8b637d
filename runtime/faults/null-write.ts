/** Writes through a null pointer, in C. */
import type { FaultDefinition } from "./fault.ts";

const nullWrite: FaultDefinition = {
  name: "null-write",
  title: "writes through a null pointer",
  where: "operation",
  tiers: ["wasm"],
  // AIRLOCK_FAULT_NULL_WRITE
  run: ({ perform }) => perform!(2),
  detectedAs: ["exception"],
};

export default nullWrite;
