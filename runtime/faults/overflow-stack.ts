/** Calls itself until its stack is full, in C. */
import type { FaultDefinition } from "./fault.ts";

const overflowStack: FaultDefinition = {
  name: "overflow-stack",
  title: "overflows its stack",
  where: "operation",
  tiers: ["wasm"],
  // AIRLOCK_FAULT_STACK
  run: ({ perform }) => perform!(10),
  detectedAs: ["stack", "exception"],
};

export default overflowStack;
