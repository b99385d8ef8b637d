/** Comes to a BUG(), in C. */
import type { FaultDefinition } from "./fault.ts";

const bug: FaultDefinition = {
  name: "bug",
  title: "comes to a BUG()",
  where: "operation",
  tiers: ["wasm"],
  // AIRLOCK_FAULT_BUG
  run: ({ perform }) => perform!(4),
  detectedAs: ["exception"],
};

export default bug;
