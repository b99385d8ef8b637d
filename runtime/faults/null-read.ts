/** Reads through a null pointer, in C. */
import type { FaultDefinition } from "./fault.ts";

const nullRead: FaultDefinition = {
  name: "null-read",
  title: "reads through a null pointer",
  where: "operation",
  tiers: ["wasm"],
  // AIRLOCK_FAULT_NULL_READ
  run: ({ perform }) => perform!(1),
  detectedAs: ["exception"],
};

export default nullRead;
