/** Touches a register with a wrong width. */
import type { FaultDefinition } from "./fault.ts";

const wrongWidth: FaultDefinition = {
  name: "wrong-width",
  title: "reads a register with a width its grant does not have",
  where: "operation",
  run: ({ bridge }) => bridge.read(0, 0, 32),
  detectedAs: ["capability-violation"],
};

export default wrongWidth;
