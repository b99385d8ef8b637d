/** Touches a register outside its grant. */
import type { FaultDefinition } from "./fault.ts";

const violation: FaultDefinition = {
  name: "violation",
  title: "reads a register outside its grant",
  where: "operation",
  run: ({ bridge }) => bridge.read(0, 0x4000, 8),
  detectedAs: ["capability-violation"],
};

export default violation;
