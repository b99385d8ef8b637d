/** Endless loop in JavaScript, where an interpreter can look at its watch. */
import { type FaultDefinition, scriptTiers } from "./fault.ts";

const hang: FaultDefinition = {
  name: "hang",
  title: "loops for ever in JavaScript",
  where: "operation",
  run: () => { for (;;); },
  tiers: scriptTiers,
  detectedAs: ["turn-limit", "hang"],
};

export default hang;
