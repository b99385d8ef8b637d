/** Endless loop in JavaScript, where an interpreter can look at its watch. */
import type { FaultDefinition } from "./fault.ts";

const hang: FaultDefinition = {
  name: "hang",
  title: "loops for ever in JavaScript",
  where: "operation",
  run: () => { for (;;); },
  detectedAs: ["turn-limit", "hang"],
};

export default hang;
