/** Loops for ever, in C: compiled code never looks at its watch, but in a deterministic world. */
import type { FaultDefinition } from "./fault.ts";

const loop: FaultDefinition = {
  name: "loop",
  title: "loops for ever",
  where: "operation",
  tiers: ["wasm"],
  // AIRLOCK_FAULT_LOOP
  run: ({ perform }) => perform!(5),
  detectedAs: ["turn-limit", "hang"],
};

export default loop;
