/** Overflows the stack. */
import { type FaultDefinition, scriptTiers } from "./fault.ts";

const stackOverflow: FaultDefinition = {
  name: "stack-overflow",
  title: "overflows its stack",
  where: "operation",
  run: () => {
    const deeper = (): number => deeper() + 1;
    return deeper();
  },
  tiers: scriptTiers,
  detectedAs: ["stack"],
};

export default stackOverflow;
