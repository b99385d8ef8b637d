/** Writes through a pointer to nowhere, in C. */
import type { FaultDefinition } from "./fault.ts";

const wildWrite: FaultDefinition = {
  name: "wild-write",
  title: "writes through a wild pointer",
  where: "operation",
  tiers: ["wasm"],
  // AIRLOCK_FAULT_WILD_WRITE
  run: ({ perform }) => perform!(3),
  detectedAs: ["exception"],
};

export default wildWrite;
